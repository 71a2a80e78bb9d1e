//! The first-party trainers in the host: reproducible, resumable, in a pipeline.
//!
//! Bits are compared, not numbers: dropout is on and a step has two micro-batches in these
//! profiles, so every generator and every moment of the optimizer has its say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Installation, Project, contents, first_party, read_json, read_tensors};

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
    project.file("configs/ten-pretrain.toml", &pretrain).file("configs/ten-sft.toml", &sft).file(
        "configs/pipeline-ten.toml",
        &format!("phases = ['pretrain', 'sft']\n{pretrain}{sft}"),
    )
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
    let listed = listed["plugins"].as_array().unwrap();
    let names: Vec<_> = listed.iter().filter_map(|plugin| plugin["name"].as_str()).collect();
    assert_eq!(names, first_party(), "each of them is linked in");
    assert!(listed.iter().all(|plugin| plugin["source"] == "bundled"), "{listed:#?}");
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

/// Keys and values that are kept change nothing, and neither does asking twice.
#[test]
fn the_cache_changes_no_token() {
    let project = project();
    pipeline(&project, &[]);
    for more in [&["--raw"][..], &[], &["--temperature", "0"], &["--top-p", "0.8"]] {
        let args = ["generate", "Where is the flute?", "--max-new-tokens", "20", "--json"];
        let args = [&args[..], more].concat();
        let cached = project.host(&args).expect(0).json();
        let uncached = project.host([&args[..], &["--no-kv-cache"]].concat()).expect(0).json();
        assert_eq!(cached, uncached);
        assert!(cached["tokens"].as_u64().unwrap() > 0, "{cached}");
    }
    let seeds = ["1", "2"].map(|seed| {
        let args = ["generate", "Once", "--raw", "--max-new-tokens", "20", "--seed", seed];
        project.host(args).expect(0).stdout
    });
    assert_ne!(seeds[0], seeds[1]);
}

