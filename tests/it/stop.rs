//! Stopping, upgrading, and what the service manager is told.

use crate::support::client::{chat, post};
use crate::support::gateway::{self, Builder, signal};
use crate::support::upstream::{CHUNK, DONE, FINISH};
use crate::support::{Client, Gate, Gateway, PATIENCE, Upstream, eventually};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whole answers at once, streams that wait for the gate after their first event.
fn gated() -> (Upstream, Gate) {
    let gate = Gate::default();
    let waited_for = gate.clone();
    let upstream = Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            if request.text().contains("\"stream\":true") {
                conn.stream_head();
                conn.chunk(CHUNK);
                waited_for.wait();
                conn.chunk(FINISH);
                conn.chunk(DONE);
                conn.send("0\r\n\r\n");
            } else {
                conn.send(crate::support::upstream::json_answer(
                    200,
                    crate::support::upstream::CHAT,
                ));
            }
        }
    });
    (upstream, gate)
}

fn patient(upstream: &Upstream) -> String {
    gateway::one(upstream)
        .replace("idle: 400ms", "idle: 20s")
        .replace("stream_total: 5s", "stream_total: 30s")
}

#[test]
fn sigterm_when_idle_exits_without_waiting() {
    let upstream = Upstream::ok();
    let mut gateway = Gateway::before(&upstream);
    // An idle keep-alive connection is no reason to wait.
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", "", chat("m")));
    client.response().ok();
    let began = Instant::now();
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(client.closes());
    let lines = gateway.stdout.text().lines().filter(|l| l.contains("\"chat\"")).count();
    assert_eq!(lines, 1, "the access log was flushed");
}

#[test]
fn sigint_leaves_at_once() {
    let (upstream, _gate) = gated();
    let mut gateway = Gateway::with(patient(&upstream));
    let _client = gateway.open_stream();
    let began = Instant::now();
    gateway.signal("INT");
    gateway.wait_exit();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_keep_alive_connection_gets_its_answer_while_stopping() {
    let (upstream, gate) = gated();
    let gateway = Gateway::with(patient(&upstream));
    let mut kept = gateway.client();
    kept.send(post("/v1/chat/completions", "", chat("m")));
    kept.response().ok();
    let mut streaming = gateway.open_stream();
    gateway.signal("TERM");
    eventually("draining", || (gateway.ready()?.status == 503).then_some(()));
    // Either an answer that closes, or an already closed connection: never half an answer.
    if kept.try_send(post("/v1/chat/completions", "", chat("m"))).is_ok() {
        let said = kept.rest();
        assert!(said.is_empty() || said.contains("200 OK"), "{said}");
    }
    gate.open();
    streaming.until("[DONE]\n\n");
}

#[test]
fn a_second_instance_on_the_same_port_says_so_and_exits() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_cirque"))
        .args(["serve", "--config"])
        .arg(&gateway.config)
        .env("UP_KEY", "x")
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        said.contains(&gateway.address.to_string()) && said.contains("another process"),
        "{said}"
    );
    gateway.chat().ok();
}

