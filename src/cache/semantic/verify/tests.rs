//! Own cases for every veto, and what holds of any pair of texts.

use super::*;
use proptest::prelude::*;

fn veto_of(a: &str, b: &str) -> Option<Veto> {
    let (x, y) = (Lexical::of(a), Lexical::of(b));
    let found = gate(&x, &y);
    assert_eq!(found, gate(&y, &x), "not symmetric: {a:?} {b:?}");
    found
}

fn verdict(a: &str, b: &str, cosine: f32) -> Verdict {
    let (x, y) = (Lexical::of(a), Lexical::of(b));
    judge(
        &Side { text: a, lexical: &x },
        &Side { text: b, lexical: &y },
        cosine,
        cosine,
    )
}

#[track_caller]
fn vetoed(veto: Veto, cases: &[(&str, &str)]) {
    for (a, b) in cases {
        assert_eq!(
            veto_of(a, b),
            Some(veto),
            "{a:?} {b:?}\n{:?}\n{:?}",
            Lexical::of(a),
            Lexical::of(b)
        );
        let found = verdict(a, b, 0.999);
        assert_eq!((found.score, found.veto), (0.0, Some(veto)));
    }
}

#[track_caller]
fn passes(cases: &[(&str, &str)]) {
    for (a, b) in cases {
        assert_eq!(
            veto_of(a, b),
            None,
            "{a:?} {b:?}\n{:?}\n{:?}",
            Lexical::of(a),
            Lexical::of(b)
        );
    }
}

#[test]
fn numbers() {
    vetoed(
        Veto::Number,
        &[
            ("What is 12 times 9?", "What is 12 times 8?"),
            ("Name three rivers.", "Name four rivers."),
            ("Name a river.", "Name 4 rivers."),
            ("Give me twenty-five names", "Give me twenty-six names"),
            ("What changed in release 3.1?", "What changed in release 3.10?"),
            ("Who won in 1,998?", "Who won in 1,999?"),
            ("What is 1+1?", "What is 21+1?"),
            (
                "Was sind die drei Flüsse der Schweiz?",
                "Was sind die vier Flüsse der Schweiz?",
            ),
            (
                "Quels sont les trois fleuves de la Chine ?",
                "Quels sont les quatre fleuves de la Chine ?",
            ),
            (
                "Dime tres ríos de Perú, por favor.",
                "Dime cuatro ríos de Perú, por favor.",
            ),
            ("Is the pool open at 17:00?", "Is the pool open at 18:00?"),
        ],
    );
    passes(&[
        ("Name three rivers.", "Name 3 rivers."),
        ("Tell me one joke", "Tell me a joke"),
        ("What is 1,000 plus 5?", "1000 + 5 is what?"),
        ("Give me twenty-five names", "Give me 25 names"),
        ("Give me three hundred names", "Give me 300 names"),
    ]);
}

#[test]
fn units_and_signs() {
    vetoed(
        Veto::Unit,
        &[
            ("Convert 8 km to yards.", "Convert 8 kg to yards."),
            ("What is 5 dollars worth?", "What is 5 euros worth?"),
            ("What is $5 worth?", "What is €5 worth?"),
            ("How far is 40km?", "How far is 40 miles?"),
            ("Wait 5 minutes, then what?", "Wait 5 hours, then what?"),
            ("Is 30°C hot?", "Is 30°F hot?"),
        ],
    );
    vetoed(
        Veto::Sign,
        &[
            ("What is 8 + 3?", "What is 8 * 3?"),
            ("What is 8 plus 3?", "What is 8 minus 3?"),
            ("What does 😀 mean?", "What does 😢 mean?"),
        ],
    );
    passes(&[
        ("Convert 8 km to yards.", "How many yards are in 8 kilometers?"),
        ("What is 5% of 80?", "What is 5 percent of 80?"),
        ("What is 8 + 3?", "What is 8 plus 3?"),
    ]);
}

#[test]
fn dates() {
    vetoed(
        Veto::Date,
        &[
            ("Is the pool open on Monday?", "Is the pool open on Tuesday?"),
            ("Weather of Crete in March 2020", "Weather of Crete in May 2020"),
            ("What is on TV today?", "What is on TV tomorrow?"),
            ("What is on TV?", "What is on TV tonight?"),
            ("Ist das Bad am Montag offen?", "Ist das Bad am Dienstag offen?"),
        ],
    );
    passes(&[
        ("Was it cold on 2024-05-03?", "Was it cold on 2024-05-03, please?"),
        ("Is the pool open Mon?", "Is the pool open Monday?"),
    ]);
}

