//! What the plugins find between settings that are each right by themselves: shown at the setting,
//! in every format, beside what is wrong in other phases.

use insta::assert_snapshot;
use tests::{Installation, Output, Project};

fn refused(name: &str, text: &str, args: &[&str]) -> Output {
    let project = Project::with(Installation::dynamic()).file(name, text);
    let output = project.host([&["run", "--config", name], args].concat()).expect(2);
    assert_eq!(project.names(), [name], "something was written");
    output
}

#[test]
fn sizes_schedules_and_mixes_in_toml() {
    let text = "\
phases = ['pretrain', 'sft']

[pretrain]
model = { V = 256, C = 65, H = 2 }
training = { total_steps = 20, warmup_steps = 60, base_lr = 1e-4, min_lr = 1e-3 }
data.mix = { world = 0.7, primer = 0.2 }

[sft]
model = { V = 300, C = 65, H = 2 }
training.warmup_steps = 5000
";
    assert_snapshot!(refused("run.toml", text, &[]), @"
    exit: 2
    ----- stderr
    error: `C` must be a multiple of `H`: 65 is not one of 2
     --> run.toml:4:32
      |
    4 | model = { V = 256, C = 65, H = 2 }
      |                                ^
      = key: pretrain.model.H

    error: `warmup_steps` must be at most `total_steps`: 60 > 20
     --> run.toml:5:47
      |
    5 | training = { total_steps = 20, warmup_steps = 60, base_lr = 1e-4, min_lr = 1e-3 }
      |                                               ^^
      = key: pretrain.training.warmup_steps

    error: `min_lr` must be at most `base_lr`: 0.001 > 0.0001
     --> run.toml:5:76
      |
    5 | training = { total_steps = 20, warmup_steps = 60, base_lr = 1e-4, min_lr = 1e-3 }
      |                                                                            ^^^^
      = key: pretrain.training.min_lr

    error: the mix names `primer`, which is no source
     --> run.toml:6:36
      |
    6 | data.mix = { world = 0.7, primer = 0.2 }
      |                                    ^^^
      = key: pretrain.data.mix.primer
    help: known sources: `world`, `fineweb_edu`, `gutenberg`, `roam`, `wikitext`; add it to `data.sources`

    error: `C` must be a multiple of `H`: 65 is not one of 2
     --> run.toml:9:32
      |
    9 | model = { V = 300, C = 65, H = 2 }
      |                                ^
      = key: sft.model.H

    error: `V` is 300, but the model handed on by `pretrain` has 256
     --> run.toml:9:15
      |
    9 | model = { V = 300, C = 65, H = 2 }
      |               ^^^
      = key: sft.model.V
    help: the sizes of the model must be those of what it starts from

    error: `warmup_steps` must be at most `total_steps`: 5000 > 1889
      --> run.toml:10:25
       |
    10 | training.warmup_steps = 5000
       |                         ^^^^
       = key: sft.training.warmup_steps

    error: 7 configuration errors; nothing was started
    ");
}

#[test]
fn sizes_schedules_and_mixes_in_yaml() {
    let text = "\
pretrain:
  model: {V: 256, C: 65, H: 2}
  training:
    total_steps: 20
    warmup_steps: 60
  data:
    mix:
      world: 0.7
      wikitext: 0.2
";
    assert_snapshot!(refused("run.yaml", text, &[]), @"
    exit: 2
    ----- stderr
    error: `C` must be a multiple of `H`: 65 is not one of 2
     --> run.yaml:2:29
      |
    2 |   model: {V: 256, C: 65, H: 2}
      |                             ^
      = key: pretrain.model.H

    error: `warmup_steps` must be at most `total_steps`: 60 > 20
     --> run.yaml:5:19
      |
    5 |     warmup_steps: 60
      |                   ^^
      = key: pretrain.training.warmup_steps

    error: the parts of the mix must sum to 1, but sum to 0.9
     --> run.yaml:7:5
      |
    7 |     mix:
      |     ^^^
      = key: pretrain.data.mix

    error: 3 configuration errors; nothing was started
    ");
}

#[test]
fn sizes_schedules_and_mixes_in_json() {
    let text = r#"{"pretrain": {
  "model": {"V": 256, "C": 65, "H": 2},
  "training": {"total_steps": 20, "warmup_steps": 60},
  "data": {"mix": {"world": 0.7, "wikitext": 0.2}}
}}
"#;
    assert_snapshot!(refused("run.json", text, &[]), @r#"
    exit: 2
    ----- stderr
    error: `C` must be a multiple of `H`: 65 is not one of 2
     --> run.json:2:37
      |
    2 |   "model": {"V": 256, "C": 65, "H": 2},
      |                                     ^
      = key: pretrain.model.H

    error: `warmup_steps` must be at most `total_steps`: 60 > 20
     --> run.json:3:51
      |
    3 |   "training": {"total_steps": 20, "warmup_steps": 60},
      |                                                   ^^
      = key: pretrain.training.warmup_steps

    error: the parts of the mix must sum to 1, but sum to 0.9
     --> run.json:4:19
      |
    4 |   "data": {"mix": {"world": 0.7, "wikitext": 0.2}}
      |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = key: pretrain.data.mix

    error: 3 configuration errors; nothing was started
    "#);
}

#[test]
fn a_setting_that_was_left_out_is_shown_at_its_block() {
    let text = "[pretrain.model]\nV = 256\n[pretrain.training]\ntotal_steps = 2\n";
    assert_snapshot!(refused("run.toml", text, &["pretrain.training.base_lr=1e-3"]), @"
    exit: 2
    ----- stderr
    error: `warmup_steps` must be at most `total_steps`: 340 > 2
     --> run.toml:3:11
      |
    3 | [pretrain.training]
      |           ^^^^^^^^
      = key: pretrain.training.warmup_steps

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn settings_that_were_typed_are_shown_as_they_were_typed() {
    let text = "[pretrain.model]\nV = 256\n";
    let typed = ["pretrain.model.H=5", "--set", "pretrain.training.warmup_steps=99999999"];
    assert_snapshot!(refused("run.toml", text, &typed), @"
    exit: 2
    ----- stderr
    error: `C` must be a multiple of `H`: 384 is not one of 5
      --> override 1: pretrain.model.H=5
      = key: pretrain.model.H

    error: `warmup_steps` must be at most `total_steps`: 99999999 > 17000
      --> override 2: pretrain.training.warmup_steps=99999999
      = key: pretrain.training.warmup_steps

    error: 2 configuration errors; nothing was started
    ");
}

#[test]
fn special_ids_lie_within_the_vocabulary() {
    let text = "[sft.model]\nV = 3\n[sft.tokenizer]\nkind = 'byte'\n";
    assert_snapshot!(refused("run.toml", text, &[]), @"
    exit: 2
    ----- stderr
    error: `V` is 3, but the tokenizer has 256 tokens
     --> run.toml:2:5
      |
    2 | V = 3
      |     ^
      = key: sft.model.V
    help: set `V` to 256, or take another tokenizer

    error: 1 configuration error; nothing was started
    ");
}