#[test]
fn an_upgrade_drops_no_request_and_no_stream() {
    let (upstream, gate) = gated();
    let mut gateway = Gateway::with(patient(&upstream));
    let mut streaming = gateway.open_stream();
    streaming.until("\n\n");
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let load = {
        let (stop, served, address) = (stop.clone(), served.clone(), gateway.address);
        std::thread::spawn(move || {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answered = Client::try_connect(address).and_then(|mut client| {
                    client.try_send(post("/v1/chat/completions", "connection: close\r\n", chat("m")))?;
                    Ok(client.rest())
                });
                match answered {
                    Ok(text) if text.starts_with("HTTP/1.1 200") => {}
                    other => failures.push(format!("{other:?}")),
                }
                served.fetch_add(1, Ordering::Relaxed);
            }
            failures
        })
    };
    let (mut next, _stdout, log) = gateway.upgrade();
    eventually("the new process waits for the listeners", || {
        assert!(next.try_wait().unwrap().is_none(), "{}", log.text());
        std::fs::exists(gateway.directory.join("upgrade.sock"))
            .unwrap()
            .then_some(())
    });
    gateway.signal("QUIT");
    let deadline = Instant::now() + 2 * PATIENCE;
    while !log.text().contains("\"ready\"") {
        assert!(
            Instant::now() < deadline,
            "the new process is not ready: {}",
            log.text()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        gateway.child.try_wait().unwrap().is_none(),
        "the old one waits for its stream"
    );
    let before = served.load(Ordering::Relaxed);
    // Until the old one has stopped accepting, and the new one serves alone.
    eventually("requests go on", || {
        (served.load(Ordering::Relaxed) > before + 20).then_some(())
    });
    gate.open();
    assert_eq!(streaming.until("[DONE]\n\n"), [FINISH, DONE].concat());
    assert!(streaming.chunk().is_none());
    let deadline = Instant::now() + 2 * PATIENCE;
    while gateway.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the old process does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let alone = served.load(Ordering::Relaxed);
    eventually("the new one serves alone", || {
        (served.load(Ordering::Relaxed) > alone + 20).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    let failures = load.join().unwrap();
    signal(next.id(), "TERM");
    eventually("the new one stops", || next.try_wait().unwrap());
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:?}",
        failures.len(),
        served.load(Ordering::Relaxed)
    );
}

#[test]
fn sigusr2_starts_the_next_binary_and_hands_over() {
    let (upstream, gate) = gated();
    let builder = Builder::new(patient(&upstream));
    let path = builder.file("notify", "");
    std::fs::remove_file(&path).unwrap();
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut gateway = builder.env("NOTIFY_SOCKET", path.display().to_string()).start();
    let mut streaming = gateway.open_stream();
    streaming.until("\n\n");
    gateway.signal("USR2");
    // The successor writes to the same pipes.
    let deadline = Instant::now() + 2 * PATIENCE;
    while gateway.stderr.text().matches("\"message\":\"ready\"").count() < 2 {
        assert!(Instant::now() < deadline, "no successor: {}", gateway.stderr.text());
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = gateway.stderr.text();
    let ready = log.lines().rfind(|l| l.contains("\"message\":\"ready\"")).unwrap();
    let successor = serde_json::from_str::<serde_json::Value>(ready).unwrap()["pid"]
        .as_u64()
        .unwrap();
    assert_ne!(successor, u64::from(gateway.child.id()));
    gateway.chat().ok();
    gate.open();
    assert_eq!(streaming.until("[DONE]\n\n"), [FINISH, DONE].concat());
    let deadline = Instant::now() + 2 * PATIENCE;
    while gateway.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the old process does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Systemd believes the old main process only, so it must be the one to name the new one; the new one says it too.
    let mut told = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length) = manager.recv(&mut buffer) {
        told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let named = format!("MAINPID={successor}");
    assert_eq!(
        told.iter().filter(|message| message.contains(&named)).count(),
        2,
        "{told:?}"
    );
    assert!(told.iter().all(|message| !message.contains("STOPPING")), "{told:?}");
    let answer = gateway.chat();
    signal(u32::try_from(successor).unwrap(), "TERM");
    answer.ok();
    eventually("the successor stops", || Client::try_connect(gateway.address).err());
}

#[test]
fn the_service_manager_is_told() {
    let upstream = Upstream::ok();
    let builder = Builder::new(gateway::one(&upstream));
    let path = builder.file("notify", "");
    std::fs::remove_file(&path).unwrap();
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut gateway = builder
        .env("NOTIFY_SOCKET", path.display().to_string())
        .env("WATCHDOG_USEC", "400000")
        .start();
    let mut seen = Vec::new();
    let mut wait_for = |what: &str| -> String {
        loop {
            let mut buffer = [0; 512];
            let length = manager
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("no {what}: {e}; {seen:?}"));
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            seen.push(message.clone());
            if message.starts_with(what) {
                return message;
            }
        }
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    gateway.signal("HUP");
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    gateway.signal("TERM");
    wait_for("STOPPING=1");
    assert!(gateway.wait_exit().success());
}
