//! Progress bars on a terminal: one for each phase, lines of note above them.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{facts_line, number, plain, with_commas};
use crate::events::{Event, Reader, Record};

/// Time between two messages of a bar: eyes see no more, and a step may take microseconds.
const BETWEEN: Duration = Duration::from_millis(50);

/// Bars on standard error.
pub(super) struct Bars {
    all: MultiProgress,
    current: Option<ProgressBar>,
    /// When the current bar's message was last made.
    told: Instant,
    width: usize,
    loss: f64,
    units_per_s: f64,
    val_loss: Option<f64>,
    unit: String,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            current: None,
            told: Instant::now(),
            width: 8,
            loss: f64::NAN,
            units_per_s: 0.0,
            val_loss: None,
            unit: String::new(),
        }
    }

    fn prefix(&self, phase: &str) -> String {
        format!("{phase:<width$}", width = self.width)
    }

    fn begin(&mut self, phase: &str, total: u64, template: &str) {
        if let Some(old) = self.current.take() {
            old.finish_and_clear();
        }
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(self.prefix(phase));
        let bar = self.all.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        self.current = Some(bar);
    }

    fn note(&self, line: &str) {
        let _ = self.all.println(line);
    }

    fn step(&mut self, steps_done: u64) {
        let Some(bar) = &self.current else { return };
        bar.set_position(steps_done);
        if self.told.elapsed() >= BETWEEN || bar.length() == Some(steps_done) {
            bar.set_message(self.message());
            self.told = Instant::now();
        }
    }

    fn message(&self) -> String {
        let val = self.val_loss.map_or_else(String::new, |loss| format!(" · val {loss:.4}"));
        let (unit, pace) = (&self.unit, number(self.units_per_s.round()));
        let pace = pace.trim_end_matches(".0000");
        format!("loss {:.4}{val} · {pace} {unit}/s", self.loss)
    }
}

impl Reader for Bars {
    fn read(&mut self, record: &Record) -> Result<(), String> {
        match &record.event {
            Event::RunStarted { phases, .. } => {
                self.width = phases.iter().map(String::len).max().unwrap_or(0);
                self.note_plain(&record.event);
            }
            Event::PhaseStarted { phase, .. } => {
                self.begin(phase, 0, "{prefix:.bold} {spinner} preparing {msg}");
            }
            Event::Progress { what, done, total, .. } => {
                if let Some(bar) = &self.current {
                    bar.set_message(format!("{what} {done}/{total}"));
                }
            }
            Event::PhasePrepared { phase, total_steps, steps_done, unit, facts } => {
                self.unit.clone_from(unit);
                self.val_loss = None;
                self.begin(
                    phase,
                    *total_steps,
                    "{prefix:.bold} {bar:24.cyan/dim} {human_pos}/{human_len} {wide_msg} {eta:>4}",
                );
                if let Some(bar) = &self.current {
                    bar.set_position(*steps_done);
                    bar.reset_eta();
                }
                if !facts.is_empty() {
                    self.note(&format!("{}  {}", self.prefix(phase), facts_line(facts)));
                }
            }
            Event::StepDone { steps_done, loss, units_per_s, .. } => {
                (self.loss, self.units_per_s) = (*loss, *units_per_s);
                self.step(*steps_done);
            }
            Event::Metrics { values, .. } => {
                if let Some(loss) = values.get("val/loss") {
                    self.val_loss = Some(*loss);
                }
            }
            Event::PhaseFinished { phase, steps, seconds, .. } => {
                if let Some(bar) = self.current.take() {
                    bar.finish_and_clear();
                }
                self.note(&format!(
                    "{}  {} steps in {seconds:.0} s · {}",
                    self.prefix(phase),
                    with_commas(*steps as i64),
                    self.message()
                ));
            }
            Event::RunFinished { .. } => {
                if let Some(bar) = self.current.take() {
                    bar.finish_and_clear();
                }
            }
            Event::CheckpointWritten { .. } => {}
            _ => self.note_plain(&record.event),
        }
        Ok(())
    }
}

impl Bars {
    fn note_plain(&self, event: &Event) {
        if let Some(line) = plain::line(event, 0) {
            self.note(&line);
        }
    }
}
