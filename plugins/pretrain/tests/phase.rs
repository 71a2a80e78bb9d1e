//! A small phase as the host drives it: steps, evaluations, a state to go on from.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use pretrain::{Config, Pretrain};
use sdk::{Artifacts, DeviceContext, Evaluation, PhaseContext, StateDict, Trainer};
use serde_json::{Value, json};

fn cx() -> PhaseContext {
    PhaseContext::detached("pretrain", 42, DeviceContext::default())
}

/// A fresh directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pretrain").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Texts of 50 and 60 tokens with their ends, drawn 7 : 3, and one held back of 30; V512 T8 C32 L1
/// H4 and a feed-forward of 64; 6 steps, evaluated every 2 and saved every 3.
fn section(directory: &Path) -> Value {
    let source = |name: &str, n: usize| {
        let write = |name: &str, n: usize| {
            let path = directory.join(name);
            let text: String = (1..n).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
            fs::write(&path, text).unwrap();
            path
        };
        let (path, val_path) = (write(name, n), write(&format!("{name}-val"), 30));
        json!({"kind": "text", "path": path, "val_path": val_path})
    };
    json!({
        "model": {"V": 512, "T": 8, "C": 32, "L": 1, "H": 4, "d_ff": 64, "dropout": 0.1},
        "training": {
            "total_steps": 6, "warmup_steps": 1, "micro_B": 2, "accum_steps": 2,
            "eval_every": 2, "eval_steps": 2, "ckpt_every": 3,
        },
        "data": {
            "sources": {"wikitext": source("wiki", 50), "fineweb_edu": source("fineweb", 60)},
            "mix": {"wikitext": 0.7, "fineweb_edu": 0.3},
            "val_source": "wikitext",
            "cache_dir": directory.join("cache"),
        },
    })
}

fn prepare(section: &Value) -> Pretrain {
    let config: Config = serde_json::from_value(section.clone()).unwrap();
    assert_eq!(Pretrain::check(&config, &Artifacts::default()), []);
    Pretrain::prepare(config, &Artifacts::default(), &cx()).unwrap()
}

fn run(trainer: &mut Pretrain, steps: std::ops::Range<u64>) -> Vec<f64> {
    let mut losses = Vec::new();
    for step in steps {
        losses.push(trainer.step(step, &cx()).unwrap().loss);
        if (step + 1).is_multiple_of(2) {
            let metrics = trainer.evaluate(Evaluation::Periodic, &cx()).unwrap();
            losses.push(metrics["loss"]);
        }
    }
    losses
}

fn bytes(trainer: &mut Pretrain) -> Vec<Vec<u8>> {
    let state = StateDict::save(trainer).unwrap();
    state.tensors.values().map(sdk::TensorHandle::to_bytes).collect()
}

#[test]
fn two_short_sources_train_and_go_on_from_the_middle() {
    let section = section(&directory("smoke"));
    let mut trainer = prepare(&section);
    assert_eq!(trainer.facts()["train_tokens"], 110);
    let schedule = trainer.schedule();
    let every = (schedule.eval_every_steps, schedule.checkpoint_every_steps);
    assert_eq!((schedule.total_steps, every), (6, (2, 3)));
    assert_eq!(schedule.best.unwrap().metric, "loss");

    let mut losses = run(&mut trainer, 0..3);
    let saved = StateDict::save(&mut trainer).unwrap();
    losses.extend(run(&mut trainer, 3..6));
    assert_eq!(losses.len(), 9);
    // All of 512 tokens alike are 6.24 nats: from there the loss falls.
    assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{losses:?}");
    assert!((losses[0] - 512f64.ln()).abs() < 0.2 && losses[8] < losses[2], "{losses:?}");

    let mut resumed = prepare(&section);
    saved.restore(&mut resumed).unwrap();
    assert_eq!(run(&mut resumed, 3..6), losses[4..]);
    assert_eq!(bytes(&mut resumed), bytes(&mut trainer));
}
