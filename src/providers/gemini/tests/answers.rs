//! Answers and streams that no recording has, and damaged ones.

use super::*;

#[test]
fn odd_streams() {
    let datas = |list: &[&str]| list.iter().map(|data| data.as_bytes().to_vec()).collect::<Vec<_>>();
    // Blocked, without candidates.
    let fold = decode_events(&datas(&[
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#,
    ]))
    .unwrap();
    assert_eq!(fold.response().candidates[0].finish, Some(Finish::ContentFilter));
    // An error inside the stream ends it.
    let fold = decode_events(&datas(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#,
        r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#,
        "not even JSON",
    ]))
    .unwrap();
    assert_eq!(
        (fold.error.as_deref(), fold.ended(), fold.disorder),
        (Some("overloaded"), false, None)
    );
    // No finish reason: cut off.
    assert!(decode_events(&datas(&[r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#])).is_err());
    assert!(decode_events(&[]).is_err());
    // The reason on every chunk, empty candidates, text around a call, unknown members, two candidates.
    let odd = datas(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"news":1}"#,
        r#"{"candidates":[]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"b"},{"functionCall":{"name":"f"}},{"odd":1},{"text":"c","thoughtSignature":"s1"}]},"finishReason":"STOP"},{"index":1,"content":{"parts":[{"text":"z"}]},"finishReason":"MAX_TOKENS"}],"responseId":"late"}"#,
        r#"{"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}"#,
    ]);
    let fold = decode_events(&odd).unwrap();
    assert_eq!(fold.disorder, None);
    let [first, second] = &fold.response().candidates[..] else {
        panic!()
    };
    assert_eq!(
        (&first.finish, &second.finish),
        (&Some(Finish::ToolCalls), &Some(Finish::Length))
    );
    assert_eq!(first.parts[0], Part::text("ab"));
    assert!(matches!(&first.parts[1], Part::ToolCall(call) if call.arguments == "{}" && call.id.starts_with("call_")));
    assert!(matches!(&first.parts[2], Part::Text { text, signature: Some(it), .. } if text == "c" && it.data == "s1"));
    // And so it leaves: two candidates, each with its own last chunk.
    for json_array in [false, true] {
        let sent = rewritten(&odd, json_array);
        let again = match json_array {
            false => sse_datas(&sent, usize::MAX),
            true => array_datas(&sent, usize::MAX),
        };
        let back = decode_events(&again).unwrap();
        assert_eq!(
            (back.disorder, &back.response().candidates),
            (None, &fold.response().candidates)
        );
        assert_eq!(back.response().usage, fold.response().usage);
    }
    // A signature alone, with nothing open.
    let fold = decode_events(&datas(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"thoughtSignature":"s"}]},"finishReason":"STOP"}]}"#,
    ]))
    .unwrap();
    assert!(
        matches!(&fold.response().candidates[0].parts[1], Part::Text { text, signature: Some(_), .. } if text.is_empty())
    );
}

