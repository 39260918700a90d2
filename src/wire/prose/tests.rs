//! The law (what is not a text stays, byte by byte), the shapes of every dialect; the recordings are in `recorded`.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

mod recorded;

const CHAT: Document = Document::Request(Operation::Chat, Dialect::OpenAi);
const RESPONSES: Document = Document::Request(Operation::Chat, Dialect::Responses);
const ANTHROPIC: Document = Document::Request(Operation::Chat, Dialect::Anthropic);
const GEMINI: Document = Document::Request(Operation::Chat, Dialect::Gemini);

fn texts(body: &str, document: Document) -> Vec<(Channel, String)> {
    let mut seen = Vec::new();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let same = rewrite(&body, document, 64, &mut |channel, text| {
        seen.push((channel, text.to_owned()));
        None
    });
    assert_eq!(same.unwrap(), body);
    seen
}

fn plain(body: &str, document: Document) -> Vec<String> {
    texts(body, document).into_iter().map(|(_, text)| text).collect()
}

fn replaced(body: &str, document: Document, from: &str, to: &str) -> String {
    let edit = &mut |_, text: &str| text.contains(from).then(|| text.replace(from, to));
    let body = rewrite(&Bytes::copy_from_slice(body.as_bytes()), document, 64, edit).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn every_message_of_every_role_is_seen_in_order() {
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},
        {"role":"user","name":"c d","content":[{"type":"text","text":"d"},{"type":"image_url","image_url":{"url":"https://x/e?q","detail":"low"}},
          {"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}},
          {"type":"file","file":{"filename":"f g","file_data":"data:application/pdf;base64,aGk="}}]},
        {"role":"assistant","content":null,"refusal":"g","reasoning_content":"h","tool_calls":[{"id":"call_1","type":"function",
          "function":{"name":"weather","arguments":"{\"to\":[\"i\",{\"id\":\"j\"}],\"n\":1}"}},{"type":"custom","custom":{"name":"shell","input":"ls k"}}]},
        {"role":"tool","tool_call_id":"call_1","content":"l"},{"role":"assistant","function_call":{"name":"old","arguments":"not JSON m"}}],
        "prediction":{"type":"content","content":"n"},"suffix":"o","user":"someone","metadata":{"a":"b"},
        "tools":[{"type":"function","function":{"name":"weather","description":"p","parameters":{"properties":{"description":{"enum":["x"],"description":"q"}}}}}],
        "tool_choice":"auto","stop":["x"],"who_knows":{"what":"r"}}"#;
    let seen = texts(body, CHAT);
    let all: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
    let expected = [
        "a",
        "b",
        "c d",
        "d",
        "https://x/e?q",
        "f g",
        "g",
        "h",
        "i",
        "j",
        "ls k",
        "l",
        "not JSON m",
        "n",
        "o",
        "p",
        "q",
        "r",
    ];
    assert_eq!(all, expected);
    let channel = |text: &str| seen.iter().find(|(_, seen)| seen == text).unwrap().0;
    assert_eq!(channel("h"), Channel::Thinking);
    assert!(
        ["i", "j", "ls k", "not JSON m"]
            .iter()
            .all(|text| channel(text) == Channel::Arguments)
    );
    assert!(["a", "d", "g", "l"].iter().all(|text| channel(text) == Channel::Text));
}

