//! The kept form: what goes in comes out; what is damaged does neither harm nor pass.

use super::*;
use crate::cache::ask::Skip;
use crate::cache::{Entry, Key, Owner, Partition, Policy};
use crate::units::{ServiceTier, Usage};
use crate::wire::canonical::{
    Cache, Candidate, Citation, Finish, Logprob, Media, MediaKind, Part, Signature, Source, Thinking, ToolCall,
    ToolCallKind, ToolResult,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", "[a-z ]{0,300}", Just(String::new())]
}

fn signature() -> impl Strategy<Value = Signature<'static>> {
    (proptest::sample::select(Dialect::ALL.to_vec()), text()).prop_map(|(origin, data)| Signature::new(origin, data))
}

fn cache() -> impl Strategy<Value = Option<Cache>> {
    of(proptest::sample::select(vec![
        Cache::Default,
        Cache::FiveMinutes,
        Cache::OneHour,
    ]))
}

fn citation() -> impl Strategy<Value = Citation<'static>> {
    (
        of(text()),
        of(text()),
        of((any::<u64>(), any::<u64>())),
        of(any::<u64>()),
        of(text()),
    )
        .prop_map(|(url, title, span, document, raw)| Citation {
            url: url.clone().map(Into::into),
            title: title.map(Into::into),
            cited_text: url.map(Into::into),
            span,
            document,
            raw: raw.map(|raw| (Dialect::Anthropic, raw.into())),
        })
}

fn part() -> impl Strategy<Value = Part<'static>> {
    let leaf = prop_oneof![
        (text(), cache(), vec(citation(), 0..3), of(signature())).prop_map(|(text, cache, citations, signature)| {
            Part::Text {
                text: text.into(),
                cache,
                citations,
                signature,
            }
        }),
        text().prop_map(|text| Part::Refusal(text.into())),
        (text(), of(signature()), any::<bool>(), of(text())).prop_map(|(text, signature, redacted, id)| {
            Part::Thinking(Thinking {
                text: text.into(),
                signature,
                redacted,
                id: id.map(Into::into),
            })
        }),
        (text(), text(), text(), any::<bool>(), of(signature()), cache()).prop_map(
            |(id, name, arguments, custom, signature, cache)| Part::ToolCall(ToolCall {
                id: id.into(),
                name: name.into(),
                arguments: arguments.into(),
                kind: if custom {
                    ToolCallKind::Custom
                } else {
                    ToolCallKind::Function
                },
                signature,
                cache,
            })
        ),
        (text(), text()).prop_map(|(kind, raw)| Part::Opaque {
            dialect: Dialect::Gemini,
            kind: kind.into(),
            raw: raw.into(),
        }),
        (0..4u8, text(), of(text()), of(any::<bool>())).prop_map(|(source, said, media_type, citations)| {
            let source = match source {
                0 => Source::Url(said.into()),
                1 => Source::Base64(said.into()),
                2 => Source::Text(said.into()),
                _ => Source::File {
                    dialect: Dialect::OpenAi,
                    id: said.into(),
                },
            };
            Part::Media(Media {
                citations,
                ..Media::new(MediaKind::Document, source, media_type.map(Into::into))
            })
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (text(), vec(inner.clone(), 0..3), any::<bool>()).prop_map(|(call_id, parts, is_error)| {
                Part::ToolResult(ToolResult {
                    call_id: call_id.into(),
                    name: None,
                    parts,
                    is_error,
                    kind: ToolCallKind::Function,
                    cache: None,
                })
            }),
            vec(inner, 0..3).prop_map(|parts| Part::Media(Media::new(MediaKind::Image, Source::Parts(parts), None))),
        ]
    })
}

fn finish() -> impl Strategy<Value = Finish<'static>> {
    use Finish as F;
    prop_oneof![
        proptest::sample::select(vec![
            F::Stop,
            F::StopSequence,
            F::Length,
            F::ContextWindow,
            F::ToolCalls,
            F::ContentFilter,
            F::Refusal,
            F::Pause,
            F::MalformedCall,
            F::Error
        ]),
        text().prop_map(|word| F::Other(word.into())),
    ]
}

fn usage() -> impl Strategy<Value = Usage> {
    (any::<[u64; 11]>(), proptest::sample::select(ServiceTier::ALL.to_vec())).prop_map(|(n, tier)| Usage {
        input: n[0],
        output: n[1],
        cached: n[2],
        cache_write: n[3],
        cache_write_1h: n[4],
        reasoning: n[5],
        audio_input: n[6],
        audio_output: n[7],
        unbilled_input: n[8],
        unbilled_output: n[9],
        web_searches: n[10],
        tier,
    })
}

