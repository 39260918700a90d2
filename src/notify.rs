//! Telling systemd how the service is doing: the `sd_notify(3)` protocol, datagrams of `KEY=value` lines.
//!
//! Not libsystemd, and not the `sd-notify` crate: release 0.5 takes an abstract socket (`@…`, what containers get) for a
//! file name. The environment is read and left as it is: changing it with threads about is unsound, and Cirque starts no
//! child processes that could answer in its place. Protocol: sd_notify(3), sd_watchdog_enabled(3), systemd 257.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket. Sending never blocks, and what cannot be sent is lost: the manager's own timeouts notice.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

/// The variables that matter, as they are in the environment.
#[derive(Debug, Default)]
struct Variables {
    notify_socket: Option<OsString>,
    watchdog_usec: Option<OsString>,
    watchdog_pid: Option<OsString>,
}

impl Notifier {
    /// `None` when no service manager asked for notifications, or its address makes no sense.
    pub fn from_env() -> Option<Self> {
        Self::from_variables(&Variables {
            notify_socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog_usec: std::env::var_os("WATCHDOG_USEC"),
            watchdog_pid: std::env::var_os("WATCHDOG_PID"),
        })
    }

    fn from_variables(variables: &Variables) -> Option<Self> {
        let address = address(variables.notify_socket.as_deref()?)?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            address,
            watchdog: watchdog(variables, std::process::id()),
        })
    }

    /// Start-up, or a reload, is finished.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// A reload begins; [`ready`](Self::ready) must follow, also when the reload failed.
    pub fn reloading(&self) -> io::Result<()> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"))
    }

    /// Shutting down.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) -> io::Result<()> {
        // A line break would begin another assignment.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.send(&format!("STATUS={line}"))
    }

    /// Another process takes over as the service's main one (an upgrade).
    pub fn main_pid(&self, pid: u32) -> io::Result<()> {
        self.send(&format!("MAINPID={pid}"))
    }

    /// Alive. Due every [`watchdog_interval`](Self::watchdog_interval).
    pub fn watchdog(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    /// Half of the time after which the manager takes the service for hung; `None` when it does not watch this process.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

/// `/path` or `@abstract`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

fn watchdog(variables: &Variables, own_pid: u32) -> Option<Duration> {
    fn number(value: &OsStr) -> Option<u64> {
        value.to_str()?.parse().ok()
    }
    let micros = number(variables.watchdog_usec.as_deref()?)?;
    // Set for another process, a parent that started us: not ours to answer.
    if let Some(pid) = variables.watchdog_pid.as_deref()
        && number(pid) != Some(u64::from(own_pid))
    {
        return None;
    }
    (micros > 0).then(|| Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(socket: &OsStr) -> Variables {
        Variables {
            notify_socket: Some(socket.to_owned()),
            ..Variables::default()
        }
    }

    fn received(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_a_path() {
        let path = std::env::temp_dir().join(format!("cirque-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::from_variables(&variables(path.as_os_str())).unwrap();
        notifier.ready().unwrap();
        assert_eq!(received(&manager), "READY=1");
        notifier.reloading().unwrap();
        let message = received(&manager);
        let (first, second) = message.split_once('\n').unwrap();
        assert_eq!(first, "RELOADING=1");
        let micros: u64 = second.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(micros > 0);
        notifier.status("two\nREADY=0").unwrap();
        assert_eq!(received(&manager), "STATUS=two READY=0");
        notifier.watchdog().unwrap();
        assert_eq!(received(&manager), "WATCHDOG=1");
        notifier.main_pid(7).unwrap();
        assert_eq!(received(&manager), "MAINPID=7");
        notifier.stopping().unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
        drop(manager);
        std::fs::remove_file(&path).unwrap();
        assert!(
            notifier.ready().is_err(),
            "a manager that is gone is an error, not a hang"
        );
    }

    #[test]
    fn messages_arrive_at_an_abstract_name() {
        let name = format!("cirque-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let at = OsString::from(format!("@{name}"));
        let notifier = Notifier::from_variables(&variables(&at)).unwrap();
        notifier.ready().unwrap();
        assert_eq!(received(&manager), "READY=1");
    }

    #[test]
    fn no_manager_no_notifier() {
        assert!(Notifier::from_variables(&Variables::default()).is_none());
        for nonsense in ["", "@", "relative/path", "vsock:2:1234"] {
            assert!(Notifier::from_variables(&variables(OsStr::new(nonsense))).is_none());
        }
    }

    #[test]
    fn the_watchdog_is_answered_only_when_it_watches_us() {
        let with = |usec: Option<&str>, pid: Option<&str>| {
            watchdog(
                &Variables {
                    notify_socket: None,
                    watchdog_usec: usec.map(Into::into),
                    watchdog_pid: pid.map(Into::into),
                },
                42,
            )
        };
        let half = Some(Duration::from_secs(15));
        assert_eq!(with(Some("30000000"), None), half);
        assert_eq!(with(Some("30000000"), Some("42")), half);
        assert_eq!(with(Some("30000000"), Some("43")), None);
        assert_eq!(with(Some("30000000"), Some("x")), None);
        assert_eq!(with(Some("0"), None), None);
        assert_eq!(with(Some("soon"), None), None);
        assert_eq!(with(None, Some("42")), None);
    }
}
