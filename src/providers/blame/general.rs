//! What a status means where no row of the vendor says more: asked last, for every vendor.
//!
//! Source: 04-resilience.md ("Status decides blame") and RFC 9110 15.

use super::facts::{EMPTY, NOT_JSON};
use super::row::{ACCOUNT, BUSY, CLIENT, KEY, LIMIT, MISSING, MONEY, OVERLOADED, SERVER, Section, TOO_LONG};

/// By status.
pub static GENERAL: Section = Section {
    title: "Every vendor: by status",
    source: "RFC 9110; asked last, where nothing above fits",
    rows: &[
        // Redirects are not followed: a base URL that redirects is misconfigured, and following would carry the credential to
        // another host. Nor is a 2xx that is not 200 an answer.
        SERVER.within(200, 399),
        KEY.at(&[401]),
        MONEY.at(&[402]),
        // A page of a web firewall, or nothing at all: it may have disliked what one client wrote, which is no reason to give up
        // the key.
        SERVER.at(&[403]).code(&[NOT_JSON, EMPTY]),
        ACCOUNT.at(&[403]),
        TOO_LONG.at(&[413]),
        MISSING.at(&[410]),
        LIMIT
            .at(&[429])
            .code(&["rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"]),
        BUSY.at(&[429])
            .code(&["engine_overloaded_error", "engine_overloaded", "overloaded"]),
        LIMIT.at(&[429]),
        SERVER.at(&[408, 425, 499]),
        OVERLOADED.at(&[503, 529]),
        SERVER.within(500, 599),
        CLIENT,
    ],
};
