//! What is wrong in a configuration is said before anything starts.

use insta::assert_snapshot;
use tests::{Output, Project};

fn project() -> Project {
    Project::new().plugins(&["linreg", "stress"])
}

/// Runs the host on a file; whatever it says, it must not have written anything.
#[track_caller]
fn refused(text: &str, args: &[&str]) -> Output {
    let project = project().file("run.toml", text);
    let output = project.host([&["run", "--config", "run.toml"], args].concat());
    assert_eq!(project.names(), ["run.toml"], "something was written");
    output
}

const PIPELINE: &str = "\
phases = ['stress', 'first', 'second']

[stress]
total_steps = 3

[first]
phase = 'linreg'
total_steps = 10

[second]
phase = 'linreg'
learning_rte = 0.5
";

#[test]
fn a_typo_in_the_last_section_stops_the_first_phase() {
    assert_snapshot!(refused(PIPELINE, &[]), @"
    exit: 2
    ----- stderr
    error: unknown key `learning_rte` in `second`
      --> run.toml:12:1
       |
    12 | learning_rte = 0.5
       | ^^^^^^^^^^^^
       = key: second.learning_rte
    help: did you mean `learning_rate`?

    error: 1 configuration error; nothing was started
    ");
}

/// The plugin of a sound section is asked although a later one is faulty.
#[test]
fn what_a_plugin_finds_comes_with_the_typos_of_later_sections() {
    let text = PIPELINE.replace("total_steps = 3", "total_steps = 3\nat_step = 9");
    assert_snapshot!(refused(&text, &[]), @"
    exit: 2
    ----- stderr
    error: `at_step` lies behind the last step
     --> run.toml:5:11
      |
    5 | at_step = 9
      |           ^
      = key: stress.at_step

    error: unknown key `learning_rte` in `second`
      --> run.toml:13:1
       |
    13 | learning_rte = 0.5
       | ^^^^^^^^^^^^
       = key: second.learning_rte
    help: did you mean `learning_rate`?

    error: 2 configuration errors; nothing was started
    ");
}

#[test]
fn all_errors_of_all_phases_come_at_once() {
    let text = PIPELINE
        .replace("total_steps = 3", "total_step = 3\nat_step = 'two'")
        .replace("total_steps = 10", "total_steps = 0\nlearning_rate = 2")
        .replace("phases =", "global = { sede = 4, device = 'gpu' }\nphases =");
    assert_snapshot!(refused(&text, &[]), @"
    exit: 2
    ----- stderr
    error: unknown key `sede` in `global`
     --> run.toml:1:12
      |
    1 | global = { sede = 4, device = 'gpu' }
      |            ^^^^
      = key: global.sede
    help: did you mean `seed`?

    error: expected `auto`, `cpu`, `cuda` or `cuda:N`, found string `gpu`
     --> run.toml:1:31
      |
    1 | global = { sede = 4, device = 'gpu' }
      |                               ^^^^^
      = key: global.device

    error: unknown key `total_step` in `stress`
     --> run.toml:5:1
      |
    5 | total_step = 3
      | ^^^^^^^^^^
      = key: stress.total_step
    help: did you mean `total_steps`?

    error: expected an integer, found string `two`
     --> run.toml:6:11
      |
    6 | at_step = 'two'
      |           ^^^^^
      = key: stress.at_step

    error: expected at least 1, found 0
      --> run.toml:10:15
       |
    10 | total_steps = 0
       |               ^
       = key: first.total_steps

    error: expected at most 1, found 2
      --> run.toml:11:17
       |
    11 | learning_rate = 2
       |                 ^
       = key: first.learning_rate

    error: unknown key `learning_rte` in `second`
      --> run.toml:15:1
       |
    15 | learning_rte = 0.5
       | ^^^^^^^^^^^^
       = key: second.learning_rte
    help: did you mean `learning_rate`?

    error: 7 configuration errors; nothing was started
    ");
}

#[test]
fn what_a_plugin_finds_is_located_too() {
    let text = "[stress]\ntotal_steps = 3\nat_step = 4\n";
    assert_snapshot!(refused(text, &[]), @"
    exit: 2
    ----- stderr
    error: `at_step` lies behind the last step
     --> run.toml:3:11
      |
    3 | at_step = 4
      |           ^
      = key: stress.at_step

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["stress.at_step=100"]), @"
    exit: 2
    ----- stderr
    error: `at_step` lies behind the last step
      --> override 1: stress.at_step=100
      = key: stress.at_step

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_snapshot!(refused("[stress]\nstep_ms = 'fast'\n", &[]), @"
    exit: 2
    ----- stderr
    error: expected an integer, found string `fast`
     --> run.toml:2:11
      |
    2 | step_ms = 'fast'
      |           ^^^^^^
      = key: stress.step_ms

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\nmode = 'panic'\n", &[]), @"
    exit: 2
    ----- stderr
    error: expected one of `none`, `panic_in_check`, `panic_in_promises`, `panic_in_prepare`, `panic_in_schedule`, `panic_in_step`, `panic_in_evaluate`, `panic_in_state`, `panic_in_artifacts`, `panic_in_drop`, `error_in_prepare`, `error_in_step`, `nan_in_step`, `slow_prepare`, `slow_evaluate`, `talk`, found string `panic`
     --> run.toml:2:8
      |
    2 | mode = 'panic'
      |        ^^^^^^^
      = key: stress.mode
    help: did you mean `panic_in_step`?

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("stress = 3\n", &[]), @"
    exit: 2
    ----- stderr
    error: `run.toml` does not say which phase it belongs to
     --> run.toml:1:1
      |
    1 | stress = 3
      | ^^^^^^
      = key: stress
    help: did you mean section `stress`?

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn an_unknown_profile() {
    assert_snapshot!(project().host(["run", "--profile", "smoke-stres"]), @"
    exit: 2
    ----- stderr
    error: unknown profile `smoke-stres`
      = expected: one of `smoke-stress`
    help: did you mean `smoke-stress`?

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(Project::new().host(["run", "--profile", "smoke"]), @"
    exit: 2
    ----- stderr
    error: unknown profile `smoke`
    help: no profiles were found; `--config FILE` takes a file

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(project().host(["profiles", "show", "xyz"]), @"
    exit: 2
    ----- stderr
    error: unknown profile `xyz`
      = expected: one of `smoke-stress`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_missing_file() {
    assert_snapshot!(project().host(["run", "--config", "missing.toml"]), @"
    exit: 2
    ----- stderr
    error: no configuration file `missing.toml`

    error: 1 configuration error; nothing was started
    ");
    let extends = "[linreg]\nextends = 'missing.toml'\n";
    assert_snapshot!(refused(extends, &[]), @"
    exit: 2
    ----- stderr
    error: no configuration file `missing.toml`
     --> run.toml:2:11
      |
    2 | extends = 'missing.toml'
      |           ^^^^^^^^^^^^^^
      = key: linreg.extends

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_file_that_can_not_be_parsed() {
    assert_snapshot!(refused("[stress\ntotal_steps = 3\n", &[]), @"
    exit: 2
    ----- stderr
    error: `run.toml` cannot be read: the name of a table is not closed
     --> run.toml:1:8
      |
    1 | [stress
      |        ^
    help: write `[stress]`

    error: 1 configuration error; nothing was started
    ");
    let project = project().file("run.json", "{ \"stress\": { \"total_steps\": 3, } }\n");
    assert_snapshot!(project.host(["run", "--config", "run.json"]), @r#"
    exit: 2
    ----- stderr
    error: `run.json` cannot be read: nothing follows this comma
     --> run.json:1:31
      |
    1 | { "stress": { "total_steps": 3, } }
      |                               ^
    help: remove it: JSON takes no comma at the end

    error: 1 configuration error; nothing was started
    "#);
    project.write("run.yaml", "stress:\n  total_steps: 3\n total: 4\n");
    assert_snapshot!(project.host(["run", "--config", "run.yaml"]), @"
    exit: 2
    ----- stderr
    error: `run.yaml` cannot be read: the line begins in another column than those it belongs to
     --> run.yaml:3:2
      |
    3 |  total: 4
      |  ^^^^^^^^
    help: begin it in column 1 or 3, as the lines above

    error: 1 configuration error; nothing was started
    ");
    project.write("run.ini", "[stress]\n");
    assert_snapshot!(project.host(["run", "--config", "run.ini"]), @"
    exit: 2
    ----- stderr
    error: cannot tell the format of `run.ini`
      = expected: a name ending in `.toml`, `.yaml`, `.yml` or `.json`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn overrides_with_typos() {
    let overrides =
        ["stress.total_stps=3", "sterss.total_steps=3", "total_steps", "=3", "global.sed=1"];
    assert_snapshot!(refused("[stress]\n", &overrides), @"
    exit: 2
    ----- stderr
    error: `total_steps` is not an override: no `=` in it
      --> override 3: total_steps
    help: write it as `KEY=VALUE`, for example `global.seed=7`

    error: `=3` is not an override: its key `` has an empty part
      --> override 4: =3
    help: write it as `KEY=VALUE`, for example `global.seed=7`

    error: unknown key `sed` in `global`
      --> override 5: global.sed=1
      = key: global.sed
    help: did you mean `seed`?

    error: unknown key `total_stps` in `stress`
      --> override 1: stress.total_stps=3
      = key: stress.total_stps
    help: did you mean `total_steps`?

    error: unknown key `sterss` in `stress`
      --> override 2: sterss.total_steps=3
      = key: stress.sterss
    help: did you mean section `stress`?

    error: 5 configuration errors; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--set", "stress.total_steps=many"]), @"
    exit: 2
    ----- stderr
    error: expected an integer, found string `many`
      --> override 1: stress.total_steps=many
      = key: stress.total_steps

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--max-steps", "0"]), @"
    exit: 2
    ----- stderr
    error: expected at least 1, found 0
      --> flag --max-steps 0
      = key: global.max_steps

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--seed", "-1"]), @"
    exit: 2
    ----- stderr
    error: expected at least 0, found -1
      --> flag --seed -1
      = key: global.seed

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--run-name", "../outside"]), @"
    exit: 2
    ----- stderr
    error: expected up to 100 letters, digits, `.`, `_` or `-`, found string `../outside`
      --> flag --run-name ../outside
      = key: global.run_name

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn phases_that_nobody_registers() {
    assert_snapshot!(refused("phases = ['stress', 'linregg']\n", &[]), @"
    exit: 2
    ----- stderr
    error: no plugin registers phase `linregg`
     --> run.toml:1:21
      |
    1 | phases = ['stress', 'linregg']
      |                     ^^^^^^^^^
      = key: phases
      = expected: one of `linreg`, `stress`
    help: did you mean `linreg`?

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("phases = ['global']\n", &[]), @"
    exit: 2
    ----- stderr
    error: no plugin registers phase `global`
     --> run.toml:1:11
      |
    1 | phases = ['global']
      |           ^^^^^^^^
      = key: phases
      = expected: one of `linreg`, `stress`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("phases = ['stress', 'stress']\n", &[]), @"
    exit: 2
    ----- stderr
    error: `stress` stands twice in `phases`
     --> run.toml:1:21
      |
    1 | phases = ['stress', 'stress']
      |                     ^^^^^^^^
      = key: phases
    help: give the second a name and a section of its own: `second-stress` with `phase: stress`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("phases = []\n", &[]), @"
    exit: 2
    ----- stderr
    error: `phases` names no phase
     --> run.toml:1:10
      |
    1 | phases = []
      |          ^^
      = key: phases

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n[linreg]\n", &[]), @r#"
    exit: 2
    ----- stderr
    error: missing key `phases`: the order of `stress`, `linreg` is not stated
     --> run.toml:2:2
      |
    2 | [linreg]
      |  ^^^^^^
      = key: phases
    help: write `phases = ["stress", "linreg"]` at the top, in the order to run

    error: 1 configuration error; nothing was started
    "#);
    assert_snapshot!(refused("total_steps = 3\n", &[]), @"
    exit: 2
    ----- stderr
    error: `run.toml` does not say which phase it belongs to
    help: name it with `--phase PHASE`, where PHASE is one of `linreg`, `stress`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("total_steps = 3\n", &["--phase", "nobody"]), @"
    exit: 2
    ----- stderr
    error: no plugin registers phase `nobody`
      --> flag --phase nobody
      = expected: one of `linreg`, `stress`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(Project::new().file("run.toml", "[stress]\n").host(["run", "--config", "run.toml"]), @"
    exit: 2
    ----- stderr
    error: `run.toml` does not say which phase it belongs to
    help: name it with `--phase PHASE`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_device_that_no_plugin_supports() {
    assert_snapshot!(refused("[stress]\n", &["--device", "cuda"]), @"
    exit: 2
    ----- stderr
    error: plugin `stress` was built without support for this device
      --> flag --device cuda
      = key: global.device
    help: say `device: cpu`, or install a build of the plugin for this device

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--device", "cuda:1"]), @"
    exit: 2
    ----- stderr
    error: plugin `stress` was built without support for this device
      --> flag --device cuda:1
      = key: global.device
    help: say `device: cpu`, or install a build of the plugin for this device

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--device", "tpu"]), @"
    exit: 2
    ----- stderr
    error: expected `auto`, `cpu`, `cuda` or `cuda:N`, found string `tpu`
      --> flag --device tpu
      = key: global.device

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_type_that_the_plugin_can_not_train_in() {
    assert_snapshot!(refused("[stress]\n", &["--dtype", "bf16"]), @"
    exit: 2
    ----- stderr
    error: plugin `stress` can't train in `bfloat16`
      --> flag --dtype bf16
      = key: global.dtype
    help: it can train in `float32`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n[global]\namp_dtype = 'bfloat16'\n", &[]), @"
    exit: 2
    ----- stderr
    error: plugin `stress` can't compute in mixed precision `bfloat16`
     --> run.toml:3:13
      |
    3 | amp_dtype = 'bfloat16'
      |             ^^^^^^^^^^
      = key: global.amp_dtype
    help: leave `amp_dtype` out, or say null, to compute in `dtype`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\n", &["--dtype", "int8"]), @"
    exit: 2
    ----- stderr
    error: expected one of `float32`, `bfloat16`, `float16`, `float64`, found string `int8`
      --> flag --dtype int8
      = key: global.dtype

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn the_environment_is_checked_as_well() {
    let project = project().file("run.toml", "[stress]\n");
    let mut command = project.command(["run", "--config", "run.toml"]);
    command.env("HOST_SEED", "many").env("HOST_MAX_STEPS", "");
    assert_snapshot!(project.spawn(command).finish(), @"
    exit: 2
    ----- stderr
    error: expected an integer, found string `many`
      --> environment HOST_SEED=many
      = key: global.seed

    error: 1 configuration error; nothing was started
    ");
    assert_eq!(project.names(), ["run.toml"]);
}

#[test]
fn validate_says_the_same_as_run() {
    let project = project().file("run.toml", PIPELINE);
    let run = project.host(["run", "--config", "run.toml"]).expect(2);
    let validate = project.host(["config", "validate", "--config", "run.toml"]).expect(2);
    assert_eq!(run.stderr, validate.stderr);
}

#[test]
fn keys_that_belong_to_the_host_are_sent_there() {
    assert_snapshot!(refused("[stress]\nmax_steps = 3\n", &[]), @"
    exit: 2
    ----- stderr
    error: unknown key `max_steps` in `stress`
     --> run.toml:2:1
      |
    2 | max_steps = 3
      | ^^^^^^^^^
      = key: stress.max_steps
    help: `max_steps` belongs under `global`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_panic_while_checking_is_a_configuration_error() {
    assert_snapshot!(refused("[stress]\nmode = 'panic_in_check'\n", &[]), @"
    exit: 2
    ----- stderr
    error: the plugin panicked in `check`: asked to check (stress/src/lib.rs:[LINE])
     --> run.toml:1:1
      |
    1 | [stress]
      | ^^^^^^^^
      = key: stress
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(refused("[stress]\nmode = 'panic_in_promises'\n", &[]), @"
    exit: 2
    ----- stderr
    error: the plugin panicked in `promises`: asked for promises (stress/src/lib.rs:[LINE])
     --> run.toml:1:1
      |
    1 | [stress]
      | ^^^^^^^^
      = key: stress
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place

    error: 1 configuration error; nothing was started
    ");
}
