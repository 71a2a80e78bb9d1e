//! For the tests of a plugin, behind the feature `testing`.
//!
//! - [`Conformance`]: what the host relies on, checked as `host plugins check` does, and a thousand
//!   hosts that stop, delay and go on as they like; [`trainer_tests!`](crate::trainer_tests) makes
//!   tests of both.
//! - [`FakeHost`]: a host that remembers what a trainer tells it.
//! - [`Settings`]: whether every setting of a section is used.
//!
//! A setting that nothing reads is a promise that the program breaks in silence. [`Settings`] finds
//! such ones: it gives every key of the section another value, drives the phase in this process, and
//! looks whether anything came of it.
//!
//! ```
//! use schemars::JsonSchema;
//! use sdk::testing::Settings;
//! # use sdk::{Artifacts, PhaseContext, Result, Schedule, StateVisitor, Stateful, StepReport, Trainer};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! /// Fits a line.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// Optimizer updates.
//!     #[schemars(range(min = 1))]
//!     total_steps: u64,
//!     /// Learning rate.
//!     learning_rate: f64,
//!     /// How much of the last update goes into the next; sadly it never does.
//!     momentum: f64,
//! }
//!
//! # struct Line { config: Config, slope: f64 }
//! # impl Stateful for Line {
//! #     fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
//! #         visitor.value("slope", &mut self.slope)
//! #     }
//! # }
//! # impl Trainer for Line {
//! #     type Config = Config;
//! #     fn prepare(config: Config, _: &Artifacts, _: &PhaseContext) -> Result<Self> {
//! #         Ok(Self { config, slope: 0.0 })
//! #     }
//! #     fn schedule(&self) -> Schedule {
//! #         Schedule::new(self.config.total_steps)
//! #     }
//! #     fn step(&mut self, _: u64, _: &PhaseContext) -> Result<StepReport> {
//! #         let error = self.slope - 3.0;
//! #         self.slope -= self.config.learning_rate * error;
//! #         Ok(StepReport::new(0.5 * error * error, 1))
//! #     }
//! # }
//! let section = json!({"total_steps": 20, "learning_rate": 0.1, "momentum": 0.9});
//! let findings = Settings::<Line>::new(section).find()?;
//! assert_eq!(findings.unused, ["momentum"]);
//! assert_eq!(findings.untried, [] as [&str; 0]);
//! assert_eq!(findings.used["learning_rate"], "step 1.loss");
//! # Ok::<(), sdk::Error>(())
//! ```
//!
//! Give small sections in which every key can matter: a tiny model, tiny data, several micro-batches,
//! dropout and warmup above zero. A key counts as used when it is so in any of them.

mod candidates;
mod conformance;
mod fake_host;
mod observed;
mod records;
mod schema;
mod trial;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use schemars::schema_for;
use serde_json::Value;

pub use self::conformance::{Conformance, Finding, Level, Outcome};
pub use self::fake_host::FakeHost;
use self::observed::Looks;
use self::schema::{Leaf, Schema, value_at};
use self::trial::{Trial, Verdict};
use crate::artifact::Artifacts;
use crate::error::{Error, Result};
use crate::generate::GenerateRequest;
use crate::trainer::Trainer;

/// Steps that a phase is driven for, unless [`Settings::steps`] says otherwise.
const N_STEPS: u64 = 3;

/// Tests of a trainer as the host drives it: one that it conforms, one that it survives a thousand
/// hosts. Needs the feature `testing` of the SDK among the dev-dependencies.
///
/// The section should be a small one, with 20 steps or more that take milliseconds.
///
/// ```
/// sdk::trainer_tests!("line", serde_json::json!({ "total_steps": 30 }));
/// ```
#[macro_export]
macro_rules! trainer_tests {
    ($phase:literal, $section:expr $(,)?) => {
        #[test]
        fn it_conforms() {
            $crate::testing::Conformance::new($phase, $section).assert();
        }

        #[test]
        fn it_survives_a_thousand_hosts() {
            let failed = $crate::testing::Conformance::new($phase, $section).scenarios(0..1000);
            assert!(failed.is_empty(), "{}", failed.join("\n"));
        }
    };
}

type Watch = Box<dyn Fn(&Value) -> Value>;