#[test]
fn quotes_and_code() {
    vetoed(
        Veto::Quote,
        &[
            ("What does \"break a leg\" mean?", "What does \"break an egg\" mean?"),
            ("Say “good night” politely", "Say “good day” politely"),
            ("Explain 'to be' to me", "Explain 'to have' to me"),
            ("Was heißt „Feierabend“ genau?", "Was heißt „Abendbrot“ genau?"),
        ],
    );
    vetoed(
        Veto::Code,
        &[
            ("What prints `let x = y;` here?", "What prints `let y = x;` here?"),
            ("Run ```a b``` now", "Run ```b a``` now"),
        ],
    );
    vetoed(
        Veto::Identifier,
        &[
            ("What does load_user do?", "What does load_users do?"),
            ("What does `getUser` do?", "What does `getuser` do?"),
            ("What does getUser do?", "What does getuser do?"),
            ("Explain src/net/tcp", "Explain src/net/udp"),
            ("What is --dry-run for?", "What is --dry-wash for?"),
            ("Price of the Rover R30", "Price of the Rover R35"),
            ("Read notes.txt", "Read notes.md"),
            ("Call foo::bar now", "Call foo::baz now"),
        ],
    );
    vetoed(
        Veto::Address,
        &[
            ("Summarize https://a.example/x", "Summarize https://a.example/y"),
            ("Who is ann@a.example?", "Who is bob@a.example?"),
        ],
    );
    passes(&[
        ("What does load_user do?", "Explain `load_user()`."),
        ("Say “good night” politely", "Say \"good night\" politely, please"),
    ]);
}

#[test]
fn names_and_words() {
    vetoed(
        Veto::Entity,
        &[
            ("What is the capital of Chad?", "What is the capital of Mali?"),
            ("Какая столица у Мали?", "Какая столица у Чада?"),
            ("Tell me about Marie Curie.", "Tell me about Pierre Curie."),
            ("How do I fix EPERM there?", "How do I fix EBUSY here?"),
            ("What food is eaten in the North?", "What food is eaten in Goa?"),
        ],
    );
    vetoed(
        Veto::Word,
        &[
            ("what is the capital of chad", "what is the capital of mali"),
            ("How is gout treated?", "How is scurvy treated?"),
            (
                "Wie heißt die Hauptstadt von Mali?",
                "Wie heißt die Hauptstadt von Togo?",
            ),
            ("马里的首都是什么？", "乍得的首都是什么？"),
            ("how do I delete this branch", "how do I delete this repo"),
        ],
    );
    passes(&[
        ("What is the capital of Chad?", "chad capital city?"),
        ("Tell me about the US economy", "Describe the economy of the USA"),
    ]);
}

#[test]
fn languages_and_formats() {
    vetoed(
        Veto::Language,
        &[
            ("How do I sort a list in Rust?", "How do I sort a list in Ruby?"),
            ("How do I sort a list in C++?", "How do I sort a list in C#?"),
            ("Translate my letter into Dutch.", "Translate my letter into Danish."),
            (
                "What is the weather like in the mountains?",
                "Wie ist das Wetter in den Bergen?",
            ),
            ("Sort a list", "Sort a list in Go"),
        ],
    );
    vetoed(
        Veto::Format,
        &[
            ("Give me the users as JSON.", "Give me the users as YAML."),
            ("Give me the users.", "Give me the users as bullet points."),
        ],
    );
    passes(&[
        ("How do I sort a list in JS?", "How to sort a list in JavaScript?"),
        ("Give me the users as yml", "Give me the users in YAML."),
    ]);
}

#[test]
fn negation() {
    vetoed(
        Veto::Negation,
        &[
            ("Can cats eat rice?", "Can't cats eat rice?"),
            ("Why does my car start?", "Why does my car not start?"),
            ("Give me soup with salt.", "Give me soup without salt."),
            ("Is it a bad idea to swim now?", "Should I swim now?"),
            ("Warum ist der Himmel blau?", "Warum ist der Himmel nicht blau?"),
            (
                "Pourquoi est-ce que le ciel est bleu ?",
                "Pourquoi est-ce que le ciel n'est pas bleu ?",
            ),
            ("¿Por qué el cielo es azul?", "¿Por qué el cielo no es azul?"),
        ],
    );
    passes(&[("Why doesn't my car start?", "Why does my car not start?")]);
}

