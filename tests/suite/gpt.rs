//! The first-party trainers in the host: reproducible, resumable, in a pipeline.
//!
//! Bits are compared, not numbers: dropout is on and a step has two micro-batches in these
//! profiles, so every generator and every moment of the optimizer has its say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Project, contents, read_json, read_tensors};

type Files = BTreeMap<String, Vec<u8>>;

fn project() -> Project {
    with_ten_steps(Project::with(Installation::dynamic()))
}

/// The smoke profiles with ten steps, checkpoints in the middle and an evaluation there.
fn with_ten_steps(project: Project) -> Project {
    let section = |phase: &str| {
        format!(
            "[{phase}]\nextends = 'smoke-{phase}'\n[{phase}.training]\ntotal_steps = 10\n\
             warmup_steps = 2\neval_every = 5\nckpt_every = 5\n"
        )
    };
    let (pretrain, sft) = (section("pretrain"), section("sft"));
    project
        .file("configs/ten-pretrain.toml", &pretrain)
        .file("configs/ten-sft.toml", &sft)
        .file("configs/pipeline-ten.toml", &format!("phases = ['pretrain', 'sft']\n{pretrain}{sft}"))
}

fn weights(run: &Path, phase: &str) -> Vec<u8> {
    fs::read(run.join("phases").join(phase).join("artifacts/model.safetensors")).unwrap()
}

fn both_weights(run: &Path) -> [Vec<u8>; 2] {
    ["01-pretrain", "02-sft"].map(|phase| weights(run, phase))
}

/// Runs the pipeline of ten steps each and returns its run.
fn pipeline(project: &Project, more: &[&str]) -> PathBuf {
    let args = ["run", "--profile", "pipeline-ten", "--progress", "off"];
    project.host([&args[..], more].concat()).expect(0);
    project.last_run()
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let project = project();
    let first = both_weights(&pipeline(&project, &[]));
    assert!(first == both_weights(&pipeline(&project, &[])));
    assert!(first == both_weights(&pipeline(&project, &["--seed", "42", "--run-name", "named"])));
    let other = both_weights(&pipeline(&project, &["--seed", "43"]));
    assert!(first[0] != other[0] && first[1] != other[1]);
}

/// With another number of threads sums are taken in another order: the same number, the same bits.
#[test]
fn as_many_threads_give_the_same_bits() {
    let project = project();
    for threads in ["1", "3"] {
        let run = || both_weights(&pipeline(&project, &["--threads", threads]));
        assert!(run() == run(), "{threads} threads");
    }
    let resume = ["run", "--profile", "pipeline-ten", "--resume", "--threads", "2"];
    let output = project.host(resume).expect(0);
    assert!(output.stderr.contains("was started with: `global.threads`"), "{output}");
}

#[test]
fn bundled_and_dynamic_plugins_give_the_same_bits() {
    let dynamic = project();
    let bundled = with_ten_steps(Project::with(Installation::bundled()));
    let listed = bundled.host(["plugins", "list", "--json"]).expect(0).json();
    let sources: Vec<_> =
        listed["plugins"].as_array().unwrap().iter().map(|p| (&p["name"], &p["source"])).collect();
    let expected = [(&json!("pretrain"), &json!("bundled")), (&json!("sft"), &json!("bundled"))];
    assert_eq!(sources, expected);
    let settings = |project: &Project| project.host(["profiles", "show", "pipeline-ten"]).stdout;
    assert_eq!(settings(&dynamic), settings(&bundled));
    let (a, b) = (pipeline(&dynamic, &[]), pipeline(&bundled, &[]));
    assert!(both_weights(&a) == both_weights(&b));
}

/// A run of a bundled host goes on with a dynamic one: the checkpoint knows no difference.
#[test]
fn a_bundled_run_goes_on_with_dynamic_plugins() {
    let project = project();
    let expected = both_weights(&pipeline(&project, &[]));
    let bundled = with_ten_steps(Project::with(Installation::bundled()));
    let run = pipeline(&bundled, &["--max-steps", "5"]);
    let resume = format!("--resume={}", run.display());
    let args = ["run", "--profile", "pipeline-ten", &resume];
    project.host(args).expect(0);
    assert!(both_weights(&run) == expected);
}

