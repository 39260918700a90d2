//! The pass that every text takes: where no pattern is in progress, and which patterns may have matched between two such places.
//!
//! Not an answer to what matched: it knows more matches than there are. The one idea: repetitions beyond [`COUNTED`] are unbounded
//! and looks are let out, so that its deterministic states stay few whatever the text; they are made when first entered, in a cache of
//! bounded size. What is live is a set of places in patterns; none live is a place where the text may be cut.

use crossbeam_queue::ArrayQueue;
use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};
use std::collections::HashMap;

/// Repetitions are counted up to here. More tells more rules apart, and makes more states.
const COUNTED: u32 = 8;
/// What one cache may hold, in bytes; then it starts anew.
const CACHE: usize = 1 << 20;
/// Set in an entry of the table whose state ends matches.
const MATCHES: u32 = 1 << 31;
/// An entry of the table that was not entered yet.
const UNKNOWN: u32 = u32::MAX;

/// The automaton; what it learns is in [`Cache`]s.
pub(super) struct Coarse {
    places: Vec<Place>,
    /// Sets of places, as [`Place::Bytes`] names them.
    reach: Vec<Box<[u32]>>,
    /// Bytes that no pattern tells apart have one class.
    classes: Box<[u8; 256]>,
    /// One byte of each class.
    bytes: Vec<u8>,
    /// Rows of the table are `1 << shift` long.
    shift: u32,
    /// What begins with a class: after a byte that is none of a word, and after one that is.
    seeds: [Vec<Box<[u32]>>; 2],
    pool: ArrayQueue<Box<Cache>>,
}

/// A place in a pattern.
enum Place {
    /// The end of one.
    End(u32),
    /// Bytes from..=to lead to a set of places.
    Bytes(Box<[(u8, u8, u32)]>),
}

/// Deterministic states so far. The first two have nothing live.
pub(super) struct Cache {
    /// By state and class: where it leads.
    table: Vec<u32>,
    states: Vec<Live>,
    ids: HashMap<Box<[u32]>, u32>,
    used: usize,
}

/// What is live in a state.
struct Live {
    /// Places, ascending; then 1 if the last byte was one of a word.
    key: Box<[u32]>,
    ends: Box<[u32]>,
}

/// A walk over a text.
#[derive(Debug)]
pub(super) struct Walk {
    /// Bytes before it were read.
    pub at: usize,
    /// Where nothing was live last.
    pub start: usize,
    /// Rules that may have matched since `start`.
    pub hits: Vec<u32>,
    state: u32,
}

impl Walk {
    /// From a place in a text, nothing live.
    pub(super) fn new(&mut self, text: &[u8], from: usize, coarse: &Coarse) {
        let word = from
            .checked_sub(1)
            .and_then(|at| text.get(at))
            .is_some_and(|b| is_word(*b));
        self.at = from;
        self.start = from;
        self.hits.clear();
        self.state = u32::from(word) << coarse.shift;
    }

    /// Nowhere yet.
    pub(super) const fn nowhere() -> Self {
        Self {
            at: 0,
            start: 0,
            hits: Vec::new(),
            state: 0,
        }
    }
}

