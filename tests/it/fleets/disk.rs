//! A disk that is full, under a gateway: a tmpfs of its own, where one may be mounted (root).

use super::instance::{Instance, written};
use super::provider::Provider;
use super::{Answer, Chat, KEY, chat, rows, storm, within};
use crate::support::client::Client;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Mounted as long as it lives.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder);
        let done = mount.output().is_ok_and(|done| done.status.success());
        if !done {
            println!("SKIPPED: no file system may be mounted here");
        }
        done.then(|| Self(folder.to_owned()))
    }

    /// Until nothing more fits.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("ballast")).unwrap();
        for size in [65_536, 4_096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

fn on_a_small_disk(policy: &str, size: &str, provider: &Provider) -> Option<(Instance, Mount)> {
    let body = format!(
        "{}ledger: {{ on_full: {policy} }}\nkeys: {{ k: {{ secret: env:KEY }} }}\n",
        provider.config()
    );
    let (directory, address, admin) = written(&body);
    let mount = Mount::new(&directory.join("state"), size)?;
    let instance = Instance::at(directory, address, admin);
    instance.ready();
    Some((instance, mount))
}

#[test]
fn a_full_disk_stops_no_request_and_is_told() {
    let provider = Provider::start();
    let Some((instance, mount)) = on_a_small_disk("serve", "8m", &provider) else {
        return;
    };
    assert_eq!(chat(instance.address, KEY, Chat::new(0)).status, 200);
    instance.wait_metric("cirque_usage_records_kept", 1.0);
    mount.fill();
    let mut number = 1;
    within(Duration::from_secs(30), "the metric says that the disk is full", || {
        assert_eq!(chat(instance.address, KEY, Chat::new(number)).status, 200);
        number += 1;
        (instance.metric("cirque_usage_records_kept") < 0.5).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(chat(instance.address, KEY, Chat::new(number)).status, 200);
        number += 1;
    }
    mount.free();
    // Whether the disk works again is known when something was written.
    within(Duration::from_secs(30), "the metric says that records are kept", || {
        assert_eq!(chat(instance.address, KEY, Chat::new(number)).status, 200);
        number += 1;
        (instance.metric("cirque_usage_records_kept") > 0.5).then_some(())
    });
    // All of it waited in memory.
    let kept = within(Duration::from_secs(20), "every request has its row", || {
        let kept = rows::of_file(&instance.database());
        (rows::requests(&kept).len() == number).then_some(kept)
    });
    rows::none_twice(&kept);
    println!("disk full: {number} requests answered, none lost");
}

#[test]
fn a_full_disk_refuses_where_that_is_wanted_and_recovers() {
    let provider = Provider::start();
    let Some((instance, mount)) = on_a_small_disk("refuse", "64m", &provider) else {
        return;
    };
    assert_eq!(chat(instance.address, KEY, Chat::new(0)).status, 200);
    mount.fill();
    let address = instance.address;
    // Twelve thousand wait in memory before it refuses.
    let answers = storm(8, move |thread| {
        let mut client = Client::connect(address);
        for number in 1..3_000 {
            client.send(Chat::new(number * 8 + thread).bytes(KEY, ""));
            let answer = client.response();
            if answer.status != 200 {
                return Answer {
                    status: answer.status,
                    text: answer.text(),
                    at: None,
                };
            }
        }
        Answer::default()
    });
    assert!(answers.iter().all(|answer| answer.status == 503), "{answers:?}");
    let mut asked = 100_000;
    assert!(instance.metric("cirque_usage_records_kept") < 0.5);
    println!(
        "disk full, refuse: refused after {} requests: {}",
        provider.calls().len(),
        answers[0].text
    );
    mount.free();
    within(Duration::from_secs(20), "requests are answered again", || {
        asked += 1;
        (chat(address, KEY, Chat::new(asked)).status == 200).then_some(())
    });
    instance.wait_metric("cirque_usage_records_kept", 1.0);
    // None of those that were answered is without its row.
    let answered = provider.calls().len();
    within(Duration::from_secs(30), "every answer has its row", || {
        let kept = rows::of_file(&instance.database());
        let ok = rows::requests(&kept)
            .into_iter()
            .filter(|row| row.status == 200)
            .count();
        assert!(ok <= answered);
        (ok == answered).then_some(())
    });
}
