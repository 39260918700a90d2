//! A file that cannot be read again, an orderly stop, and one that is not.

use super::caller::{Caller, Reply};
use super::check::{ensure, eventually_some, same};
use super::grid::Failures;
use super::row::Then;
use super::scene::{Kind, Scene, Stage, is_whole, kinds};
use crate::support::{Client, Gate};
use std::time::{Duration, Instant};

pub const SIGHUP: &str = "broken config at SIGHUP";
pub const SIGTERM: &str = "SIGTERM";
pub const SIGKILL: &str = "kill -9 mid-write";

pub const SCENES: [Scene; 3] = [
    Scene {
        design: SIGHUP,
        name: "streams and requests over a reload that fails",
        run: broken_file,
    },
    Scene {
        design: SIGTERM,
        name: "streams under way, and new clients",
        run: orderly_stop,
    },
    Scene {
        design: SIGKILL,
        name: "the next start",
        run: killed,
    },
];

/// Streams wait for the gate after their first text; whole answers come at once.
fn gated() -> (Stage, Gate) {
    let gate = Gate::default();
    let open = gate.clone();
    let stage = Stage::new("", move |conn, voice, text| {
        if voice.stream && !text.contains("witness") {
            voice.begin(conn);
            gate.wait();
            conn.chunk(voice.dialect.ending());
            conn.send("0\r\n\r\n");
        } else {
            conn.send(voice.good());
        }
        Then::Keep
    });
    (stage, open)
}

fn streams(stage: &mut Stage) -> Vec<(Kind, Caller, Reply)> {
    let mut streams = Vec::new();
    for kind in kinds() {
        match stage.begin_stream(kind, "waits") {
            Ok((caller, reply)) => streams.push((kind, caller, reply)),
            Err(why) => stage.failures.push(format!("{kind:?}: {why}")),
        }
    }
    streams
}

fn all_end_whole(stage: &mut Stage, streams: Vec<(Kind, Caller, Reply)>) {
    for (kind, mut caller, reply) in streams {
        let ended = caller.finish(reply).and_then(|reply| is_whole(kind.1, true, &reply));
        stage.check(format!("the stream of {kind:?}"), ended);
    }
}

fn all_answered(stage: &mut Stage, when: &str) {
    for kind in kinds() {
        for stream in [false, true] {
            let answered = stage.answers(kind, stream);
            stage.check(format!("{kind:?} {when}"), answered);
        }
    }
}

fn broken_file() -> Failures {
    let (mut stage, gate) = gated();
    let streams = streams(&mut stage);
    let good = std::fs::read_to_string(&stage.gateway.config).unwrap();
    stage.gateway.edit(|text| {
        text.replace("kind: anthropic", "kind: antropic").replace(
            "  chat: { targets: [ { provider: chat,",
            "  chat: { targets: [ { provider: nobody,",
        )
    });
    stage.gateway.signal("HUP");
    stage.metric("cirque_config_reloads_total", &["failure"], 1.0);
    stage.metric("cirque_config_last_reload_success", &[], 0.0);
    for wrong in ["kind: anthropic", "provider: chat,"] {
        let line = good.lines().position(|line| line.contains(wrong)).unwrap() + 1;
        let told = || stage.gateway.log_has(&format!("cirque.yaml:{line}:"));
        let told = eventually_some(|| told().then_some(()));
        stage.check(
            "the log",
            ensure(told.is_some(), || format!("line {line} is not named")),
        );
    }
    all_answered(&mut stage, "after the reload");
    gate.open();
    all_end_whole(&mut stage, streams);
    std::fs::write(&stage.gateway.config, good).unwrap();
    stage.gateway.signal("HUP");
    stage.metric("cirque_config_last_reload_success", &[], 1.0);
    all_answered(&mut stage, "after it was mended");
    stage.metric("cirque_requests_total", &["status=\"200\""], (kinds().len() * 5) as f64);
    stage.metric("cirque_requests_total", &["status=\"5"], 0.0);
    stage.end()
}

fn orderly_stop() -> Failures {
    let (mut stage, gate) = gated();
    all_answered(&mut stage, "before");
    let streams = streams(&mut stage);
    stage.gateway.signal("TERM");
    let draining = eventually_some(|| {
        let ready = stage.gateway.ready()?;
        (ready.status == 503 && ready.text().contains("draining")).then_some(())
    });
    stage.check(
        "readiness",
        ensure(draining.is_some(), || "it does not say draining".to_owned()),
    );
    let refused = eventually_some(|| Client::try_connect(stage.gateway.address).err());
    stage.check(
        "new connections",
        ensure(refused.is_some(), || "they are accepted".to_owned()),
    );
    let running = stage.gateway.child.try_wait().unwrap();
    stage.check("the process", same("its end", running, None));
    gate.open();
    all_end_whole(&mut stage, streams);
    let idle = Instant::now();
    let status = eventually_some(|| stage.gateway.child.try_wait().unwrap());
    let took = idle.elapsed();
    stage.check(
        "the exit",
        ensure(status.is_some_and(|status| status.success()), || format!("{status:?}")),
    );
    stage.check(
        "the exit",
        ensure(took < Duration::from_secs(2), || {
            format!("{took:?} after the last stream")
        }),
    );
    // Each request has its record, also the last ones.
    let lines = stage.gateway.stdout.text().matches("\"status\":200").count();
    stage.check("records", same("access lines", lines, kinds().len() * 3));
    stage.failures
}

fn killed() -> Failures {
    let (mut stage, gate) = gated();
    let streams = streams(&mut stage);
    stage.gateway.kill_and_restart();
    for (kind, mut caller, reply) in streams {
        let cut = caller
            .finish(reply)
            .and_then(|reply| ensure(!reply.complete, || "it ended as if whole".to_owned()));
        stage.check(format!("the stream of {kind:?}"), cut);
    }
    gate.open();
    all_answered(&mut stage, "after the restart");
    stage.metric("cirque_requests_total", &["status=\"200\""], (kinds().len() * 2) as f64);
    stage.end()
}
