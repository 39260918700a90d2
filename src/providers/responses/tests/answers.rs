//! Answers that no recording has.

use super::*;

#[test]
fn endings_are_told_apart() {
    let answer = |status: &str, more: Value| {
        let mut body = json!({"id": "resp_1", "status": status, "model": "m", "output": []});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let finish = |body: Value| whole(&body).unwrap().candidates[0].finish.clone().unwrap();
    let cut = |reason: &str| json!({"incomplete_details": {"reason": reason}});
    assert_eq!(finish(answer("incomplete", cut("max_output_tokens"))), Finish::Length);
    assert_eq!(
        finish(answer("incomplete", cut("content_filter"))),
        Finish::ContentFilter
    );
    assert_eq!(
        finish(answer("incomplete", cut("steered"))),
        Finish::Other("steered".into())
    );
    let refusal = json!({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]});
    assert_eq!(finish(answer("completed", refusal)), Finish::Refusal);
    assert!(whole(&answer("queued", json!({}))).is_err());
    assert!(
        whole(&answer(
            "failed",
            json!({"error": {"code": "server_error", "message": "x"}})
        ))
        .is_err()
    );
    assert!(whole(&json!({"error": {"message": "x"}})).is_err());
    assert!(whole(&json!({"id": "x"})).is_err());
}

#[test]
fn failures_inside_a_stream_are_events() {
    let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}}});
    let flat = json!({"type": "error", "code": "server_error", "message": "slow"});
    let nested = json!({"type": "error", "error": {"type": "server_error", "message": "slow"}});
    let bare = json!({"error": {"code": "x", "message": "slow"}});
    for last in [failed, flat, nested, bare] {
        let begin = json!({"type": "response.created", "response": {"id": "resp_1"}});
        let fold = fold(&stream_of(&[begin, last.clone()]), usize::MAX).unwrap();
        assert_eq!(fold.error.as_deref(), Some("slow"), "{last}");
        assert_eq!(fold.disorder, None);
    }
    let open = json!({"type": "response.output_text.delta", "delta": "x"});
    assert!(fold(&stream_of(&[open]), usize::MAX).is_err());
}

#[test]
fn streams_that_leave_out_events_are_read() {
    let item = json!({"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi", "annotations": []}]});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"});
    let hidden = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"});
    let output = json!([hidden, item, call, {"type": "web_search_call", "id": "ws_1"}]);
    let end = json!({"type": "response.completed", "response": {"id": "resp_1", "model": "m", "status": "completed",
        "output": output, "usage": {"input_tokens": 1.0, "output_tokens": 2}}});
    let only_end = fold(&stream_of(std::slice::from_ref(&end)), usize::MAX).unwrap();
    assert_eq!(only_end.disorder, None);
    let delta = json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": hidden});
    let added = json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call",
        "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}});
    let arguments = json!({"type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{}"});
    let bare = fold(
        &stream_of(&[done, delta, added, arguments, json!({"type": "new.kind"}), end.clone()]),
        usize::MAX,
    );
    let bare = bare.unwrap();
    assert_eq!(bare.disorder, None);
    assert_eq!(bare.response().candidates, only_end.response().candidates);
    let whole = whole(&end["response"]).unwrap();
    assert_eq!(&whole, only_end.response());
    assert_eq!(whole.candidates[0].finish, Some(Finish::ToolCalls));
    assert!(matches!(&whole.candidates[0].parts[0], Part::Thinking(thinking) if thinking.redacted));
}

#[test]
fn raw_thoughts_win_over_their_summary_and_summaries_are_paragraphs() {
    let thought = |kind: &str, text: &str| json!({"type": kind, "output_index": 0, "item_id": "rs_1", "delta": text});
    let part = json!({"type": "response.reasoning_summary_part.added", "output_index": 0});
    let end = json!({"type": "response.completed", "response": {"status": "completed"}});
    let summary = "response.reasoning_summary_text.delta";
    let documents = [
        part.clone(),
        thought(summary, "a"),
        part.clone(),
        thought(summary, "b"),
        end.clone(),
    ];
    let texts = |documents: &[Value]| {
        let fold = fold(&stream_of(documents), usize::MAX).unwrap();
        assert_eq!(fold.disorder, None);
        match &fold.response().candidates[0].parts[0] {
            Part::Thinking(thinking) => thinking.text.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(texts(&documents), "a\n\nb");
    let documents = [
        thought("response.reasoning_text.delta", "raw"),
        part,
        thought(summary, "b"),
        end,
    ];
    assert_eq!(texts(&documents), "raw");
}

#[test]
fn the_end_marker_may_come_twice_and_anything_behind_it_is_nothing() {
    let end = json!({"type": "response.completed", "response": {"status": "completed", "output": []}});
    let mut sse = stream_of(&[
        end.clone(),
        end,
        json!({"type": "response.output_text.delta", "delta": "x"}),
    ]);
    sse.extend_from_slice(b"data: [DONE]\n\n");
    let mut count = 0;
    let mut decoder = ResponsesCodec.decoder(Expect::default());
    for event in events(&sse) {
        let raw = RawEvent {
            name: "",
            exception: false,
            data: &event.data.unwrap(),
            max_depth: 64,
        };
        decoder
            .event(raw, &mut |event| count += usize::from(matches!(event, Event::End)))
            .unwrap();
    }
    decoder.finish(&mut |_| count += 1).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_call_announced_twice_is_one_call() {
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call",
        "call_id": "c", "name": "f", "arguments": ""}});
    let end = json!({"type": "response.completed", "response": {"status": "completed"}});
    let fold = fold(&stream_of(&[added.clone(), added, end]), usize::MAX).unwrap();
    assert_eq!(fold.disorder, None);
    assert_eq!(fold.response().candidates[0].parts.len(), 1);
}

#[test]
fn items_without_end_are_refused() {
    let part = |index: u64| json!({"type": "response.output_text.delta", "output_index": index, "delta": "x"});
    let all: Vec<Value> = (0..5000).map(part).collect();
    assert!(fold(&stream_of(&all), usize::MAX).is_err());
}

#[test]
fn likelihoods_of_tokens_are_read() {
    let logprobs =
        json!([{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}, {"token": 7}]);
    let delta = json!({"type": "response.output_text.delta", "delta": "a", "logprobs": logprobs});
    let output = json!([{"type": "message", "content": [{"type": "output_text", "text": "a", "logprobs": logprobs}]}]);
    let end = json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
    let streamed = fold(&stream_of(&[delta, end.clone()]), usize::MAX).unwrap();
    let whole = whole(&end["response"]).unwrap();
    assert_eq!(streamed.response().candidates, whole.candidates);
    assert_eq!(whole.candidates[0].logprobs.len(), 1);
    assert_eq!(whole.candidates[0].logprobs[0].top, [("b".into(), -1.0)]);
}
