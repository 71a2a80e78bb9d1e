//! `host config`: resolved, explained, compared, and checked for tools.

mod diff;
mod explain;
mod resolve;
mod validate;

use insta::assert_snapshot;
use tests::{Installation, Project};

/// Two plugins from outside, and files of every shape.
fn project() -> Project {
    Project::new()
        .plugins(&["linreg", "stress"])
        .file("far.toml", "[linreg]\ntotal_steps = 10\nlearning_rate = 0.01\n")
        .file("near.yaml", "linreg:\n  extends: far.toml\n  learning_rate: 0.02\n")
        .file(
            "pipeline.toml",
            "phases = ['stress', 'first', 'second']\n\n\
             [global]\nseed = 7\nrun_name = 'try'\n\n\
             [stress]\nmode = 'talk'\n\n\
             [first]\nphase = 'linreg'\nextends = 'near.yaml'\nlearning_rate = 3e-5\n\n\
             [second]\nphase = 'linreg'\ntotal_steps = 1e2\n",
        )
        .file(
            "flat.json",
            "{\n  \"seed\": 3,\n  \"total_steps\": 20,\n  \"global\": {\"seed\": 4, \"dtype\": \"fp32\"}\n}\n",
        )
        .file(
            "files.json",
            "{\"linreg_config_path\": \"flat.json\", \"stress_config_path\": \"stress.json\"}",
        )
        .file("stress.json", "{\"step_ms\": 0}")
}

/// The text of `config resolve`.
#[track_caller]
fn resolved(project: &Project, args: &[&str], format: &str) -> String {
    let args = [&["config", "resolve", "--format", format], args].concat();
    project.host(args).expect(0).stdout
}

/// What is printed is a file that resolves to the same, in all three formats.
#[track_caller]
fn resolves_to_itself(project: &Project, args: &[&str]) {
    let expected = resolved(project, args, "json");
    for format in ["json", "yaml", "toml"] {
        let file = format!("printed.{format}");
        project.write(&file, resolved(project, args, format));
        let again = resolved(project, &["--config", &file], "json");
        assert_eq!(again, expected, "{args:?} as {format}");
    }
}

/// Plugins of this project and of others in one pipeline: nothing about it is special.
fn five_phases() -> Project {
    Project::with(Installation::dynamic()).plugins(&["linreg", "stress"]).file(
        "configs/five.yaml",
        "profile:\n  description: \"{stress.total_steps} + {second.total_steps} steps\"\n\
         phases: [stress, pretrain, first, sft, second]\n\
         global: {seed: 5}\n\
         stress: {total_steps: 2}\n\
         pretrain: {extends: smoke-pretrain}\n\
         first: {phase: linreg, total_steps: 3}\n\
         sft: {extends: smoke-sft, training: {base_lr: 1e-4}}\n\
         second: {phase: linreg, learning_rate: 0.5}\n",
    )
}

#[test]
fn five_phases_of_four_plugins_are_like_one() {
    let project = five_phases();
    resolves_to_itself(&project, &["--profile", "five"]);
    assert_snapshot!(project.host(["config", "validate", "--profile", "five"]), @"
    exit: 0
    ----- stdout
    configs/five.yaml: no errors; phases: stress, pretrain, first, sft, second
    ");
    let listed = project.host(["profiles", "list"]).expect(0).stdout;
    let listed = listed.lines().find(|line| line.trim_start().starts_with("five ")).unwrap();
    assert_snapshot!(listed, @"  five                     2 + 200 steps (stress → pretrain → first → sft → second)");
    let explain = |key: &str| {
        let args = ["config", "explain", key, "--profile", "five", "second.total_steps=4"];
        let output = project.host(args).expect(0);
        output.stable(&output.stdout)
    };
    assert_snapshot!(explain("second"), @r#"
    second: 2 settings
      Linear regression.

    second.total_steps   = 4    override 1
    second.learning_rate = 0.5  file configs/five.yaml:9
    "#);
    assert_snapshot!(explain("sft.training.base_lr"), @"
    sft.training.base_lr = 1e-4
      Learning rate at the end of warmup.
      takes: number, above 0

      1e-4   default of plugin sft
      0.001  base [INSTALL]/configs/smoke-sft.toml:20:1
    > 1e-4   file configs/five.yaml:8:38
    ");
    let wrong =
        ["second.totl=1", "stress.at_step=9", "sft.training.base_lr='x'", "first.learning_rate=7"];
    let output = project.host([&["config", "validate", "--profile", "five"], &wrong[..]].concat());
    assert_snapshot!(output, @"
    exit: 2
    ----- stderr
    error: `at_step` lies behind the last step
      --> override 2: stress.at_step=9
      = key: stress.at_step

    error: expected at most 1, found 7
      --> override 4: first.learning_rate=7
      = key: first.learning_rate

    error: expected a number, found string `'x'`
      --> override 3: sft.training.base_lr='x'
      = key: sft.training.base_lr

    error: unknown key `totl` in `second`
      --> override 1: second.totl=1
      = key: second.totl
    help: known keys: `total_steps`, `learning_rate`

    error: 4 configuration errors; nothing was started
    ");
}
