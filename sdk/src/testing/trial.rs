//! One key with other values in its place: does anything come of it?

use serde_json::Value;

use super::Settings;
use super::observed::{Changed, Evidence, Looks, Part};
use super::watch;
use crate::error::Result;
use crate::trainer::Trainer;

/// What is known of one key.
#[derive(Clone)]
pub(super) enum Verdict {
    /// Nothing, and why.
    Untried(String),
    Unused,
    Used(Evidence),
}

impl Verdict {
    /// What is known when both are: the stronger evidence, the later reason for knowing nothing.
    pub(super) fn or(self, later: Self) -> Self {
        match (self, later) {
            (Self::Used(a), Self::Used(b)) => Self::Used(if b.part < a.part { b } else { a }),
            (used @ Self::Used(_), _) | (_, used @ Self::Used(_)) => used,
            (Self::Unused, _) | (_, Self::Unused) => Self::Unused,
            (_, later) => later,
        }
    }

    fn is_settled(&self) -> bool {
        matches!(self, Self::Used(evidence) if evidence.part.is_strong())
    }
}

/// One key of one section, to be given other values.
pub(super) struct Trial<'a, T: Trainer> {
    pub(super) settings: &'a Settings<T>,
    pub(super) section: &'a Value,
    /// What the section does as it is.
    pub(super) base: &'a Looks,
    /// Where the other values go.
    pub(super) path: &'a [String],
    /// What is there.
    pub(super) current: &'a Value,
    /// Whether a refusal is what the key is for.
    pub(super) only_refuses: bool,
}

impl<T: Trainer> Trial<'_, T> {
    /// The best that some values can show; weak evidence leads to one more value.
    pub(super) fn of_all(&self, others: &[Value]) -> Verdict {
        let mut best = Verdict::Untried("no other value is known; name an alternative".to_owned());
        for other in others.iter().filter(|other| *other != self.current) {
            best = best.or(self.of(other));
            if best.is_settled() {
                break;
            }
        }
        best
    }

    fn of(&self, other: &Value) -> Verdict {
        let mut section = self.section.clone();
        set(&mut section, self.path, other.clone());
        let name = self.path.last().map_or("", String::as_str);
        let changed = Changed { name, values: [self.current, other] };
        self.of_run(&section, &changed).unwrap_or_else(|error| {
            if self.only_refuses {
                Verdict::Used(Evidence { part: Part::Refusal, name: error.code })
            } else {
                Verdict::Untried(format!("{other} is refused: {}", error.message))
            }
        })
    }

    fn of_run(&self, section: &Value, changed: &Changed<'_>) -> Result<Verdict> {
        let first = watch::once(self.settings, section)?;
        if !self.base.differs(&first, changed) {
            return Ok(Verdict::Unused);
        }
        let other = Looks(vec![first, watch::once(self.settings, section)?]);
        let mut evidence = self.base.evidence(&other, changed);
        if evidence.as_ref().is_some_and(|evidence| !evidence.part.is_strong()) {
            // What an earlier trial left behind, such as a file, shows in the section itself too.
            let mut base = self.base.clone();
            base.0.push(watch::once(self.settings, self.section)?);
            evidence = base.evidence(&other, changed);
        }
        Ok(evidence.map_or(Verdict::Unused, Verdict::Used))
    }
}

/// Puts a value in its place; the mapping that holds it is there.
fn set(section: &mut Value, path: &[String], value: Value) {
    let Some((name, above)) = path.split_last() else {
        *section = value;
        return;
    };
    let into = above.iter().try_fold(section, |into, name| match into {
        Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
        into => into.get_mut(name),
    });
    match into {
        Some(Value::Object(map)) => drop(map.insert(name.clone(), value)),
        Some(Value::Array(list)) => {
            if let Some(place) = name.parse().ok().and_then(|i: usize| list.get_mut(i)) {
                *place = value;
            }
        }
        _ => {}
    }
}
