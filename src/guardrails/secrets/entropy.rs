//! Whether what has the form of a secret could be one: random enough, and no placeholder.
//!
//! Not where it stands (`rules`). The one idea: a secret was drawn by chance, and what people write in its place was not: the same
//! character again and again, the words `your` and `here`, a name of a variable. All of it looks at bytes: what is not ASCII counts
//! as characters that a secret does not have twice.

/// What people write where a secret would stand. Lower case.
const PLACEHOLDERS: [&[u8]; 16] = [
    b"xxxx",
    b"****",
    b"....",
    b"your",
    b"_here",
    b"-here",
    b"example",
    b"placeholder",
    b"changeme",
    b"change_me",
    b"change-me",
    b"redacted",
    b"dummy",
    b"insert",
    b"replace",
    b"not-a-real",
];

/// Passwords that stand in documentation and in what is set up for a test: nobody's secret. Lower case, whole.
const EVERYBODYS: [&str; 24] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "user",
    "username",
    "root",
    "admin",
    "guest",
    "test",
    "testing",
    "postgres",
    "mysql",
    "mongo",
    "redis",
    "rabbitmq",
    "token",
    "key",
    "none",
    "null",
    "undefined",
    "true",
    "false",
];

/// Shannon's entropy of its bytes, in bits a byte: 0 for `aaaa`, at most 4 for hexadecimal digits, at most 6 for base 64.
pub fn bits(text: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    let mut total = 0_u16;
    for byte in text.iter().take(usize::from(u16::MAX)) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
        total += 1;
    }
    let total = f32::from(total);
    let each = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f32::from(*count) / total;
        -share * share.log2()
    });
    each.sum()
}

/// Drawn by chance, as far as one can see: at least 3 bits a byte, no character eight times in a row (four
/// times happens once in a thousand secrets of 64 hexadecimal digits).
pub fn random(text: &str) -> bool {
    !repeats(text) && bits(text.as_bytes()) >= 3.0
}

/// The same with letters and digits in it, and no placeholder.
pub fn secret(text: &str) -> bool {
    random(text) && mixed(text) && !placeholder(text)
}

/// Letters and digits.
pub fn mixed(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Capitals and small letters.
pub fn both_cases(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase()) && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Something that stands where a secret would: `xxxx`, `<your key>`, `${KEY}`, `%s`.
pub fn placeholder(text: &str) -> bool {
    let bytes = text.as_bytes();
    if let [b'<' | b'$' | b'{' | b'%' | b'[' | b'(' | b'*' | b'&', ..] | [.., b'>' | b'}' | b']' | b')'] = bytes {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    EVERYBODYS.contains(&lower.as_str())
        || PLACEHOLDERS
            .iter()
            .any(|word| lower.as_bytes().windows(word.len()).any(|part| part == *word))
}

/// A character eight times in a row.
pub fn repeats(text: &str) -> bool {
    text.as_bytes()
        .windows(8)
        .any(|part| part.iter().all(|byte| Some(byte) == part.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy() {
        assert_eq!(bits(b""), 0.0);
        assert_eq!(bits(b"aaaa"), 0.0);
        assert_eq!(bits(b"abab"), 1.0);
        assert_eq!(bits(b"0123456789abcdef"), 4.0);
        assert!(bits(&b"ab".repeat(100_000)).is_finite());
    }

    #[test]
    fn placeholders() {
        let are = [
            "changeme",
            "xxxxxxxxxxxx",
            "<your key>",
            "${API_KEY}",
            "$API_KEY",
            "{{ key }}",
            "your-api-key-1",
            "API_KEY_HERE",
            "example-key-1",
            "%s",
            "password",
            "[REDACTED]",
            "************",
        ];
        for text in are {
            assert!(placeholder(text), "{text}");
        }
        for text in ["9fK2mQ7xB4tW", "hunter2", "Tr0ub4dor&3", "correct horse", "é", ""] {
            assert!(!placeholder(text), "{text}");
        }
        assert!(!secret("aaaaaaaaaaaaaaaaaaaaaaaaa1"));
        assert!(!secret("next_page_of_the_results"));
        assert!(secret("q8Zk3Lw0Vn6Tt1Yp"));
    }
}