fn candidate() -> impl Strategy<Value = Candidate<'static>> {
    let logprob = (text(), -9.0..0.0, vec((text(), -9.0..0.0), 0..3)).prop_map(|(token, logprob, top)| Logprob {
        token: token.into(),
        logprob,
        top: top
            .into_iter()
            .map(|(token, logprob)| (token.into(), logprob))
            .collect(),
    });
    (
        any::<u32>(),
        vec(part(), 0..4),
        of(finish()),
        of(text()),
        vec(logprob, 0..3),
        of(text()),
    )
        .prop_map(|(index, parts, finish, stop_sequence, logprobs, safety)| Candidate {
            index,
            parts,
            finish,
            stop_sequence: stop_sequence.map(Into::into),
            logprobs,
            safety: safety.map(|raw| (Dialect::Gemini, raw.into())),
        })
}

fn response() -> impl Strategy<Value = Response<'static>> {
    (
        text(),
        text(),
        of(any::<u64>()),
        vec(candidate(), 0..3),
        of(usage()),
        of(text()),
    )
        .prop_map(|(id, model, created, candidates, usage, tier)| Response {
            id: id.into(),
            model: model.into(),
            created,
            candidates,
            usage,
            service_tier: tier.clone().map(Into::into),
            fingerprint: tier.map(Into::into),
        })
}

fn entry(answer: Answer) -> Entry {
    Entry {
        key: Key([1; 16]),
        partition: Partition([2; 16]),
        made_ms: 1_700_000_000_000,
        fresh_ms: 3_600_000,
        stale_ms: 0,
        spare_ms: 7,
        owner: Owner {
            organisation: Some("acme".into()),
            team: None,
            project: Some("p".into()),
            user: None,
            key: Some("ci".into()),
        },
        model: "fast".into(),
        target: "openai/gpt".into(),
        tags: Box::new(["a".into(), "b".into()]),
        question: Some("Why is the sky blue?".into()),
        semantic: true,
        usage: Some(Usage {
            input: 9,
            ..Usage::default()
        }),
        cost: Some(12_345),
        answer,
    }
}

fn said(text: &str) -> Response<'static> {
    Response {
        candidates: vec![Candidate {
            parts: vec![Part::text(text.to_owned())],
            finish: Some(Finish::Stop),
            ..Candidate::default()
        }],
        ..Response::default()
    }
}

proptest! {
    #[test]
    fn an_answer_comes_out_as_it_went_in(response in response(), above in prop_oneof![Just(0usize), Just(usize::MAX)]) {
        let answer = pack(&response, above);
        let bytes = plain(&answer).unwrap();
        prop_assert_eq!(unpack(&bytes).unwrap(), response.clone());
        let entry = entry(answer);
        prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()).unwrap(), entry);
    }

    /// Cut, or with any byte another one: an error or another answer, and never a panic or a hang.
    #[test]
    fn damage_is_found_or_harmless(response in response(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let answer = pack(&response, usize::MAX);
        let mut bytes = answer.bytes.to_vec();
        prop_assert!(unpack(&bytes[..at.index(bytes.len())]).is_err(), "cut short");
        let place = at.index(bytes.len());
        bytes[place] = byte;
        if let Ok(other) = unpack(&bytes) {
            prop_assert!(pack(&other, usize::MAX).bytes.len() <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), length in any::<u32>(), zstd in any::<bool>()) {
        let _ = unpack(&bytes);
        let _ = Entry::from_bytes(&bytes);
        let answer = Answer { form: Form::Canonical, zstd, length: length % (1 << 20), bytes: bytes.into() };
        let _ = plain(&answer);
    }

    /// In an envelope every changed byte is found.
    #[test]
    fn a_damaged_envelope_is_none(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let whole = entry(pack(&said("Because of Rayleigh."), usize::MAX)).to_bytes();
        let mut bytes = whole.clone();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        prop_assert_eq!(Entry::from_bytes(&bytes).is_ok(), bytes == whole);
        prop_assert!(Entry::from_bytes(&whole[..place]).is_err());
    }
}

#[test]
fn a_sound_envelope_of_nonsense_is_none() {
    let mut bytes = entry(pack(&said("x"), usize::MAX)).to_bytes();
    for at in 12..bytes.len() {
        let was = std::mem::replace(&mut bytes[at], 0xff);
        let sum = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&sum);
        // May be read (a key is any bytes), must not panic.
        let _ = Entry::from_bytes(&bytes);
        bytes[at] = was;
    }
}

#[test]
fn what_is_long_is_compressed_and_what_is_short_is_not() {
    let long = "the sky is blue because of scattering ".repeat(200);
    let (short, long) = (pack(&said("short"), 2048), pack(&said(&long), 2048));
    assert!(!short.zstd && long.zstd);
    assert!(long.bytes.len() * 10 < long.length as usize);
    assert_eq!(unpack(&plain(&long).unwrap()).unwrap().candidates.len(), 1);
    // Noise does not get smaller, and stays as it is.
    let noise: String = (0..4000).map(|_| fastrand::alphanumeric()).collect();
    assert!(
        pack_verbatim(Dialect::OpenAi, Operation::Embeddings, noise.as_bytes(), 0)
            .bytes
            .len()
            <= noise.len()
    );
}

