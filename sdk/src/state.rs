//! A trainer's state, described once.
//!
//! [`Stateful::state`] names every tensor, value and generator that decides how training goes on.
//! The SDK walks that one description to save and to restore, so the two can't disagree: what is
//! named is in the checkpoint, and a checkpoint with more or less than is named is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::generator::{Generator, Position};
use crate::tensor::{Element, TensorHandle};

/// Something whose state belongs into a checkpoint.
pub trait Stateful {
    /// Names every part of the state, in any order, each under its own name.
    ///
    /// Called to save (after a step) and to restore (after `prepare`, before the first step).
    ///
    /// # Errors
    /// What a visit method returns, passed on.
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()>;
}

/// What a checkpoint holds of a trainer: tensors and JSON values by name.
///
/// Names are paths such as `model/tok_emb.weight`; the part before the first `/` names the file
/// that the host keeps the tensor in.
#[derive(Debug, Default)]
pub struct StateDict {
    /// Tensors by path.
    pub tensors: BTreeMap<String, TensorHandle>,
    /// Values and generator positions by path.
    pub values: BTreeMap<String, Value>,
}

enum Mode<'a> {
    Save(&'a mut StateDict),
    Restore { from: &'a StateDict, missing: Vec<String> },
}

/// Walks a trainer's state to save it or to restore it.
///
/// ```
/// use sdk::{Generator, StateDict, Stateful, StateVisitor};
///
/// struct Counter { count: u64, weights: Vec<f32>, noise: Generator }
///
/// impl Stateful for Counter {
///     fn state(&mut self, visitor: &mut StateVisitor<'_>) -> sdk::Result<()> {
///         visitor.value("count", &mut self.count)?;
///         visitor.vec("weights", &mut self.weights)?;
///         visitor.generator("noise", &mut self.noise)
///     }
/// }
///
/// let mut a = Counter { count: 3, weights: vec![1.0, 2.0], noise: Generator::new(1, "noise") };
/// a.noise.next_u64();
/// let saved = StateDict::save(&mut a)?;
///
/// let mut b = Counter { count: 0, weights: vec![0.0, 0.0], noise: Generator::new(1, "noise") };
/// saved.restore(&mut b)?;
/// assert_eq!((b.count, b.weights[1]), (3, 2.0));
/// assert_eq!(a.noise.next_u64(), b.noise.next_u64());
/// # Ok::<(), sdk::Error>(())
/// ```
pub struct StateVisitor<'a> {
    mode: Mode<'a>,
    prefix: String,
    seen: BTreeSet<String>,
}

impl StateDict {
    /// Saves the state of `source`.
    ///
    /// # Errors
    /// When a name is used twice or a value can't be written as JSON.
    pub fn save(source: &mut impl Stateful) -> Result<Self> {
        let mut dict = Self::default();
        source.state(&mut StateVisitor::new(Mode::Save(&mut dict)))?;
        Ok(dict)
    }

    /// Restores the state of `target`.
    ///
    /// # Errors
    /// When the names of the two differ (all of them are listed) or a shape or type does. The
    /// target may then be partly restored and must not be used.
    pub fn restore(&self, target: &mut impl Stateful) -> Result<()> {
        let mut visitor = StateVisitor::new(Mode::Restore { from: self, missing: Vec::new() });
        target.state(&mut visitor)?;
        let StateVisitor { mode: Mode::Restore { missing, .. }, seen, .. } = visitor else {
            return Ok(());
        };
        let unknown: Vec<&String> = self
            .tensors
            .keys()
            .chain(self.values.keys())
            .filter(|path| !seen.contains(*path))
            .collect();
        if missing.is_empty() && unknown.is_empty() {
            return Ok(());
        }
        let mut message = "the checkpoint does not fit this trainer".to_owned();
        if !missing.is_empty() {
            message += &format!("; it lacks {}", quoted(&missing));
        }
        if !unknown.is_empty() {
            message += &format!("; it has unknown {}", quoted(&unknown));
        }
        Err(Error::new("state::names", message)
            .help("resume with the plugin and the settings that wrote the checkpoint"))
    }
}

