//! More than the gateway may take: requests by priority, connections by address, file descriptors.

use crate::support::client::{Client, Response, chat, error_is, post};
use crate::support::gateway::Builder;
use crate::support::http2::{block_on, exchange, plain};
use crate::support::upstream::{CHAT, json_answer};
use crate::support::{Conn, Gate, Gateway, Upstream, eventually};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const CHAT_PATH: &str = "/v1/chat/completions";
const DESCRIPTORS: usize = 200;
const LOW: &str = "x-cirque-priority: 0\r\n";

/// An upstream that answers when the gate is open.
fn held_back() -> (Upstream, Gate) {
    let gate = Gate::default();
    let open = gate.clone();
    let upstream = Upstream::script(move |conn: &mut Conn| {
        while conn.request().is_some() {
            gate.wait();
            conn.send(json_answer(200, CHAT));
        }
    });
    (upstream, open)
}

/// Model `m` and a passthrough rule behind these limits, with deadlines that no test reaches.
fn limited(limits: &str, upstream: &Upstream) -> Builder {
    Builder::new(format!(
        "limits: {{ {limits} }}\nproviders:\n  p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }} ] }}\npassthrough:\n  - {{ path: /v1/files, pool: m }}\n",
        upstream.url()
    ))
}

/// So many requests under way, each on its connection.
fn hold(gateway: &Gateway, upstream: &Upstream, body: &str, count: usize) -> Vec<Client> {
    let before = upstream.count();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = gateway.client();
            client.post(CHAT_PATH, "", body);
            client
        })
        .collect();
    eventually("all are under way", || {
        (upstream.count() == before + count).then_some(())
    });
    clients
}

#[track_caller]
fn is_shed(response: &Response) {
    response.expect_error(503, "upstream_error", "overloaded");
    let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    assert_eq!(response.header("connection"), Some("keep-alive"));
}

#[test]
fn the_least_important_is_shed_first_and_its_connection_kept() {
    let (upstream, gate) = held_back();
    // 0 may use 2 places, 5 all four.
    let gateway = limited("in_flight: 4", &upstream).start();
    let mut held = hold(&gateway, &upstream, &chat("m"), 2);
    let mut client = gateway.client();
    client.post(CHAT_PATH, LOW, chat("m"));
    is_shed(&client.response());
    gateway.wait_metric("cirque_requests_shed_total", &["priority=\"0\""], 1.0);
    // The same connection, a request like any other; and one more takes the last place.
    client.post(CHAT_PATH, "", chat("m"));
    eventually("it is let through", || (upstream.count() == 3).then_some(()));
    held.extend(hold(&gateway, &upstream, &chat("m"), 1));
    is_shed(&gateway.chat());
    // Asking for more than the default is no more than the default.
    is_shed(&gateway.post_with(CHAT_PATH, "x-cirque-priority: 9\r\n", chat("m")));
    gateway.wait_metric("cirque_requests_shed_total", &["priority=\"5\""], 2.0);
    assert_eq!(upstream.count(), 4, "what is shed reaches nobody");
    gate.open();
    client.response().ok();
    for client in &mut held {
        client.response().ok();
    }
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.post_with(CHAT_PATH, LOW, chat("m")).ok();
}

#[test]
fn everything_that_can_be_asked_is_bounded_by_the_same_cap_in_its_own_dialect() {
    let (upstream, gate) = held_back();
    let gateway = limited("in_flight: 1", &upstream).start();
    let mut held = hold(&gateway, &upstream, &chat("m"), 1);
    let message = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}"#;
    let response = gateway.post("/v1/messages", message);
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.header("retry-after").is_some());
    let json = response.json();
    assert_eq!(
        (&json["type"], &json["error"]["type"]),
        (&"error".into(), &"overloaded_error".into())
    );
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#;
    let response = gateway.post("/v1beta/models/m:generateContent", contents);
    assert_eq!((response.status, &response.json()["error"]["code"]), (503, &503.into()));
    is_shed(&gateway.post("/v1/files", "unread"));
    is_shed(&gateway.get("/v1/models"));
    is_shed(&gateway.get("/v1/unknown"));
    // A line of the log says what was asked for.
    let response = gateway.post_with(CHAT_PATH, "x-request-id: shed-1\r\n", chat("m"));
    is_shed(&response);
    let line = gateway.access("shed-1");
    assert_eq!(
        (&line["operation"], &line["error"]),
        (&"chat".into(), &"overloaded".into())
    );
    gate.open();
    held[0].response().ok();
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.get("/v1/models").ok();
    // A place is free just after the answer was written.
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.post("/v1/files", "unread").ok();
}