/// The settings of a trainer, to be tried one by one.
///
/// Compared is what a host and a user get to see: the schedule, the forecast, facts, promises, some
/// steps and evaluations bit for bit, the state, log records, artifacts, generated text and exports.
/// What differs between two runs of the same section, such as a duration, counts for nothing; nor
/// does a setting that is only handed through under its own name, as in an artifact's settings.
///
/// See the [module](self) for an example.
pub struct Settings<T: Trainer> {
    sections: Vec<Value>,
    alternatives: BTreeMap<String, Vec<Value>>,
    only_refuses: BTreeSet<String>,
    together: BTreeMap<String, Vec<Value>>,
    given: Box<dyn Fn() -> Artifacts>,
    requests: Vec<GenerateRequest>,
    watched: Vec<(String, Watch)>,
    n_steps: u64,
    trainer: PhantomData<T>,
}

/// What became of every key of a section.
///
/// Keys are dotted paths. `*` stands for a name of the user's choice, and a key of one kind of
/// mapping says so: `sources.*[text].path` is there when `sources.*.kind=text`.
#[derive(Debug, Default)]
pub struct Findings {
    /// Keys that change nothing.
    pub unused: Vec<String>,
    /// Keys of which nothing is known, each with the reason.
    pub untried: Vec<String>,
    /// Where each used key showed first.
    pub used: BTreeMap<String, String>,
}

impl<T: Trainer> Settings<T> {
    /// The settings of `T`, tried around this section.
    pub fn new(section: Value) -> Self {
        Self {
            sections: vec![section],
            alternatives: BTreeMap::new(),
            only_refuses: BTreeSet::new(),
            together: BTreeMap::new(),
            given: Box::new(Artifacts::default),
            requests: vec![GenerateRequest::new("a")],
            watched: Vec::new(),
            n_steps: N_STEPS,
            trainer: PhantomData,
        }
    }

    /// Another section to try around, for keys that can't matter in the others: those of another
    /// kind, or that need another setting beside them. Only keys that are not known to be used yet
    /// are tried. The values of all sections are alternatives for each other.
    #[must_use]
    pub fn also(mut self, section: Value) -> Self {
        self.sections.push(section);
        self
    }

