//! The queue under real threads: tasks that pick, wait, leave and release as fast as they can. A lost wakeup is a task that
//! waits for ever, which the (generous) bound on the whole makes a failure.

use super::*;
use std::future::Future;
use tokio::task::yield_now;

#[derive(Default)]
struct Slots {
    taken: AtomicUsize,
    most: AtomicUsize,
}

impl Slots {
    fn pick(&self, slots: usize) -> bool {
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < slots).then_some(n + 1));
        if let Ok(before) = taken {
            self.most.fetch_max(before + 1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn release(&self, queue: &Queue) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        queue.wake();
    }
}

async fn get(queue: &Arc<Queue>, slots: &Slots, n: usize, caller: u64, random: &mut fastrand::Rng) -> bool {
    if !queue.is_waiting() && slots.pick(n) {
        return true;
    }
    let now = Instant::now();
    let Ok(mut ticket) = queue.join(random.u8(..10), caller, now) else {
        return false;
    };
    loop {
        let turn = if random.u8(..8) == 0 {
            // Somebody with little patience, who may leave in the moment of the turn.
            tokio::select! { biased; () = yield_now() => return false, turn = ticket.turn() => turn }
        } else {
            ticket.turn().await
        };
        if turn == Turn::Shed || random.u8(..16) == 0 {
            return false;
        }
        if slots.pick(n) {
            ticket.served(now);
            return true;
        }
        ticket.back();
    }
}

fn run(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let bound = Duration::from_secs(120);
    runtime.block_on(async move {
        tokio::time::timeout(bound, tokio::spawn(work))
            .await
            .expect("somebody waits for ever")
            .unwrap();
    });
}

async fn crowd(tasks: u64, times: usize, n: usize, size: usize, seed: u64) {
    let (queue, slots) = (Arc::new(Queue::new(size)), Arc::new(Slots::default()));
    let all: Vec<_> = (0..tasks)
        .map(|task| {
            let (queue, slots) = (Arc::clone(&queue), Arc::clone(&slots));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed * 1000 + task);
                for _ in 0..times {
                    if get(&queue, &slots, n, task % 7, &mut random).await {
                        if random.bool() {
                            yield_now().await;
                        }
                        slots.release(&queue);
                    }
                }
            })
        })
        .collect();
    for task in all {
        task.await.unwrap();
    }
    assert_eq!(slots.taken.load(Ordering::Relaxed), 0);
    assert!(slots.most.load(Ordering::Relaxed) <= n);
    queue.assert_empty();
}

#[test]
fn a_crowd_on_few_slots() {
    run(crowd(64, 200, 3, 40, 1));
}

/// Few tasks for a moment each: nobody else's release hides a lost one.
#[test]
fn small_rounds() {
    run(async {
        for seed in 0..1500 {
            crowd(3, 2, 1 + seed as usize % 2, 10, seed).await;
        }
    });
}