impl Coarse {
    /// Of these patterns, each with whether it begins only where a word may.
    pub(super) fn new(patterns: &[(Hir, bool)]) -> Result<Self, String> {
        let relaxed: Vec<Hir> = patterns.iter().map(|(hir, _)| relax(hir)).collect();
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(8 << 20));
        let nfa = thompson::Compiler::new()
            .configure(config)
            .build_many_from_hir(&relaxed)
            .map_err(|e| e.to_string())?;
        let mut built = Build::default();
        let mut roots: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
        for ((_, word), pattern) in patterns.iter().zip(nfa.patterns()) {
            if let Some(start) = nfa.start_pattern(pattern) {
                let closure = built.closure(&nfa, start.as_u32());
                let places = built.reach.get(closure as usize).map_or(&[][..], |places| places);
                roots[usize::from(!word)].extend_from_slice(places);
            }
        }
        built.places(&nfa);
        let (classes, bytes) = classes(&built.places);
        let shift = bytes.len().next_power_of_two().trailing_zeros();
        let [words, everywhere] = &roots;
        let begin = |word: bool| {
            let step = |byte: &u8| {
                let mut next = Vec::new();
                built.step(everywhere, *byte, &mut next);
                if !word {
                    built.step(words, *byte, &mut next);
                }
                next.sort_unstable();
                next.dedup();
                next.into_boxed_slice()
            };
            bytes.iter().map(step).collect::<Vec<_>>()
        };
        let seeds = [begin(false), begin(true)];
        let pool = std::thread::available_parallelism().map_or(4, usize::from).min(64);
        Ok(Self {
            places: built.places,
            reach: built.reach,
            classes,
            bytes,
            shift,
            seeds,
            pool: ArrayQueue::new(pool),
        })
    }

    /// A cache to walk with; to be given [back](Self::give).
    pub(super) fn take(&self) -> Box<Cache> {
        self.pool.pop().unwrap_or_else(|| {
            let mut cache = Box::new(Cache {
                table: Vec::new(),
                states: Vec::new(),
                ids: HashMap::new(),
                used: 0,
            });
            self.clear(&mut cache);
            cache
        })
    }

    /// Keep it for the next.
    pub(super) fn give(&self, cache: Box<Cache>) {
        drop(self.pool.push(cache));
    }

    /// Read `text[walk.at..stop]`, or up to where nothing is live after something may have matched: then that segment's start is
    /// returned. `walk.hits` takes the rules that are wanted.
    pub(super) fn advance(
        &self,
        cache: &mut Cache,
        text: &[u8],
        walk: &mut Walk,
        stop: usize,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let free = 2 << self.shift;
        let mut state = walk.state;
        loop {
            let mut next = None;
            let pending = !walk.hits.is_empty();
            let first = walk.start;
            let mut start = walk.start;
            let mut at = walk.at;
            let table = cache.table.as_slice();
            for byte in text.get(at..stop).unwrap_or_default() {
                let class = self.classes[usize::from(*byte)];
                let entry = table
                    .get(state as usize + usize::from(class))
                    .copied()
                    .unwrap_or(UNKNOWN);
                at += 1;
                if entry >= MATCHES {
                    next = Some((entry, class));
                    break;
                }
                state = entry;
                start = if state < free { at } else { start };
                if pending & (state < free) {
                    break;
                }
            }
            walk.at = at;
            walk.start = start;
            walk.state = state;
            let Some((mut entry, class)) = next else {
                return (pending && start != first).then_some(first);
            };
            if entry == UNKNOWN {
                entry = self.enter(cache, state, class);
            }
            if entry >= MATCHES {
                entry &= !MATCHES;
                let ends = cache
                    .states
                    .get((entry >> self.shift) as usize)
                    .map_or(&[][..], |live| &live.ends);
                for rule in ends {
                    if !walk.hits.contains(rule) && wanted(*rule as usize) {
                        walk.hits.push(*rule);
                    }
                }
            }
            state = entry;
            walk.state = state;
            if state < free {
                walk.start = at;
                if pending {
                    return Some(start);
                }
            }
        }
    }

    /// Find where a class leads from a state, and note it.
    fn enter(&self, cache: &mut Cache, state: u32, class: u8) -> u32 {
        let byte = self.bytes.get(usize::from(class)).copied().unwrap_or_default();
        let mut next: Vec<u32> = Vec::new();
        if let Some(live) = cache.states.get((state >> self.shift) as usize)
            && let [places @ .., word] = &*live.key
        {
            for place in places {
                if let Some(Place::Bytes(steps)) = self.places.get(*place as usize)
                    && let Some((_, _, reach)) = steps.iter().find(|(low, high, _)| (*low..=*high).contains(&byte))
                {
                    next.extend_from_slice(self.reach.get(*reach as usize).map_or(&[][..], |places| places));
                }
            }
            let seeds = &self.seeds[usize::from(*word == 1)];
            next.extend_from_slice(seeds.get(usize::from(class)).map_or(&[][..], |places| places));
        }
        next.sort_unstable();
        next.dedup();
        next.push(u32::from(is_word(byte)));
        let entry = match cache.ids.get(&*next) {
            Some(id) => *id,
            None if cache.used > CACHE => {
                self.clear(cache);
                // The state that this comes from is gone: nothing to note it in.
                return self.insert(cache, next);
            }
            None => self.insert(cache, next),
        };
        if let Some(slot) = cache.table.get_mut(state as usize + usize::from(class)) {
            *slot = entry;
        }
        entry
    }

    fn insert(&self, cache: &mut Cache, key: Vec<u32>) -> u32 {
        if let Some(id) = cache.ids.get(&*key) {
            return *id;
        }
        let id = (cache.states.len() as u32) << self.shift;
        cache.table.resize(cache.table.len() + (1 << self.shift), UNKNOWN);
        let places = key.split_last().map_or(&[][..], |(_, places)| places);
        let end = |place: &u32| match self.places.get(*place as usize) {
            Some(Place::End(rule)) => Some(*rule),
            _ => None,
        };
        let mut ends: Vec<u32> = places.iter().filter_map(end).collect();
        ends.sort_unstable();
        ends.dedup();
        let id = if ends.is_empty() { id } else { id | MATCHES };
        let key = key.into_boxed_slice();
        cache.used += (4 << self.shift) + 8 * key.len() + 96;
        cache.ids.insert(key.clone(), id);
        cache.states.push(Live {
            key,
            ends: ends.into_boxed_slice(),
        });
        id
    }

    fn clear(&self, cache: &mut Cache) {
        cache.table.clear();
        cache.states.clear();
        cache.ids.clear();
        cache.used = 0;
        self.insert(cache, vec![0]);
        self.insert(cache, vec![1]);
    }
}

