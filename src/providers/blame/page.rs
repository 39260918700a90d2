//! docs/blame.md, written from the rows, so that what operators read is what runs.

use super::row::{Row, Section, Statuses};
use super::{Blame, Reason, general, sections, vendors};
use crate::providers::compatible;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The page.
pub fn page() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n## Which tables are asked for which vendor\n\nAfter them [by status](#every-vendor-by-status); a vendor that is \
         not here: [OpenAI](#openai-and-all-that-speak-its-api), [Servers of models](#servers-of-models).\n\n| vendor | tables, in order |\n|---|---|\n");
    let mut asked: BTreeMap<&str, String> = BTreeMap::new();
    let own = vendors::ALL.iter().flat_map(|(names, _)| names.iter().copied());
    for vendor in own.chain(compatible::VENDORS.iter().map(|vendor| vendor.name)) {
        let titles: Vec<String> = sections(vendor)
            .iter()
            .filter(|section| !std::ptr::eq(**section, &general::GENERAL))
            .map(|section| link(section))
            .collect();
        asked.insert(vendor, titles.join(" · "));
    }
    for (vendor, titles) in asked {
        writeln!(out, "| `{vendor}` | {titles} |").unwrap();
    }
    for section in all() {
        write!(out, "\n## {}\n\nSource: {}.\n\n", section.title, section.source).unwrap();
        out.push_str("| status | code | message | blame | reason | action |\n|---|---|---|---|---|---|\n");
        for row in section.rows {
            line(row, &mut out);
        }
    }
    out
}

/// Every section once, in the order in which vendors first have them; what is asked last comes first.
pub fn all() -> Vec<&'static Section> {
    let mut found: Vec<&'static Section> = vec![&general::GENERAL];
    for section in vendors::ALL.iter().flat_map(|(_, sections)| sections.iter()) {
        if !found.iter().any(|known| known.title == section.title) {
            found.push(section);
        }
    }
    found
}

fn link(section: &Section) -> String {
    let anchor: String = section
        .title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!(
        "[{}](#{anchor})",
        section.title.split([',', ':', '(']).next().unwrap().trim()
    )
}

fn line(row: &Row, out: &mut String) {
    let statuses = match row.statuses {
        Statuses::Any => "any".to_owned(),
        Statuses::Of(list) => list.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        Statuses::Range(from, to) => format!("{from}–{to}"),
    };
    let quoted = |texts: &[&str]| match texts {
        [] => "any".to_owned(),
        // Code spans in a table: a backtick needs two around it.
        texts => texts
            .iter()
            .map(|text| {
                if text.contains('`') {
                    format!("`` {text} ``")
                } else {
                    format!("`{text}`")
                }
            })
            .collect::<Vec<_>>()
            .join("<br>"),
    };
    let reason = row.reason.map_or("·", Reason::as_str);
    writeln!(
        out,
        "| {statuses} | {} | {} | {} | {reason} | {} |",
        quoted(row.codes),
        quoted(row.says),
        row.blame.as_str(),
        action(row)
    )
    .unwrap();
}

fn action(row: &Row) -> String {
    let what = match (row.blame, row.reason) {
        (Blame::Client, Some(Reason::ContextLength)) => "context fallback, else passed on",
        (Blame::Client, Some(Reason::ContentFilter)) => "filter fallback, else passed on",
        (Blame::Client, _) => "passed on",
        (Blame::Credential, _) => "credential quarantined",
        (Blame::Target, _) => "target quarantined",
        (Blame::RateLimit, _) => "cooled",
        (Blame::Server, _) => "counts to the breaker",
    };
    match row.cool.map(|cool| cool.as_secs()) {
        None => what.to_owned(),
        Some(seconds) if seconds % 3600 == 0 => format!("{what}, {} h at least", seconds / 3600),
        Some(seconds) => format!("{what}, {seconds} s at least"),
    }
}

const HEAD: &str = "\
# Whose fault an error is