#[test]
fn responses_items_of_every_type_are_seen() {
    let body = r#"{"model":"m","instructions":"a","prompt":{"id":"pmpt_1","variables":{"id":"b c","name":"d","pic":{"type":"input_image","image_url":"data:image/png;base64,aGk="}}},
        "input":[{"role":"user","content":"e"},{"type":"message","role":"user","content":[{"type":"input_text","text":"f"},{"type":"input_file","file_data":"aGk=","filename":"g"}]},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"h"}],"encrypted_content":"gAAA_-=="},
        {"type":"function_call","call_id":"c","name":"n","arguments":"{\"a\":\"i\\u0040\"}"},{"type":"function_call_output","call_id":"c","output":"j"},
        {"type":"custom_tool_call","call_id":"c","name":"n","input":"k"},{"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_text","text":"l"}]},
        {"type":"image_generation_call","id":"ig","result":"aGk="},{"type":"local_shell_call","action":{"type":"exec","command":["m","n"],"env":{"id":"o p"}}},
        {"type":"mcp_call","id":"mcp_1","name":"n","server_label":"q","arguments":"{}","output":"r"},{"type":"never_heard_of","stuff":[["s"]]}],
        "text":{"format":{"type":"json_schema","name":"n","schema":{"description":"t"}}},"reasoning":{"effort":"low"}}"#;
    let expected = [
        "a", "b c", "d", "e", "f", "g", "h", "i@", "j", "k", "l", "m", "n", "o p", "q", "r", "s", "t",
    ];
    assert_eq!(plain(body, RESPONSES), expected);
    assert!(texts(body, RESPONSES).contains(&(Channel::Thinking, "h".to_owned())));
}

