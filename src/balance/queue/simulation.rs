//! How long callers wait beside a heavy one, on a clock that is moved by hand: arrivals and ends are events in order of
//! time, nothing sleeps, random numbers are seeded.

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A caller: its name in the queue, requests per second, priority.
#[derive(Clone, Copy)]
struct Source {
    caller: u64,
    rate: f64,
    priority: u8,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    End,
}

/// Waits in seconds by source, and how many were turned away.
struct Seen {
    waits: Vec<Vec<f64>>,
    away: Vec<usize>,
}

impl Seen {
    /// Mean and p99 of these sources' waits of at least so many seconds.
    fn of(&self, sources: std::ops::Range<usize>, at_least: f64) -> (f64, f64) {
        let mut all: Vec<f64> = self.waits[sources].concat();
        all.retain(|wait| *wait >= at_least);
        all.sort_by(f64::total_cmp);
        (all.iter().sum::<f64>() / all.len() as f64, all[all.len() * 99 / 100])
    }
}

/// Poisson arrivals, exponential service of 1 s mean on `slots` slots.
fn run(sources: &[Source], slots: usize, size: usize, seconds: f64, seed: u64) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut exp = |rate: f64| -(1.0 - random.f64()).ln() / rate;
    let start = Instant::now();
    let queue = Arc::new(Queue::new(size));
    let mut events = BinaryHeap::new();
    let nanos = |s: f64| (s * 1e9) as u64;
    for (i, source) in sources.iter().enumerate() {
        events.push(Reverse((nanos(exp(source.rate)), Event::Arrival(i))));
    }
    let mut free = slots;
    let mut waiting: Vec<(usize, Ticket)> = Vec::new();
    let mut seen = Seen {
        waits: vec![Vec::new(); sources.len()],
        away: vec![0; sources.len()],
    };
    while let Some(Reverse((at, event))) = events.pop() {
        let now = start + Duration::from_nanos(at);
        match event {
            Event::Arrival(i) => {
                let Source { caller, rate, priority } = sources[i];
                let next = at + nanos(exp(rate));
                if next < nanos(seconds) {
                    events.push(Reverse((next, Event::Arrival(i))));
                }
                if !queue.is_waiting() && free > 0 {
                    free -= 1;
                    seen.waits[i].push(0.0);
                    events.push(Reverse((at + nanos(exp(1.0)), Event::End)));
                } else {
                    match queue.join(priority, caller, now) {
                        Ok(ticket) => waiting.push((i, ticket)),
                        Err(Refused) => {
                            seen.away[i] += 1;
                            continue;
                        }
                    }
                }
            }
            Event::End => {
                free += 1;
                queue.wake();
            }
        }
        // Whoever was told something acts on it at once.
        while let Some(told) = waiting
            .iter()
            .position(|w| w.1.seat.state.load(Ordering::Relaxed) != WAITING)
        {
            let state = waiting[told].1.seat.state.load(Ordering::Relaxed);
            if state == TURN && free == 0 {
                waiting[told].1.back();
                continue;
            }
            let (i, ticket) = waiting.swap_remove(told);
            if state == SHED {
                seen.away[i] += 1;
                continue;
            }
            free -= 1;
            seen.waits[i].push(ticket.waited(now).as_secs_f64());
            ticket.served(now);
            events.push(Reverse((at + nanos(exp(1.0)), Event::End)));
        }
    }
    assert_eq!(free, slots);
    queue.assert_empty();
    seen
}

/// So many light callers that ask for this share of the slots together, and another with `times` the load of one of them.
fn callers(light: usize, slots: usize, share: f64, times: f64) -> Vec<Source> {
    let rate = share * slots as f64 / light as f64;
    let source = |caller: usize, rate| Source {
        caller: caller as u64,
        rate,
        priority: 5,
    };
    let mut all: Vec<_> = (0..light).map(|i| source(i, rate)).collect();
    all.push(source(light, times * rate));
    all
}