/// What a phase finds is the same whether it comes from memory or from the disk.
#[test]
fn artifacts_from_memory_and_from_disk_give_the_same_bits() {
    let project = project();
    let run = pipeline(&project, &[]);
    let expected = both_weights(&run);
    fs::remove_dir_all(run.join("phases/02-sft")).unwrap();
    let output = project.host(["run", "--profile", "pipeline-ten", "--resume"]).expect(0);
    assert!(output.stderr.contains("[pretrain] finished before, after 10 steps"), "{output}");
    assert!(both_weights(&run) == expected);
}

/// The newest checkpoint of a phase, all its files.
fn last_checkpoint(run: &Path, phase: &str) -> Files {
    let checkpoints = run.join("phases").join(phase).join("checkpoints");
    let last = fs::read_to_string(checkpoints.join("last")).unwrap();
    contents(&checkpoints.join(last.trim()))
}

#[track_caller]
fn assert_same(found: &Files, expected: &Files) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "`{name}` differs from that of the run without a stop");
    }
}

/// Model, both moments of the optimizer, generators, data position: all as without the stop.
#[test]
fn ten_steps_are_five_and_five() {
    for (profile, phase) in [("ten-pretrain", "01-pretrain"), ("ten-sft", "01-sft")] {
        let project = project();
        let args = ["run", "--profile", profile, "--progress", "off"];
        project.host(args).expect(0);
        let expected = last_checkpoint(&project.last_run(), phase);
        assert!(expected.keys().any(|name| name.contains("optimizer")), "{:?}", expected.keys());
        let model = weights(&project.last_run(), phase);

        project.host([&args[..], &["--max-steps", "5"]].concat()).expect(0);
        project.host([&args[..], &["--resume"]].concat()).expect(0);
        assert_same(&last_checkpoint(&project.last_run(), phase), &expected);
        assert!(weights(&project.last_run(), phase) == model);
    }
}

#[test]
fn an_interrupted_run_ends_as_one_that_was_not() {
    let project = project();
    let args = ["run", "--profile", "ten-pretrain", "pretrain.training.total_steps=60"];
    project.host([&args[..], &["--progress", "off"]].concat()).expect(0);
    let phase = "01-pretrain";
    let expected = last_checkpoint(&project.last_run(), phase);

    let mut running = project.start(args);
    for place in ["step 3/60", "step 17/60", "step 31/60"] {
        running.wait_for(place);
        running.signal("INT");
        running.finish().expect(75);
        running = project.start([&args[..], &["--resume"]].concat());
    }
    running.finish().expect(0);
    assert_same(&last_checkpoint(&project.last_run(), phase), &expected);
}

const THREE: &str = "\
phases = ['pretrain', 'linreg', 'sft']

[pretrain]
extends = 'ten-pretrain'

[linreg]
total_steps = 20

[sft]
extends = 'ten-sft'
";

/// A plugin of somebody else between two that know each other: it gets the model's tensors, and
/// the two notice nothing.
#[test]
fn a_third_party_phase_between_pretrain_and_sft() {
    let project = project().plugins(&["linreg"]).file("three.toml", THREE);
    let expected = both_weights(&pipeline(&project, &[]));
    project.host(["run", "--config", "three.toml"]).expect(0);
    let run = project.last_run();
    assert!(weights(&run, "01-pretrain") == expected[0]);
    assert!(weights(&run, "03-sft") == expected[1]);

    let model = read_tensors(&run.join("phases/01-pretrain/artifacts/model.safetensors"));
    let sums: BTreeMap<String, f64> =
        model.iter().map(|(name, tensor)| (format!("pretrain.{name}"), tensor.sum())).collect();
    let line = read_json(&run.join("phases/02-linreg/artifacts/line.json"));
    assert_eq!(line["settings"]["received"], json!(sums));
    assert!(sums.len() > 10, "{:?}", sums.keys());
}

