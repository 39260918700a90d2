//! Reading parts of a price file: each function takes a node and its place, and reports what is wrong with it.
//!
//! Not what the parts mean together ([`super::entry`]). A part that cannot be read is [`None`] and one problem; reading goes
//! on, so that all problems are told at once.

use crate::config::money::{Percent, Usd, UsdPerMillion};
use crate::config::problem::{Place, Problem, nearest, quoted};
use crate::config::tree::{Data, Entry, Node, Position};
use crate::prices::Confidence;
use crate::units::{NanoUsd, ServiceRates, Tokens};
use serde_json::Value;
use std::sync::Arc;

/// Most tokens that a model is believed to take or write.
const MOST_TOKENS: u64 = 1_000_000_000;

/// What models of a vendor have where they do not say.
#[derive(Clone)]
pub(super) struct Defaults {
    pub(super) source: Option<Arc<str>>,
    pub(super) read: Option<Arc<str>>,
    pub(super) confidence: Confidence,
    pub(super) search: NanoUsd,
    pub(super) service: ServiceRates,
}

impl Defaults {
    pub(super) fn new(confidence: Confidence) -> Self {
        Self {
            source: None,
            read: None,
            confidence,
            search: 0,
            service: ServiceRates::SAME,
        }
    }
}

/// One file being read.
pub(super) struct Reader<'o> {
    pub(super) origin: &'o str,
    /// How sure its entries are, unless they say.
    pub(super) own: Confidence,
    pub(super) problems: Vec<Problem>,
}

impl<'o> Reader<'o> {
    pub(super) fn new(origin: &'o str, own: Confidence) -> Self {
        Self {
            origin,
            own,
            problems: Vec::new(),
        }
    }

    pub(super) fn fault(&mut self, at: Position, place: &Place, message: &str, remedy: &str) {
        self.problems.push(Problem {
            file: self.origin.to_owned(),
            path: place.to_string(),
            line: at.line,
            column: at.column,
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// The members of a mapping, of which all keys are known.
    pub(super) fn members<'n>(&mut self, node: &'n Node, place: &Place, known: &[&str]) -> &'n [Entry] {
        let members = self.any_members(Some(node), place);
        for member in members.iter().filter(|member| !known.contains(&&*member.key)) {
            let remedy = nearest(&member.key, known.iter().copied()).map_or_else(
                || format!("known here: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("unknown key {}", quoted(&member.key));
            self.fault(member.at, &place.key(&member.key), &message, &remedy);
        }
        members
    }

    /// The members of a mapping with keys of any name; none where there is nothing.
    pub(super) fn any_members<'n>(&mut self, node: Option<&'n Node>, place: &Place) -> &'n [Entry] {
        match node.map(|node| (&node.data, node.at)) {
            Some((Data::Map(members), _)) => members,
            None | Some((Data::Scalar(Value::Null), _)) => &[],
            Some((_, at)) => {
                self.fault(
                    at,
                    place,
                    "not a mapping",
                    "write `key: value` lines, or { key: value }",
                );
                &[]
            }
        }
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, place: &Place) -> Option<&'n str> {
        match &node.data {
            Data::Scalar(Value::String(text)) if text.chars().all(|c| !c.is_control()) && text.len() <= 400 => {
                Some(text)
            }
            _ => {
                self.fault(
                    node.at,
                    place,
                    "not a text of at most 400 characters",
                    "write it in quotes",
                );
                None
            }
        }
    }