#[test]
fn a_rule_gives_the_last_place_to_who_matters_and_none_to_who_does_not() {
    let (upstream, gate) = held_back();
    let mut builder = limited("in_flight: 20", &upstream);
    builder.body += "routes:\n  - { name: urgent, when: 'headers[\"x-class\"] == \"urgent\"', priority: 9 }\n  \
                     - { name: bulk, when: 'headers[\"x-class\"] == \"bulk\"', priority: 0 }\n";
    let gateway = builder.start();
    let class = |class: &str| gateway.post_with(CHAT_PATH, &format!("x-class: {class}\r\n"), chat("m"));
    let mut held = hold(&gateway, &upstream, &chat("m"), 10);
    is_shed(&class("bulk"));
    gateway.wait_metric("cirque_requests_shed_total", &["priority=\"0\""], 1.0);
    held.extend(hold(&gateway, &upstream, &chat("m"), 9));
    // The twentieth place is for priority 9 only.
    is_shed(&gateway.chat());
    let mut urgent = gateway.client();
    urgent.post(CHAT_PATH, "x-class: urgent\r\n", chat("m"));
    eventually("it is let through", || (upstream.count() == 20).then_some(()));
    is_shed(&class("urgent"));
    gate.open();
    for client in held.iter_mut().chain([&mut urgent]) {
        client.response().ok();
    }
}

#[test]
fn a_shed_stream_leaves_its_http_2_connection_usable() {
    let (upstream, gate) = held_back();
    let gateway = limited("in_flight: 1", &upstream)
        .listen("{ address: ADDRESS, h2c: true }")
        .start();
    let mut held = hold(&gateway, &upstream, &chat("m"), 1);
    block_on(async {
        let mut sender = plain(gateway.address).await;
        for _ in 0..3 {
            let (status, headers, body) = exchange(&mut sender, "POST", CHAT_PATH, &chat("m")).await;
            assert_eq!(status, 503, "{body}");
            error_is(&serde_json::from_str(&body).unwrap(), "upstream_error", "overloaded");
            let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=3).contains(&seconds), "{seconds}");
        }
        gate.open();
        held[0].response().ok();
        gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
        let (status, _, body) = exchange(&mut sender, "POST", CHAT_PATH, &chat("m")).await;
        assert_eq!(status, 200, "{body}");
    });
    gateway.wait_metric("cirque_requests_shed_total", &["priority=\"5\""], 3.0);
}

#[test]
fn a_priority_that_is_none_is_the_clients_mistake() {
    let upstream = Upstream::ok();
    let gateway = Gateway::before(&upstream);
    for wrong in ["10", "high", "-1", ""] {
        let headers = format!("x-cirque-priority: {wrong}\r\n");
        let response = gateway.post_with(CHAT_PATH, &headers, chat("m"));
        response.expect_error(400, "invalid_request_error", "invalid_header");
        assert_eq!(response.json()["error"]["param"], "x-cirque-priority");
    }
    for right in ["0", "5", "9"] {
        gateway
            .post_with(CHAT_PATH, &format!("x-cirque-priority: {right}\r\n"), chat("m"))
            .ok();
    }
    assert_eq!(upstream.count(), 3);
    assert!(
        !upstream
            .requests()
            .iter()
            .any(|r| r.header("x-cirque-priority").is_some()),
        "it is for the gateway"
    );
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
}

#[test]
fn bytes_held_shed_the_least_important_before_their_body_is_read() {
    let (upstream, gate) = held_back();
    let limits = "buffered_bytes: 2MiB, request_body: 1MiB, response_body: 1MiB";
    let gateway = limited(limits, &upstream).start();
    let text = "x".repeat(600 * 1024);
    let large = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let mut held = hold(&gateway, &upstream, &large, 2);
    // Only the head is sent: the answer does not wait for the body.
    let mut client = gateway.client();
    client.send(format!(
        "POST {CHAT_PATH} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n{LOW}content-length: 100000\r\n\r\n"
    ));
    let response = client.response();
    response.expect_error(503, "upstream_error", "overloaded");
    assert!(response.header("retry-after").is_some());
    assert_eq!(
        response.header("connection"),
        Some("close"),
        "100000 bytes are not read for nothing"
    );
    is_shed(&gateway.post_with(CHAT_PATH, LOW, chat("m")));
    gate.open();
    gateway.chat().ok();
    for client in &mut held {
        client.response().ok();
    }
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.post_with(CHAT_PATH, LOW, chat("m")).ok();
}

/// A connection from this address of the loopback network.
fn from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((source, 0))).unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Status of one request, 0 if the connection was closed instead.
fn asked(stream: &mut TcpStream) -> u16 {
    if stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n").is_err() {
        return 0;
    }
    let mut piece = [0; 4096];
    match stream.read(&mut piece) {
        Ok(n @ 1..) => String::from_utf8_lossy(&piece[..n])
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap(),
        Ok(0) => 0,
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "neither answered nor closed");
            0
        }
    }
}