#[test]
fn a_finished_run_generates() {
    let project = project();
    let run = pipeline(&project, &[]);
    let output =
        project.host(["generate", "Where is the flute?", "--max-new-tokens", "8"]).expect(0);
    assert_eq!(output.stderr, "");
    let again = ["generate", "Where is the flute?", "--max-new-tokens", "8", "--json"];
    let json = project.host(again).expect(0).json();
    assert_eq!(json["schema"], 1);
    assert_eq!(format!("{}\n", json["text"].as_str().unwrap()), output.stdout);
    assert!(json["tokens"].as_u64().unwrap() <= 8);

    let run = run.display().to_string();
    for phase in ["pretrain", "sft"] {
        for raw in [&["--raw"][..], &[]] {
            let args =
                ["generate", "Once", "--run", &run, "--phase", phase, "--temperature", "0.8"];
            project.host([&args[..], raw].concat()).expect(0);
        }
    }
    assert_snapshot!(project.host(["generate", "Once", "--phase", "linreg"]), @"
    exit: 2
    ----- stderr
    error: the run has no phase `linreg`; it has: pretrain, sft
    ");
    assert_snapshot!(project.host(["generate", "Once", "--run", "nosuch"]), @"
    exit: 2
    ----- stderr
    error: no run to be found: `nosuch`
    help: name a directory below `runs/`, or `last` for the newest run
    ");
}

#[test]
fn an_unfinished_run_does_not_generate() {
    let project = project();
    assert_snapshot!(project.host(["generate", "Once"]), @"
    exit: 2
    ----- stderr
    error: no run to be found: `runs/last` is missing
    help: start one without `--resume`, or name its directory
    ");
    let args = ["run", "--profile", "ten-pretrain", "pretrain.training.total_steps=1000"];
    let mut running = project.start(args);
    running.wait_for("step 2/1000");
    running.signal("INT");
    running.finish().expect(75);
    assert_snapshot!(project.host(["generate", "Once"]), @"
    exit: 2
    ----- stderr
    error: no finished phase of `runs/[RUN]` can generate text
    help: let the run finish: `host run --resume`
    ");
}

/// The shipped profiles with their groups.
fn profiles(project: &Project) -> Vec<Value> {
    let json = project.host(["profiles", "list", "--json"]).expect(0).json();
    json["profiles"].as_array().unwrap().clone()
}

#[test]
fn every_profile_resolves() {
    let project = Project::with(Installation::dynamic());
    let profiles = profiles(&project);
    for profile in &profiles {
        assert_eq!(profile["resolves"], true, "{profile:#}");
        assert_ne!(profile["group"], "other", "{profile:#}");
        let description = profile["description"].as_str().unwrap();
        assert!(!description.is_empty() && !description.contains('{'), "{profile:#}");
    }
    let shipped = fs::read_dir(tests::repository().join("configs")).unwrap().count();
    assert_eq!(profiles.len(), shipped);
}

#[test]
fn every_profile_that_needs_no_network_takes_a_step() {
    let project = Project::with(Installation::dynamic());
    for profile in profiles(&project) {
        let name = profile["name"].as_str().unwrap();
        if profile["notes"].as_str().is_some_and(|notes| notes.contains("network")) {
            continue;
        }
        let mut args = vec!["run", "--profile", name, "--max-steps", "1", "--progress", "off"];
        // The defaults' model is large, and its evaluation long.
        let small = ["training.micro_B=1", "training.eval_steps=1"];
        args.extend(small.iter().filter(|_| profile["group"] == "minimal"));
        let output = project.host(args).expect(0);
        assert!(output.stdout.contains("1 steps"), "{name}: {output}");
    }
}

#[test]
fn models_that_do_not_fit_each_other_are_refused_before_the_start() {
    let project = project();
    let args = ["run", "--profile", "pipeline-ten", "sft.model.C=32", "sft.model.T=99"];
    assert_snapshot!(project.host(args), @"
    exit: 2
    ----- stderr
    error: `T` is 99, but the model handed on has 128
      --> override 2: sft.model.T=99
      = key: sft.model.T
    help: leave `model` out to take the sizes of the model handed on

    error: `C` is 32, but the model handed on has 64
      --> override 1: sft.model.C=32
      = key: sft.model.C
    help: leave `model` out to take the sizes of the model handed on

    error: 2 configuration errors; nothing was started
    ");
    assert_eq!(project.names(), Vec::<String>::new());
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let project = project();
    let args = ["run", "--profile", "ten-pretrain", "--progress", "off"];
    project.host([&args[..], &["--max-steps", "1"]].concat()).expect(0);
    let wider = ["--resume", "pretrain.model.C=128", "pretrain.model.L=1"];
    assert_snapshot!(project.host([&args[..], &wider].concat()), @"
    exit: 1
    ----- stderr
    error: phase `pretrain` (plugin `pretrain`) failed while restoring: restoring parameters: `tok_emb.weight` has float32 [256, 64], wanted float32 [256, 128]
    ");
}
