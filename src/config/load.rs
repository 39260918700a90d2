//! File → [`Config`], or everything that is wrong with it at once.
//!
//! Four passes over one text: YAML ([`super::yaml`]), shape ([`super::structure`]), serde, meaning ([`super::validate`]). A broken
//! part does not hide the rest: it is taken out of the tree, the remainder is read, and a complaint about meaning that could
//! stem from what was taken out is held back.

use super::model::Config;
use super::problem::{Finding, Place, Problem, Problems, Step};
use super::structure::{Detour, MOST_FAULTS, Structure};
use super::tree::{Data, Node, Position};
use super::validate::{self, Names};
use super::yaml;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// Largest configuration file.
const LARGEST: u64 = 4 << 20;
/// How often broken parts are taken out before giving up on reading the rest. Each round takes out what the one before
/// made incomplete, so depth of nesting bounds it.
const ROUNDS: usize = 10;

/// Read and check a file, and check that the files it names exist. Secrets are not read here.
pub fn load(path: &Path) -> Result<Config, Problems> {
    Located::load(path).map(|located| located.config)
}

/// Read and check the text of a file; `origin` names it in problems. Touches no file and no environment variable.
pub fn parse(text: &str, origin: &str) -> Result<Config, Problems> {
    Located::parse(text, origin).map(|located| located.config)
}

/// A configuration together with where everything in it was written.
pub struct Located {
    /// What was read.
    pub config: Config,
    source: Source,
}

impl Located {
    /// As [`load()`].
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let origin = path.display().to_string();
        let whole = |message: String, remedy: &str| {
            let finding = Finding::new(Place::root(), message, remedy);
            Problems::new(vec![Problem {
                file: origin.clone(),
                ..finding.unplaced()
            }])
        };
        let bytes = read(path).map_err(|message| whole(message, "name a readable YAML file of at most 4MiB"))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            whole(format!("not UTF-8 on line {line}"), "save the file as UTF-8")
        })?;
        let located = Self::parse(text, &origin)?;
        let missing = validate::missing_files(&located.config);
        if missing.is_empty() {
            Ok(located)
        } else {
            Err(located.problems(missing))
        }
    }

    /// As [`parse()`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, Problems> {
        if text.len() as u64 > LARGEST {
            let finding = Finding::new(Place::root(), "larger than 4MiB", "split or shorten the file");
            return Err(Problems::new(vec![Problem {
                file: origin.to_owned(),
                ..finding.unplaced()
            }]));
        }
        let reading = yaml::read(text);
        let mut source = Source {
            origin: origin.to_owned(),
            root: None,
        };
        let mut problems: Vec<Problem> = reading
            .findings
            .into_iter()
            .map(|(at, finding)| source.problem_at(at, finding))
            .collect();
        source.root = reading.root;
        let config = source.root.clone().map(|root| source.interpret(root, &mut problems));
        match config {
            Some(Some(config)) if problems.is_empty() => Ok(Self { config, source }),
            _ => {
                if problems.is_empty() {
                    let finding = Finding::new(
                        Place::root(),
                        "the file is empty",
                        "begin with `listen: 127.0.0.1:8080`",
                    );
                    problems.push(source.problem_at(Position::START, finding));
                }
                Err(Problems::new(problems))
            }
        }
    }

    /// As [`super::warnings`], with lines.
    pub fn warnings(&self) -> Problems {
        self.problems(validate::warning_findings(&self.config))
    }

    /// As [`super::check_secrets`], with lines.
    pub fn check_secrets(&self) -> Problems {
        self.problems(validate::secret_findings(&self.config))
    }

    fn problems(&self, findings: Vec<Finding>) -> Problems {
        Problems::new(
            findings
                .into_iter()
                .map(|finding| self.source.problem(finding))
                .collect(),
        )
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    // `take`, not the size in the metadata: that of a pipe or of a file being written is no promise.
    std::fs::File::open(path)
        .map_err(failed)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        Err("larger than 4MiB".to_owned())
    } else {
        Ok(bytes)
    }
}

/// The tree as written, to look positions up in.
struct Source {
    origin: String,
    root: Option<Node>,
}

impl Source {
    /// Shape, serde, meaning. `None` when nothing could be read; then at least one problem says why.
    fn interpret(&self, root: Node, problems: &mut Vec<Problem>) -> Option<Config> {
        if matches!(&root.data, Data::Scalar(value) if value.is_null()) {
            return None;
        }
        let (tree, changed) = match self.reduce(root, problems) {
            Ok(reduced) => reduced,
            Err(message) => {
                problems.push(self.problem_at(
                    Position::START,
                    Finding::new(Place::root(), message, "report this as a bug"),
                ));
                return None;
            }
        };
        let config = match Config::deserialize(tree?.to_value()) {
            Ok(config) => config,
            Err(error) => {
                if problems.is_empty() {
                    let finding = Finding::new(Place::root(), error.to_string(), "see `cirque config schema`");
                    problems.push(self.problem_at(Position::START, finding));
                }
                return None;
            }
        };
        let mut names = Names {
            providers: self.declared("providers"),
            models: self.declared("models"),
            organisations: self.declared("organisations"),
            teams: self.declared("teams"),
            projects: self.declared("projects"),
            users: self.declared("users"),
            guardrails: self.declared("guardrails"),
            tags: self.declared("tags"),
            // What is broken in it is said where it is written.
            semantic_cache: self.is_written("cache", "semantic"),
            ..Names::default()
        };
        names.add_aliases(&config);
        let findings = validate::findings(&config, &names).into_iter();
        let kept = findings.map(|finding| Finding {
            place: self.unshift(&finding.place, &changed),
            ..finding
        });
        let kept = kept.filter(|finding| !changed.iter().any(|place| place.overlaps(&finding.place)));
        problems.extend(kept.map(|finding| self.problem(finding)));
        Some(config)
    }