Written from the rows the gateway runs (`src/providers/blame`); do not edit. `CIRQUE_UPDATE=1 cargo test --lib blame` writes it
anew, and the test fails when it is out of date.

An answer that is not 200, and an error inside a stream before its first token, is judged once: *status, code, message → blame →
action*. The vendor's own table is asked first, then those of the API it speaks, then the one by status; the first row that fits
decides.

* **status**: of the response. Of an error inside a stream it is the one its code or type stands for, else 500.
* **code**: one of these is the `code`, `type`, `status`, `error_type`, `error_code`, `__type`, `innererror.code` or
  `details[].reason` of the vendor's error object, or `x-amzn-errortype`. `(not JSON)` is a body that has something in it and is
  not JSON. `metadata.reasons` is OpenRouter's list of what its moderation found, `QuotaFailure: PerDay` a quota of Google's by
  the day.
* **message**: the whole message of that object, from its first character on (`#` a number, `*` any text). Nothing else in a body
  is looked at, so text a client wrote and an error repeats does not count.

Statuses and codes are those of the pages named; where the page could be read in a stored copy, its date is beside it. Texts of
messages are from those pages, the servers' sources and public issue reports, and `recorded` means that a recorded exchange is
part of the tests. No account was used. A text a vendor changes stops being recognised: the answer is then judged by its code and
status.

## What follows

| blame | action | what it does |
|---|---|---|
| `client` | **passed on** | The client gets status and message in its own dialect. No other target is tried, nothing counts against this one. |
| `client`, `context_length` | **context fallback** | Where the pool names a fallback for it, the request goes to a target with a larger context; else passed on. |
| `client`, `content_filter` | **filter fallback** | Where the pool opts in, the request goes to the target named for it; else passed on. |
| `credential` | **credential quarantined** | No target that uses this credential is asked until the quarantine ends or the credential changes; an alert; the request goes elsewhere. |
| `target` | **target quarantined** | This target alone is left out; the request goes elsewhere. Where the *client* chose the model's name (a model pattern), `model_missing` and `permission` are passed on instead. |
| `rate_limit` | **cooled** | This target is left alone for as long as the answer says (else the configured time); no failure; the request goes elsewhere at once. When all are cooling: 429 with the shortest wait. |
| `server` | **counts to the breaker** | A failure of this target; the request goes elsewhere. A `retry-after` that came with it is kept. |

The rows are made so that what one client writes takes no credential or target from others: filters, inputs that are too long for a
limit, uploads that are gone and pages of web firewalls are kept apart from refused keys, though vendors use the same statuses.

| reason | means |
|---|---|
| `context_length` | the input is longer than this model, or this account at this model, takes |
| `content_filter` | the vendor's filter refused the content |
| `quota` | money, or a quota that a minute does not refill |
| `overloaded` | the vendor has more to do than it can |
| `model_missing` | no such model or deployment, or it was retired |
| `permission` | the model exists, this account may not use it |
| `key` | the key is unknown, expired, or used from where it may not be |
| `account` | the account is suspended, or its country is not served |

## When to come back

For `rate_limit`, the first of these that says something; for `server`, all but the second. At most 24 hours; negative, endless and
unreadable values are not used.

1. `retry-after-ms`, then `retry-after` (seconds or an HTTP date).
2. Of the limits with nothing left (`…-remaining…: 0`), the longest reset: `x-ratelimit-reset-{requests,tokens}` (OpenAI, Azure,
   Groq: `1m20s`), `-{requests,tokens}-{minute,day}` (Cerebras, SambaNova: seconds), `x-ratelimit-reset` (OpenRouter: ms since 1970;
   Together: seconds), `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-reset` (RFC 3339), `ratelimit-reset`.
3. In the body: `google.rpc.RetryInfo.retryDelay`, `metadata.headers.X-RateLimit-Reset` (OpenRouter), `estimated_time` (Hugging Face), the
   message's `Please try again in 7m12s`, `Please retry after 20 seconds`, `Please retry in 34.07s`.

A row with *at least* raises it: a quota by the day is not whole again in the half minute Gemini names.
";
