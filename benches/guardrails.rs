//! What guardrails cost a text: many patterns at once, and words; prose of one byte a character and of more.

#![allow(missing_docs, clippy::unwrap_used)]

use cirque::guardrails::scan::{Rule, Scanner};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const ASCII: &str = "On Tuesday the committee met for the third time this year; of its 12 members only seven came. \"We have\n\
    little to say,\" Mrs. Henderson wrote to info at the council, \"and less to show: the report (42 pages, dated 2024-03-18) was\n\
    read by nobody.\" The budget of 1,250,000 dollars was kept, version 2.11.0 of the plan was not. See https://example.org/minutes\n\
    for what was said, or the file src/minutes/main.rs: `let total = items.iter().map(|item| item.price * 3).sum();`.\n";
const GERMAN: &str = "Am Dienstag traf sich der Ausschuß zum dritten Mal in diesem Jahr; für die übrigen fünf Mitglieder war’s zu früh. „Wir\n\
    hätten gern mehr gezeigt“, schrieb Frau Müller-Lüdenscheidt den Räten, „aber der Bericht (42 Seiten, 18.03.2024) wurde nicht gelesen.“\n";
const CHINESE: &str = "委员会在星期二举行了今年的第三次会议；十二名成员中只有七人出席。“我们没有什么可说的，”韩德森女士写道，\
    “报告（42页，2024年3月18日）没有人读过。”预算为1,250,000元，计划的2.11.0版本没有保留。\n";

fn rule(label: &'static str, pattern: &'static str, word: bool) -> Rule {
    Rule {
        label,
        pattern,
        group: false,
        word,
        valid: None,
        prefilter: None,
    }
}

/// Forty of the sorts that personal data has.
fn personal() -> Vec<Rule> {
    let patterns = [
        r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_])?@[A-Za-z0-9](?:[A-Za-z0-9-]{0,60}[A-Za-z0-9])?(?:\.[A-Za-z]{2,12}){1,4}",
        r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}",
        r"(?:[0-9A-Fa-f]{1,4}:){2,7}[0-9A-Fa-f]{1,4}",
        r"[\dA-Fa-f]{2}(?:[:-][\dA-Fa-f]{2}){5}",
        r"\d{14,19}",
        r"\d{4}[ .-]\d{4}[ .-]\d{4}[ .-]\d{3,4}",
        r"\d{4}[ .-]\d{6}[ .-]\d{4,5}",
        r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?",
        r"0x[0-9A-Fa-f]{40}",
        r"(?:bc1|BC1)[02-9A-Za-z]{11,71}",
        r"[13][1-9A-HJ-NP-Za-km-z]{25,34}",
        r"\d{3}-\d{2}-\d{4}",
        r"\d{3} \d{2} \d{4}",
        r"\d{9}",
        r"\+\(?\d[\d ().\/-]{6,20}\d",
        r"00\d[\d ().\/-]{6,20}\d",
        r"(?:\d{1,3}[.-]|1 )?\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}",
        r"(?:\d{1,3}[.-])?\d{3}[.-]\d{3}[.-]\d{4}",
        r"0\d{1,4}(?:[ .\/-]\d{2,8}){1,4}",
        r"1[3-9]\d{9}",
        r"\d{3} ?\d{3} ?\d{4}",
        r"\d{4} ?\d{4} ?\d{4}",
        r"[A-Z]{5}\d{4}[A-Z]",
        r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        r"\d{2}\.?\d{3}\.?\d{3}\/?\d{4}-?\d{2}",
        r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}",
        r"[A-Z]\d{8}",
        r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]",
        r"\d{8}[A-Z]",
        r"[XYZ]\d{7}[A-Z]",
        r"\d{2}[01]\d[0-3]\d[ +-]?\d{4}",
        r"[12] ?\d{2} ?[01]\d ?\d{2} ?\d{3} ?\d{3} ?\d{2}",
        r"(?i:passport)[ a-z.#:]{1,20}[A-Z0-9]{6,9}",
        r"(?i:born|birthday|dob)[ a-z.:]{1,20}\d{1,4}[./-]\d{1,2}[./-]\d{1,4}",
        r"(?i:licen[cs]e)[ a-z.#:]{1,20}[A-Z0-9-]{6,14}",
        r"(?i:account)[ a-z.#:]{1,20}\d{6,14}",
        r"[A-HJ-NPR-Z0-9]{17}",
        r"\d{6}-\d{4}",
        r"[A-Z]{1,2}\d[A-Z0-9]? \d[A-Z]{2}",
        r"\d{11}",
    ];
    patterns
        .into_iter()
        .map(|pattern| rule("PERSONAL", pattern, true))
        .collect()
}

