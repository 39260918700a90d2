//! What is exported is read back: CSV with a reader of our own, Parquet with the crate's.

use super::columns::COLUMNS;
use super::{Csv, Formulas, Parquet, ROW_GROUP};
use crate::ledger::{Row, RowId, Tenant};
use crate::units::{Cost, Usage};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::sync::Arc;

fn row(number: u64) -> Row {
    Row {
        id: RowId(u128::from(number)),
        attempt: 1,
        at_ms: 1_763_800_000_123 + number,
        tenant: Arc::new(Tenant {
            team: Some("blue, \"sky\"".into()),
            ..Tenant::default()
        }),
        tags: ["a,b".into(), "=x".into()].into(),
        metadata: number.is_multiple_of(2).then(|| r#"{"k":"v"}"#.into()),
        request_id: "=HYPERLINK(\"http://x\")".into(),
        operation: "chat",
        model: Some("m".into()),
        target: None,
        provider: Some("p".into()),
        purpose: "first",
        status: 200,
        outcome: "ok",
        cache: "off",
        stream: number.is_multiple_of(3),
        latency_ms: 12,
        ttft_ms: None,
        usage: Usage {
            input: 5,
            output: u64::MAX,
            ..Usage::default()
        },
        estimated: false,
        cost: number.is_multiple_of(2).then(|| Cost {
            input: 1_234,
            output: 2_500_000_000,
            ..Cost::default()
        }),
        billed: Some(u64::MAX),
        guardrails: None,
        saved: 0,
        charges: Vec::new(),
    }
}

/// RFC 4180, read: records of fields.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted => {
                assert_eq!(chars.next(), Some('\n'));
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            char => field.push(char),
        }
    }
    assert!(record.is_empty() && field.is_empty(), "the file ends within a record");
    records
}

fn csv(rows: &[Row], formulas: Formulas) -> Vec<Vec<String>> {
    let mut csv = Csv::new(Vec::new(), formulas).unwrap();
    csv.rows(rows).unwrap();
    read_csv(&String::from_utf8(csv.finish().unwrap()).unwrap())
}

#[test]
fn csv_is_exact_and_no_formula() {
    let at = |records: &[Vec<String>], name: &str| {
        let index = records[0].iter().position(|column| column == name).unwrap();
        records[1][index].clone()
    };
    let safe = csv(&[row(0)], Formulas::Quoted);
    assert!(safe.iter().all(|record| record.len() == COLUMNS.len()));
    assert_eq!(at(&safe, "request_id"), "'=HYPERLINK(\"http://x\")");
    assert_eq!(at(&safe, "at"), "2025-11-22T08:26:40.123Z");
    assert_eq!(at(&safe, "cost_usd"), "2.500001234");
    assert_eq!(at(&safe, "billed_usd"), "18446744073.709551615");
    assert_eq!(at(&safe, "team"), "blue, \"sky\"");
    assert_eq!(at(&safe, "tags"), r#"["a,b","=x"]"#);
    assert_eq!(at(&safe, "ttft_ms"), "");
    let exact = csv(&[row(0)], Formulas::Kept);
    assert_eq!(at(&exact, "request_id"), "=HYPERLINK(\"http://x\")");
}

proptest::proptest! {
    #[test]
    fn any_text_survives_csv(text: String) {
        let one = Row { request_id: text.clone().into(), ..row(0) };
        let read = csv(&[one], Formulas::Kept);
        proptest::prop_assert_eq!(&read[1][10], &text);
        let one = Row { request_id: text.clone().into(), ..row(0) };
        let safe = csv(&[one], Formulas::Quoted)[1][10].clone();
        proptest::prop_assert!(!safe.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
        let prefixed = format!("'{text}");
        proptest::prop_assert!(safe == text || safe == prefixed);
    }
}

#[test]
fn parquet_reads_back() {
    let rows: Vec<Row> = (0..ROW_GROUP as u64 + 10).map(row).collect();
    let mut out = Parquet::new(Vec::new()).unwrap();
    for page in rows.chunks(1000) {
        out.rows(page).unwrap();
    }
    let bytes = out.finish().unwrap();
    if let Ok(path) = std::env::var("CIRQUE_TEST_KEEP_PARQUET") {
        std::fs::write(path, &bytes).unwrap();
    }
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);
    let read: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), rows.len());
    for (index, record) in read.iter().enumerate() {
        let field = |name: &str| {
            record
                .get_column_iter()
                .find(|(column, _)| *column == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(field("id"), Field::Str(rows[index].id.to_string()));
        assert_eq!(field("at"), Field::TimestampMillis(rows[index].at_ms as i64));
        assert_eq!(field("output_tokens"), Field::Long(i64::MAX));
        assert_eq!(field("stream"), Field::Bool(index % 3 == 0));
        let decimal = |field: Field| match field {
            Field::Decimal(decimal) => {
                assert_eq!(decimal.scale(), 9);
                i64::from_be_bytes(decimal.data().try_into().unwrap())
            }
            other => panic!("{other:?}"),
        };
        if index % 2 == 0 {
            assert_eq!(decimal(field("cost_usd")), 2_500_001_234);
        } else {
            assert_eq!(field("cost_usd"), Field::Null);
        }
        assert_eq!(decimal(field("billed_usd")), 999_999_999_999_999_999);
        assert_eq!(field("target"), Field::Null);
    }
}
