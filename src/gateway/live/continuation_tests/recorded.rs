//! The recordings, cut at every event: answers of text are gone on with, others are not.

use super::*;
use crate::providers::bedrock::ConverseCodec;
use crate::providers::codec::{Codec, Expect};
use crate::providers::cohere::CohereCodec;
use crate::wire::media;
use std::path::{Path, PathBuf};

fn cohere_decoder() -> Box<dyn StreamDecoder> {
    CohereCodec.decoder(Expect::default())
}
fn converse_decoder() -> Box<dyn StreamDecoder> {
    ConverseCodec.decoder(Expect::default())
}

pub(in super::super) fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CIRQUE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    Some(shared.join("transcripts")).filter(|folder| folder.is_dir())
}

/// A stream and the client that it is native to.
pub(in super::super) fn recorded(path: &Path) -> Option<(Stream, Option<Side>)> {
    let exchange: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let response = &exchange["response"];
    if response["status"] != 200 {
        return None;
    }
    let name = path.file_name()?.to_str()?;
    if let Some(text) = response["base64"]
        .as_str()
        .filter(|_| name.starts_with("converse-stream"))
    {
        let stream = Stream {
            framing: Framing::AwsEventStream,
            decoder: converse_decoder,
            bytes: media::decode_base64(text)?.into(),
        };
        return Some((stream, None));
    }
    let text = response["sse"].as_str()?;
    let has = |word: &str| text.contains(word);
    let (decoder, side): (fn() -> Box<dyn StreamDecoder>, _) = if has("\"message_start\"") {
        (messages_decoder, Some(clients::MESSAGES))
    } else if has("response.created") {
        (responses_decoder, Some(clients::RESPONSES))
    } else if has("\"candidates\"") {
        (gemini_decoder, Some(clients::GEMINI))
    } else if has("\"message-start\"") {
        (cohere_decoder, None)
    } else if has("chat.completion.chunk") {
        (chat_decoder, Some(clients::CHAT))
    } else if has("text_completion") {
        (text_decoder, Some(clients::COMPLETIONS))
    } else {
        return None;
    };
    Some((sse(decoder, text), side))
}

/// Where its events end, and places within some of them.
fn cuts(stream: &Stream) -> Vec<usize> {
    let mut cuts: Vec<usize> = match stream.framing {
        Framing::Sse => sse::events(&stream.bytes).map(|event| event.raw.end).collect(),
        Framing::AwsEventStream => (0..stream.bytes.len()).step_by(97).collect(),
    };
    let few = cuts.len() / 20 + 1;
    cuts = cuts.into_iter().step_by(few).collect();
    cuts.extend((0..stream.bytes.len()).step_by(stream.bytes.len() / 8 + 1));
    cuts.retain(|at| (1..stream.bytes.len()).contains(at));
    cuts
}

#[test]
fn recorded_streams_of_text_go_on_and_others_do_not() {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: no recordings");
        return;
    };
    let (mut texts, mut others) = (0, 0);
    let vendors = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = vendors
        .filter(|path| path.is_dir())
        .flat_map(|path| std::fs::read_dir(path).unwrap());
    for path in files.map(|entry| entry.unwrap().path()) {
        let Some((stream, own)) = recorded(&path) else { continue };
        let pairs = own
            .map(|side| (side, true))
            .into_iter()
            .chain(clients::ALL.map(|side| (side, false)));
        for (side, native) in pairs {
            for at in cuts(&stream) {
                let second = messages(true, &["§1", "§2"]);
                match cut(&side, native, &stream, at, &second, How::Prefilled) {
                    Outcome::Whole => {}
                    Outcome::Refused(_) => others += 1,
                    Outcome::Spliced { said, out } => {
                        let told = folded(side.decoder, &out);
                        let shown = || format!("{} {} native {native} at {at}", path.display(), side.name);
                        assert_eq!(text_of(&told), format!("{said}§1§2"), "{}", shown());
                        assert!(
                            told.ended() && told.disorder.is_none() && told.error.is_none(),
                            "{}",
                            shown()
                        );
                        let parts = &told.response().candidates[0].parts;
                        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
                        assert!(!calls, "{}", shown());
                        (side.insists)(&out);
                        texts += 1;
                    }
                }
            }
        }
    }
    assert!(texts > 1000 && others > 1000, "{texts} {others}");
}
