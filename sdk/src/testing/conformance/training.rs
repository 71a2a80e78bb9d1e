//! Preparing, stepping, measuring and handing on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::{
    Check, Conformance, Failure, FakeHost, GRACE, Level, Verdict, bits, copy, difference,
    differing_metric, failed, hold, refused, skipped,
};
use crate::abi::SharedArtifact;
use crate::capability;
use crate::context::CANCELLED;
use crate::device::DType;
use crate::generate::{ExportRequest, GenerateRequest};
use crate::state::StateDict;
use crate::tensor::TensorHandle;
use crate::trainer::{Evaluation, Metrics};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "order",
        level: Level::Conformant,
        about: "a step before preparing is an error, not a panic",
        run: order,
    },
    Check {
        name: "schedule",
        level: Level::Conformant,
        about: "has steps to take, of tokens or of samples",
        run: schedule,
    },
    Check {
        name: "steps",
        level: Level::Conformant,
        about: "every step reports a finite loss and what it consumed",
        run: steps,
    },
    Check {
        name: "metric-names",
        level: Level::Conformant,
        about: "metrics have names of lower-case letters, digits, `_`, `-` and `/`, each once",
        run: metric_names,
    },
    Check {
        name: "best-metric",
        level: Level::Conformant,
        about: "the metric that chooses the best checkpoint is one that evaluations report",
        run: best_metric,
    },
    Check {
        name: "steps-train",
        level: Level::Conformant,
        about: "a step changes the state",
        run: steps_train,
    },
    Check {
        name: "evaluation-is-quiet",
        level: Level::Conformant,
        about: "an evaluation leaves the state as it was",
        run: evaluation_is_quiet,
    },
    Check {
        name: "evaluation-repeats",
        level: Level::Conformant,
        about: "two evaluations of one state report the same numbers",
        run: evaluation_repeats,
    },
    Check {
        name: "progress",
        level: Level::Conformant,
        about: "progress never goes back and never passes its end",
        run: progress,
    },
    Check {
        name: "cancel-prepare",
        level: Level::Conformant,
        about: "asked to stop while preparing, it stops or ends well",
        run: cancel_prepare,
    },
    Check {
        name: "cancel-step",
        level: Level::Conformant,
        about: "asked to stop, it is back after the step that it is in",
        run: cancel_step,
    },
    Check {
        name: "cancel-evaluation",
        level: Level::Conformant,
        about: "asked to stop while measuring, it stops or ends well, and trains on",
        run: cancel_evaluation,
    },
    Check {
        name: "promises-kept",
        level: Level::Conformant,
        about: "hands on what it promised",
        run: promises_kept,
    },
    Check {
        name: "artifacts-finite",
        level: Level::Conformant,
        about: "what it hands on has names and no NaN",
        run: artifacts_finite,
    },
    Check {
        name: "capabilities",
        level: Level::Conformant,
        about: "does what it says that it can, and refuses what it doesn't know",
        run: capabilities,
    },
    Check {
        name: "nan-shows",
        level: Level::Conformant,
        about: "NaN in the weights shows in the loss",
        run: nan_shows,
    },
    Check {
        name: "nonsense",
        level: Level::Conformant,
        about: "nonsense at every entry is an error, not a panic",
        run: nonsense,
    },
    Check {
        name: "after-an-error",
        level: Level::Conformant,
        about: "goes on, or is let go, after an error",
        run: after_an_error,
    },
];

fn order(this: &Conformance) -> Verdict {
    let mut client = this.create(&this.section)?;
    for (what, result) in [
        ("`step` before `prepare`", client.step(0).map(drop)),
        ("`evaluate` before `prepare`", client.evaluate(Evaluation::Final).map(drop)),
        ("`save` before `prepare`", client.save().map(drop)),
        ("`artifacts` before `prepare`", client.artifacts().map(drop)),
    ] {
        if refused(result, what)?.is_none() {
            return failed(format!("{what} is no error"));
        }
    }
    Ok(None)
}

fn schedule(this: &Conformance) -> Verdict {
    let (_, prepared) = this.prepared()?;
    let schedule = &prepared.schedule;
    hold(schedule.total_steps > 0, || "the schedule has no steps".to_owned())?;
    hold(matches!(schedule.unit.as_str(), "tokens" | "samples"), || {
        format!("the unit is `{}`, not `tokens` or `samples`", schedule.unit)
    })?;
    Ok(Some(format!("{} steps", schedule.total_steps)))
}

