//! What a phase takes, and gives back: memory, threads, and nothing of another instance.

use std::fs;

use super::{Check, Conformance, Failure, Level, Verdict, bits, difference, failed, hold, skipped};

/// Phases that are made and let go.
const CYCLES: usize = 100;
/// Of these, before anything is measured: allocators and pools take their fill.
const WARM_UP: usize = 30;
/// Growth that is still noise of the allocator, over the cycles behind the warm-up.
const GROWTH_KIB_MAX: u64 = 4 * 1024;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "two-at-once",
        level: Level::Conformant,
        about: "two phases at once train as each alone",
        run: two_at_once,
    },
    Check {
        name: "create-and-drop",
        level: Level::Conformant,
        about: "a hundred phases, made and let go, leave no memory behind",
        run: create_and_drop,
    },
    Check {
        name: "threads",
        level: Level::Conformant,
        about: "threads end with the phase, or are made once",
        run: threads,
    },
];

fn two_at_once(this: &Conformance) -> Verdict {
    let (mut alone, prepared) = this.prepared()?;
    let n = Conformance::horizon(&prepared).min(4);
    for step in 0..n {
        alone.step(step)?;
    }
    let expected = bits(&alone.save()?);
    drop(alone);
    let (mut a, _) = this.prepared()?;
    let (mut b, _) = this.prepared()?;
    for step in 0..n {
        a.step(step)?;
        b.step(step)?;
    }
    for (which, client) in [("first", &mut a), ("second", &mut b)] {
        if let Some(path) = difference(&expected, &bits(&client.save()?)) {
            return failed(format!("`{path}` of the {which} differs from that of one alone"));
        }
    }
    Ok(None)
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident_kib() -> Option<u64> {
    status("VmRSS:")
}

fn cycle(this: &Conformance) -> Result<(), Failure> {
    let (mut client, _) = this.prepared()?;
    client.step(0)?;
    Ok(())
}

fn create_and_drop(this: &Conformance) -> Verdict {
    if !this.is_alone || resident_kib().is_none() {
        return skipped("the memory of this process is not the phase's alone");
    }
    for _ in 0..WARM_UP {
        cycle(this)?;
    }
    let before = resident_kib().unwrap_or(0);
    for _ in WARM_UP..CYCLES {
        cycle(this)?;
    }
    let grown = resident_kib().unwrap_or(0).saturating_sub(before);
    hold(grown <= GROWTH_KIB_MAX, || {
        let each = grown / (CYCLES - WARM_UP) as u64;
        format!("{} phases left {grown} KiB, some {each} KiB each", CYCLES - WARM_UP)
    })?;
    Ok(Some(format!("{grown} KiB more after {} phases", CYCLES - WARM_UP)))
}

fn threads(this: &Conformance) -> Verdict {
    let count = || status("Threads:");
    if !this.is_alone || count().is_none() {
        return skipped("the threads of this process are not the phase's alone");
    }
    cycle(this)?;
    let before = count().unwrap_or(0);
    for _ in 0..10 {
        cycle(this)?;
    }
    let after = count().unwrap_or(0);
    hold(after <= before, || format!("{before} threads after one phase, {after} after ten more"))?;
    Ok(Some(format!("{after} threads")))
}
