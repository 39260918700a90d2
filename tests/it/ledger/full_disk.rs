//! A file system that is really full: a tmpfs of half a megabyte, where one may be mounted (root).

use super::*;
use std::process::Command;
use std::time::Duration;

/// Mounted as long as it lives.
struct Mount<'a>(&'a Folder);

impl<'a> Mount<'a> {
    fn new(folder: &'a Folder) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&folder.0);
        mount
            .output()
            .is_ok_and(|done| done.status.success())
            .then_some(Self(folder))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).output();
    }
}

#[test]
fn a_full_file_system_is_survived_and_recovers() {
    let folder = Folder::new("full");
    let Some(mount) = Mount::new(&folder) else {
        println!("skipped: no file system may be mounted here");
        return;
    };
    let (runtime, sink) = (runtime(), Arc::new(Fake::default()));
    sink.away.store(true, Ordering::Relaxed);
    let ledger = start(SpoolSettings::new(folder.0.join("spool")), &sink, &runtime);
    let mut pushed = 0;
    while !ledger.stats(0).blocked {
        for _ in 0..20 {
            ledger.push(Box::new(row(pushed, 1)));
            pushed += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
        assert!(pushed < 100_000, "half a megabyte is not full after so many");
    }
    for _ in 0..100 {
        ledger.push(Box::new(row(pushed, 1)));
        pushed += 1;
    }
    sink.away.store(false, Ordering::Relaxed);
    assert!(runtime.block_on(ledger.flush(Duration::from_secs(30))));
    ledger.push(Box::new(row(pushed, 1)));
    assert!(runtime.block_on(ledger.flush(Duration::from_secs(30))));
    let stats = ledger.stats(0);
    assert_eq!((stats.lost, stats.corrupt, stats.rejected), (0, 0, 0));
    assert_eq!(sink.rows.lock().unwrap().len() as u64, pushed + 1);
    drop(ledger);
    drop(mount);
}
