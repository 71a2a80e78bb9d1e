//! Plain lines on standard error, for logs and pipes.

use std::collections::BTreeMap;
use std::io::Write;

use super::{facts_line, number, with_commas};
use crate::config::escaped_lines;
use crate::events::{Event, Reader, Record};

/// One line for each thing worth one.
#[derive(Default)]
pub(super) struct Plain {
    total_steps: u64,
}

impl Reader for Plain {
    fn read(&mut self, record: &Record) -> Result<(), String> {
        if let Event::PhasePrepared { total_steps, .. } = &record.event {
            self.total_steps = *total_steps;
        }
        if let Some(line) = line(&record.event, self.total_steps) {
            // Standard error has no buffer: one write a line. It may be gone; the run goes on.
            let _ = std::io::stderr().write_all((line + "\n").as_bytes());
        }
        Ok(())
    }
}

/// What an event says in a line; `None` for those that say nothing here.
pub(super) fn line(event: &Event, total_steps: u64) -> Option<String> {
    Some(match event {
        Event::RunStarted { directory, is_resumed, .. } => {
            format!("{} {directory}", if *is_resumed { "resuming" } else { "run" })
        }
        Event::PhaseSkipped { phase, steps } => {
            format!("[{phase}] finished before, after {} steps", with_commas(*steps as i64))
        }
        Event::PhaseStarted { phase, number, of, plugin } => {
            format!("[{phase}] phase {number} of {of}, plugin {plugin}: preparing")
        }
        Event::PhasePrepared { phase, total_steps, steps_done, facts, .. } => {
            let from = if *steps_done > 0 { format!(" from {steps_done}") } else { String::new() };
            let facts = facts_line(facts);
            let facts = if facts.is_empty() { facts } else { format!(" · {facts}") };
            format!("[{phase}] {} steps{from}{facts}", with_commas(*total_steps as i64))
        }
        Event::Metrics { phase, step, values } => {
            format!("[{phase}] step {step}/{total_steps} · {}", values_line(values))
        }
        Event::CheckpointWritten { phase, path, is_best, .. } => {
            format!("[{phase}] checkpoint {path}{}", if *is_best { " (best)" } else { "" })
        }
        Event::CheckpointRestored { phase, path, .. } => format!("[{phase}] going on from {path}"),
        Event::Log { phase, level, message, .. } if level != "debug" => {
            format!("[{phase}] {level}: {message}")
        }
        Event::Warning { message } => format!("warning: {}", escaped_lines(message)),
        Event::PhaseFinished { phase, seconds, .. } => {
            format!("[{phase}] finished in {seconds:.1} s")
        }
        _ => return None,
    })
}

fn values_line(values: &BTreeMap<String, f64>) -> String {
    let shown: Vec<String> =
        values.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
    shown.join(" · ")
}