    fn parsed<T>(&mut self, node: &Node, place: &Place, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if let Data::Scalar(Value::Number(number)) = &node.data {
            let message = "a price is text, so that no rounding comes between it and a bill";
            self.fault(node.at, place, message, &format!("write \"{number}\""));
            return None;
        }
        let text = self.text(node, place)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let (what, how) = error.split_once(": ").unwrap_or((&error, "see docs/prices.md"));
                self.fault(node.at, place, &format!("{}: {what}", quoted(text)), how);
                None
            }
        }
    }

    /// Dollars per million tokens.
    pub(super) fn rate(&mut self, node: &Node, place: &Place) -> Option<NanoUsd> {
        self.parsed(node, place, |text| UsdPerMillion::parse(text).map(UsdPerMillion::nano))
    }

    /// Dollars.
    pub(super) fn usd(&mut self, node: &Node, place: &Place) -> Option<NanoUsd> {
        self.parsed(node, place, |text| Usd::parse(text).map(Usd::nano))
    }

    /// Hundredths of a percent.
    pub(super) fn percent(&mut self, node: &Node, place: &Place) -> Option<u32> {
        self.parsed(node, place, |text| Percent::parse(text).map(Percent::basis_points))
    }

    pub(super) fn tokens(&mut self, node: &Node, place: &Place) -> Option<Tokens> {
        let number = match &node.data {
            Data::Scalar(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let number = number.filter(|number| (1..=MOST_TOKENS).contains(number));
        if number.is_none() {
            let remedy = "write a whole number from 1 to 1000000000, such as 200000";
            self.fault(node.at, place, "not a number of tokens", remedy);
        }
        number
    }

    /// A day or a moment, in seconds since 1970.
    pub(super) fn moment(&mut self, node: &Node, place: &Place) -> Option<i64> {
        let text = self.text(node, place)?;
        let day = || text.parse::<jiff::civil::Date>().ok();
        let day = || Some(day()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
        let moment = text.parse::<jiff::Timestamp>().ok().or_else(day);
        if moment.is_none() {
            let remedy = "write it such as 2026-11-22 (00:00 UTC) or 2026-11-22T04:00:00Z";
            self.fault(node.at, place, &format!("{}: not a day", quoted(text)), remedy);
        }
        moment.map(jiff::Timestamp::as_second)
    }

    pub(super) fn date_text(&mut self, node: &Node, place: &Place) -> Option<Arc<str>> {
        self.moment(node, place)?;
        self.text(node, place).map(Into::into)
    }

    pub(super) fn names(&mut self, node: Option<&Node>, place: &Place) -> Vec<String> {
        let Some(node) = node else { return Vec::new() };
        let Data::List(items) = &node.data else {
            self.fault(node.at, place, "not a list", "write [name, name]");
            return Vec::new();
        };
        let read = |(index, item): &(usize, Node)| self.text(item, &place.index(*index)).map(str::to_owned);
        items.iter().filter_map(read).collect()
    }

    pub(super) fn service(&mut self, node: &Node, place: &Place, service: &mut ServiceRates) {
        for member in self.members(node, place, &["batch", "flex", "priority"]) {
            let Some(part) = self.percent(&member.node, &place.key(&member.key)) else {
                continue;
            };
            match member.key.as_str() {
                "batch" => service.batch = part,
                "flex" => service.flex = part,
                _ => service.priority = part,
            }
        }
    }

    pub(super) fn confidence(&mut self, node: &Node, place: &Place) -> Option<Confidence> {
        let all = [
            Confidence::Page,
            Confidence::Reported,
            Confidence::Knowledge,
            Confidence::Own,
        ];
        let text = self.text(node, place)?;
        let known = all.into_iter().find(|known| known.as_str() == text);
        if known.is_none() {
            let message = format!("{}: unknown", quoted(text));
            self.fault(node.at, place, &message, "write one of page, reported, knowledge, own");
        }
        known
    }

    pub(super) fn vendor_defaults(&mut self, node: &Node, place: &Place, above: &Defaults) -> Defaults {
        const KNOWN: [&str; 7] = ["source", "read", "confidence", "search", "service", "like", "models"];
        let mut defaults = above.clone();
        for member in self.members(node, place, &KNOWN) {
            self.default(member, place, &mut defaults);
        }
        defaults
    }

    /// One of the members that vendors and models have both.
    pub(super) fn default(&mut self, member: &Entry, place: &Place, defaults: &mut Defaults) {
        let (node, place) = (&member.node, place.key(&member.key));
        match member.key.as_str() {
            "source" => defaults.source = self.text(node, &place).map(Into::into),
            "read" => defaults.read = self.date_text(node, &place),
            "confidence" => defaults.confidence = self.confidence(node, &place).unwrap_or(defaults.confidence),
            "search" => defaults.search = self.usd(node, &place).unwrap_or_default(),
            "service" => self.service(node, &place, &mut defaults.service),
            _ => {}
        }
    }
}