#[test]
fn grounding_media_and_logprobs_come_whole_and_streamed() {
    let chunk = r#"{"candidates":[{"content":{"parts":[{"text":"é is a letter"}],"role":"model"},"finishReason":"STOP",
        "groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}},{"web":{"uri":"https://b"}}],
          "groundingSupports":[{"segment":{"startIndex":3,"endIndex":14},"groundingChunkIndices":[0,7]}]},
        "citationMetadata":{"citationSources":[{"startIndex":0,"endIndex":2,"uri":"https://c"}]},
        "logprobsResult":{"chosenCandidates":[{"token":"é","logProbability":-0.5}],"topCandidates":[{"candidates":[{"token":"e","logProbability":-1}]}]}}],
        "responseId":"r"}"#;
    let whole = whole(chunk);
    let Part::Text { citations, .. } = &whole.candidates[0].parts[0] else {
        panic!()
    };
    let seen: Vec<_> = citations
        .iter()
        .map(|one| (one.url.as_deref().unwrap(), one.span))
        .collect();
    assert_eq!(
        seen,
        [
            ("https://a", Some((2, 13))),
            ("https://b", None),
            ("https://c", Some((0, 1)))
        ]
    );
    assert_eq!(whole.candidates[0].logprobs[0].top, [("e".into(), -1.0)]);
    let fold = decode_events(&[chunk.as_bytes().to_vec()]).unwrap();
    assert_eq!((fold.disorder, fold.response()), (None, &whole));
    // Without Google's own form, the writer makes one that reads back the same.
    let mut plain = own(&whole);
    if let Part::Text { citations, .. } = &mut plain.candidates[0].parts[0] {
        citations.iter_mut().for_each(|one| one.raw = None);
        citations.remove(1);
    }
    let text = written(&plain);
    let mut back = self::whole(&text);
    if let Part::Text { citations, .. } = &mut back.candidates[0].parts[0] {
        citations.iter_mut().for_each(|one| one.raw = None);
    }
    assert_eq!(back.candidates, plain.candidates, "{text}");
    let image = self::whole(
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"a-_k"}},{"inlineData":{"data":"!!!"}},
        {"executableCode":{"code":"1"}}]},"finishReason":"STOP"}]}"#,
    );
    let parts = &image.candidates[0].parts;
    assert!(matches!(&parts[0], Part::Media(media) if media.source == Source::Base64("a+/k".into())));
    assert!(matches!(&parts[1], Part::Opaque { kind, .. } if kind == "executableCode") && parts.len() == 2);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever happens to a recording on its way, nothing panics and no event is out of order.
    #[test]
    fn damaged_recordings_are_survived(which in 0usize..64, cut: proptest::sample::Index, flip: proptest::sample::Index, bit in 0u8..8, truncate: bool) {
        static ALL: std::sync::LazyLock<Vec<Recording>> = std::sync::LazyLock::new(recordings);
        if ALL.is_empty() {
            return Ok(()); // Said above: a clone has no recordings.
        }
        let recording = &ALL[which % ALL.len()].1;
        let damage = |mut bytes: Vec<u8>| {
            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if truncate {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        };
        let request = damage(recording["request"]["body"].to_string().into_bytes());
        if let Ok(body) = Node::parse(&request, 64) {
            for vertex in [false, true] {
                let read = Gemini.read(&body, true).ok();
                let made = read.and_then(|read| GeminiCodec { vertex }.encode(&read, aim("gemini-3.5-flash")).ok());
                if let Some(made) = made {
                    proptest::prop_assert!(Node::parse(&made.body, 128).is_ok());
                }
                let _ = Gemini.read_count(&body).map(|read| GeminiCodec { vertex }.encode_count(&read, aim("m")));
                let _ = Gemini.read_embed(&body).map(|read| GeminiCodec { vertex }.encode_embed(&read, aim("m")));
            }
        }
        let response = &recording["response"];
        if let Some(sse) = response["sse"].as_str() {
            let mut reader = SseReader::new(1 << 20);
            reader.space().extend_from_slice(&damage(sse.as_bytes().to_vec()));
            let mut datas: Vec<Vec<u8>> = Vec::new();
            for batch in [reader.take().unwrap(), reader.take_rest()] {
                datas.extend(events(&batch).filter_map(|event| event.data.map(|data| data.into_owned())));
            }
            survive(&datas);
        } else {
            let bytes = damage(response["body"].to_string().into_bytes());
            let _ = crate::wire::gemini::facts(&bytes, 64);
            survive(std::slice::from_ref(&bytes));
            if let Ok(body) = Node::parse(&bytes, 64) {
                let expect = Expect::default();
                if let Ok(response) = GeminiCodec::default().decode(&body, &expect) {
                    proptest::prop_assert!(Node::parse(written(&response).as_bytes(), 128).is_ok());
                }
                let _ = GeminiCodec::default().decode_embed(&body);
                let _ = GeminiCodec::default().decode_count(&body);
            }
        }
    }
}

fn survive(datas: &[Vec<u8>]) {
    let mut fold = Fold::new();
    let mut writer = Gemini.writer(&Default::default(), reply(false));
    let mut out = Vec::new();
    let mut decoder = GeminiCodec::default().decoder(Expect::default());
    let mut take = |event: Event<'_>| {
        fold.event(&event);
        writer.event(&event, &mut out);
    };
    for data in datas {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 64,
        };
        if decoder.event(raw, &mut take).is_err() {
            break;
        }
    }
    let _ = decoder.finish(&mut take);
    assert_eq!(fold.disorder, None);
    for data in sse_datas(&out, usize::MAX) {
        assert!(Node::parse(&data, 128).is_ok(), "{}", String::from_utf8_lossy(&data));
    }
}

#[test]
fn reasoning_and_deltas_reach_the_client_at_once() {
    // Not a test of figures: each raw event must give its text before the next is fed.
    let mut decoder = GeminiCodec::default().decoder(Expect::default());
    for text in ["a", "b"] {
        let data = json!({"candidates":[{"content":{"parts":[{"text":text}]}}]}).to_string();
        let mut seen = String::new();
        let raw = RawEvent {
            name: "",
            exception: false,
            data: data.as_bytes(),
            max_depth: 64,
        };
        let mut sink = |event: Event<'_>| {
            if let Event::Delta {
                delta: Delta::Text(text),
                ..
            } = event
            {
                seen.push_str(&text);
            }
        };
        decoder.event(raw, &mut sink).unwrap();
        assert_eq!(seen, text);
    }
}
