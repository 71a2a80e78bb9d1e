//! The readers that keep the stream on disk: `events.jsonl` and `metrics.jsonl`.
//!
//! Both are append-only and written a whole line at a time, so a crash can at most tear the last
//! line; opening ends a torn line before the next one is written.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::record::finite_or_named;
use super::{Event, Reader, Record};
use crate::atomic_write::reason;

struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self { path: path.to_owned(), file })
    }

    fn append(&mut self, mut line: String) -> Result<(), String> {
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| format!("writing `{}`: {}", self.path.display(), reason(&e)))
    }
}

/// Keeps every event but single steps and progress, which are for eyes.
pub struct EventsFile(Lines);

impl EventsFile {
    /// Opens the file to append.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Lines::open(path).map(Self)
    }
}

impl Reader for EventsFile {
    fn read(&mut self, record: &Record) -> Result<(), String> {
        if matches!(record.event, Event::StepDone { .. } | Event::Progress { .. }) {
            return Ok(());
        }
        let line = serde_json::to_string(record).map_err(|e| format!("writing an event: {e}"))?;
        self.0.append(line)
    }
}

/// Keeps the logged points: one line a point, run, phase, attempt, step, and the values by name.
pub struct MetricsFile(Lines);

impl MetricsFile {
    /// Opens the file to append.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Lines::open(path).map(Self)
    }
}

impl Reader for MetricsFile {
    fn read(&mut self, record: &Record) -> Result<(), String> {
        let Event::Metrics { phase, step, values } = &record.event else {
            return Ok(());
        };
        let Record { run, attempt, time, .. } = record;
        let point = Point { run, phase, attempt: *attempt, step: *step, time, values };
        let line = serde_json::to_string(&point).map_err(|e| format!("writing a point: {e}"))?;
        self.0.append(line)
    }
}

/// A line of `metrics.jsonl`, written without a tree of values between: smoke tests log every step.
#[derive(Serialize)]
struct Point<'a> {
    run: &'a str,
    phase: &'a str,
    attempt: u32,
    step: u64,
    time: &'a str,
    #[serde(flatten, with = "finite_or_named")]
    values: &'a BTreeMap<String, f64>,
}

/// A number as JSON; what JSON can't hold, by name.
pub(super) fn number(value: f64) -> Value {
    match value {
        v if v.is_nan() => Value::from("NaN"),
        f64::INFINITY => Value::from("Infinity"),
        f64::NEG_INFINITY => Value::from("-Infinity"),
        v => Value::from(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventStream;

    #[test]
    fn nan_is_written_by_name_and_torn_lines_are_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"torn").unwrap();
        let events = directory.path().join("events.jsonl");
        let readers: Vec<Box<dyn Reader>> = vec![
            Box::new(MetricsFile::open(&path).unwrap()),
            Box::new(EventsFile::open(&events).unwrap()),
        ];
        let stream = EventStream::new("r", 2, readers);
        let values = [("train/loss".to_owned(), f64::NAN), ("val/loss".to_owned(), 0.1)];
        stream.emit(Event::Metrics { phase: "p".into(), step: 3, values: values.into() });
        assert_eq!(stream.failure(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("{\"torn"));
        let line: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(line["train/loss"], "NaN");
        assert_eq!((line["step"].as_u64(), line["attempt"].as_u64()), (Some(3), Some(2)));
        assert_eq!(line["val/loss"], 0.1);
        let record: Record =
            serde_json::from_str(std::fs::read_to_string(&events).unwrap().trim()).unwrap();
        let Event::Metrics { values, .. } = record.event else { panic!("{record:?}") };
        assert!(values["train/loss"].is_nan());
    }
}
