//! Spool files: whatever is in them, rows or damage, in linear time; and what is read survives being written again.
#![no_main]

use cirque::ledger::encoding;
use cirque::ledger::spool::{frame, rows_in};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (place, bytes) = input;
    let (rows, _) = rows_in(bytes);
    // A payload that is framed as it is, with the noise before and behind it.
    let mut file = bytes.get(..usize::from(place)).unwrap_or_default().to_vec();
    let before = rows_in(&file).0.len();
    assert!(frame::append(&mut file, |out| out.extend_from_slice(bytes)));
    let framed = rows_in(&file).0;
    assert!(framed.len() <= before + 1 + rows.len());
    let Ok(row) = encoding::decode(bytes) else { return };
    let mut again = Vec::new();
    encoding::encode(&row, &mut again);
    assert_eq!(encoding::decode(&again).as_ref(), Ok(&row));
    let mut file = Vec::new();
    frame::append(&mut file, |out| out.extend_from_slice(&again));
    file.extend_from_slice(bytes);
    assert_eq!(rows_in(&file).0.first(), Some(&row));
});