#[test]
fn anthropic_blocks_of_every_type_are_seen() {
    let body = r#"{"model":"m","system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"}}],"messages":[
        {"role":"user","content":[{"type":"document","title":"b","context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}},
          {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aGk="}},
          {"type":"document","source":{"type":"content","content":[{"type":"text","text":"e"}]}},
          {"type":"search_result","source":"https://f","title":"g","content":[{"type":"text","text":"h"}]}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"i","signature":"abc="},{"type":"thinking","thinking":"j","signature":""},
          {"type":"redacted_thinking","data":"aGk="},{"type":"tool_use","id":"t","name":"n","input":{"id":"k","n":[4111111111111111,12],"signature":"l m"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"n"}]},
          {"type":"tool_result","tool_use_id":"t","content":"o"}]}],"metadata":{"user_id":"u"},"thinking":{"type":"enabled"}}"#;
    let expected = [
        "a",
        "b",
        "c",
        "d",
        "e",
        "https://f",
        "g",
        "h",
        "i",
        "j",
        "k",
        "4111111111111111",
        "l m",
        "n",
        "o",
    ];
    assert_eq!(plain(body, ANTHROPIC), expected);
    let seen = texts(body, ANTHROPIC);
    assert!(seen.contains(&(Channel::Signed, "i".to_owned())) && seen.contains(&(Channel::Thinking, "j".to_owned())));
    let answer = r#"{"content":[{"type":"thinking","thinking":"i","signature":"abc="}]}"#;
    let document = Document::Answer(Operation::Chat, Dialect::Anthropic);
    assert_eq!(texts(answer, document), [(Channel::Thinking, "i".to_owned())]);
    // What its provider signed stays; the number becomes a text.
    let edited = replaced(body, ANTHROPIC, "i", "*");
    assert!(edited.contains(r#""thinking":"i","signature":"abc=""#), "{edited}");
    assert!(replaced(body, ANTHROPIC, "4111111111111111", "*").contains(r#""n":["*",12]"#));
}

#[test]
fn gemini_parts_of_every_type_are_seen() {
    let contents = r#""systemInstruction":{"parts":{"text":"a"}},"contents":[{"role":"user","parts":[{"text":"b"},{"inlineData":{"mimeType":"image/png","data":"aGk="}},
        {"fileData":{"mimeType":"image/png","fileUri":"gs://c"}}]},{"role":"model","parts":[{"text":"d","thought":true,"thoughtSignature":"abc="},
        {"functionCall":{"id":"i","name":"n","args":{"type":"e"}}},{"executableCode":{"language":"PYTHON","code":"f"}}]},
        {"role":"user","parts":[{"functionResponse":{"id":"i","name":"n","response":{"role":"g","data":"h"}}}]}]"#;
    let expected = ["a", "b", "gs://c", "d", "e", "f", "g", "h"];
    let body = format!(r#"{{{contents},"generationConfig":{{"stopSequences":["x"]}},"labels":{{"a":"b"}}}}"#);
    assert_eq!(plain(&body, GEMINI), expected);
    assert!(texts(&body, GEMINI).contains(&(Channel::Thinking, "d".to_owned())));
    let counted = format!(r#"{{"generateContentRequest":{{"model":"models/m",{contents}}}}}"#);
    assert_eq!(
        plain(&counted, Document::Request(Operation::CountTokens, Dialect::Gemini)),
        expected
    );
    let batch = format!(
        r#"{{"requests":[{{"model":"m","content":{{"parts":[{{"text":"z"}}]}},"title":"t"}},{{{contents}}}]}}"#
    );
    let embeddings = Document::Request(Operation::Embeddings, Dialect::Gemini);
    assert_eq!(
        plain(&batch, embeddings),
        ["z", "t", "a", "b", "gs://c", "d", "e", "f", "g", "h"]
    );
}

#[test]
fn operations_without_messages_have_texts_too() {
    let of = |body: &str, operation, dialect| plain(body, Document::Request(operation, dialect));
    let openai = Dialect::OpenAi;
    let prompt = r#"{"model":"m","prompt":["a",[1,2]],"suffix":"b"}"#;
    assert_eq!(of(prompt, Operation::Completions, openai), ["a", "b"]);
    for operation in [Operation::Embeddings, Operation::Moderations] {
        assert_eq!(of(r#"{"input":"{\"a\":\"b\"}"}"#, operation, openai), [r#"{"a":"b"}"#]);
        let parts = r#"{"input":["a",{"type":"text","text":"b"},[123456789012]],"encoding_format":"base64"}"#;
        assert_eq!(of(parts, operation, openai), ["a", "b"]);
    }
    let rerank = r#"{"query":"a","documents":["b",{"id":"d1","text":"c"}],"top_n":1}"#;
    assert_eq!(of(rerank, Operation::Rerank, Dialect::Cohere), ["a", "b", "c"]);
}

#[test]
fn answers_are_seen_and_what_they_repeat_is_not() {
    let of = |body: &str, operation, dialect| plain(body, Document::Answer(operation, dialect));
    let chat = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop","logprobs":{"content":[{"token":"x","bytes":[1]}]},
        "message":{"role":"assistant","content":"a","reasoning":"b","tool_calls":[{"function":{"name":"n","arguments":"{\"x\":\"c\"}"}}],"audio":{"id":"i","data":"aGk=","transcript":"d"}}},
        {"index":1,"message":{"content":"e"}}],"usage":{"prompt_tokens":1}}"#;
    assert_eq!(of(chat, Operation::Chat, Dialect::OpenAi), ["a", "b", "c", "d", "e"]);
    let document = Document::Answer(Operation::Chat, Dialect::OpenAi);
    let edited = replaced(chat, document, "e", "*");
    assert_eq!(
        edited,
        chat.replace(r#""e""#, r#""*""#)
            .replace(r#"{"content":[{"token":"x","bytes":[1]}]}"#, "null")
    );
    let responses = r#"{"id":"resp_1","status":"completed","instructions":"no","tools":[{"description":"no"}],"text":{"format":{"type":"text"}},"metadata":{"a":"no"},
        "output":[{"type":"message","id":"msg","content":[{"type":"output_text","text":"a","annotations":[{"type":"url_citation","title":"b"}],"logprobs":[{"token":"no"}]},{"type":"refusal","refusal":"c"}]}]}"#;
    assert_eq!(of(responses, Operation::Chat, Dialect::Responses), ["a", "b", "c"]);
    let gemini = r#"[{"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"finishReason":"STOP","safetyRatings":[{"category":"HARM","probability":"LOW"}]}],"modelVersion":"m"}]"#;
    assert_eq!(of(gemini, Operation::Chat, Dialect::Gemini), ["a"]);
    assert_eq!(
        of(r#"{"choices":[{"text":"a"}]}"#, Operation::Completions, Dialect::OpenAi),
        ["a"]
    );
    let rerank = r#"{"id":"x","results":[{"index":0,"document":{"text":"a"}}],"meta":{"a":"no"}}"#;
    assert_eq!(of(rerank, Operation::Rerank, Dialect::Cohere), ["a"]);
    assert!(
        of(
            r#"{"data":[{"embedding":"no"}]}"#,
            Operation::Embeddings,
            Dialect::OpenAi
        )
        .is_empty()
    );
}

#[test]
fn escapes_hide_nothing_and_what_is_written_anew_has_the_fewest() {
    let body = r#"{"mess\u0061ges":[{"role":"user","content":"a\u0040b \/ \"q\" \ud83d\ude00 \ud83d","k":"\u0061\u0040b"}], "x" : 1 }"#;
    assert_eq!(plain(body, CHAT), ["a@b / \"q\" 😀 \u{fffd}", "a@b"]);
    assert_eq!(
        replaced(body, CHAT, "a@b", "[\n]"),
        "{\"mess\\u0061ges\":[{\"role\":\"user\",\"content\":\"[\\n] / \\\"q\\\" 😀 \u{fffd}\",\"k\":\"[\\n]\"}], \"x\" : 1 }"
    );
    // Twice as deep: an escape of JSON in an escape of JSON.
    let body = r#"{"messages":[{"tool_calls":[{"function":{"argument\u0073":"{\"to\" : \"a\\u0040b\",\"é\":\"\\u00e9\"}"}}]}]}"#;
    assert_eq!(plain(body, CHAT), ["a@b", "é"]);
    assert_eq!(
        replaced(body, CHAT, "a@b", "\"*"),
        r#"{"messages":[{"tool_calls":[{"function":{"argument\u0073":"{\"to\" : \"\\\"*\",\"é\":\"\\u00e9\"}"}}]}]}"#
    );
    // Cut off: no JSON, and no hiding place.
    let body = r#"{"messages":[{"function_call":{"arguments":"{\"to\":\"a\\u0040b \\ud83d\\ude00 \\u00"}}]}"#;
    assert_eq!(plain(body, CHAT), ["{\"to\":\"a@b 😀 \\u00"]);
}

#[test]
fn what_does_not_look_like_its_name_is_a_text() {
    let body = r#"{"messages":[{"role":"two words","id":"call me","content":[{"type":"a b","image_url":{"url":"data:text/plain,hello you"}},
        {"inlineData":{"data":"not base64"}},{"type":"text","type":"image","data":"QUJD","name":"n"},{"signature":"my number is"}]}]}"#;
    let expected = [
        "two words",
        "call me",
        "a b",
        "data:text/plain,hello you",
        "not base64",
        "QUJD",
        "n",
        "my number is",
    ];
    assert_eq!(plain(body, CHAT), expected);
    // Slashes that are escaped, and lines.
    let body = r#"{"messages":[{"content":[{"data":"aG\/k\n+="},{"image_url":"data:image\/png;base64,aGk="}]}]}"#;
    assert_eq!(plain(body, CHAT), ["data:image/png;base64,aGk="; 0]);
}

