//! Same-dialect streams of OpenAI's API; the others are in `tests/`.

use super::*;

const CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn run(pieces: &[&str], withhold: bool) -> (String, LiveStream) {
    let events = pieces.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect();
    let source = Source::Paced {
        events,
        pace: Duration::ZERO,
    };
    let mut live = LiveStream::new(source, 4096, 64, withhold);
    let mut out = String::new();
    while !live.ended && live.broken.is_none() && !live.done {
        live.fill().await;
        out += std::str::from_utf8(&live.take()).unwrap();
    }
    (out, live)
}

#[tokio::test]
async fn a_whole_stream_passes_byte_for_byte() {
    let text = format!(": comment\n\n{CHUNK}{FINISH}{USAGE}{DONE}");
    let (out, live) = run(&[&text], false).await;
    assert_eq!(out, text);
    assert_eq!(
        live.usage,
        Some(Usage {
            input: 1,
            output: 2,
            ..Usage::default()
        })
    );
    assert_eq!(live.broken, None);
}

#[tokio::test]
async fn a_usage_chunk_nobody_asked_for_is_withheld_and_read() {
    for pieces in [
        vec![format!("{CHUNK}{FINISH}{USAGE}{DONE}")],
        vec![CHUNK.into(), FINISH.into(), USAGE.into(), DONE.into()],
    ] {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (out, live) = run(&pieces, true).await;
        assert_eq!(out, format!("{CHUNK}{FINISH}{DONE}"));
        assert!(live.usage.is_some());
    }
}

#[tokio::test]
async fn a_usage_chunk_that_cannot_be_read_is_withheld_all_the_same() {
    let odd = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1.5}}\n\n";
    let (out, live) = run(&[CHUNK, FINISH, odd, DONE], true).await;
    assert_eq!((out, live.usage), (format!("{CHUNK}{FINISH}{DONE}"), None));
}

#[tokio::test]
async fn endings_are_judged() {
    for (pieces, out, broken) in [
        (vec![CHUNK, FINISH], format!("{CHUNK}{FINISH}"), None),
        (vec![CHUNK, "data: [DONE]"], format!("{CHUNK}data: [DONE]"), None),
        (vec![CHUNK], CHUNK.to_owned(), Some(Broken::Unfinished)),
        (
            vec![CHUNK, "data: {\"choices\":[{\"del"],
            CHUNK.to_owned(),
            Some(Broken::Unfinished),
        ),
        (vec![CHUNK.trim_end()], CHUNK.to_owned(), Some(Broken::Unfinished)),
        (
            vec![CHUNK, "data: [DONE] \n\n"],
            format!("{CHUNK}data: [DONE] \n\n"),
            None,
        ),
        (
            vec![CHUNK, "data: {\"error\":\ndata: {\"message\":\"x\"}}\n\n"],
            CHUNK.to_owned(),
            Some(Broken::Reported(Some(
                "data: {\"error\": {\"message\":\"x\"}}\n\n".into(),
            ))),
        ),
        (
            vec![CHUNK, "data: <html>\n\n", DONE],
            CHUNK.to_owned(),
            Some(Broken::Garbage(
                "an event is not JSON: not a JSON object at byte 0".into(),
            )),
        ),
        (
            vec![CHUNK, "data: {\"error\":\"x\"}\n\n", DONE],
            CHUNK.to_owned(),
            Some(Broken::Reported(None)),
        ),
    ] {
        let (got, live) = run(&pieces, false).await;
        assert_eq!((got, live.broken), (out, broken), "{pieces:?}");
    }
}

#[tokio::test]
async fn an_endless_line_is_refused() {
    let (out, live) = run(&["data: ", &"x".repeat(5000)], false).await;
    assert_eq!(out, "");
    assert!(matches!(live.broken, Some(Broken::Garbage(_))));
    let (out, live) = run(&[&format!("{CHUNK}{}", "x".repeat(5000))], false).await;
    assert_eq!(out, CHUNK);
    assert!(matches!(live.broken, Some(Broken::Garbage(_))));
}

proptest::proptest! {
    /// However the bytes of a stream arrive, hostile ones included, the outcome is the same, and nothing is sent on
    /// that did not come.
    #[test]
    fn any_split_gives_the_same_outcome(
        parts in proptest::collection::vec(proptest::sample::select(vec![CHUNK, CHUNK, CHUNK, FINISH, USAGE, DONE,
            ": c\n", "\n", "data: {", "data:", "x", "data: {\"error\":{\"message\":\"e\"}}\n\n", "data: <\n\n"]), 0..12),
        long in 0..1200usize,
        step in 1..90usize,
        withhold: bool,
    ) {
        let text = parts.concat() + &"y".repeat(long.saturating_sub(400));
        let run = |pieces: Vec<&[u8]>| {
            let events = pieces.into_iter().map(Bytes::copy_from_slice).collect();
            let mut live = LiveStream::new(Source::Paced { events, pace: Duration::ZERO }, 512, 64, withhold);
            let mut out = Vec::new();
            while !live.ended && live.broken.is_none() && !live.done {
                futures::FutureExt::now_or_never(live.fill()).unwrap();
                out.extend_from_slice(&live.take());
            }
            (out, live.usage, live.done, live.broken)
        };
        let whole = run(vec![text.as_bytes()]);
        proptest::prop_assert!(withhold || text.as_bytes().starts_with(whole.0.trim_ascii_end()));
        proptest::prop_assert_eq!(run(text.as_bytes().chunks(step).collect()), whole);
    }
}
