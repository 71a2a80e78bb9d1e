//! An event with its time and place: one line of `events.jsonl`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Event;

/// One event as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// UTC, RFC 3339.
    pub time: String,
    /// The run's name.
    pub run: String,
    /// Which start of the run, from 1.
    pub attempt: u32,
    /// Counts from 0 in each attempt.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    pub(super) fn now(run: &str, attempt: u32, seq: u64, event: Event) -> Self {
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        Self { time, run: run.to_owned(), attempt, seq, event }
    }
}

/// JSON has no NaN and no infinity: they are written by name, never left out.
pub(super) mod finite_or_named {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    use crate::events::files::number;

    pub(crate) fn serialize<S: Serializer>(
        values: &BTreeMap<String, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, number(*value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let float = |value: Value| match value.as_str() {
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => value.as_f64().unwrap_or(f64::NAN),
        };
        Ok(values.into_iter().map(|(name, value)| (name, float(value))).collect())
    }
}
