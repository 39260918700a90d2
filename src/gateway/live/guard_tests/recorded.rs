//! The recordings: what guardrails find nothing in stays as it is, and a word of theirs is replaced as in the whole.

use super::*;
use crate::gateway::live::continuation_tests::recorded::{folder, recorded};

/// Some letters of what an answer says, from its middle.
fn word_of(gists: &[Gist]) -> Option<String> {
    let longest = gists
        .iter()
        .flat_map(|gist| {
            [&gist.texts, &gist.thoughts]
                .into_iter()
                .chain(gist.calls.iter().map(|(_, given)| given))
        })
        .max_by_key(|text| text.len())?;
    let letters: Vec<char> = longest.chars().filter(|c| !"\"\\{}[]:,".contains(*c)).collect();
    let middle = letters.len() / 2;
    let word: String = letters.get(middle..middle + 4)?.iter().collect();
    longest.contains(&word).then_some(word)
}

#[test]
fn recordings_are_judged_as_their_wholes() {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: no recordings");
        return;
    };
    let (mut same, mut replaced, mut refused) = (0, 0, 0);
    let vendors = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = vendors
        .filter(|path| path.is_dir())
        .flat_map(|path| std::fs::read_dir(path).unwrap());
    for (number, path) in files.map(|entry| entry.unwrap().path()).enumerate() {
        let Some((stream, own)) = recorded(&path) else { continue };
        let step = [7, 61, 1000, 1 << 20][number % 4];
        let pairs = own
            .map(|side| (side, true))
            .into_iter()
            .chain(clients::ALL.map(|side| (side, false)));
        for (side, native) in pairs {
            let shown = || format!("{} for {} native {native}", path.display(), side.name);
            let plain = send(&side, native, &stream, 1 << 20, None);
            if plain.broken.is_some() {
                continue;
            }
            let plain = told(&side, &plain.out);
            let before = gist(&plain, None);
            let nothing = policy(&[("\u{e000}", Action::Redact), ("\u{e001}", Action::Block)]);
            let sent = send(&side, native, &stream, step, Some(&nothing));
            let after = told(&side, &sent.out);
            assert_eq!(gist(&after, None), before, "{}", shown());
            assert_eq!(after.usage, plain.usage, "{}", shown());
            assert!(sent.verdicts.is_empty());
            same += 1;
            let Some(word) = word_of(&before) else { continue };
            let redacts = policy(&[(&word, Action::Redact)]);
            let mut whole = Judge::new(&redacts, Direction::Output);
            let wanted = gist(&plain, Some(&mut whole));
            let sent = send(&side, native, &stream, step, Some(&redacts));
            assert_eq!(gist(&told(&side, &sent.out), None), wanted, "{} {word:?}", shown());
            replaced += usize::from(wanted != before);
            let sent = send(&side, native, &stream, step, Some(&policy(&[(&word, Action::Block)])));
            assert_eq!(sent.refused, wanted != before, "{} {word:?}", shown());
            let end = told(&side, &sent.out);
            if sent.refused {
                let filtered = |one: &Gist| matches!(one.finish, Some(Finish::ContentFilter | Finish::Refusal));
                assert!(gist(&end, None).iter().any(filtered), "{}", shown());
                assert!(
                    gist(&end, None).iter().all(|one| !one.texts.contains(&word)),
                    "{}",
                    shown()
                );
                if end.candidates.len() == 1 {
                    (side.insists)(&sent.out);
                }
                refused += 1;
            }
        }
    }
    eprintln!("{same} {replaced} {refused}");
    assert!(
        same > 100 && replaced > 100 && refused > 100,
        "{same} {replaced} {refused}"
    );
}
