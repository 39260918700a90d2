//! One model of a price file: its periods, their rates, and `same_as`.

use super::reader::{Defaults, Reader};
use super::{Draft, Same};
use crate::config::problem::Place;
use crate::config::tree::{Data, Entry as Member, Node};
use crate::prices::{Entry, Facts};
use crate::units::{NanoUsd, Price, Rates, Tokens};

/// What a class of tokens costs, by its key.
const CLASSES: [&str; 8] = [
    "input",
    "output",
    "cached",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
];
/// What is said of a model, beside its rates.
const BESIDE: [&str; 12] = [
    "request",
    "search",
    "service",
    "tiers",
    "valid_from",
    "until",
    "max_output",
    "context",
    "source",
    "read",
    "confidence",
    "note",
];

/// What stands beside the rates of an entry.
pub(super) struct Beside {
    pub(super) max_output: Option<Tokens>,
    pub(super) context: Option<Tokens>,
    pub(super) defaults: Defaults,
}

impl Beside {
    fn facts(&self, reader: &Reader<'_>) -> Facts {
        Facts {
            max_output: self.max_output,
            context: self.context,
            source: self.defaults.source.clone().unwrap_or_else(|| reader.origin.into()),
            read: self.defaults.read.clone().unwrap_or_else(|| "".into()),
            confidence: self.defaults.confidence,
        }
    }
}

/// A model: one entry, a list of them by date, or `same_as` another.
pub(super) fn draft(
    reader: &mut Reader<'_>,
    vendor: &str,
    model: &Member,
    place: &Place,
    defaults: &Defaults,
) -> Option<Draft> {
    let mut names = vec![model.key.clone()];
    match &model.node.data {
        Data::List(items) => {
            let mut entries = Vec::new();
            for (index, item) in items {
                let place = place.index(*index);
                names.extend(reader.names(item.get("also"), &place.key("also")));
                entries.extend(entry(reader, item, &place, defaults));
            }
            let known = entries.len() == items.len();
            overlaps(reader, &model.node, &entries, place);
            (known && !entries.is_empty()).then_some(Draft {
                names,
                entries,
                same: None,
            })
        }
        _ => {
            names.extend(reader.names(model.node.get("also"), &place.key("also")));
            let same = match model.node.get("same_as") {
                Some(_) => Some(same(reader, vendor, &model.node, place, defaults)?),
                None => None,
            };
            let entries = match &same {
                Some(_) => Vec::new(),
                None => vec![entry(reader, &model.node, place, defaults)?],
            };
            Some(Draft { names, entries, same })
        }
    }
}

/// Two entries that begin at the same moment: which one holds nobody could say.
fn overlaps(reader: &mut Reader<'_>, node: &Node, entries: &[Entry], place: &Place) {
    let mut starts: Vec<_> = entries.iter().map(|entry| entry.from).collect();
    starts.sort_unstable();
    if starts.windows(2).any(|pair| pair.first() == pair.last()) {
        let remedy = "give each but one a `valid_from` of its own";
        reader.fault(node.at, place, "two prices hold from the same day on", remedy);
    }
}

fn same(reader: &mut Reader<'_>, vendor: &str, node: &Node, place: &Place, defaults: &Defaults) -> Option<Same> {
    const KNOWN: [&str; 9] = [
        "same_as",
        "times",
        "also",
        "max_output",
        "context",
        "source",
        "read",
        "confidence",
        "note",
    ];
    let mut beside = Beside {
        max_output: None,
        context: None,
        defaults: defaults.clone(),
    };
    let mut times = Some(10_000);
    for member in reader.members(node, place, &KNOWN) {
        match member.key.as_str() {
            "times" => times = reader.percent(&member.node, &place.key("times")),
            _ => said(reader, member, place, &mut beside),
        }
    }
    let target = node.get("same_as")?;
    let text = reader.text(target, &place.key("same_as"))?;
    // Names of models hold slashes too: what is before the first one is a vendor only if it is written `vendor:…`.
    let (to, model) = text
        .split_once(':')
        .filter(|(to, _)| is_vendor(to))
        .unwrap_or((vendor, text));
    Some(Same {
        vendor: to.to_owned(),
        model: model.to_owned(),
        times: times?,
        own: beside,
        at: target.at,
        place: place.key("same_as"),
    })
}

