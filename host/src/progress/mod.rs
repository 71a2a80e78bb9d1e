//! How a run is shown while it goes on: readers of the event stream.
//!
//! This module and `commands` are the only ones that write to the terminal.

mod bars;
mod plain;
mod quantity;

use std::io::{IsTerminal, Write};

use clap::ValueEnum;

use crate::events::{Reader, Record};

pub use quantity::{bytes, duration, parse_bytes};

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// Bars
    Bars,
    /// A line for each logged point
    Plain,
    /// Events as JSON lines, on standard output
    Json,
    /// Nothing
    Off,
}

/// The reader that shows a run.
pub fn reader(progress: Progress) -> Option<Box<dyn Reader>> {
    let progress = match progress {
        Progress::Auto if std::io::stderr().is_terminal() => Progress::Bars,
        Progress::Auto => Progress::Plain,
        other => other,
    };
    match progress {
        Progress::Bars => Some(Box::new(bars::Bars::new())),
        Progress::Plain => Some(Box::new(plain::Plain::default())),
        Progress::Json => Some(Box::new(JsonLines)),
        Progress::Off | Progress::Auto => None,
    }
}

struct JsonLines;

impl Reader for JsonLines {
    fn read(&mut self, record: &Record) -> Result<(), String> {
        let line = serde_json::to_string(record).map_err(|e| e.to_string())?;
        // Somebody who closes the pipe has seen enough; the run goes on.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
        Ok(())
    }
}

/// A number as a person reads it: `12,345`, `0.0312`, `3.0e-4`.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        value.to_string()
    } else if magnitude >= 1000.0 {
        with_commas(value.round() as i64)
    } else if magnitude >= 0.01 || value == 0.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    }
}

/// An integer with thousands separators.
pub fn with_commas(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// Facts of a trainer on one line.
pub fn facts_line(facts: &serde_json::Map<String, serde_json::Value>) -> String {
    let shown: Vec<String> = facts
        .iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.as_i64().map_or_else(|| other.to_string(), with_commas),
            };
            format!("{} {value}", name.replace('_', " "))
        })
        .collect();
    shown.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let shown: Vec<String> =
            [0.0, 1.5, 12345.6, 3e-4, -0.5, f64::NAN, 999.99].map(number).to_vec();
        assert_eq!(shown, ["0.0000", "1.5000", "12,346", "3.0e-4", "-0.5000", "NaN", "999.9900"]);
        assert_eq!(with_commas(-1_234_567), "-1,234,567");
        assert_eq!(with_commas(999), "999");
    }
}