/// An automaton on its way from Thompson's form to one without empty steps.
#[derive(Default)]
struct Build {
    places: Vec<Place>,
    reach: Vec<Box<[u32]>>,
    /// The set in `reach` that a state leads to without reading.
    closures: HashMap<u32, u32>,
    /// States that are places, and those not yet looked at.
    numbers: HashMap<u32, u32>,
    waiting: Vec<u32>,
}

impl Build {
    fn number(&mut self, state: u32) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(state).or_insert_with(|| {
            self.waiting.push(state);
            next
        })
    }

    /// The set of places that a state leads to without reading.
    fn closure(&mut self, nfa: &NFA, from: u32) -> u32 {
        if let Some(id) = self.closures.get(&from) {
            return *id;
        }
        let mut stack = vec![from];
        let mut seen = std::collections::HashSet::from([from]);
        let mut places = Vec::new();
        while let Some(id) = stack.pop() {
            let Some(state) = nfa.states().get(id as usize) else {
                continue;
            };
            let next: Vec<u32> = match state {
                State::Look { next, .. } | State::Capture { next, .. } => vec![next.as_u32()],
                State::Union { alternates } => alternates.iter().map(|id| id.as_u32()).collect(),
                State::BinaryUnion { alt1, alt2 } => vec![alt1.as_u32(), alt2.as_u32()],
                State::Fail => Vec::new(),
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => {
                    places.push(self.number(id));
                    Vec::new()
                }
            };
            stack.extend(next.into_iter().filter(|id| seen.insert(*id)));
        }
        places.sort_unstable();
        let id = self.reach.len() as u32;
        self.reach.push(places.into_boxed_slice());
        self.closures.insert(from, id);
        id
    }

    /// All that can be reached, in the order of their numbers.
    fn places(&mut self, nfa: &NFA) {
        let mut done = 0;
        while let Some(state) = self.waiting.get(done).copied() {
            done += 1;
            let place = match nfa.states().get(state as usize) {
                Some(State::Match { pattern_id }) => Place::End(pattern_id.as_u32()),
                Some(State::ByteRange { trans }) => self.bytes(nfa, std::slice::from_ref(trans)),
                Some(State::Sparse(sparse)) => self.bytes(nfa, &sparse.transitions),
                Some(State::Dense(dense)) => {
                    let all = (0..=u8::MAX).filter_map(|byte| {
                        let next = dense.matches_byte(byte)?;
                        Some(thompson::Transition {
                            start: byte,
                            end: byte,
                            next,
                        })
                    });
                    self.bytes(nfa, &all.collect::<Vec<_>>())
                }
                _ => Place::Bytes(Box::default()),
            };
            self.places.push(place);
        }
    }

    fn bytes(&mut self, nfa: &NFA, transitions: &[thompson::Transition]) -> Place {
        let step = |one: &thompson::Transition| (one.start, one.end, self.closure(nfa, one.next.as_u32()));
        Place::Bytes(transitions.iter().map(step).collect())
    }

    fn step(&self, places: &[u32], byte: u8, next: &mut Vec<u32>) {
        for place in places {
            if let Some(Place::Bytes(steps)) = self.places.get(*place as usize) {
                for (_, _, reach) in steps.iter().filter(|(low, high, _)| (*low..=*high).contains(&byte)) {
                    next.extend_from_slice(self.reach.get(*reach as usize).map_or(&[][..], |places| places));
                }
            }
        }
    }
}

