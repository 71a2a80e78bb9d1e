//! The same bits: from a checkpoint, and from the beginning again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Check, Conformance, Failure, Level, Verdict, bits, copy, difference, differing_metric, failed,
    hold, numbers, refused, skipped,
};
use crate::generator::Generator;
use crate::state::StateDict;
use crate::tensor::TensorHandle;
use crate::trainer::Evaluation;

/// Points at which a phase is interrupted.
const POINTS: usize = 20;
/// Steps that are taken behind each.
const STEPS_BEHIND: u64 = 3;
/// Runs that have to be alike.
const RUNS: usize = 3;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "saving-is-quiet",
        level: Level::Resumable,
        about: "saving changes nothing",
        run: saving_is_quiet,
    },
    Check {
        name: "state-round-trip",
        level: Level::Resumable,
        about: "a state that was put in place is the state that is saved",
        run: state_round_trip,
    },
    Check {
        name: "foreign-state",
        level: Level::Resumable,
        about: "a state with more or less is refused, and one of another shape is no panic",
        run: foreign_state,
    },
    Check {
        name: "exact-resume",
        level: Level::Resumable,
        about: "interrupted anywhere, it goes on to the same bits",
        run: exact_resume,
    },
    Check {
        name: "evaluations-between",
        level: Level::Resumable,
        about: "evaluations and checkpoints on the way don't change the training",
        run: evaluations_between,
    },
    Check {
        name: "same-seed",
        level: Level::Deterministic,
        about: "three runs with one seed are the same, bit for bit",
        run: same_seed,
    },
    Check {
        name: "same-evaluation",
        level: Level::Deterministic,
        about: "evaluations of two runs with one seed report the same numbers",
        run: same_evaluation,
    },
    Check {
        name: "same-artifacts",
        level: Level::Deterministic,
        about: "what two runs with one seed hand on is the same, bit for bit",
        run: same_artifacts,
    },
];

fn saving_is_quiet(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    client.step(0)?;
    let before = bits(&client.save()?);
    match difference(&before, &bits(&client.save()?)) {
        Some(path) => failed(format!("`{path}` differs when it is saved again")),
        None => Ok(None),
    }
}

fn state_round_trip(this: &Conformance) -> Verdict {
    let (mut first, _) = this.prepared()?;
    first.step(0)?;
    let state = copy(&first.save()?)?;
    let expected = bits(&state);
    let (mut second, _) = this.prepared()?;
    second.restore(state)?;
    match difference(&expected, &bits(&second.save()?)) {
        Some(path) => failed(format!("`{path}` is not what was put in place")),
        None => Ok(Some(format!("{} tensors and values", expected.len()))),
    }
}

fn foreign_state(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    let state = copy(&client.save()?)?;
    let mut cases: Vec<(String, StateDict)> = Vec::new();
    let mut reshaped = None;
    let mut more = copy(&state)?;
    more.values.insert("no/such/value".to_owned(), json!(1));
    cases.push(("a value that it doesn't know".to_owned(), more));
    if let Some(path) = state.tensors.keys().next() {
        let mut less = copy(&state)?;
        less.tensors.remove(path);
        cases.push((format!("no tensor `{path}`"), less));
        let mut other = copy(&state)?;
        let n = other.tensors[path].len();
        let flat = TensorHandle::from_vec(vec![0.0f32; n + 1], &[n + 1])?;
        other.tensors.insert(path.clone(), flat);
        reshaped = Some((format!("a state with another shape of `{path}`"), other));
    }
    if let Some(path) = state.values.keys().next() {
        let mut less = copy(&state)?;
        less.values.remove(path);
        cases.push((format!("no value `{path}`"), less));
        let mut other = copy(&state)?;
        other.values.insert(path.clone(), json!([["neither", "fish", "nor", "fowl"]]));
        cases.push((format!("another type of `{path}`"), other));
    }
    for (what, state) in cases {
        let (mut client, _) = this.prepared()?;
        let what = format!("a state with {what}");
        if refused(client.restore(state), &what)?.is_none() {
            return failed(format!("{what} is taken"));
        }
    }
    // A list may have any length: then the step has to say what it thinks of it.
    if let Some((what, state)) = reshaped {
        let (mut client, _) = this.prepared()?;
        if refused(client.restore(state), &what)?.is_none() {
            refused(client.step(0), &what)?;
        }
    }
    Ok(None)
}

