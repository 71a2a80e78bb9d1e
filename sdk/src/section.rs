//! What became of a section's keys: the history of its schema, as data.
//!
//! A plugin that renames, moves or drops a key raises [`Trainer::SECTION_VERSION`] and says so in
//! [`Trainer::changes`]. The host carries the changes out wherever an older section turns up, in a
//! file, an override or a run that goes on. They are data and not code, so that a value keeps its
//! place in the user's file, `host config migrate` keeps the comments beside it, and nothing of a
//! plugin has to run.
//!
//! [`Trainer::SECTION_VERSION`]: crate::Trainer::SECTION_VERSION
//! [`Trainer::changes`]: crate::Trainer::changes

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change of a section's schema.
///
/// Keys are dotted paths inside the section. Changes are carried out in the order in which they are
/// listed, oldest version first. A section that states no version (`schema_version`) may be of any:
/// there a change applies when its old key is not one of today's, so never give an old name a new
/// meaning without raising the version.
///
/// ```
/// use sdk::Change;
///
/// let changes = [
///     Change::moved(1, "train.lr", "training.base_lr"),
///     Change::respelled(1, "training.optimizer", "AdamW", "adamw"),
///     Change::removed(2, "training.momentum", "only `sgd` read it").accepting([0.9]),
/// ];
/// assert!(changes.iter().all(|change| change.version <= 2));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The version of the section that brought it; older sections need it.
    pub version: u32,
    /// What changed.
    #[serde(flatten)]
    pub kind: ChangeKind,
}

/// What a [`Change`] does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ChangeKind {
    /// The same value stands under another key now.
    Moved {
        /// The key that was.
        from: String,
        /// The key that is.
        to: String,
    },
    /// The same key has another word for a value.
    Respelled {
        /// The key.
        key: String,
        /// The value that was.
        from: Value,
        /// The value that is.
        to: Value,
    },
    /// The key is gone.
    Removed {
        /// The key that was.
        key: String,
        /// Why: a clause for the reader of a message.
        why: String,
        /// The values that may be left out without changing the result; another one is an error
        /// that says `why`. Empty when no value ever mattered.
        #[serde(default)]
        accepts: Vec<Value>,
    },
    /// Where one key stood, another one has a value now that nobody had to write before.
    Implied {
        /// The key that was.
        by: String,
        /// The key that is.
        key: String,
        /// Its value; one that is written there counts instead.
        value: Value,
    },
    /// A kind of change that a newer SDK knows.
    #[serde(other)]
    Unknown,
}

impl Change {
    /// The value of `from` stands under `to` now. A mapping moves with all that is in it.
    pub fn moved(version: u32, from: &str, to: &str) -> Self {
        Self { version, kind: ChangeKind::Moved { from: from.to_owned(), to: to.to_owned() } }
    }

    /// The value `from` of `key` is written `to` now.
    pub fn respelled(
        version: u32,
        key: &str,
        from: impl Into<Value>,
        to: impl Into<Value>,
    ) -> Self {
        let (from, to) = (from.into(), to.into());
        Self { version, kind: ChangeKind::Respelled { key: key.to_owned(), from, to } }
    }

    /// Where `by` stood, `key` is `value` now. Goes before the change that takes `by` away.
    ///
    /// ```
    /// use sdk::Change;
    ///
    /// let changes = [
    ///     Change::implied(1, "tokenizer.model_path", "tokenizer.kind", "sentencepiece"),
    ///     Change::moved(1, "tokenizer.model_path", "tokenizer.path"),
    /// ];
    /// # assert_ne!(changes[0], changes[1]);
    /// ```
    pub fn implied(version: u32, by: &str, key: &str, value: impl Into<Value>) -> Self {
        let (by, key, value) = (by.to_owned(), key.to_owned(), value.into());
        Self { version, kind: ChangeKind::Implied { by, key, value } }
    }

    /// `key` is gone; `why` is a clause such as "nothing read it".
    pub fn removed(version: u32, key: &str, why: &str) -> Self {
        let (key, why) = (key.to_owned(), why.to_owned());
        Self { version, kind: ChangeKind::Removed { key, why, accepts: Vec::new() } }
    }

    /// Only these values of a removed key can be left out; another one was meant to do something
    /// and is refused. Says nothing about other kinds of change.
    #[must_use]
    pub fn accepting<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        if let ChangeKind::Removed { accepts, .. } = &mut self.kind {
            *accepts = values.into_iter().map(Into::into).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_survive_the_way_to_the_host_and_newer_kinds_are_told_apart() {
        let changes = vec![
            Change::moved(1, "a.b", "c"),
            Change::respelled(2, "c", "x", 3),
            Change::implied(2, "d", "f", true),
            Change::removed(3, "d", "nothing read it").accepting(["e"]),
        ];
        let json = serde_json::to_string(&changes).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Change>>(&json).unwrap(), changes);
        let newer = r#"{"version": 4, "change": "split", "key": "f"}"#;
        let newer: Change = serde_json::from_str(newer).unwrap();
        assert_eq!(newer, Change { version: 4, kind: ChangeKind::Unknown });
    }
}