/// Which class each byte is of, and one byte of each class.
fn classes(places: &[Place]) -> (Box<[u8; 256]>, Vec<u8>) {
    // Whether a class ends at a byte.
    let mut ends = [false; 256];
    let mut split = |low: u8, high: u8| {
        if let Some(before) = low.checked_sub(1) {
            ends[usize::from(before)] = true;
        }
        ends[usize::from(high)] = true;
    };
    for (low, high) in [(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')] {
        split(low, high);
    }
    for place in places {
        if let Place::Bytes(steps) = place {
            steps.iter().for_each(|(low, high, _)| split(*low, *high));
        }
    }
    let mut classes = Box::new([0; 256]);
    let mut bytes = Vec::new();
    let mut fresh = true;
    for byte in 0..=u8::MAX {
        if fresh {
            bytes.push(byte);
        }
        classes[usize::from(byte)] = (bytes.len() - 1) as u8;
        fresh = ends[usize::from(byte)];
    }
    (classes, bytes)
}

/// A byte of a word.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A pattern that matches all that this one does, and more, with few places.
fn relax(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(Class::Bytes(bytes)) => Hir::class(Class::Bytes(bytes.clone())),
        HirKind::Class(Class::Unicode(class)) => {
            let ascii = class.ranges().iter().filter(|range| range.start().is_ascii());
            let ascii =
                ascii.map(|range| ClassBytesRange::new(range.start() as u8, (range.end() as u32).min(0x7F) as u8));
            let ascii = Hir::class(Class::Bytes(ClassBytes::new(ascii)));
            match class.ranges().last() {
                Some(range) if !range.end().is_ascii() => Hir::alternation(vec![ascii, any_but_ascii()]),
                _ => ascii,
            }
        }
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let counted = max.is_some_and(|max| max <= COUNTED);
            Hir::repetition(Repetition {
                min: if counted { *min } else { COUNTED.min(*min) },
                max: max.filter(|_| counted),
                greedy: *greedy,
                sub: Box::new(relax(sub)),
            })
        }
        HirKind::Capture(capture) => relax(&capture.sub),
        HirKind::Concat(all) => Hir::concat(all.iter().map(relax).collect()),
        HirKind::Alternation(all) => Hir::alternation(all.iter().map(relax).collect()),
    }
}

/// Any character that is not ASCII, as UTF-8.
fn any_but_ascii() -> Hir {
    let bytes = |low, high| Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(low, high)])));
    let character = |low, high, more: usize| {
        let mut all = vec![bytes(low, high)];
        all.extend((0..more).map(|_| bytes(0x80, 0xBF)));
        Hir::concat(all)
    };
    Hir::alternation(vec![
        character(0xC2, 0xDF, 1),
        character(0xE0, 0xEF, 2),
        character(0xF0, 0xF4, 3),
    ])
}

/// Whether what it asks is decided by the characters beside it, so that a text may be cut elsewhere.
pub(super) const fn is_local(look: Look) -> bool {
    !matches!(look, Look::Start | Look::End)
}