#[test]
fn polarity_and_modifiers() {
    vetoed(
        Veto::Polarity,
        &[
            ("How do I enable sync in Foo?", "How do I disable sync in Foo?"),
            ("How do I turn on the heater?", "How do I turn off the heater?"),
            ("What is the best soap?", "What is the worst soap?"),
            ("What are the pros of tea?", "What are the cons of tea?"),
            ("What should I do before surgery?", "What should I do after surgery?"),
            (
                "Wie kann ich die Heizung einschalten?",
                "Wie kann ich die Heizung ausschalten?",
            ),
            (
                "Quels sont les avantages du thé ?",
                "Quels sont les inconvénients du thé ?",
            ),
            (
                "¿Cuáles son las ventajas del té?",
                "¿Cuáles son las desventajas del té?",
            ),
        ],
    );
    vetoed(
        Veto::Modifier,
        &[
            ("A code of at least 8 letters", "A code of at most 8 letters"),
            ("Which towns are north of Lyon?", "Which towns are south of Lyon?"),
            ("Make a daily backup of Foo", "Make a weekly backup of Foo"),
            ("Explain tides briefly.", "Explain tides in detail."),
            ("Explain tides.", "Explain tides in simple terms."),
            ("When was Bach born?", "Where was Bach born?"),
        ],
    );
    passes(&[
        ("How do I enable sync in Foo?", "How to turn on sync in Foo"),
        ("What are the pros of tea?", "Advantages of tea?"),
    ]);
}

#[test]
fn aspects() {
    vetoed(
        Veto::Aspect,
        &[
            ("What is the population of Fiji?", "What is the climate of Fiji?"),
            ("How do I install Foo?", "How do I update Foo?"),
            ("What are the symptoms of gout?", "What are the side effects of gout?"),
            ("What is the price of the Rover?", "How heavy is the Rover?"),
        ],
    );
    passes(&[
        ("What is the population of Fiji?", "How many people live in Fiji?"),
        ("Price of the Rover?", "How much does the Rover cost?"),
    ]);
}

#[test]
fn direction() {
    vetoed(
        Veto::Direction,
        &[
            ("Trains from Graz to Linz", "Trains from Linz to Graz"),
            ("Trains from Graz to Linz", "Trains to Graz from Linz"),
            ("Convert CHF to SEK", "Convert SEK to CHF"),
            ("Translate it from Dutch to Danish", "Translate it from Danish to Dutch"),
            ("Why is Foo better than Bar?", "Why is Bar better than Foo?"),
            ("Can a guest sue a host?", "Is it possible for a host to sue a guest?"),
            ("Does stress cause insomnia?", "Does insomnia cause stress?"),
            ("How many feet are in 8 yards?", "How many yards are in 8 feet?"),
            ("Mix 2 eggs and 3 apples", "Mix 3 eggs and 2 apples"),
            ("What is 10 minus 4?", "What is 4 minus 10?"),
            (
                "How do I convert a string to an int?",
                "How do I convert an int to a string?",
            ),
            ("Züge von Graz nach Linz", "Züge von Linz nach Graz"),
        ],
    );
    passes(&[
        ("Trains from Graz to Linz", "Trains to Linz from Graz"),
        (
            "What is the difference between Foo and Bar?",
            "What is the difference between Bar and Foo?",
        ),
        ("Foo vs Bar", "Bar vs Foo"),
        ("Mix 2 eggs and 3 apples", "Mix 3 apples and 2 eggs"),
    ]);
}

#[test]
fn long_texts_equal_only_themselves() {
    let long = "a quiet sentence about nothing much. ".repeat(200);
    let other = format!("{long} And more.");
    vetoed(Veto::Long, &[(&long, &other), (&long, "What is this?")]);
    assert_eq!(verdict(&long, &long, 0.0), Verdict { score: 1.0, veto: None });
}

/// Two code identifiers that differ in case only are two things, wherever they stand.
#[test]
fn letter_case_of_identifiers_counts() {
    for (a, b) in [
        ("`userId`", "`userid`"),
        ("`UserID`", "`userID`"),
        ("user_Id", "user_id"),
        ("MAX_size", "MAX_SIZE"),
        ("a.B.c", "a.b.c"),
        ("src/Main", "src/main"),
    ] {
        for frame in ["What is {}?", "Explain {} to me", "why is {} empty"] {
            let (a, b) = (frame.replace("{}", a), frame.replace("{}", b));
            assert_eq!(veto_of(&a, &b), Some(Veto::Identifier), "{a} {b}");
        }
    }
}

