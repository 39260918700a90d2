//! Redis servers of a test's own: on a free port, without persistence, killed, restarted, stopped and continued at will; and a
//! cluster of three.
//!
//! One test, one server: nothing is shared, dropping ends it. The one idea: restarting gives an empty server on the same port,
//! which is the worst that a Redis can do to those who rely on it.

use super::eventually;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server.
pub struct Redis {
    child: Option<Child>,
    pub port: u16,
    /// Another port, which `{free}` stands for in further arguments.
    pub free: u16,
    directory: PathBuf,
    more: Vec<String>,
}

/// Where the binary is; none: the test says so and passes.
pub fn installed() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED: no redis-server on this machine");
    }
    found
}

impl Redis {
    /// Start one.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Start one with further arguments.
    pub fn with(more: &[&str]) -> Self {
        for _ in 0..20 {
            let (port, free) = (free_port(), free_port());
            let directory = std::env::temp_dir().join(format!("cirque-redis-{}-{port}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            let write = |text: &&str| {
                text.replace("{port}", &port.to_string())
                    .replace("{free}", &free.to_string())
            };
            let more = more.iter().map(write).collect();
            let mut redis = Self {
                child: None,
                port,
                free,
                directory,
                more,
            };
            if redis.run() {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    /// Whether it answers in the end.
    fn run(&mut self) -> bool {
        let log = std::fs::File::create(self.directory.join("log")).unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--daemonize", "no", "--dir", self.directory.to_str().unwrap()])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("redis-server answers or ends", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap().is_some();
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap();
            (ended || log.contains("Ready to accept connections")).then_some(!ended)
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// On the same port; empty unless started with persistence.
    pub fn restart(&mut self) {
        self.kill();
        eventually("the port is free again", || self.run().then_some(()));
    }

    /// It hangs: accepts and does not answer.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// One command, by hand.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Three nodes, each with a third of the slots.
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    pub fn start() -> Self {
        // The bus listens on another port of our choice: the default, port + 10000, may not exist.
        let more = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            "{free}",
            "--cluster-config-file",
            "nodes-{port}.conf",
        ];
        let nodes: Vec<Redis> = (0..3).map(|_| Redis::with(&more)).collect();
        for (index, node) in nodes.iter().enumerate() {
            let (first, last) = (index * 5462, (index * 5462 + 5461).min(16383));
            node.command::<String>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            node.command::<String>(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for node in &nodes[1..] {
            let bus = node.free.to_string();
            nodes[0].command::<String>(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), &bus]);
        }
        eventually("the cluster is formed", || {
            let formed = nodes.iter().all(|node| {
                let info: String = node.command(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
            formed.then_some(())
        });
        Self { nodes }
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
