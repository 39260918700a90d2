//! The real binary, on free ports, with a configuration of the test's.

use super::client::{self, Client, Response};
use super::{PATIENCE, Upstream, eventually};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A free port below the range the kernel gives to outgoing connections, so that nobody takes it before the gateway does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Everything the process wrote.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<String>>);

impl Output {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub directory: PathBuf,
    pub config: PathBuf,
    pub child: Child,
    /// Access log.
    pub stdout: Output,
    /// Log of events.
    pub stderr: Output,
    environment: Vec<(String, String)>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- gateway log\n{}", self.stderr.text());
            eprintln!("--- access log\n{}", self.stdout.text());
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Deadlines short enough for tests.
pub const TIMEOUTS: &str =
    "timeouts: { connect: 1s, first_byte: 600ms, first_event: 800ms, idle: 400ms, total: 3s, stream_total: 5s }\n";

/// How to start one.
pub struct Builder {
    pub listen: Option<String>,
    pub body: String,
    pub environment: Vec<(String, String)>,
    directory: PathBuf,
    descriptors: Option<u32>,
    open: bool,
    admin: String,
}

impl Builder {
    /// With these blocks after `listen`, `admin`, `insecure`, `server` and `log`.
    pub fn new(body: impl Into<String>) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let name = format!(
            "cirque-it-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Self {
            listen: None,
            body: body.into(),
            environment: vec![("UP_KEY".to_owned(), "sk-ours".to_owned())],
            directory,
            descriptors: None,
            open: true,
            admin: String::new(),
        }
    }

    /// Nobody is let in who is not known.
    pub fn closed(mut self) -> Self {
        self.open = false;
        self
    }

    /// More of the `admin` block, such as `operators: { … }`.
    pub fn admin(mut self, more: &str) -> Self {
        self.admin = format!(", {more}");
        self
    }

    /// How many file descriptors the process may have open.
    pub fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// A `listen:` value in which `ADDRESS` stands for the address.
    pub fn listen(mut self, listen: &str) -> Self {
        self.listen = Some(listen.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// A file beside the configuration; its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn start(self) -> Gateway {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listen = self
            .listen
            .as_deref()
            .unwrap_or("ADDRESS")
            .replace("ADDRESS", &address.to_string());
        let config = self.directory.join("cirque.yaml");
        let socket = self.directory.join("upgrade.sock");
        let text = format!(
            "listen: {listen}\nadmin: {{ listen: \"{admin}\"{} }}\ninsecure: {{ open_access: {} }}\n\
             server: {{ threads: 2, drain_timeout: 60s, upgrade_socket: {}, state_dir: {} }}\nlog: {{ format: json, level: debug }}\n{}",
            self.admin,
            self.open,
            socket.display(),
            self.directory.join("state").display(),
            self.body
        );
        std::fs::write(&config, text).unwrap();
        let (child, stdout, stderr) = spawn(&config, &[], &self.environment, self.descriptors);
        let mut gateway = Gateway {
            address,
            admin,
            directory: self.directory,
            config,
            child,
            stdout,
            stderr,
            environment: self.environment,
        };
        gateway.wait_ready();
        gateway
    }
}

fn spawn(
    config: &std::path::Path,
    more: &[&str],
    environment: &[(String, String)],
    descriptors: Option<u32>,
) -> (Child, Output, Output) {
    let binary = env!("CARGO_BIN_EXE_cirque");
    let mut command = match descriptors {
        None => Command::new(binary),
        Some(most) => {
            let mut shell = Command::new("sh");
            shell
                .arg("-c")
                .arg(format!("ulimit -n {most}; exec \"$0\" \"$@\""))
                .arg(binary);
            shell
        }
    };
    let mut child = command
        .args(["serve", "--config"])
        .arg(config)
        .args(more)
        .envs(environment.iter().map(|(n, v)| (n, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    (child, stdout, stderr)
}

fn collect(mut from: impl Read + Send + 'static) -> Output {
    let output = Output::default();
    let into = output.clone();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            into.0.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..n]));
        }
    });
    output
}

/// One provider and one public model `m`, called `up` there.
pub fn one(upstream: &Upstream) -> String {
    format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ], aliases: [ n, up ] }}\n",
        upstream.url()
    )
}

/// Two providers; model `m` goes to the first and falls back to `backup` on the second.
pub fn two(first: &str, second: &str) -> String {
    format!(
        "{TIMEOUTS}providers:\n  a: {{ kind: openai, base_url: \"{first}\", api_key: env:UP_KEY }}\n  \
         b: {{ kind: openai, base_url: \"{second}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: a, model: up }} ], fallback: [ backup ] }}\n  \
         backup: {{ targets: [ {{ provider: b, model: spare }} ] }}\n"
    )
}