#[test]
fn repeated_members_are_all_seen() {
    let body = r#"{"messages":[{"content":"a","content":"b"}],"messages":[{"content":"c"}]}"#;
    assert_eq!(plain(body, CHAT), ["a", "b", "c"]);
}

#[test]
fn nesting_is_bounded_and_no_document_is_said_to_be_none() {
    let nothing = &mut |_, _: &str| None;
    let deep = format!(r#"{{"messages":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(
        rewrite(&deep.into(), CHAT, 64, nothing).unwrap_err().what,
        "nested too deeply"
    );
    assert!(rewrite(&Bytes::from_static(b"{\"messages\":[}"), CHAT, 64, nothing).is_err());
    // Objects in objects are read once each, however many there are.
    let deep = format!(
        r#"{{"messages":{}{{"text":"x","data":"aGk="}}{}}}"#,
        r#"{"a":"#.repeat(900),
        "}".repeat(900)
    );
    let mut seen = 0;
    rewrite(&deep.into(), CHAT, 1024, &mut |_, _| {
        seen += 1;
        None
    })
    .unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn arguments_alone() {
    let edit = &mut |channel, text: &str| (channel == Channel::Arguments && text == "a@b").then(|| "*".to_owned());
    assert_eq!(
        arguments(r#"{"x":"a\u0040b", "y":1}"#, 8, edit).unwrap(),
        r#"{"x":"*", "y":1}"#
    );
    assert_eq!(arguments("a@b", 8, edit).unwrap(), "*");
    assert_eq!(arguments(r#"{"x":"y"}"#, 8, edit), None);
    assert_eq!(arguments("", 8, edit), None);
}

#[test]
fn nobody_signs_a_message() {
    let request = |dialect| Document::Request(Operation::Chat, dialect);
    for (dialect, body) in [
        (
            Dialect::OpenAi,
            r#"{"messages":[{"role":"user","content":"a","thought":true,"signature":"x"}]}"#,
        ),
        (
            Dialect::OpenAi,
            r#"{"messages":[{"role":"user","type":"thinking","content":"a","signature":"x"}]}"#,
        ),
        (
            Dialect::OpenAi,
            r#"{"messages":[{"role":"user","content":[{"type":"thinking","thinking":"a","signature":"x"}]}]}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"contents":[{"parts":[{"text":"a","thought":true,"signature":"x"}]}]}"#,
        ),
        (
            Dialect::Anthropic,
            r#"{"messages":[{"role":"user","type":"thinking","content":"a","signature":"x"}]}"#,
        ),
    ] {
        assert_eq!(
            replaced(body, request(dialect), "a", "*").matches('*').count(),
            1,
            "{body}"
        );
    }
    let kept = r#"{"messages":[{"role":"assistant","reasoning_details":[{"type":"reasoning.text","text":"a","signature":"x"}]}]}"#;
    assert_eq!(replaced(kept, request(Dialect::OpenAi), "a", "*"), kept);
}

#[test]
fn a_signature_goes_with_what_it_signed() {
    let document = Document::Answer(Operation::Chat, Dialect::Anthropic);
    let body = r#"{"content":[{"type":"thinking","signature":"QUJD","thinking":"a b"},{"type":"thinking","thinking":"c","signature":"QUJE"},{"text":"b"}]}"#;
    assert_eq!(
        replaced(body, document, "a", "*"),
        body.replace("a b", "* b").replace("QUJD", "")
    );
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"QUJD"},{"functionCall":{"args":{"x":"a"}},"thoughtSignature":"QUJE"}]}}]}"#;
    let edited = replaced(gemini, Document::Answer(Operation::Chat, Dialect::Gemini), "a", "*");
    assert_eq!(edited, gemini.replace(":\"a\"", ":\"*\"").replace("QUJD", ""));
    // What looks like no signature is a text like any other.
    assert_eq!(
        replaced(r#"{"content":[{"signature":"a b"}]}"#, document, "a", "*"),
        r#"{"content":[{"signature":"* b"}]}"#
    );
}