/// A kilobyte that claims to be four gigabytes takes no memory for them.
#[test]
fn a_bomb_is_refused() {
    let zeros = vec![0u8; 4 << 20];
    let bomb = Answer {
        form: Form::Canonical,
        zstd: true,
        length: 1024,
        bytes: zstd::bulk::compress(&zeros, 3).unwrap().into(),
    };
    assert_eq!(plain(&bomb).unwrap_err(), Damaged("not zstd"));
    let vast = Answer {
        length: u32::MAX,
        ..bomb
    };
    assert_eq!(plain(&vast).unwrap_err(), Damaged("too long"));
    // Lists that claim more than is there.
    let mut claims = vec![VERSION, 0, 0, 0];
    claims.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(unpack(&claims).unwrap_err(), Damaged("cut short"));
}

#[test]
fn nesting_is_bounded() {
    let mut part = Part::text("x");
    for _ in 0..40 {
        part = Part::Media(Media::new(MediaKind::Document, Source::Parts(vec![part]), None));
    }
    let mut response = said("");
    response.candidates[0].parts = vec![part];
    let bytes = pack(&response, usize::MAX).bytes;
    assert_eq!(unpack(&bytes).unwrap_err(), Damaged("nested too deeply"));
}

#[test]
fn the_head_alone_says_everything_but_the_answer() {
    let entry = entry(pack(&said(&"long ".repeat(1000)), 100));
    let head = Entry::from_bytes(&entry.to_head_bytes()).unwrap();
    assert!(head.answer.bytes.is_empty());
    let answer = Answer {
        bytes: entry.answer.bytes.clone(),
        ..head.answer.clone()
    };
    assert_eq!(Entry { answer, ..head }, entry);
    assert!(entry.to_head_bytes().len() < 300);
}

#[test]
fn only_complete_answers_are_kept() {
    let strict = Policy::default();
    let keeps = |edit: &dyn Fn(&mut Response<'static>), policy: &Policy| {
        let mut response = said("Blue light scatters.");
        edit(&mut response);
        storable(&response, 1, policy)
    };
    assert_eq!(keeps(&|_| (), &strict), Ok(()));
    let ends = |finish: Finish<'static>, policy: &Policy| {
        keeps(&|response| response.candidates[0].finish = Some(finish.clone()), policy)
    };
    assert_eq!(ends(Finish::StopSequence, &strict), Ok(()));
    for (finish, skip) in [
        (Finish::Length, Skip::Length),
        (Finish::ContextWindow, Skip::Length),
        (Finish::ToolCalls, Skip::ToolCalls),
        (Finish::ContentFilter, Skip::Refused),
        (Finish::Refusal, Skip::Refused),
        (Finish::Pause, Skip::Finish),
        (Finish::MalformedCall, Skip::Finish),
        (Finish::Error, Skip::Finish),
        (Finish::Other("odd".into()), Skip::Finish),
    ] {
        assert_eq!(ends(finish, &strict), Err(skip));
    }
    let lax = Policy {
        length: true,
        tool_calls: true,
        ..Policy::default()
    };
    assert_eq!(ends(Finish::Length, &lax), Ok(()));
    assert_eq!(ends(Finish::ContextWindow, &lax), Err(Skip::Length));
    let parts = |parts: Vec<Part<'static>>, policy: &Policy| {
        keeps(&|response| response.candidates[0].parts = parts.clone(), policy)
    };
    assert_eq!(parts(vec![], &strict), Err(Skip::Empty));
    assert_eq!(parts(vec![Part::text(" \n")], &strict), Err(Skip::Empty));
    assert_eq!(
        parts(vec![Part::Thinking(Thinking::default())], &strict),
        Err(Skip::Empty)
    );
    assert_eq!(parts(vec![Part::Refusal("no".into())], &lax), Err(Skip::Refused));
    let call = |arguments: &'static str| {
        vec![Part::ToolCall(ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: arguments.into(),
            kind: ToolCallKind::Function,
            signature: None,
            cache: None,
        })]
    };
    assert_eq!(
        parts(call("{}"), &strict),
        Err(Skip::ToolCalls),
        "also where the end says `stop`"
    );
    assert_eq!(parts(call("{\"a\":1}"), &lax), Ok(()));
    assert_eq!(parts(call("{\"a\":"), &lax), Err(Skip::Incomplete));
    assert_eq!(
        keeps(&|response| response.candidates[0].finish = None, &lax),
        Err(Skip::Incomplete)
    );
    assert_eq!(
        keeps(&|response| response.candidates.clear(), &lax),
        Err(Skip::Incomplete)
    );
    assert_eq!(storable(&said("one of two"), 2, &lax), Err(Skip::Incomplete));
    let twice = |response: &mut Response<'static>| response.candidates.push(response.candidates[0].clone());
    assert_eq!(keeps(&twice, &lax), Err(Skip::Incomplete));
}