/// The light callers' waits (of at least so many seconds) without and with the other's load: mean and p99 at most double.
fn compare(light: usize, slots: usize, without: &[Source], with: &[Source], at_least: f64) {
    let seconds = 20_000.0 / slots as f64;
    let (without, with) = (run(without, slots, 200, seconds, 7), run(with, slots, 200, seconds, 7));
    let ((mean, p99), (mean_with, p99_with)) = (without.of(0..light, at_least), with.of(0..light, at_least));
    let away = |seen: &Seen, who: std::ops::Range<usize>| seen.away[who].iter().sum::<usize>();
    let heavy = away(&with, light..light + 1);
    let said = format!(
        "{light} light on {slots} slots: mean {mean:.2} -> {mean_with:.2} s, p99 {p99:.2} -> {p99_with:.2} s, {heavy} of \
         the heavy one turned away"
    );
    println!("{said}");
    assert!(mean_with <= 2.0 * mean && p99_with <= 2.0 * p99, "{said}");
    assert_eq!(away(&with, 0..light), 0, "{said}");
    assert!(heavy > 1000, "{said}");
}

/// Light callers, slots, and the share of them that the light callers ask for together: none for more than nine tenths of
/// what all would have if each had the same.
const CASES: [(usize, usize, f64); 5] = [(10, 8, 0.8), (10, 1, 0.8), (4, 4, 0.7), (4, 1, 0.7), (20, 16, 0.85)];

/// One of equal callers on a busy pool asks for ten times as much: the waits of the others do not double.
#[test]
fn a_caller_that_goes_to_ten_times_its_load_does_not_double_the_waits_of_others() {
    for (light, slots, share) in CASES {
        let before = callers(light, slots, share, 1.0);
        compare(light, slots, &before, &callers(light, slots, share, 10.0), 0.0);
    }
}

/// Beside a heavy caller those who wait do so at most twice as long as those who wait when there is none. Compared are those
/// who wait: among themselves the light ones often find a slot free, beside the heavy one never, and whoever has a slot
/// keeps it. On a single slot, where they seldom do, it holds for all.
#[test]
fn a_heavy_caller_does_not_double_the_waits_of_those_beside_it() {
    for (light, slots, share) in CASES {
        let all = callers(light, slots, share, 10.0);
        compare(light, slots, &all[..light], &all, f64::MIN_POSITIVE);
        if slots == 1 {
            compare(light, slots, &all[..light], &all, 0.0);
        }
    }
}

/// What the tests above would see without fairness: everybody one caller.
#[test]
fn first_come_first_served_would() {
    let mut all = callers(10, 8, 0.8, 10.0);
    let alone = run(&all[..10], 8, 500, 2500.0, 7).of(0..10, 0.0);
    all.iter_mut().for_each(|s| s.caller = 0);
    let beside = run(&all, 8, 500, 2500.0, 7).of(0..10, 0.0);
    assert!(beside.0 > 10.0 * alone.0, "{alone:?} {beside:?}");
}

/// At twice what the slots can do, the upper class hardly waits and the lower one still gets turns.
#[test]
fn the_lower_class_waits_and_does_not_starve() {
    let source = |caller, rate, priority| Source { caller, rate, priority };
    let all = [source(1, 6.0, 8), source(2, 6.0, 5), source(3, 4.0, 2)];
    let seen = run(&all, 8, 200, 2000.0, 3);
    let [high, middle, low] = [0, 1, 2].map(|i| seen.of(i..i + 1, 0.0).0);
    println!(
        "mean waits {high:.2} {middle:.2} {low:.2}; served {:?}",
        seen.waits.iter().map(Vec::len).collect::<Vec<_>>()
    );
    assert!(high < 1.0 && 20.0 * high < middle, "{high} {middle} {low}");
    assert!(seen.waits[2].len() > 50, "{}", seen.waits[2].len());
    assert_eq!(seen.away[0], 0);
}