fn is_vendor(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn said(reader: &mut Reader<'_>, member: &Member, place: &Place, beside: &mut Beside) {
    let here = place.key(&member.key);
    match member.key.as_str() {
        "max_output" => beside.max_output = reader.tokens(&member.node, &here),
        "context" => beside.context = reader.tokens(&member.node, &here),
        "note" => {
            reader.text(&member.node, &here);
        }
        _ => reader.default(member, place, &mut beside.defaults),
    }
}

fn entry(reader: &mut Reader<'_>, node: &Node, place: &Place, defaults: &Defaults) -> Option<Entry> {
    let before = reader.problems.len();
    let mut known = CLASSES.to_vec();
    known.extend(BESIDE);
    known.push("also");
    let mut beside = Beside {
        max_output: None,
        context: None,
        defaults: defaults.clone(),
    };
    let (mut from, mut until, mut request) = (None, None, 0);
    for member in reader.members(node, place, &known) {
        let here = place.key(&member.key);
        match member.key.as_str() {
            "valid_from" => from = reader.moment(&member.node, &here),
            "until" => until = reader.moment(&member.node, &here),
            "request" => request = reader.usd(&member.node, &here).unwrap_or_default(),
            _ => said(reader, member, place, &mut beside),
        }
    }
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        reader.fault(
            node.at,
            place,
            "ends before it begins",
            "give `until` a later day than `valid_from`",
        );
    }
    let with = |rates: Rates| Rates {
        request,
        search: beside.defaults.search,
        ..rates
    };
    let base = rates(reader, node, place).map(with);
    let tiers: Vec<_> = tiers(reader, node.get("tiers"), &place.key("tiers"))
        .into_iter()
        .map(|(above, rates)| (above, with(rates)))
        .collect();
    (reader.problems.len() == before).then_some(())?;
    Some(Entry {
        price: Price {
            base: base?,
            tiers: tiers.into(),
            service: beside.defaults.service,
        },
        from,
        until,
        facts: beside.facts(reader),
    })
}

fn rates(reader: &mut Reader<'_>, node: &Node, place: &Place) -> Option<Rates> {
    let mut of = |key: &str| {
        let node = node.get(key)?;
        reader.rate(node, &place.key(key))
    };
    let (input, output) = (of("input"), of("output"));
    let classes: [Option<NanoUsd>; 6] = [
        of("cached"),
        of("cache_write"),
        of("cache_write_1h"),
        of("reasoning"),
        of("audio_input"),
        of("audio_output"),
    ];
    if node.get("input").is_none() && node.get("output").is_none() && node.get("request").is_none() {
        let remedy = "give `input` and `output` in dollars per million tokens, or `request` in dollars";
        reader.fault(node.at, place, "no price", remedy);
        return None;
    }
    Some(classed(input.unwrap_or(0), output.unwrap_or(0), classes))
}

/// Rates of which some classes are given: cached, written for five minutes, for an hour, reasoning, audio in, audio out.
fn classed(input: NanoUsd, output: NanoUsd, classes: [Option<NanoUsd>; 6]) -> Rates {
    let [
        cached,
        cache_write,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
    ] = classes;
    let cache_write = cache_write.unwrap_or(input);
    Rates {
        cached: cached.unwrap_or(input),
        cache_write,
        cache_write_1h: cache_write_1h.unwrap_or(cache_write),
        reasoning: reasoning.unwrap_or(output),
        audio_input: audio_input.unwrap_or(input),
        audio_output: audio_output.unwrap_or(output),
        ..Rates::plain(input, output)
    }
}

fn tiers(reader: &mut Reader<'_>, node: Option<&Node>, place: &Place) -> Vec<(Tokens, Rates)> {
    let Some(node) = node else { return Vec::new() };
    let Data::List(items) = &node.data else {
        reader.fault(
            node.at,
            place,
            "not a list",
            "write [{ above: 200000, input: \"…\", output: \"…\" }]",
        );
        return Vec::new();
    };
    let mut tiers: Vec<(Tokens, Rates)> = Vec::new();
    for (index, item) in items {
        let place = place.index(*index);
        let mut known = CLASSES.to_vec();
        known.push("above");
        reader.members(item, &place, &known);
        let Some(above) = item.get("above") else {
            reader.fault(
                item.at,
                &place,
                "no `above`",
                "say from how many input tokens on it holds",
            );
            continue;
        };
        let above = reader.tokens(above, &place.key("above"));
        let rates = rates(reader, item, &place);
        let (Some(above), Some(rates)) = (above, rates) else {
            continue;
        };
        if tiers.last().is_some_and(|(before, _)| *before >= above) {
            reader.fault(
                item.at,
                &place,
                "not above the tier before it",
                "order tiers by `above`",
            );
        }
        tiers.push((above, rates));
    }
    tiers
}

/// Entries as another model has them: at a part of the price, with what is said of them here.
pub(super) fn follow(entries: &mut [Entry], same: &Same) {
    for entry in entries {
        let price = &mut entry.price;
        let all = std::iter::once(&mut price.base).chain(price.tiers.iter_mut().map(|(_, rates)| rates));
        all.for_each(|rates| *rates = rates.times(same.times));
        let facts = &mut entry.facts;
        facts.max_output = same.own.max_output.or(facts.max_output);
        facts.context = same.own.context.or(facts.context);
        facts.confidence = same.own.defaults.confidence;
        for (mine, theirs) in [
            (&mut facts.source, &same.own.defaults.source),
            (&mut facts.read, &same.own.defaults.read),
        ] {
            if let Some(theirs) = theirs {
                *mine = theirs.clone();
            }
        }
    }
}