#[test]
fn prompts_of_tokens_are_told() {
    let holds = |body: &str, operation| holds_tokens(body.as_bytes(), operation, 8);
    assert!(
        holds(r#"{"input":[[1,2]]}"#, Operation::Embeddings) && holds(r#"{"prompt":["a", 3]}"#, Operation::Completions)
    );
    for body in [
        r#"{"input":["1"],"prompt":[1]}"#,
        r#"{"input":[{"a":1}]}"#,
        r#"{"input":"1","dimensions":5}"#,
    ] {
        assert!(!holds(body, Operation::Embeddings), "{body}");
    }
    assert!(!holds(r#"{"input":[1],"prompt":"1"}"#, Operation::Chat));
}

fn arb_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "messages",
        "content",
        "text",
        "arguments",
        "input",
        "type",
        "data",
        "signature",
        "thinking",
        "args",
        "name",
        "id",
        "logprobs",
        "contents",
        "parts",
        "tools",
        "description",
        "tool_use",
        "é\n",
        "url",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        prop::sample::select(vec![
            "thinking",
            "text",
            "tool_use",
            "{\"a\":[\"b\",123456789012]}",
            "aGk="
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map(name.clone(), inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn documents() -> impl Strategy<Value = Document> {
    let operation = prop::sample::select(vec![Operation::Chat, Operation::Completions, Operation::Rerank]);
    let dialect = prop::sample::select(Dialect::ALL.to_vec());
    (operation, dialect, any::<bool>()).prop_map(|(operation, dialect, request)| match request {
        true => Document::Request(operation, dialect),
        false => Document::Answer(operation, dialect),
    })
}

/// `edited` is `before` but for strings (and numbers that became strings, and tokens).
fn alike(before: &Value, edited: &Value) -> bool {
    match (before, edited) {
        (Value::Array(before), Value::Array(edited)) => {
            edited.is_empty() || before.len() == edited.len() && before.iter().zip(edited).all(|(a, b)| alike(a, b))
        }
        (Value::Object(before), Value::Object(edited)) => {
            before.len() == edited.len() && before.iter().all(|(key, value)| alike(value, &edited[key]))
        }
        (_, Value::String(_)) | (Value::Object(_), Value::Null) => true,
        _ => before == edited,
    }
}

proptest! {
    #[test]
    fn what_is_not_changed_stays_byte_by_byte(value in arb_json(), document in documents(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let body = Bytes::from(text);
        let mut seen = Vec::new();
        let same = rewrite(&body, document, 64, &mut |_, text| { seen.push(text.to_owned()); Some(text.to_owned()) }).unwrap();
        prop_assert_eq!(same.as_ptr(), body.as_ptr());
        prop_assert_eq!(same, body.clone());
        // One text changed: what comes out is JSON, and what stands before and after that string is as it was.
        for (index, text) in seen.iter().enumerate() {
            let mut at = 0;
            let mut signed = false;
            let edited = rewrite(&body, document, 64, &mut |channel, text| {
                at += 1;
                signed |= at == index + 1 && channel == Channel::Signed;
                (at == index + 1).then(|| format!("\"{text}\\\n"))
            }).unwrap();
            let read: Value = serde_json::from_slice(&edited).unwrap();
            prop_assert!(alike(&value, &read));
            prop_assert_eq!(edited == body, signed, "{}", text);
        }
    }

    #[test]
    fn all_changed_is_still_json(value in arb_json(), document in documents()) {
        let body = Bytes::from(serde_json::to_vec(&value).unwrap());
        let mut count = 0;
        let edited = rewrite(&body, document, 64, &mut |_, _| { count += 1; Some(format!("t{count}")) }).unwrap();
        let mut again = Vec::new();
        rewrite(&edited, document, 64, &mut |_, text| { again.push(text.to_owned()); None }).unwrap();
        prop_assert!(alike(&value, &serde_json::from_slice(&edited).unwrap()));
        let ours = |text: &&String| text.strip_prefix('t').is_some_and(|n| n.parse::<u32>().is_ok());
        prop_assert!(again.iter().filter(ours).count() <= count);
    }

    #[test]
    fn strings_read_as_the_parser_reads_them(parts in prop::collection::vec(prop::sample::select(vec![
        "a", "é", "\\n", "\\\\", "\\\"", "\\/", "\\u0041", "\\ud83d", "\\ude00", "\\u00e9", "\\t", "\\b", "\\f", "\\r", "u0041", " ",
    ]), 0..12)) {
        let quoted = format!("\"{}\"", parts.concat());
        let node = crate::wire::json::Node::parse(quoted.as_bytes(), 1).unwrap();
        let read = strings::read(quoted.as_bytes());
        prop_assert_eq!(node.as_str(), Some(&*read));
    }

    #[test]
    fn hostile_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), text in r#"[\[\]{}",:\\u0-9a"]{0,60}"#, document in documents()) {
        for body in [bytes, text.clone().into_bytes(), format!("{{\"messages\":[{{\"arguments\":\"{text}\"}}]}}").into_bytes()] {
            let _ = rewrite(&Bytes::from(body), document, 16, &mut |_, text| Some(format!("{text}x")));
        }
        arguments(&text, 8, &mut |_, text| Some(format!("{text}x")));
    }
}
