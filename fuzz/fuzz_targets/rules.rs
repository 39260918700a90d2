//! Any text is a rule or a fault with its place; what compiled decides on any facts, and is explained as it decides.
#![no_main]

use cirque::rules::{Facts, Known, Lookup, Needs, Outcome, Rules, Source, Strings, Switch, Value};
use libfuzzer_sys::fuzz_target;

/// Facts made of the input: the same name always has the same value.
struct Anything<'a> {
    words: &'a [&'a str],
    seed: u64,
}

impl Anything<'_> {
    fn draw(&self, name: &str) -> u64 {
        name.bytes()
            .fold(self.seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn word(&self, draw: u64) -> &str {
        let at = usize::try_from(draw >> 8).unwrap_or(0) % self.words.len().max(1);
        self.words.get(at).copied().unwrap_or_default()
    }
}

impl Lookup for Anything<'_> {
    fn value(&self, name: &str) -> Option<Value<'_>> {
        let draw = self.draw(name);
        Some(match draw % 8 {
            0 => return None,
            1 => Value::Null,
            2 => Value::Bool(draw & 64 == 0),
            3 => Value::Int(draw.cast_signed()),
            4 => Value::Double(f64::from_bits(draw)),
            5 => Value::List(self),
            _ => Value::Str(self.word(draw)),
        })
    }
}

impl Strings for Anything<'_> {
    fn count(&self) -> usize {
        self.words.len()
    }

    fn item(&self, at: usize) -> Option<&str> {
        self.words.get(at).copied()
    }
}

fuzz_target!(|input: (&str, &str, &str, u64, i64, u8)| {
    let (when, on, words, seed, now, flags) = input;
    let words: Vec<&str> = words.split(' ').collect();
    let sources = [
        Source {
            name: "changes",
            when: Some(when),
            ends: false,
            switch: None,
        },
        Source {
            name: "goes",
            when: None,
            ends: true,
            switch: Some(Switch {
                on,
                cases: words.iter().copied().take(5).collect(),
                otherwise: flags & 1 != 0,
            }),
        },
        Source {
            name: "decides",
            when: Some(on),
            ends: true,
            switch: None,
        },
    ];
    // Each alone, too: of all together one is seldom right.
    for part in [&sources[..], &sources[..1], &sources[1..2], &sources[2..]] {
        let known = Known {
            operations: &["chat", "embeddings"],
            dialects: &["openai", "anthropic"],
        };
        let rules = match Rules::compile(part, &known) {
            Ok(rules) => rules,
            Err(faults) => {
                assert!(!faults.is_empty());
                for fault in faults {
                    assert!(fault.rule < part.len() && !fault.message.is_empty());
                    assert!(fault.offset <= when.len().max(on.len()), "{fault:?}");
                }
                continue;
            }
        };
        let anything = Anything { words: &words, seed };
        let facts = Facts {
            model: words.first().copied().unwrap_or_default(),
            operation: if flags & 2 == 0 { "chat" } else { "embeddings" },
            dialect: if flags & 4 == 0 { "openai" } else { "anthropic" },
            stream: flags & 8 != 0,
            headers: &anything,
            metadata: &anything,
            key: words.get(1).copied().unwrap_or_default(),
            team: words.last().copied().unwrap_or_default(),
            tags: &anything,
            claims: &anything,
            tokens: seed,
            max_tokens: (flags & 16 == 0).then_some(seed >> 7),
            needs: Needs {
                tools: flags & 32 != 0,
                vision: flags & 64 != 0,
                ..Needs::default()
            },
            now,
            ip: "127.0.0.1",
        };
        let mut steps = Vec::new();
        rules.decide(&facts, |step| steps.push(step));
        let ends = steps.iter().position(|step| step.ends);
        assert!(ends.is_none_or(|at| at + 1 == steps.len()), "nothing after the end");
        let explained = rules.explain(&facts);
        assert_eq!(explained.len(), part.len());
        let held: Vec<usize> = (0..).zip(&explained).filter(|(_, it)| it.outcome == Outcome::Held).map(|(at, _)| at).collect();
        let decided: Vec<usize> = steps.iter().map(|step| step.rule).collect();
        assert_eq!(held, decided, "{explained:?}");
    }
});
