//! What would go wrong hours into a run, as far as the plan shows it.

use serde::Serialize;

use super::{DryPhase, Machine, Total};
use crate::progress::{bytes, with_commas};

/// Passes over the same data beyond which more of them hardly help (Muennighoff et al. 2023).
const PASSES_MAX: f64 = 16.0;

/// Something that makes the run's success doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// What.
    pub message: String,
    /// The way out.
    pub help: String,
}

impl Doubt {
    fn new(message: String, help: &str) -> Self {
        Self { message, help: help.to_owned() }
    }
}

/// All that is doubtful.
pub(super) fn doubts(phases: &[DryPhase], total: &Total, machine: &Machine) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    doubts.extend(memory(total, machine));
    doubts.extend(disk(total, machine));
    doubts.extend(phases.iter().filter_map(passes));
    doubts.extend(busy(phases, machine));
    doubts
}

/// Whether `needed` bytes, of which the process holds some already, are more than can be had.
pub(super) fn exceeds_memory(needed: u64, machine: &Machine) -> bool {
    let held = machine.memory_held_bytes.unwrap_or(0);
    machine.memory_available_bytes.is_some_and(|available| needed.saturating_sub(held) > available)
}

fn memory(total: &Total, machine: &Machine) -> Option<Doubt> {
    let needed = total.memory_bytes.max(total.memory_peak_bytes)?;
    let available = machine.memory_available_bytes.filter(|_| exceeds_memory(needed, machine))?;
    let (needed, available) = (bytes(needed), bytes(available));
    let message = format!("the run needs about {needed} of memory, and {available} can be had");
    Some(Doubt::new(message, "take smaller micro-batches or a smaller model"))
}

fn disk(total: &Total, machine: &Machine) -> Option<Doubt> {
    if !machine.is_output_dir_writable {
        let message = "`global.output_dir` can't be written to: a run would fail at its start";
        return Some(Doubt::new(message.to_owned(), "say another one with `--output-dir`"));
    }
    let free = machine.disk_free_bytes.filter(|free| *free < total.disk_bytes)?;
    let (needed, free) = (bytes(total.disk_bytes), bytes(free));
    let message =
        format!("the run needs up to {needed} of disk, and {free} is free in `global.output_dir`");
    Some(Doubt::new(message, "lower `global.keep_checkpoints`, or say another `--output-dir`"))
}

fn passes(phase: &DryPhase) -> Option<Doubt> {
    let passes = phase.passes.filter(|passes| *passes > PASSES_MAX)?;
    let (name, passes) = (&phase.name, with_commas(passes.round() as i64));
    let message = format!(
        "phase `{name}` goes over its data {passes} times, and passes beyond {PASSES_MAX} hardly help"
    );
    Some(Doubt::new(message, "bring more data, or take fewer steps"))
}

/// What was timed beside other work takes less time alone.
fn busy(phases: &[DryPhase], machine: &Machine) -> Option<Doubt> {
    let (load, processors) = (machine.load?, machine.processors);
    let is_timed = phases.iter().any(|phase| phase.estimate.is_some());
    (is_timed && load > processors as f64).then(|| {
        let message = format!(
            "the times were measured beside other work: a load of {load:.1} on {processors} processors"
        );
        Doubt::new(message, "estimate again when the machine is quiet")
    })
}

#[cfg(test)]
mod tests {
    use super::super::Estimate;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine() -> Machine {
        Machine {
            memory_available_bytes: Some(4 * GIB),
            memory_held_bytes: Some(GIB),
            disk_free_bytes: Some(10 * GIB),
            is_output_dir_writable: true,
            processors: 2,
            load: Some(2.5),
        }
    }

    fn of(memory_gib: u64, disk_gib: u64, machine: &Machine) -> Vec<String> {
        let total = Total {
            memory_bytes: Some(memory_gib * GIB),
            disk_bytes: disk_gib * GIB,
            ..Total::default()
        };
        messages(&[], &total, machine)
    }

    fn messages(phases: &[DryPhase], total: &Total, machine: &Machine) -> Vec<String> {
        doubts(phases, total, machine).into_iter().map(|doubt| doubt.message).collect()
    }

    #[test]
    fn what_fits_is_not_doubted() {
        assert_eq!(of(5, 10, &machine()), Vec::<String>::new());
        assert_eq!(
            of(500, 500, &Machine { is_output_dir_writable: true, ..Machine::default() }),
            [""; 0]
        );
        assert_eq!(messages(&[], &Total::default(), &machine()), [""; 0]);
    }

    #[test]
    fn too_little_memory_or_disk_is_told_with_both_numbers() {
        assert_eq!(
            of(6, 11, &machine()),
            [
                "the run needs about 6.00 GiB of memory, and 4.00 GiB can be had",
                "the run needs up to 11.0 GiB of disk, and 10.0 GiB is free in `global.output_dir`",
            ]
        );
    }

    #[test]
    fn what_was_measured_counts_when_it_is_more() {
        let total =
            Total { memory_bytes: Some(GIB), memory_peak_bytes: Some(7 * GIB), ..Total::default() };
        assert!(messages(&[], &total, &machine())[0].starts_with("the run needs about 7.00 GiB"));
        assert!(exceeds_memory(5 * GIB + 1, &machine()) && !exceeds_memory(5 * GIB, &machine()));
    }

    #[test]
    fn the_same_data_over_and_over_is_told() {
        let phase =
            |passes| DryPhase { name: "p".to_owned(), passes: Some(passes), ..DryPhase::default() };
        let total = Total::default();
        assert_eq!(
            messages(&[phase(16.0), phase(250.4)], &total, &machine()),
            ["phase `p` goes over its data 250 times, and passes beyond 16 hardly help"]
        );
    }

    #[test]
    fn times_of_a_busy_machine_are_told_as_such() {
        let timed = DryPhase { estimate: Some(Estimate::default()), ..DryPhase::default() };
        let total = Total::default();
        assert_eq!(
            messages(std::slice::from_ref(&timed), &total, &machine()),
            ["the times were measured beside other work: a load of 2.5 on 2 processors"]
        );
        let quiet = Machine { load: Some(2.0), ..machine() };
        assert_eq!(messages(&[timed], &total, &quiet), [""; 0]);
    }

    #[test]
    fn a_place_that_cant_be_written_to_is_told() {
        let machine = Machine { is_output_dir_writable: false, ..machine() };
        assert_eq!(
            of(1, 1, &machine),
            ["`global.output_dir` can't be written to: a run would fail at its start"]
        );
    }
}
