//! What a phase did and reported, as values by name, and how two of them differ.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Where something was seen; what shows best that a setting acts comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Refusal,
    Step,
    Evaluation,
    Text,
    Schedule,
    Tensor,
    Export,
    Watched,
    Forecast,
    State,
    Fact,
    Log,
    Promise,
    Artifact,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Refusal => "refused",
            Self::Step => "step",
            Self::Evaluation => "evaluation",
            Self::Schedule => "schedule",
            Self::Tensor => "tensor",
            Self::Export => "export",
            Self::Watched => "watched",
            Self::Forecast => "forecast",
            Self::State => "state",
            Self::Fact => "fact",
            Self::Log => "log",
            Self::Promise => "promise",
            Self::Artifact => "artifact",
        }
    }

    /// Whether it shows what the phase does, and not only what it says or copies.
    pub(super) fn is_strong(self) -> bool {
        self < Self::Export
    }

    /// Whether a setting may be found here that was only handed through.
    fn may_echo(self) -> bool {
        matches!(self, Self::State | Self::Fact | Self::Promise | Self::Artifact)
    }
}

/// What was seen, by part and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed(BTreeMap<(Part, String), Value>);

/// Several looks at the same section: what differs between them is chance or the clock.
#[derive(Clone)]
pub(super) struct Looks(pub(super) Vec<Observed>);

/// Where a change shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) part: Part,
    pub(super) name: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.part.name(), self.name)
    }
}

/// A setting that was changed.
pub(super) struct Changed<'a> {
    /// Its name, the last part of its key.
    pub(super) name: &'a str,
    /// What it was and what it is now.
    pub(super) values: [&'a Value; 2],
}

impl Observed {
    /// Keeps a value; a mapping is kept leaf by leaf.
    pub(super) fn see(&mut self, part: Part, name: &str, value: &Value) {
        match value.as_object().filter(|map| !map.is_empty()) {
            Some(map) => {
                for (below, value) in map {
                    let dot = if name.is_empty() { "" } else { "." };
                    self.see(part, &format!("{name}{dot}{below}"), value);
                }
            }
            None => drop(self.0.insert((part, name.to_owned()), value.clone())),
        }
    }
}

impl Looks {
    fn steady(&self, at: &(Part, String)) -> Option<Option<&Value>> {
        let (first, more) = self.0.split_first()?;
        let value = first.0.get(at);
        more.iter().all(|seen| seen.0.get(at) == value).then_some(value)
    }

    /// Whether one look at another section shows anything to be different.
    pub(super) fn differs(&self, other: &Observed, changed: &Changed<'_>) -> bool {
        self.0.iter().flat_map(|seen| seen.0.keys()).chain(other.0.keys()).any(|at| {
            let (Some(here), there) = (self.steady(at), other.0.get(at)) else { return false };
            here != there && !changed.is_echo(at, [here, there])
        })
    }

    /// Where the change shows: what is steady on both sides, differs, and is no mere echo.
    pub(super) fn evidence(&self, other: &Self, changed: &Changed<'_>) -> Option<Evidence> {
        let mut names: Vec<_> =
            self.0.iter().chain(&other.0).flat_map(|seen| seen.0.keys()).collect();
        names.sort_unstable();
        let found = names.into_iter().find(|at| {
            let (Some(here), Some(there)) = (self.steady(at), other.steady(at)) else {
                return false;
            };
            here != there && !changed.is_echo(at, [here, there])
        });
        found.map(|(part, name)| Evidence { part: *part, name: name.clone() })
    }
}

impl Changed<'_> {
    /// Whether what was seen is the setting itself under its own name: a section that is handed on
    /// as it was read shows that nobody looked at it as well as that somebody did.
    fn is_echo(&self, (part, name): &(Part, String), seen: [Option<&Value>; 2]) -> bool {
        let names: Vec<&str> = name.split('.').collect();
        let is_self = |at: usize| {
            // Some leave out what is null.
            let inside = |value| below(value, &names[at + 1..]).filter(|value| !value.is_null());
            let seen = seen.map(|value| value.filter(|value| !value.is_null()));
            names[at] == self.name && self.values.map(inside) == seen
        };
        part.may_echo() && (0..names.len()).any(is_self)
    }
}

/// The value under some names, one below the other.
fn below<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(values: &[(Part, &str, Value)]) -> Observed {
        let mut seen = Observed::default();
        for (part, name, value) in values {
            seen.see(*part, name, value);
        }
        seen
    }

    fn twice(values: &[(Part, &str, Value)]) -> Looks {
        Looks(vec![seen(values), seen(values)])
    }

    const RATE: Changed<'static> =
        Changed { name: "rate", values: [&Value::Null, &Value::Bool(true)] };

    #[test]
    fn the_strongest_evidence_is_named() {
        let base = twice(&[(Part::Fact, "n", json!(1)), (Part::Step, "0.loss", json!("0.5"))]);
        let other = twice(&[(Part::Fact, "n", json!(2)), (Part::Step, "0.loss", json!("0.4"))]);
        assert_eq!(base.evidence(&other, &RATE).unwrap().to_string(), "step 0.loss");
        assert_eq!(base.evidence(&base, &RATE), None);
        assert!(base.differs(&other.0[0], &RATE) && !base.differs(&base.0[0], &RATE));
    }

    #[test]
    fn what_varies_by_itself_is_no_evidence() {
        let at = |ms: u64| seen(&[(Part::Step, "0.ms", json!(ms))]);
        let base = Looks(vec![at(1), at(2)]);
        assert_eq!(base.evidence(&Looks(vec![at(3), at(3)]), &RATE), None);
        assert_eq!(Looks(vec![at(1), at(1)]).evidence(&Looks(vec![at(3), at(4)]), &RATE), None);
    }

    #[test]
    fn an_echo_is_no_evidence() {
        let with = |part, settings: Value| twice(&[(part, "model", settings)]);
        let (base, other) = (json!({"rate": null}), json!({"rate": true}));
        let artifact = with(Part::Artifact, base.clone());
        assert_eq!(artifact.evidence(&with(Part::Artifact, other.clone()), &RATE), None);
        assert!(with(Part::Schedule, base).evidence(&with(Part::Schedule, other), &RATE).is_some());

        // A mapping is handed through entry by entry.
        let [a, b] = [json!({"x": 1, "y": 2}), json!({"x": 2, "y": 2})];
        let mix = Changed { name: "mix", values: [&a, &b] };
        let handed_on = |mix: &Value| with(Part::Artifact, json!({ "data": { "mix": mix } }));
        assert_eq!(handed_on(&a).evidence(&handed_on(&b), &mix), None);
        let sum = |n: u64| with(Part::Artifact, json!({ "mix": { "sum": n } }));
        assert!(sum(3).evidence(&sum(4), &mix).is_some());
    }
}