fn steps(this: &Conformance) -> Verdict {
    let (mut client, prepared) = this.prepared()?;
    let n = Conformance::horizon(&prepared);
    for step in 0..n {
        let report = client.step(step)?;
        hold(report.loss.is_finite(), || {
            format!("the loss of step {} is {}", step + 1, report.loss)
        })?;
        hold(report.units > 0, || format!("step {} consumed nothing", step + 1))?;
    }
    Ok(Some(format!("{n} steps")))
}

fn is_metric(name: &str) -> bool {
    let is_fit = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '/' | '.' | '@')
    };
    !name.is_empty() && name.len() <= 128 && name.chars().all(is_fit)
}

fn metric_names(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    let report = client.step(0)?;
    let mut seen = BTreeSet::from(["loss", "step_ms"]);
    for (name, _) in &report.metrics {
        hold(is_metric(name), || format!("`{name}` is no name for a metric"))?;
        hold(seen.insert(name), || {
            format!("the metric `{name}` is there twice, or is the host's")
        })?;
    }
    for (name, value) in client.evaluate(Evaluation::Periodic)? {
        hold(is_metric(&name), || format!("`{name}` is no name for a metric"))?;
        hold(!value.is_nan(), || format!("an evaluation reports NaN as `{name}`"))?;
    }
    Ok(None)
}

fn best_metric(this: &Conformance) -> Verdict {
    let (mut client, prepared) = this.prepared()?;
    let Some(best) = prepared.schedule.best else {
        return skipped("it keeps no best checkpoint");
    };
    client.step(0)?;
    let measured = client.evaluate(Evaluation::Periodic)?;
    hold(measured.contains_key(&best.metric), || {
        format!("`{}` is not among what an evaluation reports", best.metric)
    })?;
    Ok(None)
}

fn steps_train(this: &Conformance) -> Verdict {
    let (mut client, prepared) = this.prepared()?;
    let before = bits(&client.save()?);
    if before.is_empty() {
        return failed("it has no state: a resumed run would begin anew");
    }
    // The learning rate of the first step may be 0.
    for step in 0..Conformance::horizon(&prepared).min(3) {
        client.step(step)?;
    }
    hold(before != bits(&client.save()?), || "the state is the same after some steps".to_owned())?;
    Ok(None)
}

fn evaluation_is_quiet(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    client.step(0)?;
    let before = bits(&client.save()?);
    client.evaluate(Evaluation::Periodic)?;
    match difference(&before, &bits(&client.save()?)) {
        Some(path) => failed(format!("an evaluation changes `{path}`")),
        None => Ok(None),
    }
}

fn evaluation_repeats(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    client.step(0)?;
    let (once, twice) =
        (client.evaluate(Evaluation::Periodic)?, client.evaluate(Evaluation::Periodic)?);
    match differing_metric(&once, &twice) {
        Some(name) => {
            let shown = |metrics: &Metrics| {
                metrics.get(name).map_or("not there".to_owned(), f64::to_string)
            };
            failed(format!("`{name}` is {} and then {}", shown(&once), shown(&twice)))
        }
        None => Ok(None),
    }
}

fn progress(this: &Conformance) -> Verdict {
    let host = FakeHost::default();
    let (mut client, _) = this.prepare(&host)?;
    client.step(0)?;
    client.evaluate(Evaluation::Final)?;
    let mut last: Vec<(String, u64)> = Vec::new();
    for (what, done, total) in host.progress() {
        hold(done <= total, || format!("`{what}` is {done} of {total}"))?;
        let before = last.iter().position(|(name, _)| *name == what);
        match before {
            // Work that is done twice begins again.
            Some(i) if done >= last[i].1 || done == 0 || is_begun_anew(done, last[i].1, total) => {
                last[i].1 = done;
            }
            Some(i) => return failed(format!("`{what}` goes back from {} to {done}", last[i].1)),
            None => last.push((what, done)),
        }
    }
    Ok(None)
}

/// Whether the one before was complete.
fn is_begun_anew(done: u64, before: u64, total: u64) -> bool {
    before >= total && done < before
}

fn cancel_prepare(this: &Conformance) -> Verdict {
    let host = FakeHost::default().cancel_after(0);
    let begun = Instant::now();
    match this.prepare(&host) {
        Ok(_) => Ok(Some("it doesn't look, and ends well".to_owned())),
        Err(error) if error.code == CANCELLED => {
            Ok(Some(format!("stopped after {} ms", begun.elapsed().as_millis())))
        }
        Err(error) => failed(format!("asked to stop it says: {}", error.message)),
    }
}