/// 221, as the tables of secrets are: a prefix and a run, or a name and what is assigned.
fn secret() -> Vec<Rule> {
    let mut rules: Vec<Rule> = (0..200)
        .map(|n| {
            let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
            let prefix = [letter(n * 7), letter(n / 3), letter(n * 5 + n / 26), letter(n + 11)];
            let prefix: String = prefix.into_iter().collect();
            let pattern = match n % 3 {
                0 => format!("{prefix}_[A-Za-z0-9]{{{},{}}}", 16 + n % 24, 48 + n % 50),
                1 => format!("{prefix}-(?:live|test)-[0-9a-f]{{{}}}", 24 + n % 17),
                _ => format!(
                    r#"(?i:{prefix}[a-z]{{2}})[ \t"']{{0,5}}(?:=|:|=>)[ \t"']{{1,5}}[A-Za-z0-9_=-]{{20,{}}}"#,
                    40 + n % 40
                ),
            };
            rule("SECRET", pattern.leak(), true)
        })
        .collect();
    let known = [
        r"AKIA[A-Z2-7]{16}",
        r"ASIA[A-Z2-7]{16}",
        r"gh[pousr]_[A-Za-z0-9]{36,76}",
        r"github_pat_[A-Za-z0-9_]{82}",
        r"glpat-[A-Za-z0-9_-]{20}",
        r"sk-[A-Za-z0-9_-]{20,180}",
        r"sk-ant-[A-Za-z0-9_-]{80,120}",
        r"AIza[A-Za-z0-9_-]{35}",
        r"xox[abprs]-[A-Za-z0-9-]{10,250}",
        r"[rs]k_(?:live|test)_[A-Za-z0-9]{24,99}",
        r"npm_[A-Za-z0-9]{36}",
        r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,300}",
        r"hf_[A-Za-z0-9]{34}",
        r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        r"SK[0-9a-f]{32}",
        r"eyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,200}\.[A-Za-z0-9_-]{10,80}",
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
        r#"(?i:postgres|mysql|redis|mongodb)(?:ql)?://[^:@\s/"]{0,60}:[^@\s/"]{3,80}@[^\s/"]{3,100}"#,
        r#"(?i:api_?key|secret|token|passwd|password)["']?[ \t]{0,4}(?:=|:|:=)[ \t]{0,4}["']?[A-Za-z0-9_+/=.-]{8,120}"#,
        r"(?i:bearer) [A-Za-z0-9_.=-]{20,200}",
        r"dop_v1_[a-f0-9]{64}",
    ];
    rules.extend(known.into_iter().map(|pattern| rule("SECRET", pattern, true)));
    rules
}

fn of_length(piece: &str, bytes: usize) -> String {
    let text = piece.repeat(bytes / piece.len() + 1);
    let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    text[..end].to_owned()
}

fn texts() -> Vec<(&'static str, String)> {
    vec![
        ("1KB", of_length(ASCII, 1 << 10)),
        ("32KB", of_length(ASCII, 32 << 10)),
        ("32KB-german", of_length(GERMAN, 32 << 10)),
        ("32KB-chinese", of_length(CHINESE, 32 << 10)),
        (
            "32KB-found",
            of_length("Write to bob.smith@example.com or 123-45-6789, he said. ", 32 << 10),
        ),
        ("32KB-digits", of_length("1", 32 << 10)),
        ("32KB-spaced", of_length("1 2-3 ", 32 << 10)),
        ("32KB-a.a.", of_length("a.", 32 << 10)),
        ("32KB-a@a@", of_length("a@", 32 << 10)),
    ]
}

fn scans(c: &mut Criterion) {
    for (name, rules) in [("scan-40", personal()), ("scan-221", secret())] {
        let scanner = Scanner::new(rules).unwrap();
        let mut group = c.benchmark_group(name);
        for (name, text) in texts() {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(name), &text, |b, text| {
                b.iter(|| {
                    let mut found = 0;
                    scanner.scan(black_box(text), 0, &|_| true, &mut |_, _| found += 1);
                    found
                });
            });
        }
        group.finish();
    }
}

fn pushes(c: &mut Criterion) {
    let scanner = Scanner::new(personal()).unwrap();
    let text = of_length(ASCII, 1 << 10);
    c.bench_function("open-4-characters", |b| {
        b.iter(|| {
            let mut from = 0;
            for to in (4..=text.len()).step_by(4) {
                from = scanner.open(black_box(&text[..to]), from);
            }
            from
        });
    });
}

fn builds(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    group.bench_function("scan-40", |b| b.iter(|| Scanner::new(personal()).unwrap()));
    group.bench_function("scan-221", |b| b.iter(|| Scanner::new(secret()).unwrap()));
    group.finish();
}

criterion_group!(benches, scans, pushes, builds);
criterion_main!(benches);