/// However near the vectors say that everything is, what differs does not match.
#[test]
fn all_questions_do_not_match_one_entry() {
    let kept = "How do I reset my password?";
    let asked = [
        "What is the weather on Mars?",
        "Write a poem about the sea.",
        "How do I delete my account?",
        "Who invented the telephone?",
        "Give me a recipe for goulash.",
        "Translate house into French",
        "reset",
        "?",
        "",
        "🙂",
        "密码",
    ];
    for question in asked {
        let found = verdict(kept, question, 1.0);
        assert!(found.score < 0.98, "{question:?} {found:?}");
    }
}

#[test]
fn likely_paraphrases_are_served() {
    for (a, b) in [
        ("What is the capital of Chad?", "Please tell me the capital of Chad."),
        ("How do I enable sync in Foo?", "How can I turn on sync in Foo?"),
        ("What does `load_user` do?", "Please explain what `load_user` does."),
    ] {
        let found = verdict(a, b, 0.96);
        assert!(found.score >= 0.98, "{a:?} {b:?} {found:?}");
    }
}

#[test]
fn every_veto_has_its_own_name() {
    let names: std::collections::BTreeSet<_> = Veto::ALL.iter().map(|veto| veto.name()).collect();
    assert_eq!(names.len(), Veto::ALL.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase())));
}

#[test]
fn a_lexical_stays_small() {
    let read = Lexical::of(
        "Please help: how do I migrate 300 users from Foo to Bar on Friday, with `copy_all`, in under 5 minutes?",
    );
    let bytes = size_of::<Lexical>() + size_of_val(&*read.facts) + size_of_val(&*read.words);
    assert!(bytes <= 800, "{bytes}");
    let hostile = Lexical::of(&"x1 ".repeat(100_000));
    assert!(hostile.cut && hostile.words.len() <= 112 && hostile.facts.len() <= 224);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read(text in "\\PC*", other in any::<String>()) {
        let (a, b) = (Lexical::of(&text), Lexical::of(&other));
        let (x, y) = (Side { text: &text, lexical: &a }, Side { text: &other, lexical: &b });
        let (found, back) = (judge(&x, &y, 0.9, 0.97), judge(&y, &x, 0.9, 0.97));
        prop_assert_eq!(found, back);
        prop_assert!((0.0..=1.0).contains(&found.score));
        prop_assert_eq!(judge(&x, &x, f32::NAN, -1.0), Verdict { score: 1.0, veto: None });
        prop_assert_eq!(gate(&a, &a), None);
    }

    #[test]
    fn words_in_any_order_are_judged_alike_both_ways(
        a in prop::collection::vec(prop::sample::select(WORDS), 0..14),
        b in prop::collection::vec(prop::sample::select(WORDS), 0..14),
        cosine in prop::num::f32::ANY,
    ) {
        let (a, b) = (a.join(" "), b.join(" "));
        let (x, y) = (Lexical::of(&a), Lexical::of(&b));
        let (x, y) = (Side { text: &a, lexical: &x }, Side { text: &b, lexical: &y });
        let (found, back) = (judge(&x, &y, cosine, cosine), judge(&y, &x, cosine, cosine));
        prop_assert_eq!(found.veto.is_some(), back.veto.is_some());
        prop_assert!((found.score - back.score).abs() < 1e-5 && found.score.is_finite());
    }

    /// Another number anywhere is another question.
    #[test]
    fn other_numbers_never_match(n in 2_u32..100_000, m in 2_u32..100_000, frame in 0_usize..4) {
        prop_assume!(n != m);
        let frames = ["What is {} squared?", "Show the top {} rows", "Is port {} open?", "Plan {} days in Rome, please"];
        let put = |n: u32| frames[frame].replace("{}", &n.to_string());
        prop_assert_eq!(veto_of(&put(n), &put(m)), Some(Veto::Number));
    }

    /// What is only polite changes nothing.
    #[test]
    fn politeness_is_nothing(n in 2_u32..500, before in prop::sample::select(&["Hi, ", "Please help: ", "Hello! "][..]), after in prop::sample::select(&[" Thanks!", " please", " Thank you."][..])) {
        let plain = format!("What is {n} squared?");
        prop_assert_eq!(veto_of(&plain, &format!("{before}{plain}{after}")), None);
    }
}

const WORDS: &[&str] = &[
    "from", "to", "Graz", "Linz", "3", "five", "not", "km", "USD", "and", "vs", "enable", "disable", "`x`", "\"q\"",
    "how", "many", "people", "in", "JSON", "Rust", "the", "`", "'", "\"", "don't", "--f", "a/b", "$5", "may", "May",
    "US", "twenty", "one", "hundred", "+", "-", "better", "than", "dog", "bites", "when", "where", "什么", "?", ".",
];
