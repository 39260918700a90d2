//! One gateway of a fleet: an operator, a state directory, and whatever blocks a test adds.

use super::{TOKEN, rows, within};
use crate::support::client::Client;
use crate::support::gateway::{free_port, signal};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Killed when dropped; its output is in files, so that a successor writes to them too.
pub struct Instance {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub directory: PathBuf,
    pub config: PathBuf,
    child: Child,
    /// A successor after an upgrade.
    pub successor: Option<u32>,
}

/// A folder that no other test has.
pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("cirque-fleets-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// `cirque …`
pub fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cirque"));
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env("UP_KEY", "sk-ours")
        .env("KEY", super::KEY)
        .env("OTHER_KEY", super::OTHER_KEY)
        .env("ADMIN", TOKEN)
        .stdin(Stdio::null());
    command
}

/// A configuration in a folder of its own: `STATE` stands for it in the blocks.
pub fn written(body: &str) -> (PathBuf, SocketAddr, SocketAddr) {
    let directory = folder();
    let [address, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
    let (state, socket) = (directory.join("state"), directory.join("upgrade.sock"));
    let text = format!(
        "listen: \"{address}\"\nadmin: {{ listen: \"{admin}\", operators: {{ ann: {{ role: owner, token: env:ADMIN }} }} }}\n\
         server: {{ threads: 1, drain_timeout: 20s, upgrade_socket: \"{}\", state_dir: \"{}\" }}\n\
         log: {{ format: json, level: info, access: false }}\n{body}",
        socket.display(),
        state.display(),
    );
    std::fs::write(
        directory.join("cirque.yaml"),
        text.replace("STATE", &state.display().to_string()),
    )
    .unwrap();
    (directory, address, admin)
}

impl Instance {
    /// Start one; it may not be ready yet.
    pub fn spawn(body: &str) -> Self {
        let (directory, address, admin) = written(body);
        Self::at(directory, address, admin)
    }

    /// Start one with what [`written`] made.
    pub fn at(directory: PathBuf, address: SocketAddr, admin: SocketAddr) -> Self {
        let config = directory.join("cirque.yaml");
        let child = serve(&config);
        Self {
            address,
            admin,
            directory,
            config,
            child,
            successor: None,
        }
    }

    pub fn start(body: &str) -> Self {
        let instance = Self::spawn(body);
        instance.ready();
        instance
    }

    pub fn is_ready(&self) -> bool {
        let told = Client::try_connect(self.admin).and_then(|mut client| {
            client.try_send("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
            Ok(client.rest())
        });
        told.is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
    }

    #[track_caller]
    pub fn ready(&self) {
        // A zombie has no executable any more.
        let ended = || std::fs::read_link(format!("/proc/{}/exe", self.pid())).is_err();
        let ready = within_or(Duration::from_secs(30), || {
            assert!(!ended(), "it ended: {}", self.log());
            self.is_ready().then_some(())
        });
        assert!(ready.is_some(), "not ready: {}", self.log());
    }

    pub fn pid(&self) -> u32 {
        self.successor.unwrap_or_else(|| self.child.id())
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process ended by itself.
    #[track_caller]
    pub fn ended(&mut self) {
        within(Duration::from_secs(25), "the process ends", || {
            self.child.try_wait().unwrap()
        });
    }

    /// The same file on the same ports, after the process has ended.
    pub fn again(&mut self) {
        self.child = serve(&self.config);
        self.ready();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub fn database(&self) -> PathBuf {
        self.state().join("cirque.db")
    }

    /// The admin API: status and document.
    pub fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut client = Client::connect(self.admin);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.admin,
            body.len()
        ));
        let answer = client.response();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Make a virtual key; its secret.
    #[track_caller]
    pub fn make_key(&self, name: &str) -> String {
        let (status, made) = self.admin("POST", "/admin/v1/keys", &format!(r#"{{"name":"{name}"}}"#));
        assert!(status == 200 || status == 201, "{status} {made}");
        made["secret"].as_str().unwrap().to_owned()
    }

    /// The only budget has used what the rows of the database say.
    #[track_caller]
    pub fn budget_follows_rows(&self) {
        let mut last = (0, 0);
        let met = within_or(Duration::from_secs(10), || {
            let (status, told) = self.admin("GET", "/admin/v1/budgets", "");
            assert_eq!(status, 200, "{told}");
            let used = told["items"][0]["used_usd"]
                .as_str()
                .unwrap_or_else(|| panic!("{told}"));
            last = (nano(used), rows::billed(&rows::of_file(&self.database())));
            (last.0 == last.1).then_some(())
        });
        assert!(met.is_some(), "the budget says {}, the rows {}", last.0, last.1);
    }

    pub fn metric(&self, name: &str) -> f64 {
        let Ok(mut client) = Client::try_connect(self.admin) else {
            return -1.0;
        };
        client.send("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let text = client.response().text();
        let figures = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        figures.sum()
    }

    #[track_caller]
    pub fn wait_metric(&self, name: &str, value: f64) {
        let mut last = -1.0;
        let met = within_or(Duration::from_secs(20), || {
            last = self.metric(name);
            ((last - value).abs() < 0.5).then_some(())
        });
        assert!(met.is_some(), "{name} is {last}, not {value}");
    }
}

/// Of dollars as text.
pub fn nano(usd: &str) -> u64 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    format!("{whole}{part:0<9}").parse().unwrap()
}

fn serve(config: &Path) -> Child {
    let directory = config.parent().unwrap();
    let mut options = std::fs::OpenOptions::new();
    let log = options.create(true).append(true).open(directory.join("log")).unwrap();
    let mut serve = command(config, &["serve"]);
    serve.stdout(log.try_clone().unwrap()).stderr(log);
    serve.spawn().unwrap()
}

fn within_or<T>(time: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = std::time::Instant::now() + time;
    loop {
        let found = condition();
        if found.is_some() || std::time::Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(pid) = self.successor {
            let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
        }
        if std::thread::panicking() {
            let log = self.log();
            let of_log = |line: &&str| line.starts_with('{') || line.starts_with("cirque:");
            let tail = log.lines().filter(of_log).rev().take(30).collect::<Vec<_>>();
            eprintln!("--- {} ---", self.address);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