fn exact_resume(this: &Conformance) -> Verdict {
    let (mut whole, prepared) = this.prepared()?;
    let n = Conformance::horizon(&prepared);
    let mut states = vec![copy(&whole.save()?)?];
    let mut reports = Vec::new();
    for step in 0..n {
        reports.push(numbers(&whole.step(step)?));
        states.push(copy(&whole.save()?)?);
    }
    drop(whole);
    // Each step once, in an order of chance, so that no two points have the same history.
    let mut order: Vec<usize> = (0..states.len() - 1).collect();
    Generator::new(this.seed, "points of interruption").shuffle(&mut order);
    order.truncate(POINTS);
    for at in &order {
        let (mut client, _) = this.prepared()?;
        client.restore(copy(&states[*at])?)?;
        let end = (*at + usize::try_from(STEPS_BEHIND).unwrap_or(1)).min(reports.len());
        for (step, expected) in reports.iter().enumerate().take(end).skip(*at) {
            let report = numbers(&client.step(step as u64)?);
            hold(report == *expected, || {
                format!("interrupted after step {at}, step {} reports other numbers", step + 1)
            })?;
        }
        if let Some(path) = difference(&bits(&states[end]), &bits(&client.save()?)) {
            return failed(format!("interrupted after step {at}, `{path}` differs at step {end}"));
        }
    }
    Ok(Some(format!("at {} points", order.len())))
}

/// A run: each step's numbers, then the state.
type Run = (Vec<Value>, BTreeMap<String, Vec<u8>>);

fn run(this: &Conformance, with_evaluations: bool) -> Result<Run, Failure> {
    let (mut client, prepared) = this.prepared()?;
    let mut reports = Vec::new();
    for step in 0..Conformance::horizon(&prepared) {
        reports.push(numbers(&client.step(step)?));
        if with_evaluations {
            client.evaluate(Evaluation::Periodic)?;
            client.save()?;
        }
    }
    let state = bits(&client.save()?);
    Ok((reports, state))
}

fn evaluations_between(this: &Conformance) -> Verdict {
    let (quiet, end) = run(this, false)?;
    let (measured, other) = run(this, true)?;
    let differing = quiet.iter().zip(&measured).position(|(a, b)| a != b);
    if let Some(i) = differing {
        return failed(format!("step {} differs when there are evaluations before it", i + 1));
    }
    match difference(&end, &other) {
        Some(path) => failed(format!("`{path}` differs when there are evaluations on the way")),
        None => Ok(None),
    }
}

fn same_seed(this: &Conformance) -> Verdict {
    let (reports, state) = run(this, false)?;
    for _ in 1..RUNS {
        let (again, other) = run(this, false)?;
        if let Some(i) = reports.iter().zip(&again).position(|(a, b)| a != b) {
            return failed(format!("step {} reports other numbers in another run", i + 1));
        }
        if let Some(path) = difference(&state, &other) {
            return failed(format!("`{path}` differs at the end of another run"));
        }
    }
    Ok(Some(format!("{RUNS} runs of {} steps", reports.len())))
}

fn same_evaluation(this: &Conformance) -> Verdict {
    let measure = || {
        let (mut client, _) = this.prepared()?;
        client.step(0)?;
        Ok::<_, Failure>(client.evaluate(Evaluation::Final)?)
    };
    let (once, again) = (measure()?, measure()?);
    match differing_metric(&once, &again) {
        Some(name) => failed(format!("`{name}` differs in another run")),
        None if once.is_empty() => skipped("evaluations report nothing"),
        None => Ok(None),
    }
}

fn same_artifacts(this: &Conformance) -> Verdict {
    let artifacts = || {
        let (mut client, _) = this.prepared()?;
        client.step(0)?;
        let of = |a: &crate::abi::SharedArtifact| {
            let of_tensor = |t: &TensorHandle| (t.dtype(), t.shape().to_vec(), t.to_bytes());
            let tensors = a.tensors.iter().map(|(name, t)| (name.clone(), of_tensor(t)));
            ((a.name.clone(), a.kind.clone()), a.settings.to_string(), tensors.collect::<Vec<_>>())
        };
        Ok::<_, Failure>(client.artifacts()?.iter().map(of).collect::<Vec<_>>())
    };
    let (once, again) = (artifacts()?, artifacts()?);
    let (here, there) = (once.len(), again.len());
    hold(here == there, || format!("{here} artifacts in one run, {there} in another"))?;
    match once.iter().zip(&again).find(|(a, b)| a != b) {
        Some((((name, _), ..), _)) => failed(format!("`{name}` differs in another run")),
        None if once.is_empty() => skipped("it hands nothing on"),
        None => Ok(None),
    }
}