#[test]
fn one_address_has_its_own_cap_on_connections() {
    let upstream = Upstream::ok();
    let gateway = limited("connections_per_ip: 2", &upstream).start();
    let [crowded, other] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
    let mut held: Vec<_> = (0..2).map(|_| from(crowded, gateway.address)).collect();
    for stream in &mut held {
        assert_eq!(asked(stream), 200);
    }
    assert_eq!(asked(&mut from(crowded, gateway.address)), 0);
    assert_eq!(asked(&mut from(other, gateway.address)), 200);
    gateway.wait_metric("cirque_connections_refused_total", &["reason=\"per_ip\""], 1.0);
    assert_eq!(
        gateway.metric("cirque_connections_refused_total", &["reason=\"total\""]),
        0.0
    );
    // Those that are there are served on, and a place that was left is free.
    assert_eq!(asked(&mut held[0]), 200);
    held.pop();
    let again = eventually("a place is free", || {
        let mut stream = from(crowded, gateway.address);
        (asked(&mut stream) == 200).then_some(stream)
    });
    // A reload takes the cap away.
    gateway.edit(|text| text.replace("connections_per_ip: 2", ""));
    gateway.reload();
    let mut more: Vec<_> = (0..5).map(|_| from(crowded, gateway.address)).collect();
    for stream in &mut more {
        assert_eq!(asked(stream), 200);
    }
    drop((held, again, more));
    gateway.wait_metric("cirque_client_connections", &[], 0.0);
}

#[test]
fn connections_refused_for_the_cap_on_all_are_counted() {
    let upstream = Upstream::ok();
    let gateway = limited("connections: 1", &upstream).start();
    gateway.wait_metric("cirque_client_connections", &[], 0.0);
    let mut first = gateway.client();
    first.post(CHAT_PATH, "", chat("m"));
    first.response().ok();
    assert!(gateway.client().closes());
    gateway.wait_metric("cirque_connections_refused_total", &["reason=\"total\""], 1.0);
}

/// CPU time of a process so far, in hundredths of a second (the kernel's clock tick everywhere Linux runs).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// A gateway that may open [`DESCRIPTORS`] files, a client it knows, and more idle connections than it can accept.
fn exhausted(upstream: &Upstream) -> (Gateway, Client, Vec<Client>) {
    let gateway = limited("", upstream).descriptors(DESCRIPTORS as u32).start();
    let mut known = gateway.client();
    known.post(CHAT_PATH, "", chat("m"));
    known.response().ok();
    let idle = (0..DESCRIPTORS + 100).map(|_| gateway.client()).collect();
    gateway.wait_metric("cirque_accept_paused", &[], 1.0);
    (gateway, known, idle)
}

#[test]
fn without_file_descriptors_new_clients_wait_and_known_ones_are_served() {
    let upstream = Upstream::once_then_close(json_answer(200, CHAT));
    let (gateway, mut known, idle) = exhausted(&upstream);
    let pid = gateway.child.id();
    // The last in the queue: nobody has accepted it.
    let mut queued = gateway.client();
    queued.send(post(CHAT_PATH, "", chat("m")));
    let before = cpu_ticks(pid);
    queued.tcp.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let read = (&queued.tcp).read(&mut [0; 1]);
    assert_eq!(
        read.map_err(|e| e.kind()),
        Err(ErrorKind::WouldBlock),
        "neither answered nor closed"
    );
    let used = cpu_ticks(pid) - before;
    assert!(used < 50, "{used} hundredths of CPU seconds in two idle seconds");
    let open = open_files(pid);
    assert!(open + 50 < DESCRIPTORS, "{open} are open: nothing is reserved");
    // Calls upstream find descriptors: this one keeps no connection.
    for _ in 0..3 {
        known.post(CHAT_PATH, "", chat("m"));
        known.response().ok();
    }
    assert_eq!(upstream.connections(), 4);
    assert_eq!(gateway.metric("cirque_accept_paused", &[]), 1.0);
    drop(idle);
    queued.tcp.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    queued.response().ok();
    gateway.wait_metric("cirque_accept_paused", &[], 0.0);
    gateway.chat().ok();
    assert!(!gateway.log_has("Accept() failed"), "the limit itself was never met");
    let told = |text: &str| gateway.stderr.text().matches(text).count();
    eventually("the log says so", || (told("free again") == 1).then_some(()));
    assert_eq!(told("nearly used up"), 1);
}

#[test]
fn a_place_in_the_queue_moves_up_with_every_client_that_leaves() {
    let upstream = Upstream::ok();
    let (gateway, _known, mut idle) = exhausted(&upstream);
    let accepted = gateway.metric("cirque_client_connections", &[]) as usize;
    assert!(accepted < idle.len(), "{accepted} were accepted");
    // In the order of the queue: `known` was the first.
    for at in 0..20 {
        let newest = &mut idle[accepted - 1 + at];
        newest.post(CHAT_PATH, "", chat("m"));
        drop(std::mem::replace(&mut idle[at], gateway.client()));
        idle[accepted - 1 + at].response().ok();
    }
    assert_eq!(gateway.metric("cirque_accept_paused", &[]), 1.0);
}

#[test]
fn a_stop_while_new_clients_wait_is_a_stop() {
    let upstream = Upstream::ok();
    let (mut gateway, mut known, _idle) = exhausted(&upstream);
    known.post(CHAT_PATH, "", chat("m"));
    known.response().ok();
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    eventually("the log says so", || {
        gateway.log_has("stopped: nothing in flight").then_some(())
    });
}