    /// Other values for a key, tried before those that its schema suggests. A string that is no
    /// choice of several needs one.
    #[must_use]
    pub fn alternatives<V: Into<Value>>(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into);
        self.alternatives.entry(key.to_owned()).or_default().extend(values);
        self
    }

    /// A key that is there to refuse what doesn't fit, and changes nothing else: for this one a
    /// refusal shows that it is used.
    #[must_use]
    pub fn only_refuses(mut self, key: &str) -> Self {
        self.only_refuses.insert(key.to_owned());
        self
    }

    /// Keys of one mapping that can't change one by one, as when they must have a sum: other values
    /// for the mapping, which stand for all keys below it.
    #[must_use]
    pub fn together(mut self, mapping: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.together.insert(mapping.to_owned(), values.into_iter().collect());
        self
    }

    /// What earlier phases handed on; made anew for each trial.
    #[must_use]
    pub fn given(mut self, given: impl Fn() -> Artifacts + 'static) -> Self {
        self.given = Box::new(given);
        self
    }

    /// Texts to ask for, in place of what follows "a".
    #[must_use]
    pub fn requests(mut self, requests: impl IntoIterator<Item = GenerateRequest>) -> Self {
        self.requests = requests.into_iter().collect();
        self
    }

    /// Something else that a setting may change, such as files: asked after each trial, with the
    /// section that was tried. Whoever looks clears away: nothing may be left for the next trial.
    #[must_use]
    pub fn watch(mut self, name: &str, watch: impl Fn(&Value) -> Value + 'static) -> Self {
        self.watched.push((name.to_owned(), Box::new(watch)));
        self
    }

    /// How many steps to drive a phase for, 3 unless this says otherwise; the schedule may have
    /// more.
    #[must_use]
    pub fn steps(mut self, n: u64) -> Self {
        self.n_steps = n;
        self
    }

    /// Tries every key.
    ///
    /// # Errors
    /// When one of the sections is refused or fails as it is, or a key that was named is none.
    pub fn find(self) -> Result<Findings> {
        let schema = schema_for!(T::Config).to_value();
        let schema = Schema::new(&schema);
        let mut verdicts: BTreeMap<String, Verdict> = schema
            .keys()
            .into_iter()
            .map(|key| (key, Verdict::Untried("no section has it".to_owned())))
            .collect();
        self.check_names(&verdicts)?;
        let sections = self.resolved()?;
        for (n, section) in (1..).zip(&sections) {
            self.try_section(schema, section, &sections, &mut verdicts).map_err(|error| {
                let message = format!("section {n} does not run as it is: {}", error.message);
                Error { message, ..error }
            })?;
        }
        Ok(Findings::of(verdicts))
    }

    fn check_names(&self, known: &BTreeMap<String, Verdict>) -> Result<()> {
        let is_known = |key: &str| known.contains_key(key);
        let is_mapping = |key: &str| known.keys().any(|known| depth_below(key, known).is_some());
        let keys = self.alternatives.keys().chain(&self.only_refuses).find(|key| !is_known(key));
        match keys.or_else(|| self.together.keys().find(|key| !is_mapping(key))) {
            None => Ok(()),
            Some(key) => {
                let keys: Vec<_> = known.keys().map(|key| format!("`{key}`")).collect();
                Err(Error::new("testing::key", format!("the section has no key `{key}`"))
                    .help(format!("its keys: {}", keys.join(", "))))
            }
        }
    }

    /// The sections with all their defaults.
    fn resolved(&self) -> Result<Vec<Value>> {
        let resolve = |section: &Value| {
            let config: T::Config = serde_json::from_value(section.clone())?;
            Ok(serde_json::to_value(config)?)
        };
        self.sections.iter().map(resolve).collect()
    }

    /// Tries the keys of one section that are not known to be used.
    fn try_section(
        &self,
        schema: Schema<'_>,
        section: &Value,
        sections: &[Value],
        verdicts: &mut BTreeMap<String, Verdict>,
    ) -> Result<()> {
        let base = watch::twice(self, section)?;
        for leaf in schema.leaves(section) {
            if matches!(verdicts.get(&leaf.key), Some(Verdict::Used(_))) {
                continue;
            }
            let verdict = match self.in_mapping(&leaf) {
                Some((path, others)) => self.trial(section, &base, path, &leaf).of_all(others),
                None => {
                    let trial = self.trial(section, &base, &leaf.path, &leaf);
                    trial.of_all(&self.others(schema, &leaf, trial.current, sections))
                }
            };
            let verdict = match verdicts.remove(&leaf.key) {
                Some(known) => known.or(verdict),
                None => verdict,
            };
            verdicts.insert(leaf.key, verdict);
        }
        Ok(())
    }

    /// The mapping that a key only changes with, and the mapping's other values.
    fn in_mapping<'l>(&self, leaf: &'l Leaf<'_>) -> Option<(&'l [String], &[Value])> {
        self.together.iter().find_map(|(mapping, values)| {
            let n_above = leaf.path.len().checked_sub(depth_below(mapping, &leaf.key)?)?;
            Some((&leaf.path[..n_above], values.as_slice()))
        })
    }

    fn trial<'a>(
        &'a self,
        section: &'a Value,
        base: &'a Looks,
        path: &'a [String],
        leaf: &Leaf<'_>,
    ) -> Trial<'a, T> {
        let current = value_at(section, path).unwrap_or(&Value::Null);
        let only_refuses = self.only_refuses.contains(&leaf.key);
        Trial { settings: self, section, base, path, current, only_refuses }
    }

    /// Everything that a key may be tried with: what the author named, what other sections have,
    /// what the schema suggests.
    fn others(
        &self,
        schema: Schema<'_>,
        leaf: &Leaf<'_>,
        current: &Value,
        sections: &[Value],
    ) -> Vec<Value> {
        let mut others = self.alternatives.get(&leaf.key).cloned().unwrap_or_default();
        others.extend(elsewhere(schema, leaf, sections));
        others.extend(candidates::others(leaf, current));
        others
    }
}

/// How many names a key has below a mapping; none when it is not inside.
fn depth_below(mapping: &str, key: &str) -> Option<usize> {
    let below = key.strip_prefix(mapping)?.strip_prefix('.')?;
    Some(below.split('.').count())
}

/// The values that a key has in all sections.
fn elsewhere(schema: Schema<'_>, leaf: &Leaf<'_>, sections: &[Value]) -> Vec<Value> {
    let family = leaf.family();
    let of_section = |section| {
        let same = schema.leaves(section).into_iter().filter(|other| other.family() == family);
        same.filter_map(|other| value_at(section, &other.path).cloned()).collect::<Vec<_>>()
    };
    sections.iter().flat_map(of_section).collect()
}

impl Findings {
    fn of(verdicts: BTreeMap<String, Verdict>) -> Self {
        let mut findings = Self::default();
        for (key, verdict) in verdicts {
            match verdict {
                Verdict::Untried(why) => findings.untried.push(format!("{key}: {why}")),
                Verdict::Unused => findings.unused.push(key),
                Verdict::Used(evidence) => drop(findings.used.insert(key, evidence.to_string())),
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests;
