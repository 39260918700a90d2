//! What is wrong with a configuration: where, what, and how to mend it.
//!
//! Checks speak of a [`Place`] in the configuration (`models.gpt-4o.targets[1].provider`); the loader turns it into a line and
//! a column when it still has the text. A message never contains the value of anything that could be a credential.

use std::fmt;

/// Most problems reported for one file; the rest are counted.
const MOST: usize = 100;

/// One thing that is wrong, or worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named by the caller. Empty when the configuration did not come from one.
    pub file: String,
    /// Where in the configuration, for example `models.gpt-4o.targets[1].provider`. Empty for the file as a whole.
    pub path: String,
    /// Line, from 1; 0 when it is not known.
    pub line: usize,
    /// Column in characters, from 1; 0 when it is not known.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COL  path: message — remedy`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, 0) => {}
            (false, 0) => write!(f, "{}  ", self.file)?,
            (true, line) => write!(f, "{line}:{}  ", self.column)?,
            (false, line) => write!(f, "{}:{line}:{}  ", self.file, self.column)?,
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} — {}", self.message, self.remedy)
    }
}

/// Every problem of one configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Sort by position, drop repetitions, and cut a flood short.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        problems.dedup();
        let more = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        if more > 0 {
            let file = problems.first().map(|first| first.file.clone()).unwrap_or_default();
            problems.push(Problem {
                file,
                path: String::new(),
                line: 0,
                column: 0,
                message: format!("{more} more problems are not shown"),
                remedy: "mend these first".to_owned(),
            });
        }
        Self(problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One step from a value into a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list.
    Index(usize),
}

/// A place in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place(pub(super) Vec<Step>);

impl Place {
    /// The whole file.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The value of `key` in this mapping.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// Element `index` of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Whether one of the two contains the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '*' | '/' | ':' | '@');
                    if !key.is_empty() && key.len() <= 80 && key.chars().all(plain) {
                        f.write_str(key)?;
                    } else {
                        f.write_str(&quoted(key))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A problem before its line and column are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) place: Place,
    /// Point at the key itself, not at its value.
    pub(super) at_key: bool,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn new(place: Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place,
            at_key: false,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// As a problem of no known file and line.
    pub(super) fn unplaced(self) -> Problem {
        Problem {
            file: String::new(),
            path: self.place.to_string(),
            line: 0,
            column: 0,
            message: self.message,
            remedy: self.remedy,
        }
    }
}

/// Text from the file, safe to print: quoted, control characters escaped, cut when long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{:?}", head + "…")
}

/// The known name closest to a misspelt one, if one is close enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let length = name.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    let squash = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
            .to_lowercase()
    };
    let squashed = squash(name);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            let other = squash(candidate);
            let far = strsim::osa_distance(&squashed, &other);
            // A third of the letters wrong, or one name beginning with the other: `targets` for `target_list`.
            let shorter = squashed.len().min(other.len());
            let prefix = shorter >= 3 && (other.starts_with(&squashed) || squashed.starts_with(&other));
            (far * 3 <= length.max(3) || prefix).then_some((far, candidate))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["base_url", "api_key", "kind", "timeouts", "http2"];
        assert_eq!(nearest("baseurl", known), Some("base_url"));
        assert_eq!(nearest("base-url", known), Some("base_url"));
        assert_eq!(nearest("apiKey", known), Some("api_key"));
        assert_eq!(nearest("timeout", known), Some("timeouts"));
        assert_eq!(nearest("kidn", known), Some("kind"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn places_are_shown_as_one_would_write_them() {
        let place = Place::root()
            .key("models")
            .key("gpt-4o")
            .key("targets")
            .index(1)
            .key("provider");
        assert_eq!(place.to_string(), "models.gpt-4o.targets[1].provider");
        assert_eq!(
            Place::root().key("models").key("gpt-4.1").to_string(),
            "models.\"gpt-4.1\""
        );
        assert_eq!(Place::root().key("a\u{1b}[31m").to_string(), "\"a\\u{1b}[31m\"");
    }

    #[test]
    fn a_flood_is_cut_short() {
        let problem = |line| Problem {
            file: "f".to_owned(),
            path: String::new(),
            line,
            column: 1,
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        };
        let problems = Problems::new((1..=250).map(problem).collect());
        assert_eq!(problems.0.len(), MOST + 1);
        assert!(
            problems
                .to_string()
                .ends_with("150 more problems are not shown — mend these first")
        );
    }
}