#[test]
fn a_trace_tells_each_tokens_probability_and_attention() {
    let project = project();
    pipeline(&project, &[]);
    let args = ["generate", "Where?", "--max-new-tokens", "3", "--json", "--trace-layer", "1"];
    let reply = project.host(args).expect(0).json();
    let steps = reply["steps"].as_array().unwrap();
    assert_eq!(steps.len() as u64, reply["tokens"].as_u64().unwrap());
    let prompt_tokens = reply["prompt_tokens"].as_u64().unwrap() as usize;
    // A message is its role's token, six bytes and the end; then the assistant's token.
    assert_eq!(prompt_tokens, 9);
    for (i, step) in steps.iter().enumerate() {
        assert!(step["logprob"].as_f64().unwrap() < 0.0);
        let heads = step["attention"].as_array().unwrap();
        assert_eq!(heads.len(), 2);
        for head in heads {
            let row: Vec<f64> =
                head.as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
            assert_eq!(row.len(), prompt_tokens + i);
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{row:?}");
        }
    }
    assert_snapshot!(project.host(["generate", "x", "--json", "--trace-layer", "7"]), @"
    exit: 2
    ----- stderr
    error: layer 7 is not in [0, 2)
    ");
}

#[test]
fn requests_that_make_no_sense_are_told() {
    let project = project();
    pipeline(&project, &[]);
    assert_snapshot!(project.host(["generate", "x", "--temperature", "-1"]), @"
    exit: 2
    ----- stderr
    error: `temperature` must be at least 0: -1
    ");
    assert_snapshot!(project.host(["generate", "x", "--top-p", "1.5"]), @"
    exit: 2
    ----- stderr
    error: `top_p` must be in (0, 1]: 1.5
    ");
    assert_snapshot!(project.host(["generate", "x", "--repetition-penalty", "0"]), @"
    exit: 2
    ----- stderr
    error: `repetition_penalty` must be above 0: 0
    ");
    assert_snapshot!(project.host(["generate", "x", "--ban", "256"]), @"
    exit: 2
    ----- stderr
    error: `banned_tokens` names token 256, but there are 256 tokens
    ");
    assert_snapshot!(project.host(["generate", "", "--raw"]), @"
    exit: 2
    ----- stderr
    error: the prompt is empty
    ");
    assert_snapshot!(project.host(["generate", &"long ".repeat(20)]), @"
    exit: 2
    ----- stderr
    error: the message leaves no room for an answer: 103 tokens of a context of 32
    help: say it in fewer words
    ");
}

/// The context of 32 tokens soon has no room for what was said first.
#[test]
fn a_chat_forgets_what_does_not_fit() {
    let project = project();
    pipeline(&project, &[]);
    let args = ["chat", "--max-new-tokens", "2", "--ban", "251"];
    assert_snapshot!(project.host_told(args, "Who ran?\nWho hid?\nWho sat?\n").expect(0).stderr, @"
    note: the answer was cut off at the most tokens; `--max-new-tokens` raises that
    note: the answer was cut off at the most tokens; `--max-new-tokens` raises that
    note: 2 earlier messages no longer fit
    note: the answer was cut off at the most tokens; `--max-new-tokens` raises that
    ");
}

#[test]
fn a_model_leaves_in_the_formats_of_others_and_comes_back() {
    let project = project();
    let run = pipeline(&project, &[]);
    let expected = read_tensors(&run.join("phases/01-pretrain/artifacts/model.safetensors"));
    let export = |format: &str| {
        let args = ["export", "--phase", "pretrain", "--format", format, "--out", format];
        project.host(args).expect(0);
        let names: Vec<String> = contents(&project.path(format)).into_keys().collect();
        names
    };
    assert_eq!(export("gguf"), ["model.gguf"]);
    let names = export("hf");
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    // One step at a rate of nearly nothing: what is handed on is what came in.
    let start = |from: &str| {
        let args = ["run", "--profile", "ten-pretrain", "--max-steps", "1", "--init-from", from];
        project
            .host([&args[..], &["training.base_lr=1e-30", "training.min_lr=0"]].concat())
            .expect(0);
        read_tensors(&project.last_run().join("phases/01-pretrain/artifacts/model.safetensors"))
    };
    let checkpoint = run.join("phases/01-pretrain/checkpoints/step-00000010");
    for from in ["hf", "hf/model.safetensors", checkpoint.to_str().unwrap()] {
        assert!(start(from) == expected, "from `{from}`");
    }
    // A run's model is that of its last phase.
    let last = read_tensors(&run.join("phases/02-sft/artifacts/model.safetensors"));
    assert!(last != expected && start(run.to_str().unwrap()) == last);
}

/// Every part of what a user can bring: files of several kinds, a tokenizer made from them, a chat
/// template, texts measured beside conversations; stopped in the middle and continued.
#[test]
fn own_texts_with_a_tokenizer_of_their_own() {
    let config = r#"
phases = ["pretrain", "sft"]

[pretrain]
model = { V = 300, T = 32, C = 32, L = 1, H = 2, d_ff = 32 }
tokenizer = { kind = "train", vocab_size = 300 }
training = { total_steps = 6, warmup_steps = 1, micro_B = 4, eval_every = 3, eval_steps = 2, ckpt_every = 3, log_every = 1 }

[pretrain.data]
mix = { notes = 0.5, lines = 0.5 }

[pretrain.data.sources]
notes = { kind = "text", path = "notes/**/*.md", documents = "files" }
lines = { kind = "jsonl", path = "lines.jsonl" }

[sft]
training = { total_steps = 4, warmup_steps = 1, micro_B = 4, eval_every = 2, eval_steps = 2, ckpt_every = 2, log_every = 1, best_metric = "weighted", best_metric_weights = { pretrain_val_loss = 0.5, sft_val_loss = 0.5 } }

[sft.data]
mix = { chats = 1.0 }
sources.chats = { kind = "jsonl", path = "chats.jsonl" }

[sft.data.pretrain_val]
mix = { lines = 1.0 }
sources.lines = { kind = "jsonl", path = "lines.jsonl" }
"#;
    let note = |i: usize| {
        let animals = ["heron", "otter", "badger", "marten", "lynx"];
        let (one, two) = (animals[i % 5], animals[(i / 5) % 5]);
        format!(
            "On day {i} the {one} met the {two} by the river, and they spoke of number {}.
",
            i * 7
        )
    };
    let mut project = Project::with(Installation::dynamic()).file("run.toml", config);
    for i in 0..30 {
        project = project.file(&format!("notes/{}/{i}.md", i % 3), &note(i).repeat(3));
    }
    let lines: Vec<String> = (0..60).map(|i| json!({ "text": note(i) }).to_string()).collect();
    let chats: Vec<String> = (0..40)
        .map(|i| json!({ "instruction": format!("Day {i}?"), "output": note(i) }).to_string())
        .chain(["{\"nothing\": 1}".to_owned()])
        .collect();
    let project =
        project.file("lines.jsonl", &lines.join("\n")).file("chats.jsonl", &chats.join("\n"));

    let output = project.host(["run", "--config", "run.toml"]).expect(0);
    assert!(output.stderr.contains("chats.jsonl:41: "), "{output}");
    let run = project.last_run();
    let expected = both_weights(&run);
    let model = read_json(&run.join("phases/02-sft/artifacts/model.json"));
    assert_eq!(model["settings"]["tokenizer"]["kind"], "train");
    assert_eq!(model["settings"]["tokenizer"]["vocab_size"], 300);
    let points: Vec<Value> = tests::read_lines(&run.join("metrics.jsonl"));
    let last = |name: &str| points.iter().rev().find_map(|point| point[name].as_f64()).unwrap();
    let weighted = (last("val/pretrain_loss") + last("val/sft_loss")) / 2.0;
    assert!((last("val/weighted_loss") - weighted).abs() < 1e-9);
    assert!(last("val/bits_per_byte") > 0.0);

    project.host(["run", "--config", "run.toml", "--max-steps", "3"]).expect(0);
    project.host(["run", "--config", "run.toml", "--resume"]).expect(0);
    assert!(both_weights(&project.last_run()) == expected);

    let reply = project.host(["generate", "Day 3?", "--max-new-tokens", "5", "--json"]).expect(0);
    assert!(reply.json()["tokens"].as_u64().unwrap() <= 5);
    project.host(["export", "--format", "hf", "--out", "hf"]).expect(0);
    let tokenizer = read_json(&project.path("hf/tokenizer.json"));
    assert_eq!(tokenizer["model"]["type"], "BPE");
}

#[test]
fn mixed_precision_trains_and_what_a_device_cannot_do_is_refused() {
    let project = project();
    let args = ["run", "--profile", "ten-pretrain", "--progress", "off"];
    project.host([&args[..], &["global.amp_dtype=bf16"]].concat()).expect(0);
    let mixed = weights(&project.last_run(), "01-pretrain");
    project.host(args).expect(0);
    assert!(mixed != weights(&project.last_run(), "01-pretrain"));
    let refused = project.host([&args[..], &["global.amp_dtype=fp16"]].concat());
    assert_snapshot!(refused, @"
    exit: 2
    ----- stderr
    error: plugin `pretrain` can't compute in mixed precision `float16`
      --> override 1: global.amp_dtype=fp16
      = key: global.amp_dtype
    help: it can compute in `bfloat16`; null switches mixed precision off

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn activations_computed_again_give_the_same_bits() {
    let project = project();
    let args = ["run", "--profile", "ten-pretrain", "--progress", "off"];
    project.host(args).expect(0);
    let kept = weights(&project.last_run(), "01-pretrain");
    project.host([&args[..], &["training.activation_checkpointing=true"]].concat()).expect(0);
    assert!(kept == weights(&project.last_run(), "01-pretrain"));
}

#[test]
fn tokenizer_model_and_data_must_agree_before_anything_starts() {
    let project = project();
    let args = ["run", "--profile", "pipeline-ten", "--progress", "off"];
    let output = |more: &[&str]| project.host([&args[..], more].concat());
    assert_snapshot!(output(&["pretrain.tokenizer.kind=gpt2"]), @"
    exit: 2
    ----- stderr
    error: `V` is 256, but the tokenizer has 50257 tokens
     --> [INSTALL]/configs/smoke-pretrain.toml:7:5
      |
    7 | V = 256
      |     ^^^
      = key: pretrain.model.V
    help: set `V` to 50257, or take another tokenizer

    error: `V` is 256, but the tokenizer has 50257 tokens
     --> [INSTALL]/configs/smoke-sft.toml:7:5
      |
    7 | V = 256
      |     ^^^
      = key: sft.model.V
    help: set `V` to 50257, or take another tokenizer

    error: 2 configuration errors; nothing was started
    ");
    assert_snapshot!(output(&["sft.tokenizer.kind=gpt2"]), @"
    exit: 2
    ----- stderr
    error: the model handed on by `pretrain` was trained with another tokenizer
      --> override 1: sft.tokenizer.kind=gpt2
      = key: sft.tokenizer
    help: name its tokenizer: the ids must mean the same

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(output(&["pretrain.data.mix={\"wiki\": 1}"]), @r#"
    exit: 2
    ----- stderr
    error: the mix names `wiki`, which is no source
      --> override 1: pretrain.data.mix={"wiki": 1}
      = key: pretrain.data.mix.wiki
    help: did you mean `wikitext`? if not, add `wiki` to `data.sources`

    error: 1 configuration error; nothing was started
    "#);
    assert_snapshot!(output(&["sft.data.chat_template={% for m in messages %}"]), @"
    exit: 2
    ----- stderr
    error: the value of override `sft.data.chat_template` is not JSON: a key needs quotes
      --> override 1: sft.data.chat_template={% for m in messages %}
    help: write lists, mappings and quoted texts as JSON, for example `[0.9, 0.95]`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(output(&["sft.training.best_metric=weighted"]), @"
    exit: 2
    ----- stderr
    error: `best_metric: weighted` needs `best_metric_weights`
      --> override 1: sft.training.best_metric=weighted
      = key: sft.training.best_metric

    error: `val/weighted_loss` is not measured without `data.pretrain_val`
      --> override 1: sft.training.best_metric=weighted
      = key: sft.training.best_metric
    help: give `data.pretrain_val` texts, or use `sft_val_loss`

    error: 2 configuration errors; nothing was started
    ");
    assert_eq!(project.names(), ["configs"]);
}

#[test]
fn halves_of_a_pipeline_have_one_model() {
    let project = Project::with(Installation::dynamic());
    let mut n_pipelines = 0;
    for profile in profiles(&project).iter().filter(|profile| profile["group"] == "pipeline") {
        let settings =
            project.host(["profiles", "show", profile["name"].as_str().unwrap()]).expect(0).json();
        let sizes = [&settings["pretrain"]["model"], &settings["sft"]["model"]];
        let [Some(pretrained), Some(tuned)] = sizes.map(|model| model.as_object().cloned()) else {
            continue; // of other trainers
        };
        let mut sizes = [pretrained, tuned];
        for model in &mut sizes {
            assert!(model.remove("dropout").is_some());
        }
        assert_eq!(sizes[0], sizes[1], "{profile:#}");
        n_pipelines += 1;
    }
    assert_eq!(n_pipelines, 3);
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
    error: `T` is 99, but the model handed on by `pretrain` has 32
      --> override 2: sft.model.T=99
      = key: sft.model.T
    help: the sizes of the model must be those of what it starts from

    error: `C` is 32, but the model handed on by `pretrain` has 64
      --> override 1: sft.model.C=32
      = key: sft.model.C
    help: the sizes of the model must be those of what it starts from

    error: 2 configuration errors; nothing was started
    ");
    assert_eq!(project.names(), ["configs"]);
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

/// Two texts of 50 and 60 tokens, then one conversation of 10: few enough to be counted, and every
/// file of a run is there.
#[test]
fn a_run_on_next_to_nothing_leaves_its_checkpoints_and_its_best() {
    let config = r#"
phases = ["pretrain", "sft"]

[pretrain]
model = { V = 512, T = 8, C = 32, L = 1, H = 4, d_ff = 64 }
training = { total_steps = 6, warmup_steps = 1, micro_B = 2, eval_every = 2, eval_steps = 2, ckpt_every = 3, log_every = 1, activation_checkpointing = true }

[pretrain.data]
mix = { wiki = 0.7, web = 0.3 }

[pretrain.data.sources]
wiki = { kind = "text", path = "wiki.txt", val_path = "val.txt" }
web = { kind = "text", path = "web.txt", val_path = "val.txt" }

[sft]
training = { total_steps = 1, warmup_steps = 0, micro_B = 1, eval_steps = 1, log_every = 1 }

[sft.data]
mix = { chat = 1.0 }
sources.chat = { kind = "jsonl", path = "chat.jsonl", val_path = "chat.jsonl" }

[sft.data.pretrain_val]
mix = { wiki = 1.0 }
sources.wiki = { kind = "text", path = "wiki.txt", val_path = "val.txt" }
"#;
    let text =
        |n: u32| -> String { (1..n).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect() };
    let project = Project::with(Installation::dynamic())
        .file("run.toml", config)
        .file("wiki.txt", &text(50))
        .file("web.txt", &text(60))
        .file("val.txt", &text(30))
        .file("chat.jsonl", r#"{"instruction": "ping", "output": "ok"}"#);
    project.host(["run", "--config", "run.toml", "global.amp_dtype=bf16"]).expect(0);
    let run = project.last_run();
    let pretrain = run.join("phases/01-pretrain/checkpoints");
    assert!(pretrain.join("step-00000003/model.safetensors").is_file());
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(read(pretrain.join("last")), "step-00000006\n");
    assert_eq!(read(run.join("phases/02-sft/checkpoints/last")), "step-00000001\n");
    let best = |phase: &str, last: &str| {
        let manifest = run.join("phases").join(phase).join("checkpoints").join(last);
        read_json(&manifest.join("manifest.json"))["best"]["value"].as_f64().unwrap()
    };
    assert!(best("01-pretrain", "step-00000006") < 512f64.ln() + 0.1);
    assert!(best("02-sft", "step-00000001").is_finite());
    let points = tests::read_lines(&run.join("metrics.jsonl"));
    for name in ["val/pretrain_loss", "val/sft_loss"] {
        assert!(points.last().unwrap()[name].as_f64().unwrap() > 0.0, "{name}");
    }
    // How it was computed is kept too, and comes back with the run.
    let settings = read_json(&run.join("resolved_settings.json"))["settings"].clone();
    assert_eq!(settings["global"]["amp_dtype"], "bfloat16");
    assert_eq!(settings["pretrain"]["training"]["activation_checkpointing"], true);
    assert_eq!(settings["sft"]["training"]["activation_checkpointing"], false);
}
