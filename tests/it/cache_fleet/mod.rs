//! Answers shared through Redis: the contract of `cache::Shared`, and what becomes of it when Redis fails, forgets, or holds rubbish.
//!
//! Real servers, one for each test; every process of a fleet is an instance here. Nothing waits for time to pass: what others did is
//! awaited as news.

mod contract;
mod deletion;
mod hostile;
mod loss;

use crate::support::redis::Redis;
use crate::support::{PATIENCE, eventually};
use cirque::cache::{Answer, Entry, Form, Key, News, Owner, Partition, Selection, Shared};
use cirque::secret::Secret;
use cirque::storage::redis::cache::{Settings, SharedCache};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub fn settings(urls: &[String]) -> Settings {
    let urls = urls.iter().map(|url| Secret::new(url.clone())).collect();
    let mut settings = Settings::new(cirque::storage::redis::Settings::new(urls));
    // Generous: the machine is busy, and what is tested is not how fast it is.
    settings.redis.timeout = Duration::from_millis(1000);
    settings
}

/// One of a fleet, and what it was told.
pub struct Instance {
    pub cache: Arc<SharedCache>,
    pub news: UnboundedReceiver<News>,
}

impl Deref for Instance {
    type Target = SharedCache;
    fn deref(&self) -> &SharedCache {
        &self.cache
    }
}

impl Instance {
    pub fn start(settings: Settings) -> Self {
        let one = Self::begin(settings);
        one.ready();
        one
    }

    /// Without waiting for Redis.
    pub fn begin(settings: Settings) -> Self {
        let (tell, news) = unbounded_channel();
        let cache = SharedCache::open(settings).unwrap();
        cache.follow(move |news| drop(tell.send(news))).unwrap();
        Self { cache, news }
    }

    pub fn ready(&self) {
        eventually("Redis can be asked", || self.cache.available().then_some(()));
    }

    /// The next news.
    pub async fn told(&mut self) -> News {
        let told = tokio::time::timeout(PATIENCE, self.news.recv()).await;
        told.expect("nothing was told").unwrap()
    }

    /// The next news that are no storing.
    pub async fn told_otherwise(&mut self) -> News {
        loop {
            let news = self.told().await;
            if !matches!(news, News::Stored(_)) {
                return news;
            }
        }
    }

    /// What was told by now.
    pub fn all_told(&mut self) -> Vec<News> {
        std::iter::from_fn(|| self.news.try_recv().ok()).collect()
    }

    /// Wait until it has read all there is in the log, and the moment after it has passed.
    pub fn caught_up(&self, redis: &Redis) {
        eventually("the log is read", || {
            let last: u64 = redis.command(&["HGET", "{cirque}:cache:state", "n"]);
            (self.figures().last == last).then_some(())
        });
        let then = now_ms();
        eventually("a millisecond has passed", || (now_ms() > then).then_some(()));
    }

    pub async fn has(&self, key: Key) -> bool {
        self.get(key).await.unwrap().is_some()
    }
}

pub fn fleet(redis: &Redis, size: usize) -> Vec<Instance> {
    (0..size).map(|_| Instance::start(settings(&[redis.url()]))).collect()
}

pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub fn key(number: u32) -> Key {
    let mut bytes = [0xab; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Key(bytes)
}

/// An answer made now, of an hour.
pub fn entry(number: u32) -> Entry {
    let text = format!("answer {number}");
    Entry {
        key: key(number),
        partition: Partition([7; 16]),
        made_ms: now_ms(),
        fresh_ms: 3_600_000,
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "small".into(),
        target: "provider/small-1".into(),
        tags: Box::default(),
        question: Some(format!("question {number}").into()),
        semantic: true,
        usage: None,
        cost: None,
        answer: Answer {
            form: Form::Canonical,
            zstd: false,
            length: u32::try_from(text.len()).unwrap(),
            bytes: text.into(),
        },
    }
}

pub fn tagged(number: u32, tag: &str) -> Entry {
    Entry {
        tags: [tag.into()].into(),
        ..entry(number)
    }
}

pub fn by_tag(tag: &str) -> Selection {
    Selection {
        tag: Some(tag.to_owned()),
        ..Selection::default()
    }
}

pub fn by_id(ids: &[Key]) -> Selection {
    Selection {
        ids: ids.to_vec(),
        ..Selection::default()
    }
}

pub fn everything() -> Selection {
    Selection {
        all: true,
        ..Selection::default()
    }
}

pub fn without_answer(entry: &Entry) -> Entry {
    let mut head = entry.clone();
    head.answer.bytes = Vec::new().into();
    head
}