impl Gateway {
    /// In front of one upstream.
    pub fn before(upstream: &Upstream) -> Self {
        Builder::new(one(upstream)).start()
    }

    pub fn with(body: impl Into<String>) -> Self {
        Builder::new(body).start()
    }

    fn wait_ready(&mut self) {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway did not start ({status}): {}", self.stderr.text());
            }
            if self.ready().is_some_and(|r| r.status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "not ready: {}", self.stderr.text());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// `/readyz`, if anybody answers.
    pub fn ready(&self) -> Option<Response> {
        let mut client = Client::try_connect(self.admin).ok()?;
        client
            .try_send("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .ok()?;
        let text = client.rest();
        let status = text.split(' ').nth(1)?.parse().ok()?;
        let body = text.split_once("\r\n\r\n")?.1.as_bytes().to_vec();
        Some(Response {
            line: String::new(),
            status,
            headers: Vec::new(),
            body,
            complete: true,
        })
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// POST on a new connection.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.post_with(path, "", body)
    }

    #[track_caller]
    pub fn post_with(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Response {
        let mut client = self.client();
        client.post(path, headers, body);
        client.response()
    }

    /// A chat request for `m`.
    #[track_caller]
    pub fn chat(&self) -> Response {
        self.post("/v1/chat/completions", client::chat("m"))
    }

    #[track_caller]
    pub fn stream(&self) -> Response {
        self.post("/v1/chat/completions", client::chat_stream("m"))
    }

    /// Start a stream and leave it running.
    pub fn open_stream(&self) -> Client {
        let mut client = self.client();
        client.post("/v1/chat/completions", "", client::chat_stream("m"));
        assert_eq!(client.head().status, 200);
        client
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        let mut client = self.client();
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n"));
        client.response()
    }

    pub fn metrics(&self) -> String {
        let mut client = Client::connect(self.admin);
        client.send("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        client.response().text()
    }

    /// The value of the series whose line starts with `name` and contains every one of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.metrics();
        text.lines()
            .filter(|l| l.starts_with(&format!("{name}{{")) || l.starts_with(&format!("{name} ")))
            .filter(|l| labels.iter().all(|label| l.contains(label)))
            .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    #[track_caller]
    pub fn wait_metric(&self, name: &str, labels: &[&str], value: f64) {
        let mut last = -1.0;
        let deadline = Instant::now() + PATIENCE;
        while last != value {
            assert!(Instant::now() < deadline, "{name} {labels:?} is {last}, not {value}");
            last = self.metric(name, labels);
            if last != value {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }

    /// Attempts by outcome.
    #[track_caller]
    pub fn wait_attempts(&self, provider: &str, outcome: &str, count: u32) {
        let labels = [format!("provider=\"{provider}\""), format!("outcome=\"{outcome}\"")];
        self.wait_metric(
            "cirque_upstream_attempts_total",
            &[&labels[0], &labels[1]],
            f64::from(count),
        );
    }

    /// The access line of a request id.
    #[track_caller]
    pub fn access(&self, id: &str) -> serde_json::Value {
        let line = eventually("an access line", || {
            let log = self.stdout.text();
            log.lines()
                .find(|l| l.contains(id) && l.ends_with('}'))
                .map(str::to_owned)
        });
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    pub fn log_has(&self, text: &str) -> bool {
        self.stderr.text().contains(text)
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Start the next binary, which takes the listeners over.
    pub fn upgrade(&self) -> (Child, Output, Output) {
        spawn(&self.config, &["--upgrade"], &self.environment, None)
    }

    /// SIGHUP and wait until it was dealt with.
    pub fn reload(&self) {
        let before = self.metric("cirque_config_reloads_total", &[]);
        self.signal("HUP");
        self.wait_metric("cirque_config_reloads_total", &[], before + 1.0);
    }

    /// SIGKILL, then the same binary with the same file on the same ports.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.stdout, self.stderr) = spawn(&self.config, &[], &self.environment, None);
        self.wait_ready();
    }

    /// A figure in kB of `/proc/PID/status`, in bytes: `VmRSS`, or `VmHWM` for the most it ever was.
    pub fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, change(text)).unwrap();
    }

    /// Wait for the process to end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> std::process::ExitStatus {
        eventually("the process exits", || self.child.try_wait().unwrap())
    }
}

/// Send a signal to one process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(sent.success());
}
