//! Hosts of all sorts: they stop, delay, save, go on elsewhere and bring damaged states, by a seed.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use super::{Conformance, FakeHost, bits, copy, is_panic, numbers};
use crate::abi::PhaseClient;
use crate::context::CANCELLED;
use crate::error::Error;
use crate::generator::Generator;
use crate::trainer::Evaluation;

/// Things that one host does.
const ACTS: u64 = 12;
/// Longest delay of an answer.
const DELAY_US_MAX: u64 = 200;

impl Conformance {
    /// Drives the phase by a host for each seed, and returns what went wrong, a line a seed.
    ///
    /// A host takes steps, measures, saves, goes on in another phase from what was saved, brings damaged
    /// states, asks to stop and goes on, and takes its time with answers. Whatever it does, a step must
    /// report what it reports in a run without any of it, and nothing may panic.
    pub fn scenarios(&self, seeds: Range<u64>) -> Vec<String> {
        let expected = match self.undisturbed() {
            Ok(expected) => expected,
            Err(error) => return vec![format!("without any disturbance: {}", super::said(&error))],
        };
        let mut failures = Vec::new();
        for seed in seeds {
            if let Err(what) = self.scenario(seed, &expected) {
                failures.push(format!("host {seed}: {what}"));
            }
        }
        failures
    }

    fn undisturbed(&self) -> Result<Vec<Value>, Error> {
        let (mut client, prepared) = self.prepared()?;
        (0..Self::horizon(&prepared)).map(|step| Ok(numbers(&client.step(step)?))).collect()
    }

    fn scenario(&self, seed: u64, expected: &[Value]) -> Result<(), String> {
        let mut dice = Generator::new(seed, "host");
        let mut host = FakeHost::default();
        if dice.below(4) == 0 {
            host = host.delay(Duration::from_micros(dice.below(DELAY_US_MAX)));
        }
        if dice.below(3) == 0 {
            host = host.cancel_after(dice.below(6));
        }
        let plain = |doing: &str, error: &Error| format!("{doing}: {}", super::said(error));
        let mut client = match self.prepare(&host) {
            Ok((client, _)) => client,
            Err(error) if error.code == CANCELLED => {
                host.go_on();
                self.prepare(&host).map_err(|e| plain("preparing after a stop", &e))?.0
            }
            Err(error) => return Err(plain("preparing", &error)),
        };
        let mut step = 0;
        for _ in 0..ACTS {
            match dice.below(10) {
                0..=3 if step < expected.len() => {
                    self.step(&mut client, &host, &mut step, expected)?;
                }
                4 => match client.evaluate(Evaluation::Periodic) {
                    Err(e) if e.code != CANCELLED => return Err(plain("measuring", &e)),
                    _ => {}
                },
                5 => {
                    let state = client.save().and_then(|state| copy(&state));
                    let state = state.map_err(|e| plain("saving", &e))?;
                    let quiet = FakeHost::default();
                    client = self.prepare(&quiet).map_err(|e| plain("preparing", &e))?.0;
                    client.restore(state).map_err(|e| plain("going on elsewhere", &e))?;
                    host = quiet;
                }
                6 => self.damaged(&mut client, &mut dice)?,
                7 => host.cancel(),
                8 => host.go_on(),
                _ => {
                    client.check(&self.given).map_err(|e| plain("checking", &e))?;
                    client.artifacts().map_err(|e| plain("handing on", &e))?;
                }
            }
        }
        Ok(())
    }

    fn step(
        &self,
        client: &mut PhaseClient,
        host: &FakeHost,
        step: &mut usize,
        expected: &[Value],
    ) -> Result<(), String> {
        let report = match client.step(*step as u64) {
            Err(error) if error.code == CANCELLED => {
                // The host would write a checkpoint now: the step must have left no trace.
                host.go_on();
                client.step(*step as u64)
            }
            report => report,
        };
        let report = report.map_err(|e| format!("step {}: {}", *step + 1, super::said(&e)))?;
        if numbers(&report) != expected[*step] {
            return Err(format!("step {} reports other numbers than undisturbed", *step + 1));
        }
        *step += 1;
        Ok(())
    }

    /// Brings another phase a state with a hole; it must refuse, and this one must not notice.
    fn damaged(&self, client: &mut PhaseClient, dice: &mut Generator) -> Result<(), String> {
        let plain = |error: Error| super::said(&error);
        let state = client.save().map_err(plain)?;
        let before = bits(&state);
        let mut state = copy(&state).map_err(plain)?;
        let paths: Vec<String> = before.keys().cloned().collect();
        let Some(path) = paths.get(dice.below(paths.len().max(1) as u64) as usize) else {
            return Ok(());
        };
        state.tensors.remove(path);
        state.values.remove(path);
        let (mut other, _) = self.prepared().map_err(plain)?;
        match other.restore(state) {
            Ok(()) => return Err(format!("a state without `{path}` is taken")),
            Err(error) if is_panic(&error) => return Err(error.message),
            Err(_) => {}
        }
        drop(other);
        let after = bits(&client.save().map_err(plain)?);
        if before == after { Ok(()) } else { Err("another phase changed this one".to_owned()) }
    }
}
