//! What is in Redis is not what we put there; and there is only so much of it.

use super::{Instance, by_tag, entry, everything, fleet, key, now_ms, settings, tagged};
use crate::support::redis::{Redis, installed};
use cirque::cache::{Entry, News, Shared};
use cirque::storage::redis::cache::SharedCache;

fn name(number: u32) -> String {
    format!("{{cirque}}:cache:e:{}", key(number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_no_answer_and_goes() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let one = Instance::start(settings(&[redis.url()]));
    let largest = "x".repeat(5 << 20);
    let rubbish: [&dyn Fn(&str); 7] = [
        &|at| _ = redis.command::<i64>(&["HSET", at, "v", ""]),
        &|at| _ = redis.command::<i64>(&["HSET", at, "v", "\u{1}rubbish"]),
        &|at| _ = redis.command::<i64>(&["HSET", at, "v", &largest]),
        &|at| _ = redis.command::<i64>(&["HDEL", at, "v"]),
        &|at| _ = redis.command::<i64>(&["HSET", at, "n", "many"]),
        &|at| drop(redis.command::<String>(&["SET", at, "rubbish"])),
        // Another answer under its name.
        &|at| {
            let other: Vec<u8> = redis.command(&["HGET", &name(900), "v"]);
            let client = redis::Client::open(redis.url()).unwrap();
            let mut connection = client.get_connection().unwrap();
            redis::cmd("HSET")
                .arg(at)
                .arg("v")
                .arg(other)
                .query::<i64>(&mut connection)
                .unwrap();
        },
    ];
    one.put(&entry(900)).await.unwrap();
    for (index, spoil) in (0_u32..).zip(rubbish) {
        one.put(&entry(index)).await.unwrap();
        assert!(one.has(key(index)).await);
        spoil(&name(index));
        assert!(!one.has(key(index)).await, "{index}");
        let there: i64 = redis.command(&["EXISTS", &name(index)]);
        assert_eq!(there, 0, "{index}");
        assert_eq!(one.figures().unreadable, u64::from(index) + 1);
        one.put(&entry(index)).await.unwrap();
        assert!(one.has(key(index)).await, "{index}");
    }
    assert!(one.available() && one.figures().outages == 0);
    assert_eq!(one.delete(&everything()).await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_in_the_log_is_a_gap_and_ends_nothing() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut all = fleet(&redis, 2);
    for (kind, body) in [("d", "rubbish"), ("w", "\u{1}{}"), ("d", "\u{1}{\"all\":1}"), ("?", "")] {
        redis.command::<String>(&["XADD", "{cirque}:cache:log", "*", "k", kind, "b", body]);
        // Not one of our ids: they end the session, or are a gap; in any case it goes on.
        redis.command::<i64>(&["DEL", "{cirque}:cache:log"]);
        let last: u64 = redis.command(&["HINCRBY", "{cirque}:cache:state", "n", "1"]);
        let id = format!("{last}-0");
        redis.command::<String>(&["XADD", "{cirque}:cache:log", &id, "k", kind, "i", "me", "b", body]);
        while all[1].told().await != News::Gap {}
    }
    for one in &all {
        one.ready();
        one.caught_up(&redis);
    }
    // Ids beyond ours: the log begins anew.
    redis.command::<String>(&["XADD", "{cirque}:cache:log", "9000000000000000-0", "k", "s"]);
    let _ = all[1].all_told();
    for number in 0..3 {
        all[0].put(&tagged(number, "t")).await.unwrap();
    }
    redis.command::<i64>(&["DEL", "{cirque}:cache:log"]);
    redis.command::<String>(&["SET", "{cirque}:cache:log", "rubbish"]);
    let mut last = entry(5);
    last.made_ms = now_ms() + 5;
    all[0].put(&last).await.unwrap();
    assert!(all[1].has(key(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_not_kept() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut settings = settings(&[redis.url()]);
    settings.largest = 10_000;
    let one = Instance::start(settings);
    let long = |length: usize| {
        let mut entry = entry(1);
        entry.answer.bytes = vec![7; length].into();
        entry.answer.length = u32::try_from(length).unwrap();
        entry
    };
    one.put(&long(20_000)).await.unwrap();
    let tags = Entry {
        tags: (0..100).map(|tag| tag.to_string().into()).collect(),
        ..entry(2)
    };
    one.put(&tags).await.unwrap();
    let model = Entry {
        model: "m".repeat(100_000).into(),
        ..entry(3)
    };
    one.put(&model).await.unwrap();
    assert_eq!((one.figures().too_large, one.figures().kept), (3, 0));
    one.put(&long(9_000)).await.unwrap();
    assert!(one.has(key(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_room_those_that_end_soonest_leave() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut settings = settings(&[redis.url()]);
    settings.room = 200_000;
    let one = Instance::start(settings);
    for number in 0..1000_u32 {
        let mut entry = tagged(number, "t");
        entry.fresh_ms += u64::from(number) * 1000;
        one.put(&entry).await.unwrap();
    }
    let there: i64 = redis.command(&["ZCARD", "{cirque}:cache:all"]);
    let bytes: i64 = redis.command(&["HGET", "{cirque}:cache:state", "bytes"]);
    assert!((50..200).contains(&there) && bytes <= 200_000, "{there} {bytes}");
    assert!(one.has(key(999)).await && !one.has(key(0)).await);
    assert_eq!(one.delete(&by_tag("t")).await.unwrap(), u64::try_from(there).unwrap());
    let bytes: i64 = redis.command(&["HGET", "{cirque}:cache:state", "bytes"]);
    assert_eq!(bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_is_used_up_nothing_is_kept_and_deletions_work() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let mut all = fleet(&redis, 2);
    all[0].put(&tagged(1, "t")).await.unwrap();
    all[0].put(&tagged(2, "t")).await.unwrap();
    redis.command::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(all[0].put(&entry(3)).await.is_err());
    assert!(all[0].available(), "it is no outage of everything");
    assert!(all[0].has(key(1)).await);
    assert_eq!(all[0].delete(&super::by_id(&[key(1)])).await.unwrap(), 1);
    assert_eq!(all[0].delete(&by_tag("t")).await.unwrap(), 1);
    assert!(matches!(all[1].told_otherwise().await, News::Deleted(_)));
    assert!(!all[1].has(key(2)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_need_no_more_than_is_written() {
    if !installed() {
        return;
    }
    let users = std::env::temp_dir().join(format!("cirque-cache-users-{}.acl", std::process::id()));
    let text = "user default off\nuser cirque on >hunter2 ~{cirque}:* &{cirque}:* +@all -@dangerous +info\n";
    std::fs::write(&users, text).unwrap();
    let redis = Redis::with(&["--aclfile", users.to_str().unwrap()]);
    let url = format!("redis://cirque:hunter2@127.0.0.1:{}", redis.port);
    let one = Instance::start(settings(std::slice::from_ref(&url)));
    one.put(&tagged(1, "t")).await.unwrap();
    assert!(one.has(key(1)).await);
    assert_eq!(one.delete(&by_tag("t")).await.unwrap(), 1);
    let shown = format!("{:?} {:?}", one.cache, settings(&[url]));
    assert!(!shown.contains("hunter2"), "{shown}");
    std::fs::remove_file(&users).unwrap();
    assert!(SharedCache::open(settings(&["http://hunter2".to_owned()])).is_err_and(|why| !why.contains("hunter2")));
}
