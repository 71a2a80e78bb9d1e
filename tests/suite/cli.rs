//! What is typed: help, usage errors, spellings, pipes.

use insta::assert_snapshot;
use tests::{Project, third_party};

#[test]
fn help_and_version_need_no_plugin() {
    let project = Project::new();
    assert_snapshot!(project.host(["--version"]), @"
    exit: 0
    ----- stdout
    host 0.1.0
    ");
    assert_snapshot!(project.host(["--help"]), @"
    exit: 0
    ----- stdout
    Trains models with plugins: one binary, many trainers, exact resume

    Usage: host <COMMAND>

    Commands:
      run       Run a profile or a configuration file: one phase, or a pipeline of phases
      profiles  See which profiles there are
      plugins   See which plugins there are
      config    Check, resolve, explain, compare and migrate configurations
      bench     Measure speed, memory, and the micro-batches that fit
      generate  Generate text from a trained run
      chat      Talk with a trained run
      export    Write a trained run's weights in the formats of other tools

    Options:
      -h, --help     Print help
      -V, --version  Print version
    ");
    assert_snapshot!(project.host(["run", "--help"]), @"
    exit: 0
    ----- stdout
    Run a profile or a configuration file: one phase, or a pipeline of phases

    Usage: host run [OPTIONS] [KEY=VALUE]...

    Arguments:
      [KEY=VALUE]...
              Overrides as KEY=VALUE, by dotted path: `PHASE.training.base_lr=1e-3`

    Options:
          --profile <NAME>
              A profile by name; `host profiles list` shows them

          --config <FILE>
              A configuration file: JSON, YAML or TOML, by extension

          --phase <PHASE>
              The phase of a file that does not say it

          --set <KEY=VALUE>
              Override a setting; may be given many times, later ones win

          --resume[=<RUN>]
              Go on with a run: `last` (the default), `auto`, a run's name, or its directory

          --dry-run
              Do everything up to the first step and show the plan; write no run

          --estimate
              With `--dry-run`: time a few steps of each phase and forecast the run's time

          --json
              With `--dry-run`: the plan as JSON

          --progress <PROGRESS>
              How to show progress

              Possible values:
              - auto:  Bars on a terminal, plain lines elsewhere
              - bars:  Bars
              - plain: A line for each logged point
              - json:  Events as JSON lines, on standard output
              - off:   Nothing
              
              [default: auto]

          --list-profiles
              Show the profiles and do nothing else

      -h, --help
              Print help (see a summary with '-h')

    Shared settings:
          --seed <N>
              Seed of all random numbers

          --device <DEVICE>
              Where to compute: auto, cpu, cuda or cuda:N

          --dtype <DTYPE>
              Type of the weights

          --threads <N>
              CPU threads to use

          --max-steps <N>
              Stop every phase after this many steps

          --run-name <NAME>
              A name in front of the run's directory name

          --output-dir <DIR>
              Where run directories are made

          --init-from <RUN|PATH>
              Start from what a run handed on, from a checkpoint, or from a file with weights

    All keys: host config schema --format markdown; a plugin's: host plugins inspect NAME; where a value
    comes from: host config explain KEY. Exit codes: 0 done, 1 failed, 2 usage or configuration error,
    75 stopped on request after a checkpoint (go on with --resume).
    ");
}

#[test]
fn help_works_when_everything_else_is_broken() {
    let project = Project::new();
    std::fs::write(project.plugin_path().join("libbroken.so"), "no library").unwrap();
    std::fs::create_dir_all(project.home("config/host")).unwrap();
    std::fs::write(project.home("config/host/config.toml"), "not [toml").unwrap();
    project.write("configs/broken.toml", "not [toml");
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["plugins", "--help"]] {
        let output = project.host(args).expect(0);
        assert_eq!(output.stderr, "", "{args:?}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let project = Project::new();
    assert_snapshot!(project.host(Vec::<&str>::new()).code.unwrap(), @"2");
    assert_snapshot!(project.host(["runn"]), @"
    exit: 2
    ----- stderr
    error: unrecognized subcommand 'runn'

      tip: a similar subcommand exists: 'run'

    Usage: host <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(project.host(["run", "--profil", "x"]), @"
    exit: 2
    ----- stderr
    error: unexpected argument '--profil' found

      tip: a similar argument exists: '--profile'

    Usage: host run --profile <NAME> [KEY=VALUE]...

    For more information, try '--help'.
    ");
    assert_snapshot!(project.host(["run", "--progress", "loud"]), @"
    exit: 2
    ----- stderr
    error: invalid value 'loud' for '--progress <PROGRESS>'
      [possible values: auto, bars, plain, json, off]

    For more information, try '--help'.
    ");
    assert_snapshot!(project.host(["run"]), @"
    exit: 2
    ----- stderr
    error: neither `--profile` nor `--config` says what to run
    help: `host profiles list` shows the profiles

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(project.host(["run", "--profile", "a", "--config", "b.toml"]), @"
    exit: 2
    ----- stderr
    error: `--profile` and `--config` exclude each other
    help: give one of them; a file can build on a profile with `extends`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(project.host(["plugins", "inspect"]), @"
    exit: 2
    ----- stderr
    error: the following required arguments were not provided:
      <PLUGIN>

    Usage: host plugins inspect <PLUGIN>

    For more information, try '--help'.
    ");
    assert_eq!(project.names(), Vec::<String>::new());
}

#[test]
fn dashes_and_underscores_are_alike() {
    let project = Project::new().plugins(&["stress"]);
    for profile in ["smoke-stress", "smoke_stress"] {
        for flag in ["--max-steps", "--max_steps"] {
            let output = project.host(["run", "--profile", profile, flag, "1"]).expect(0);
            assert!(output.stdout.contains("1 steps"), "{output}");
        }
    }
    let joined = project.host(["run", "--profile=smoke-stress", "--run_name=a_b", "--max_steps=1"]);
    assert!(joined.expect(0).stdout.contains("run: runs/a_b-"));
    // Values keep their underscores, and so does what follows `--`.
    let output = project.host(["run", "--profile", "smoke-stress", "--", "stress.total_steps=3"]);
    output.expect(0);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let project = Project::new().plugins(&["linreg", "stress"]);
    let lists: [&[&str]; 6] = [
        &["--help"],
        &["profiles", "list"],
        &["profiles", "list", "--json"],
        &["plugins", "list"],
        &["plugins", "inspect", "linreg"],
        &["profiles", "show", "smoke-stress"],
    ];
    for args in lists {
        let output = project.host_unread(args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_run_goes_on_when_nobody_reads_its_progress() {
    let project = Project::new().plugins(&["stress"]);
    let args = ["run", "--profile", "smoke-stress", "--progress", "json"];
    project.host_unread(args).expect(0);
    assert!(project.last_run().join("phases/01-stress/artifacts/manifest.json").is_file());
}

#[test]
fn profiles_are_listed_by_group_with_what_they_do() {
    let project = Project::new()
        .plugins(&["linreg", "stress"])
        .file(
            "configs/prod-line.toml",
            "[profile]\ndescription = '{linreg.total_steps} steps'\n[linreg]\ntotal_steps = 700\n",
        )
        .file("configs/dev-line.toml", "[linreg]\ntotal_steps = 7\nlerning_rate = 0.1\n")
        .file("configs/both.toml", "phases = ['stress', 'linreg']\n")
        .file("configs/other.toml", "phases = ['nobody']\n");
    assert_snapshot!(project.host(["profiles", "list"]), @"
    exit: 0
    ----- stdout
    smoke
      smoke-stress  carried by the plugin (stress)

    dev
      dev-line      does not resolve: unknown key `lerning_rate` in `linreg` (configs/dev-line.toml)

    prod
      prod-line     700 steps (linreg)

    other
      both           (stress → linreg)
      other         does not resolve: no plugin registers phase `nobody` (configs/other.toml)
    ");
    assert_snapshot!(project.host(["run", "--list-profiles", "--phase", "linreg"]), @"
    exit: 0
    ----- stdout
    prod
      prod-line  700 steps (linreg)

    other
      both        (stress → linreg)
    ");
    assert_snapshot!(project.host(["profiles", "show", "prod_line"]), @r#"
    exit: 0
    ----- stdout
    {
      "global": {
        "seed": 42,
        "device": "auto",
        "dtype": "float32",
        "amp_dtype": null,
        "deterministic": false,
        "threads": null,
        "output_dir": "runs",
        "run_name": null,
        "max_steps": null,
        "keep_checkpoints": 3,
        "init_from": null
      },
      "phases": ["linreg"],
      "linreg": {
        "total_steps": 700,
        "learning_rate": 0.1
      }
    }
    "#);
    let json = project.host(["profiles", "list", "--json"]).expect(0).json();
    assert_eq!(json["schema"], 1);
    let resolves: Vec<_> = json["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["resolves"].as_bool().unwrap()))
        .collect();
    assert_snapshot!(format!("{resolves:?}"), @r#"[("smoke-stress", true), ("dev-line", false), ("prod-line", true), ("both", true), ("other", false)]"#);
    assert_snapshot!(Project::new().host(["profiles", "list"]), @"
    exit: 0
    ----- stderr
    no profiles found; they lie in `configs/`, or in a directory of HOST_CONFIG_PATH
    ");
}

#[test]
fn a_profile_of_the_working_directory_wins_over_one_that_a_plugin_carries() {
    let project = Project::new()
        .plugins(&["stress"])
        .file("configs/smoke_stress.toml", "[stress]\ntotal_steps = 2\n");
    let output = project.host(["run", "--profile", "smoke-stress"]).expect(0);
    assert!(output.stdout.starts_with("stress  2 steps"), "{output}");
    let json = project.host(["profiles", "list", "--json"]).json();
    assert_eq!(json["profiles"].as_array().unwrap().len(), 1);
    assert_eq!(json["profiles"][0]["hides"][0], "plugin stress: smoke-stress.toml");
}

/// Later places win: the user's own, then `HOST_CONFIG_PATH`, then the working directory.
#[test]
fn a_profile_comes_from_the_nearest_place() {
    let project = Project::new().plugins(&["stress"]);
    let steps = |n: u32| format!("[stress]\ntotal_steps = {n}\n");
    let shown = || {
        let mut command = project.command(["profiles", "show", "near"]);
        command.env("HOST_CONFIG_PATH", project.path("named"));
        project.spawn(command).finish().expect(0).json()["stress"]["total_steps"].clone()
    };
    std::fs::create_dir_all(project.home("config/host/profiles")).unwrap();
    std::fs::write(project.home("config/host/profiles/near.toml"), steps(10)).unwrap();
    assert_eq!(shown(), 10);
    project.write("named/near.toml", steps(20));
    assert_eq!(shown(), 20);
    project.write("configs/near.json", r#"{ "stress": { "total_steps": 30 } }"#);
    assert_eq!(shown(), 30);
}

#[test]
fn a_valid_configuration_is_called_so() {
    let project = Project::new().plugins(&["stress"]);
    assert_snapshot!(project.host(["config", "validate", "--profile", "smoke-stress"]), @"
    exit: 0
    ----- stdout
    plugin stress: smoke-stress.toml: no errors; phases: stress
    ");
    assert_eq!(project.names(), Vec::<String>::new());
}

#[test]
fn the_plugin_path_may_be_named_in_the_users_configuration() {
    let project = Project::new();
    let directory = third_party("linreg").parent().unwrap().display().to_string();
    let text = format!("[plugins]\npath = ['{directory}', '/no/such/directory']\n");
    std::fs::create_dir_all(project.home("config/host")).unwrap();
    std::fs::write(project.home("config/host/config.toml"), text).unwrap();
    let json = project.host(["plugins", "list", "--json"]).expect(1).json();
    let names: Vec<_> = json["plugins"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.contains(&&"stress".into()), "{names:?}");
    assert!(json["problems"][0].as_str().unwrap().contains("`/no/such/directory`"));
}