fn cancel_step(this: &Conformance) -> Verdict {
    let host = FakeHost::default();
    let (mut client, prepared) = this.prepare(&host)?;
    let n = Conformance::horizon(&prepared);
    let begun = Instant::now();
    client.step(0)?;
    let usual = begun.elapsed();
    host.cancel();
    let begun = Instant::now();
    let result = client.step(1.min(n - 1));
    let took = begun.elapsed();
    match result {
        Err(error) if error.code != CANCELLED => {
            return failed(format!("asked to stop it says: {}", error.message));
        }
        _ => {}
    }
    hold(took <= usual * 3 + GRACE, || {
        format!("it took {} ms, a step takes {} ms", took.as_millis(), usual.as_millis())
    })?;
    Ok(Some(format!("{} ms", took.as_millis())))
}

fn cancel_evaluation(this: &Conformance) -> Verdict {
    let host = FakeHost::default();
    let (mut client, prepared) = this.prepare(&host)?;
    client.step(0)?;
    let before = bits(&client.save()?);
    host.cancel();
    if let Err(error) = client.evaluate(Evaluation::Periodic)
        && error.code != CANCELLED
    {
        return failed(format!("asked to stop it says: {}", error.message));
    }
    host.go_on();
    if let Some(path) = difference(&before, &bits(&client.save()?)) {
        return failed(format!("a stopped evaluation changes `{path}`"));
    }
    if Conformance::horizon(&prepared) > 1 {
        client.step(1)?;
    }
    Ok(None)
}

fn promises_kept(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    let promised = client.promises(&this.given)?;
    client.step(0)?;
    let handed_on = client.artifacts()?;
    let of = |a: &SharedArtifact| (a.name.clone(), a.kind.clone());
    let names: BTreeSet<_> = handed_on.iter().map(of).collect();
    hold(names.len() == handed_on.len(), || "two artifacts have one name".to_owned())?;
    for artifact in &promised {
        let kept = handed_on.iter().find(|a| of(a) == of(artifact));
        let Some(kept) = kept else {
            return failed(format!("`{}` is promised and not handed on", artifact.name));
        };
        let different = artifact.settings.as_object().and_then(|settings| {
            settings.iter().find(|(key, value)| !value.is_null() && kept.settings[*key] != **value)
        });
        if let Some((key, value)) = different {
            let (name, now) = (&artifact.name, &kept.settings[key]);
            return failed(format!("`{name}` was promised with `{key}` {value}, it has {now}"));
        }
    }
    match handed_on.is_empty() {
        true => skipped("it hands nothing on"),
        false => Ok(Some(format!("{} artifacts", handed_on.len()))),
    }
}

fn artifacts_finite(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    client.step(0)?;
    let handed_on = client.artifacts()?;
    for artifact in &handed_on {
        let name = &artifact.name;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_file_name = !name.is_empty()
            && !name.starts_with('.')
            && name.len() <= 64
            && name.chars().all(is_fit);
        hold(is_file_name, || format!("`{name}` is no name for an artifact"))?;
        for (path, tensor) in &artifact.tensors {
            hold(is_finite(tensor), || format!("`{path}` of `{name}` is not finite"))?;
        }
    }
    if handed_on.is_empty() { skipped("it hands nothing on") } else { Ok(None) }
}

fn is_finite(tensor: &TensorHandle) -> bool {
    match tensor.dtype() {
        DType::F32 => tensor.to_vec::<f32>().is_ok_and(|v| v.iter().all(|x| x.is_finite())),
        DType::F64 => tensor.to_vec::<f64>().is_ok_and(|v| v.iter().all(|x| x.is_finite())),
        _ => true,
    }
}

fn capabilities(this: &Conformance) -> Verdict {
    let description = this.description()?;
    let (mut client, _) = this.prepared()?;
    let what = "a capability that nothing has";
    if refused(client.call("no/such/capability", "{}", &[]), what)?.is_none() {
        return failed(format!("{what} is answered"));
    }
    client.step(0)?;
    let handed_on = client.artifacts()?;
    drop(client);
    let mut answered = Vec::new();
    for name in &description.capabilities {
        let mut client = this.create(&this.section)?;
        if name == capability::GENERATE {
            let request = GenerateRequest {
                prompt: "a b c".to_owned(),
                max_new_tokens: Some(2),
                ..GenerateRequest::default()
            };
            client.generate(&handed_on, &request)?;
        } else if let Some(format) = name.strip_prefix(capability::EXPORT) {
            export(&mut client, &handed_on, format)?;
        } else {
            continue;
        }
        answered.push(name.as_str());
    }
    if answered.is_empty() {
        return Ok(None);
    }
    Ok(Some(answered.join(", ")))
}