fn quoted(paths: &[impl AsRef<str>]) -> String {
    let shown: Vec<String> = paths.iter().take(5).map(|p| format!("`{}`", p.as_ref())).collect();
    let more = paths.len().saturating_sub(5);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

impl<'a> StateVisitor<'a> {
    fn new(mode: Mode<'a>) -> Self {
        Self { mode, prefix: String::new(), seen: BTreeSet::new() }
    }

    /// A part with a state of its own; its names go below `name/`.
    ///
    /// # Errors
    /// Those of the part.
    pub fn nested(&mut self, name: &str, part: &mut dyn Stateful) -> Result<()> {
        let outer = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('/');
        let result = part.state(self);
        self.prefix.truncate(outer);
        result
    }

    /// A value that JSON can hold exactly: counts, flags, positions, finite floats.
    ///
    /// # Errors
    /// When the name is used twice, or the saved value has another type.
    pub fn value<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        value: &mut T,
    ) -> Result<()> {
        let path = self.enter(name)?;
        match &mut self.mode {
            Mode::Save(dict) => {
                dict.values.insert(path, serde_json::to_value(&*value)?);
            }
            Mode::Restore { from, missing } => match from.values.get(&path) {
                Some(saved) => {
                    *value = serde_json::from_value(saved.clone()).map_err(|e| {
                        Error::new("state::value", format!("restoring `{path}`: {e}"))
                    })?;
                }
                None => missing.push(path),
            },
        }
        Ok(())
    }

    /// A generator, by its position.
    ///
    /// # Errors
    /// As [`StateVisitor::value`].
    pub fn generator(&mut self, name: &str, generator: &mut Generator) -> Result<()> {
        let mut position: Position = generator.position();
        self.value(name, &mut position)?;
        if matches!(self.mode, Mode::Restore { .. }) {
            *generator = Generator::at(&position);
        }
        Ok(())
    }

    /// A vector of elements, kept as a tensor of one axis. Restoring may change its length.
    ///
    /// # Errors
    /// When the name is used twice, or the saved elements have another type.
    pub fn vec<T: Element>(&mut self, name: &str, values: &mut Vec<T>) -> Result<()> {
        let saved =
            self.tensor(name, || TensorHandle::from_vec(values.clone(), &[values.len()]))?;
        if let Some(saved) = saved {
            *values = saved.to_vec()?;
        }
        Ok(())
    }

    /// A tensor of any library: `export` is called to save; when restoring, the saved tensor is
    /// returned and the caller copies it in.
    ///
    /// # Errors
    /// When the name is used twice or `export` fails.
    pub fn tensor(
        &mut self,
        name: &str,
        export: impl FnOnce() -> Result<TensorHandle>,
    ) -> Result<Option<&TensorHandle>> {
        let path = self.enter(name)?;
        match &mut self.mode {
            Mode::Save(dict) => {
                dict.tensors.insert(path, export()?);
                Ok(None)
            }
            Mode::Restore { from, missing } => {
                let saved = from.tensors.get(&path);
                if saved.is_none() {
                    missing.push(path);
                }
                Ok(saved)
            }
        }
    }

    /// The full path of `name`, refused when it was visited before.
    fn enter(&mut self, name: &str) -> Result<String> {
        let path = format!("{}{name}", self.prefix);
        if !self.seen.insert(path.clone()) {
            return Err(Error::new("state::twice", format!("state `{path}` is named twice")));
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Part {
        a: f64,
        b: Vec<f32>,
        with_extra: bool,
    }

    impl Stateful for Part {
        fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
            visitor.value("a", &mut self.a)?;
            visitor.vec("b", &mut self.b)?;
            if self.with_extra {
                visitor.value("extra", &mut 1u32)?;
            }
            Ok(())
        }
    }

    struct Outer(Part);

    impl Stateful for Outer {
        fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
            visitor.nested("part", &mut self.0)
        }
    }

    fn outer(with_extra: bool) -> Outer {
        Outer(Part { a: 0.1 + 0.2, b: vec![1.5], with_extra })
    }

    #[test]
    fn floats_survive_bit_for_bit() {
        let saved = StateDict::save(&mut outer(false)).unwrap();
        assert_eq!(saved.values.keys().collect::<Vec<_>>(), ["part/a"]);
        let text = serde_json::to_string(&saved.values).unwrap();
        let dict =
            StateDict { values: serde_json::from_str(&text).unwrap(), tensors: saved.tensors };
        let mut target = Outer(Part { a: 0.0, b: vec![], with_extra: false });
        dict.restore(&mut target).unwrap();
        assert_eq!(target.0.a.to_bits(), (0.1f64 + 0.2).to_bits());
        assert_eq!(target.0.b, [1.5]);
    }

    #[test]
    fn missing_and_unknown_names_are_refused() {
        let small = StateDict::save(&mut outer(false)).unwrap();
        let error = small.restore(&mut outer(true)).unwrap_err();
        assert_eq!(
            error.message,
            "the checkpoint does not fit this trainer; it lacks `part/extra`"
        );
        let large = StateDict::save(&mut outer(true)).unwrap();
        let error = large.restore(&mut outer(false)).unwrap_err();
        assert_eq!(
            error.message,
            "the checkpoint does not fit this trainer; it has unknown `part/extra`"
        );
    }

    #[test]
    fn a_name_stands_once() {
        struct Twice;
        impl Stateful for Twice {
            fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
                visitor.value("x", &mut 1u32)?;
                visitor.value("x", &mut 2u32)
            }
        }
        assert_eq!(StateDict::save(&mut Twice).unwrap_err().code, "state::twice");
    }
}
