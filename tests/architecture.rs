//! The map in `src/lib.rs`, enforced: imports point to lower ranks, rooms of one rank do not know each other, every file
//! says what it is for, no file is too long.
//!
//! Reads the sources as text, comments and string contents taken out. That is enough because the code names other rooms
//! only as `crate::room::…` or, rarely, through `super`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Imports between rooms of one rank, each with its reason.
const ALLOWED: [(&str, &str); 2] = [
    // Tells systemd what the server does.
    ("server", "notify"),
    // `cirque serve`.
    ("cli", "server"),
];

const LONGEST: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Rank of each room, from the table in `src/lib.rs`.
fn ranks() -> BTreeMap<String, u32> {
    let mut ranks = BTreeMap::new();
    for line in std::fs::read_to_string(root().join("lib.rs")).unwrap().lines() {
        let mut cells = line.strip_prefix("//! |").unwrap_or_default().split('|');
        let Some(Ok(rank)) = cells.next().map(|cell| cell.trim().parse()) else {
            continue;
        };
        for name in cells.next().unwrap().split('`').skip(1).step_by(2) {
            assert!(
                ranks.insert(name.to_owned(), rank).is_none(),
                "`{name}` is in the table twice"
            );
        }
    }
    ranks
}

/// The code without comments and without what is inside string literals.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    let skip_to = |from: usize, end: &str| {
        text[from..]
            .find(end)
            .map_or(text.len(), |found| from + found + end.len())
    };
    while at < text.len() {
        let rest = &text[at..];
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let in_word = before.is_ascii_alphanumeric() || before == b'_';
        let raw = rest.trim_start_matches(['b', 'r']).trim_start_matches('#');
        let prefix = &rest[..rest.len() - raw.len()];
        if rest.starts_with("//") {
            at = skip_to(at, "\n");
            out.push('\n');
        } else if rest.starts_with("/*") {
            at = skip_to(at + 2, "*/");
        } else if !in_word && raw.starts_with('"') && matches!(prefix.trim_end_matches('#'), "r" | "br") {
            let hashes = prefix.len() - prefix.trim_end_matches('#').len();
            at = skip_to(at + prefix.len() + 1, &format!("\"{}", "#".repeat(hashes)));
            out.push_str("\"\"");
        } else if rest.starts_with('"') {
            at += 1;
            while at < text.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
            out.push_str("\"\"");
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            // A character literal that could be taken for the start of a string or an escape.
            at = skip_to(at + 2, "'");
        } else {
            let character = rest.chars().next().unwrap();
            out.push(character);
            at += character.len_utf8();
        }
    }
    out
}

/// First names of the paths that follow `prefix::`, groups (`{a, b::c}`) opened.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == ':' {
            continue;
        }
        let rest = code[at + prefix.len()..].trim_start();
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                _ if start && !character.is_whitespace() => {
                    names.push(word(&group[index..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The room a file belongs to, and how deep its module is below the crate.
fn place(file: &str) -> (&str, usize) {
    let parts: Vec<&str> = file.split('/').collect();
    let room = parts[0].trim_end_matches(".rs");
    let is_room = parts.last() == Some(&"mod.rs");
    (room, parts.len() - usize::from(is_room))
}

/// The rooms a file names.
fn imports(file: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let (_, depth) = place(file);
    // As many `super` as the module is deep reach the crate's top.
    let climbing = "super::".repeat(depth);
    let mut names = names_after(&code, "crate::");
    names.extend(names_after(&code, &climbing));
    if file == "main.rs" {
        names.extend(names_after(&code, "cirque::"));
    }
    names
}

#[test]
fn every_room_is_on_the_map() {
    let ranks = ranks();
    let code = code(&std::fs::read_to_string(root().join("lib.rs")).unwrap());
    let declared: Vec<String> = names_after(&code, "mod ");
    let mut mapped: Vec<&str> = ranks.keys().map(String::as_str).collect();
    mapped.sort_unstable();
    let mut rooms: Vec<&str> = declared.iter().map(String::as_str).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, mapped, "modules declared in src/lib.rs and its table differ");
}

#[test]
fn imports_point_to_lower_ranks() {
    let ranks = ranks();
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let (room, _) = place(&file);
        let Some(own) = ranks.get(room) else {
            assert!(
                matches!(room, "lib" | "main"),
                "{file}: room `{room}` is not in src/lib.rs"
            );
            continue;
        };
        for name in imports(&file, &text) {
            let Some(rank) = ranks.get(&name) else { continue };
            let allowed = ALLOWED.contains(&(room, name.as_str()));
            if name != room && rank >= own && !allowed {
                let how = if rank > own { "up" } else { "sideways" };
                wrong.push(format!(
                    "src/{file} (`{room}`, rank {own}) imports {how}: `{name}`, rank {rank}"
                ));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .collect();
    let names: Vec<&String> = silent.iter().map(|(file, _)| file).collect();
    assert!(names.is_empty(), "without `//!` at the top: {names:?}");
}

#[test]
fn no_file_is_too_long() {
    let mut long = Vec::new();
    for (file, text) in sources() {
        let lines = text.lines().count();
        if lines > LONGEST {
            long.push(format!("src/{file}: {lines} lines, at most {LONGEST}"));
        }
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn the_reader_of_this_test_reads() {
    let text = r##"
        //! crate::comment
        use crate::{alpha::A, beta::{B, C}, gamma};
        const S: &str = "crate::text \" crate::more"; const R: &str = r#"crate::raw " "#; const Q: char = '"';
        fn f<'a>(x: &'a str) { crate::delta::g('\'', x); super::super::epsilon::h(); super::own(); mycrate::no() }
    "##;
    assert_eq!(
        imports("wire/call.rs", text),
        ["alpha", "beta", "gamma", "delta", "epsilon"]
    );
    assert_eq!(place("gateway/stages/relay.rs"), ("gateway", 3));
    assert_eq!(place("wire/mod.rs"), ("wire", 1));
    assert_eq!(place("snapshot.rs"), ("snapshot", 1));
}