    /// Take out what has the wrong shape, and stand in for what is missing, until the rest has the right one. Only the first round is reported: later ones
    /// find what this itself left incomplete. With the tree come the places that are no longer as written.
    fn reduce(&self, mut tree: Node, problems: &mut Vec<Problem>) -> Result<(Option<Node>, Vec<Place>), String> {
        let structure = Structure::new()?;
        let mut changed_places = Vec::new();
        for round in 0..ROUNDS {
            let faults = structure.check(&tree);
            if faults.is_empty() {
                return Ok((Some(tree), changed_places));
            }
            let flood = faults.len() >= MOST_FAULTS;
            let mut detours: Vec<Detour> = Vec::new();
            for fault in faults {
                if round == 0 {
                    problems.push(self.problem(fault.finding));
                }
                if !detours.contains(&fault.detour) {
                    detours.push(fault.detour);
                }
            }
            if flood {
                break;
            }
            // Places are in terms of the tree as it is now: deepest first and from the back, so that none moves another.
            detours.sort_by(|a, b| {
                let (a, b) = (a.place(), b.place());
                b.0.len()
                    .cmp(&a.0.len())
                    .then_with(|| last_index(b).cmp(&last_index(a)))
            });
            for detour in detours {
                let changed = match &detour {
                    Detour::Remove(place) => tree.take_out(&place.0),
                    Detour::Insert(place, value) => tree.put_in(&place.0, value),
                };
                changed_places.extend(changed.map(Place));
                if detour.place().0.is_empty() {
                    return Ok((None, changed_places)); // the file as a whole has the wrong type
                }
            }
        }
        Ok((None, changed_places))
    }

    fn declared<T: FromIterator<String> + Default>(&self, block: &str) -> T {
        let block = self.root.as_ref().and_then(|root| root.get(block));
        block
            .map(|node| node.keys().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// Whether a block has a key with something behind it.
    fn is_written(&self, block: &str, key: &str) -> bool {
        let found = self.root.as_ref().and_then(|root| root.get(block)?.get(key));
        found.is_some_and(|node| !matches!(&node.data, Data::Scalar(value) if value.is_null()))
    }

    /// A place in terms of the reduced tree → in terms of the text: list elements before it may have been taken out.
    fn unshift(&self, place: &Place, removed: &[Place]) -> Place {
        let mut original = Place::root();
        for step in &place.0 {
            original = match step {
                Step::Key(key) => original.key(key),
                Step::Index(index) => {
                    let gone: Vec<usize> = removed
                        .iter()
                        .filter(|gone| gone.0.len() == original.0.len() + 1 && gone.overlaps(&original))
                        .filter_map(last_index)
                        .collect();
                    original.index((0..).filter(|at| !gone.contains(at)).nth(*index).unwrap_or(*index))
                }
            };
        }
        original
    }

    fn problem(&self, finding: Finding) -> Problem {
        let at = self.locate(&finding);
        self.problem_at(at, finding)
    }

    fn problem_at(&self, at: Position, finding: Finding) -> Problem {
        Problem {
            file: self.origin.clone(),
            line: at.line,
            column: at.column,
            ..finding.unplaced()
        }
    }

    /// The value, if it is a scalar or an element; otherwise its key, because a block begins on the line below. What is not in
    /// the text is shown at the nearest thing around it that is.
    fn locate(&self, finding: &Finding) -> Position {
        let mut at = Position::START;
        let mut node = self.root.as_ref();
        let last = finding.place.0.len();
        for (depth, step) in finding.place.0.iter().enumerate() {
            let (next, position) = match (node.map(|node| &node.data), step) {
                (Some(Data::Map(entries)), Step::Key(key)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
                        break;
                    };
                    let scalar = matches!(entry.node.data, Data::Scalar(ref value) if !value.is_null());
                    let at_value = scalar && depth + 1 == last && !finding.at_key;
                    (&entry.node, if at_value { entry.node.at } else { entry.at })
                }
                (Some(Data::List(items)), Step::Index(index)) => {
                    let Some((_, item)) = items.get(*index) else {
                        break;
                    };
                    (item, item.at)
                }
                _ => break,
            };
            at = position;
            node = Some(next);
        }
        at
    }
}

fn last_index(place: &Place) -> Option<usize> {
    match place.0.last() {
        Some(Step::Index(index)) => Some(*index),
        _ => None,
    }
}
