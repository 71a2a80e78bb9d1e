//! Every layer that had a say in a setting, and which one counts.

use insta::assert_snapshot;
use tests::{Installation, Project};

use super::project;

#[test]
fn all_layers_of_a_shared_setting_are_shown_in_order() {
    let project = project();
    let args = [
        "config",
        "explain",
        "global.seed",
        "--config",
        "flat.json",
        "--phase",
        "linreg",
        "global.seed=6",
        "--set",
        "global.seed=5",
        "--seed",
        "9",
    ];
    let mut command = project.command(args);
    command.env("HOST_SEED", "8");
    assert_snapshot!(project.spawn(command).finish(), @"
    exit: 0
    ----- stdout
    global.seed = 9
      Seed of all random numbers of the run.
      takes: integer, at least 0

      42  default of the host
      3   file flat.json:2:3, as `seed`
      4   file flat.json:4:14
      8   environment HOST_SEED=8
      6   override 1: global.seed=6
      5   override 2: global.seed=5
    > 9   flag --seed 9
    ");
}

#[test]
fn all_layers_of_a_sections_setting_are_shown_in_order() {
    let args = [
        "config",
        "explain",
        "first.learning-rate",
        "--config",
        "pipeline.toml",
        "--set",
        "first.learning_rate=0.4",
        "--set",
        "first={\"learning_rate\": 0.5}",
    ];
    assert_snapshot!(project().host(args), @r#"
    exit: 0
    ----- stdout
    first.learning_rate = 0.5
      Learning rate.
      takes: number, 0 to 1

      0.1   default of plugin linreg
      0.01  base far.toml:3:1
      0.02  base near.yaml:3:3
      3e-5  file pipeline.toml:13:1
      0.4   override 1: first.learning_rate=0.4
    > 0.5   override 2: first={"learning_rate": 0.5}
    "#);
}

#[test]
fn where_the_run_has_one_phase_its_name_is_not_needed() {
    let explain = |key: &str| {
        project().host(["config", "explain", key, "--config", "near.yaml"]).expect(0).stdout
    };
    assert_eq!(explain("total_steps"), explain("linreg.total-steps"));
    assert_snapshot!(explain("linreg"), @"
    linreg: 2 settings
      Linear regression.

    linreg.total_steps   = 10    base far.toml:2
    linreg.learning_rate = 0.02  file near.yaml:3
    ");
    assert_snapshot!(explain("global.run_name"), @"
    global.run_name = null
      Name put in front of the run's directory.
      takes: string or null, up to 100 letters, digits, `.`, `_` or `-`

    > null  default of the host
    ");
}

/// What an alias repeats is set where the alias stands.
#[test]
fn what_a_merge_key_brings_is_set_by_the_merge_key() {
    let project = project().file(
        "merged.yaml",
        "phases: [one, two]\none: &one\n  phase: linreg\n  total_steps: 3\n  learning_rate: 0.5\n\
         two:\n  <<: *one\n  learning_rate: 0.25\n",
    );
    let explain = |key: &str| {
        project.host(["config", "explain", key, "--config", "merged.yaml"]).expect(0).stdout
    };
    assert_snapshot!(explain("two"), @"
    two: 2 settings
      Linear regression.

    two.total_steps   = 3     file merged.yaml:7
    two.learning_rate = 0.25  file merged.yaml:8
    ");
    assert_snapshot!(explain("two.total_steps"), @"
    two.total_steps = 3
      Optimizer updates.
      takes: integer, at least 1

      200  default of plugin linreg
    > 3    file merged.yaml:7:7
    ");
}

#[test]
fn a_section_is_explained_setting_by_setting() {
    let args = ["config", "explain", "stress", "--config", "pipeline.toml", "stress.step_ms=3"];
    assert_snapshot!(project().host(args), @r#"
    exit: 0
    ----- stdout
    stress: 5 settings
      A trainer that misbehaves.

    stress.mode         = "talk"  file pipeline.toml:8
    stress.at_step      = 2       default of plugin stress
    stress.total_steps  = 5       default of plugin stress
    stress.step_ms      = 3       override 1
    stress.state_values = 3       default of plugin stress
    "#);
}

#[test]
fn a_mapping_that_was_replaced_whole_shows_what_it_left_out() {
    let project = Project::with(Installation::dynamic());
    let explain = |key: &str| {
        let args = ["config", "explain", key, "--profile", "prod", "data.mix={\"world\": 1.0}"];
        let output = project.host(args).expect(0);
        output.stable(&output.stdout)
    };
    assert_snapshot!(explain("data.mix"), @"
    pretrain.data.mix: 1 setting
      How large a part of the windows comes from each source; the parts sum to 1.
      takes: mapping, replaced as a whole, not empty; each above 0, at most 1

    pretrain.data.mix.world = 1.0  override 1
    ");
    assert_snapshot!(explain("data.mix.wikitext"), @r#"
    pretrain.data.mix.wikitext is not set
      takes: number, above 0, at most 1

      0.2       file [INSTALL]/configs/prod.toml:34:28
      left out  override 1: data.mix={"world": 1.0}
    "#);
    assert_snapshot!(explain("data.mix.world"), @r#"
    pretrain.data.mix.world = 1.0
      takes: number, above 0, at most 1

      1.0  default of plugin pretrain
    > 1.0  override 1: data.mix={"world": 1.0}
    "#);
    let args = ["config", "explain", "data.mix", "--profile", "prod", "data.mix={\"world\": 1.0}"];
    let faulty = project.host([&args[..], &["training.total_steps=0"]].concat()).expect(0);
    assert_eq!(faulty.stdout, project.host(args).expect(0).stdout);
    assert!(faulty.stderr.contains("has 1 error"), "{faulty}");
}

#[test]
fn a_key_that_does_not_exist_is_answered_with_the_nearest() {
    let project = Project::with(Installation::dynamic());
    let explain = |key: &str| {
        let output =
            project.host(["config", "explain", key, "--profile", "pipeline-smoke"]).expect(2);
        assert_eq!(output.stdout, "");
        output.stable(&output.stderr)
    };
    assert_snapshot!(explain("pretrain.training.base_lrr"), @"
    error: unknown key `base_lrr` in `pretrain.training`
    help: did you mean `base_lr`?
    ");
    assert_snapshot!(explain("sft.base_lr"), @"
    error: unknown key `base_lr` in `sft`
    help: `base_lr` belongs under `sft.training`
    ");
    assert_snapshot!(explain("training.base_lr"), @"
    error: there is no section `training`
    help: did you mean `pretrain.training.base_lr` or `sft.training.base_lr`?
    ");
    assert_snapshot!(explain("pretrian.training"), @"
    error: there is no section `pretrian`
    help: did you mean `pretrain`?
    ");
    assert_snapshot!(explain("sft.training.betas.0"), @"
    error: `sft.training.betas` is a setting: there are no keys in it
    help: lists are set whole; ask for `sft.training.betas`
    ");
    assert_snapshot!(explain("sft.data.sources.word"), @"
    error: `sft.data.sources` has no `word`
    help: did you mean `world`?
    ");
    assert_snapshot!(explain("sft..data"), @"
    error: `sft..data` has an empty part
    help: write it with dots between its parts, as `global.seed`
    ");
}

#[test]
fn a_faulty_configuration_is_explained_all_the_same() {
    let args = [
        "config",
        "explain",
        "first.learning_rate",
        "--config",
        "pipeline.toml",
        "first.learning_rate=2",
        "second.total_step=3",
        "global.seed=-1",
    ];
    assert_snapshot!(project().host(args), @"
    exit: 0
    ----- stdout
    first.learning_rate = 2
      Learning rate.
      takes: number, 0 to 1

      0.1   default of plugin linreg
      0.01  base far.toml:3:1
      0.02  base near.yaml:3:3
      3e-5  file pipeline.toml:13:1
    > 2     override 1: first.learning_rate=2
    ----- stderr
    warning: the configuration has 3 errors
    help: `host config validate` shows what is wrong
    ");
    let args = ["config", "explain", "global.seed", "--config", "none.toml"];
    assert_snapshot!(project().host(args), @"
    exit: 2
    ----- stderr
    error: no configuration file `none.toml`

    error: 1 configuration error; nothing was started
    ");
    let project = project().file("bad.toml", "[linrge]\ntotal_steps = 3\n[stress]\n");
    let args = ["config", "explain", "linrge.total_steps", "--config", "bad.toml"];
    assert_snapshot!(project.host(args), @"
    exit: 2
    ----- stderr
    warning: the configuration has 1 error
    help: `host config validate` shows what is wrong
    error: unknown key `linrge` in `stress`
    help: known keys: `mode`, `at_step`, `total_steps`, `step_ms`, `state_values`
    ");
}

#[test]
fn without_a_configuration_the_defaults_are_explained() {
    let args = ["config", "explain", "linreg.total_steps", "linreg.total_steps=7"];
    assert_snapshot!(project().host(args), @"
    exit: 0
    ----- stdout
    linreg.total_steps = 7
      Optimizer updates.
      takes: integer, at least 1

      200  default of plugin linreg
    > 7    override 1: linreg.total_steps=7
    ----- stderr
    note: no configuration is named, so this is what holds without one
    ");
    assert_snapshot!(project().host(["config", "explain", "global.seed"]), @"
    exit: 0
    ----- stdout
    global.seed = 42
      Seed of all random numbers of the run.
      takes: integer, at least 0

    > 42  default of the host
    ----- stderr
    note: no configuration is named, so this is what holds without one
    ");
    assert_snapshot!(project().host(["config", "explain", "total_steps"]), @"
    exit: 2
    ----- stderr
    note: no configuration is named, so this is what holds without one
    error: there is no section `total_steps`
    help: did you mean `linreg.total_steps` or `stress.total_steps`?
    ");
    let of_phase = project().host(["config", "explain", "total_steps", "--phase", "linreg"]);
    assert!(of_phase.stdout.starts_with("linreg.total_steps = 200\n"), "{of_phase}");
}

#[test]
fn an_earlier_key_is_explained_under_its_name_of_today() {
    let project = Project::with(Installation::dynamic()).file(
        "old.json",
        "{\n  \"training\": {\"pretrain\": {\"total_steps\": 900, \"seed\": 1}},\n  \
         \"data\": {\"val_pretrain_source\": \"world\"}\n}\n",
    );
    let explain = |key: &str| {
        project.host(["config", "explain", key, "--config", "old.json", "--phase", "pretrain"])
    };
    assert_snapshot!(explain("data.val_source"), @r#"
    exit: 0
    ----- stdout
    pretrain.data.val_source = "world"
      Evaluate on this source alone, which need not be in the mix; without it, on the mix.
      takes: string or null

      null     default of plugin pretrain
    > "world"  file old.json:3:12, as `data.val_pretrain_source`
    "#);
    assert_snapshot!(explain("data.val_pretrain_source").expect(0).stdout, @r#"
    pretrain.data.val_source = "world"
      `pretrain.data.val_pretrain_source` is an earlier name of it
      Evaluate on this source alone, which need not be in the mix; without it, on the mix.
      takes: string or null

      null     default of plugin pretrain
    > "world"  file old.json:3:12, as `data.val_pretrain_source`
    "#);
    assert_snapshot!(explain("training.total_steps").expect(0).stdout, @"
    pretrain.training.total_steps = 900
      Optimizer steps of the whole phase.
      takes: integer, at least 1 (steps)

      17000  default of plugin pretrain
    > 900    file old.json:2:29, as `training.pretrain.total_steps`
    ");
    assert_snapshot!(explain("global.seed").expect(0).stdout, @"
    global.seed = 1
      Seed of all random numbers of the run.
      takes: integer, at least 0

      42  default of the host
    > 1   file old.json:2:49, as `training.pretrain.seed`
    ");
    assert_snapshot!(explain("model.norm_type"), @"
    exit: 2
    ----- stderr
    error: `pretrain.model.norm_type` is no setting any more: the norms are always RMSNorm
    ");
}

#[test]
fn an_explanation_is_there_as_json() {
    let explain = |key: &str| {
        let args = [
            "config",
            "explain",
            key,
            "--json",
            "--config",
            "pipeline.toml",
            "first.total_steps=0",
        ];
        serde_json::to_string_pretty(&project().host(args).expect(0).json()).unwrap()
    };
    assert_snapshot!(explain("first.total_steps"), @r#"
    {
      "schema": 1,
      "key": "first.total_steps",
      "formerly": null,
      "is_set": true,
      "value": 0,
      "description": "Optimizer updates.",
      "takes": "integer",
      "range": "at least 1",
      "unit": null,
      "required": false,
      "default": 200,
      "layers": [
        {
          "layer": "default",
          "place": "default of plugin linreg",
          "value": 200,
          "left_out": false,
          "counts": false
        },
        {
          "layer": "extends",
          "place": "base far.toml:2:1",
          "value": 10,
          "left_out": false,
          "counts": false
        },
        {
          "layer": "override",
          "place": "override 1: first.total_steps=0",
          "value": 0,
          "left_out": false,
          "counts": true
        }
      ],
      "settings": [],
      "errors": [
        {
          "code": "config::out_of_range",
          "message": "expected at least 1, found 0",
          "key": "first.total_steps",
          "file": null,
          "line": null,
          "column": null,
          "length": null,
          "input": "override 1: first.total_steps=0",
          "found": "0",
          "expected": "at least 1",
          "help": null
        }
      ]
    }
    "#);
    assert_snapshot!(explain("stress"), @r#"
    {
      "schema": 1,
      "key": "stress",
      "formerly": null,
      "is_set": true,
      "value": {
        "mode": "talk",
        "at_step": 2,
        "total_steps": 5,
        "step_ms": 0,
        "state_values": 3
      },
      "description": "A trainer that misbehaves.",
      "takes": "mapping",
      "range": null,
      "unit": null,
      "required": false,
      "default": null,
      "layers": [],
      "settings": [
        {
          "key": "stress.mode",
          "value": "talk",
          "origin": "file pipeline.toml:8"
        },
        {
          "key": "stress.at_step",
          "value": 2,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.total_steps",
          "value": 5,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.step_ms",
          "value": 0,
          "origin": "default of plugin stress"
        },
        {
          "key": "stress.state_values",
          "value": 3,
          "origin": "default of plugin stress"
        }
      ],
      "errors": [
        {
          "code": "config::out_of_range",
          "message": "expected at least 1, found 0",
          "key": "first.total_steps",
          "file": null,
          "line": null,
          "column": null,
          "length": null,
          "input": "override 1: first.total_steps=0",
          "found": "0",
          "expected": "at least 1",
          "help": null
        }
      ]
    }
    "#);
}