fn export(
    client: &mut crate::abi::PhaseClient,
    handed_on: &[SharedArtifact],
    format: &str,
) -> Result<(), Failure> {
    static EXPORTS: AtomicU64 = AtomicU64::new(0);
    let number = EXPORTS.fetch_add(1, Ordering::Relaxed);
    let name = format!("host-check-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let io = |e: std::io::Error| Failure::Failed(format!("the export can't be looked at: {e}"));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).map_err(io)?;
    let request =
        ExportRequest { format: format.to_owned(), directory: directory.display().to_string() };
    let result = client.export(handed_on, &request);
    let n_files = std::fs::read_dir(&directory).map_err(io)?.count();
    let _ = std::fs::remove_dir_all(&directory);
    result?;
    hold(n_files > 0, || format!("an export as `{format}` writes nothing"))
}

fn nan_shows(this: &Conformance) -> Verdict {
    let (mut client, prepared) = this.prepared()?;
    let state = copy(&client.save()?)?;
    let mut n_spoilt = 0;
    let mut spoilt = |(path, tensor): (String, TensorHandle)| {
        let shape = tensor.shape().to_vec();
        let is_weight = path.starts_with("model/") || path.starts_with("model.");
        let nan = match tensor.dtype() {
            DType::F32 if is_weight => TensorHandle::from_vec(vec![f32::NAN; tensor.len()], &shape),
            DType::F64 if is_weight => TensorHandle::from_vec(vec![f64::NAN; tensor.len()], &shape),
            _ => return Ok((path, tensor)),
        };
        n_spoilt += 1;
        nan.map(|nan| (path, nan))
    };
    let tensors = state.tensors.into_iter().map(&mut spoilt).collect::<Result<_, _>>()?;
    if n_spoilt == 0 {
        return skipped("no tensor of its state is below `model` and of float32 or float64");
    }
    let state = StateDict { tensors, values: state.values };
    if refused(client.restore(state), "NaN in the weights")?.is_some() {
        return Ok(Some("it refuses such weights".to_owned()));
    }
    let report = client.step(1.min(Conformance::horizon(&prepared) - 1));
    match refused(report.as_ref().map_err(Clone::clone), "NaN in the weights")? {
        Some(error) => Ok(Some(format!("it says: {}", error.message))),
        None => {
            let loss = report?.loss;
            hold(!loss.is_finite(), || format!("the loss of NaN weights is {loss}"))?;
            Ok(None)
        }
    }
}

fn nonsense(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    let odd = SharedArtifact {
        phase: "\u{0}".to_owned(),
        name: "../../odd".to_owned(),
        kind: "no such kind".to_owned(),
        settings: json!([{ "a": null }, -1, "\u{202e}"]),
        tensors: Vec::new(),
    };
    let fresh = this.create(&this.section)?;
    refused(fresh.check(std::slice::from_ref(&odd)), "an artifact of no known kind in `check`")?;
    refused(fresh.promises(std::slice::from_ref(&odd)), "such an artifact in `promises`")?;
    let mut fresh = this.create(&this.section)?;
    refused(fresh.prepare(std::slice::from_ref(&odd)), "such an artifact in `prepare`")?;
    refused(client.restore(StateDict::default()), "an empty state")?;
    let (mut client, _) = this.prepared()?;
    refused(client.step(u64::MAX), "the last step that there is")?;
    for (name, request) in [("", ""), ("\u{0}", "\u{0}"), ("stages", "{"), ("generate", "[")] {
        refused(client.call(name, request, &[]), "a call that makes no sense")?;
    }
    for name in &this.description()?.capabilities {
        let mut fresh = this.create(&this.section)?;
        refused(fresh.call(name, "not json", &[]), &format!("`{name}` with no request"))?;
        refused(fresh.call(name, "{}", &[]), &format!("`{name}` without artifacts"))?;
        let odd = std::slice::from_ref(&odd);
        refused(fresh.call(name, &Value::Null.to_string(), odd), &format!("`{name}` with null"))?;
    }
    Ok(None)
}

fn after_an_error(this: &Conformance) -> Verdict {
    let (mut client, _) = this.prepared()?;
    let _ = client.call("no/such/capability", "{}", &[]);
    client.step(0)?;
    let mut half = this.create(&this.section)?;
    let _ = half.step(0);
    half.prepare(&this.given)?;
    half.step(0)?;
    Ok(None)
}
