//! The status an error inside a stream would have had.
//!
//! A stream has been answered with 200, so its error says by a number or a word what the status would have said. Sources: the
//! vendors' error pages named in the table (types of Anthropic, codes of OpenAI, `google.rpc.Code`, Bedrock's exceptions).

/// From the codes of an error. 500 when they say nothing: a stream that breaks off is the server's.
pub fn status(codes: &[String]) -> u16 {
    let number = |code: &String| code.parse::<u16>().ok().filter(|code| (400..600).contains(code));
    let word = |code: &String| {
        let found = WORDS.iter().find(|(_, words)| words.contains(&code.as_str()));
        found.map(|(status, _)| *status)
    };
    let mut numbers = codes.iter().filter_map(number);
    numbers.next().or_else(|| codes.iter().find_map(word)).unwrap_or(500)
}

/// Words for a status.
const WORDS: &[(u16, &[&str])] = &[
    (
        400,
        &[
            "invalid_request_error",
            "invalid_prompt",
            "context_length_exceeded",
            "content_filter",
            "INVALID_ARGUMENT",
            "FAILED_PRECONDITION",
            "ValidationException",
            "BadRequestError",
        ],
    ),
    (401, &["authentication_error", "invalid_api_key", "UNAUTHENTICATED"]),
    (402, &["billing_error"]),
    (403, &["permission_error", "PERMISSION_DENIED", "AccessDeniedException"]),
    (
        404,
        &[
            "not_found_error",
            "model_not_found",
            "NOT_FOUND",
            "ResourceNotFoundException",
        ],
    ),
    (413, &["request_too_large"]),
    (
        429,
        &[
            "rate_limit_error",
            "rate_limit_exceeded",
            "insufficient_quota",
            "RESOURCE_EXHAUSTED",
            "ThrottlingException",
            "ServiceQuotaExceededException",
        ],
    ),
    (503, &["UNAVAILABLE", "ServiceUnavailableException"]),
    (504, &["timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"]),
    (529, &["overloaded_error"]),
];

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn numbers_come_before_words() {
        let of = |codes: &[&str]| status(&codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["overloaded_error"]), 529);
        assert_eq!(of(&["rate_limit_error", "400"]), 400);
        assert_eq!(of(&["1113"]), 500);
        assert_eq!(of(&[]), 500);
    }
}
