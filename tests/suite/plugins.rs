//! What lies on the plugin path: found, refused, in conflict, misbehaving.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Project, third_party};

#[test]
fn no_plugin() {
    assert_snapshot!(Project::new().host(["plugins", "list"]), @"
    exit: 0
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
}

#[test]
fn a_plugin() {
    let project = Project::new().plugins(&["linreg"]);
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 0
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    ");
}

#[test]
fn a_text_file_with_the_name_of_a_library() {
    let project = Project::new().plugins(&["linreg"]);
    fs::write(project.plugin_path().join("libtext.so"), "#!/bin/sh\necho no library\n").unwrap();
    fs::write(project.plugin_path().join("libempty.so"), "").unwrap();
    fs::write(project.plugin_path().join("notes.txt"), "no candidate at all").unwrap();
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    refused: [ROOT]/plugins/libempty.so: not a shared library: it does not start as an ELF file does
    refused: [ROOT]/plugins/libtext.so: not a shared library: it does not start as an ELF file does
    ");
}

#[test]
fn a_library_that_is_no_plugin() {
    let project = Project::new();
    let libc =
        ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    let Some(library) = libc.iter().find(|path| fs::exists(path).unwrap_or(false)) else { return };
    fs::copy(library, project.plugin_path().join("libm.so")).unwrap();
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    refused: [ROOT]/plugins/libm.so: not a trainer plugin: it carries no metadata of one
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
}

/// Whatever is missing at its end, the host lives and says why it won't have the file.
#[test]
fn a_truncated_plugin() {
    let project = Project::new().plugins(&["linreg"]);
    let whole = fs::read(third_party("stress")).unwrap();
    let n = whole.len();
    let lengths = [3, 16, 63, 64, 1000, n / 10, n / 4, n / 2, n * 9 / 10, n - 4096, n - 1];
    let cut = project.plugin_path().join("libcut.so");
    let mut reasons = Vec::new();
    for length in lengths {
        fs::write(&cut, &whole[..length]).unwrap();
        let output = project.host(["plugins", "list"]).expect(1);
        let shown = output.stable(&output.stdout);
        let reason = shown.lines().find_map(|line| line.strip_prefix("refused: "));
        reasons.push(reason.unwrap_or("not refused").to_owned());
    }
    reasons.dedup();
    assert_snapshot!(reasons.join("\n"), @"
    [ROOT]/plugins/libcut.so: not a shared library: it does not start as an ELF file does
    [ROOT]/plugins/libcut.so: not a 64-bit ELF file, or cut short in its header
    [ROOT]/plugins/libcut.so: cut short: it has [N] bytes and needs [N]
    ");
    let output = project.host(["run", "--profile", "smoke-stress"]);
    assert_snapshot!(output, @"
    exit: 2
    ----- stderr
    warning: not used: [ROOT]/plugins/libcut.so: cut short: it has [N] bytes and needs [N]
    error: unknown profile `smoke-stress`
    help: no profiles were found; `--config FILE` takes a file

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn another_layout_of_the_boundary() {
    let project = Project::new().plugins(&["misfit", "linreg"]);
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    refused: [ROOT]/plugins/libmisfit.so: its boundary types have another layout (first difference: `PluginRoot`); rebuild it with SDK 0.1.0
    ");
    // The others work on.
    project.write("line.toml", "[linreg]\ntotal_steps = 3\n");
    assert_snapshot!(project.host(["run", "--config", "line.toml"]), @"
    exit: 0
    ----- stdout
    linreg  3 steps · train/loss 3.7960 · val/distance_max 1.8667 · val/tensors_received 0.0000
    run: runs/[RUN]
    ----- stderr
    warning: not used: [ROOT]/plugins/libmisfit.so: its boundary types have another layout (first difference: `PluginRoot`); rebuild it with SDK 0.1.0
    run runs/[RUN]
    [linreg] phase 1 of 1, plugin linreg: preparing
    [linreg] 3 steps
    [linreg] step 1/3 · val/distance_max 3.1266 · val/tensors_received 0.0000
    [linreg] checkpoint phases/01-linreg/checkpoints/step-00000001
    [linreg] step 2/3 · val/distance_max 2.1222 · val/tensors_received 0.0000
    [linreg] checkpoint phases/01-linreg/checkpoints/step-00000002
    [linreg] step 3/3 · train/loss 3.7960 · train/samples_per_s [PACE] · train/step_ms [MS]
    [linreg] step 3/3 · val/distance_max 1.8667 · val/tensors_received 0.0000
    [linreg] checkpoint phases/01-linreg/checkpoints/step-00000003
    [linreg] finished in [TIME]
    ");
}

#[test]
fn two_plugins_with_one_phase() {
    let project = Project::new()
        .plugins(&["linreg", "twin"])
        .file("line.toml", "[linreg]\ntotal_steps = 3\n");
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    twin    0.3.0  phases: linreg  [ROOT]/plugins/libtwin.so
    ----- stderr
    error: phase `linreg` is registered by plugin `linreg` 0.3.0 ([ROOT]/plugins/liblinreg.so) and by plugin `twin` 0.3.0 ([ROOT]/plugins/libtwin.so)
    ");
    assert_snapshot!(project.host(["run", "--config", "line.toml"]), @"
    exit: 2
    ----- stderr
    warning: not used: phase `linreg` is registered by plugin `linreg` 0.3.0 ([ROOT]/plugins/liblinreg.so) and by plugin `twin` 0.3.0 ([ROOT]/plugins/libtwin.so)
    error: `line.toml` does not say which phase it belongs to
    help: name it with `--phase PHASE`; not used: phase `linreg` is registered by plugin `linreg` 0.3.0 ([ROOT]/plugins/liblinreg.so) and by plugin `twin` 0.3.0 ([ROOT]/plugins/libtwin.so)

    error: 1 configuration error; nothing was started
    ");
    project.write("line.toml", "phases = ['linreg']\n");
    assert_snapshot!(project.host(["run", "--config", "line.toml"]), @"
    exit: 2
    ----- stderr
    warning: not used: phase `linreg` is registered by plugin `linreg` 0.3.0 ([ROOT]/plugins/liblinreg.so) and by plugin `twin` 0.3.0 ([ROOT]/plugins/libtwin.so)
    error: phase `linreg` is registered by plugin `linreg` 0.3.0 ([ROOT]/plugins/liblinreg.so) and by plugin `twin` 0.3.0 ([ROOT]/plugins/libtwin.so)
     --> line.toml:1:11
      |
    1 | phases = ['linreg']
      |           ^^^^^^^^
      = key: phases
    help: leave one of the two on the plugin path

    error: 1 configuration error; nothing was started
    ");
    assert!(!project.path("runs").exists());
}

#[test]
fn a_section_with_a_key_of_the_hosts() {
    let project = Project::new().plugins(&["greedy"]).file("greedy.toml", "[greedy]\nseed = 3\n");
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    refused: [ROOT]/plugins/libgreedy.so: plugin `greedy`: the section of phase `greedy` has a key `seed`, which belongs to `global`
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
    assert_snapshot!(project.host(["run", "--config", "greedy.toml"]), @"
    exit: 2
    ----- stderr
    warning: not used: [ROOT]/plugins/libgreedy.so: plugin `greedy`: the section of phase `greedy` has a key `seed`, which belongs to `global`
    error: `greedy.toml` does not say which phase it belongs to
    help: name it with `--phase PHASE`; not used: [ROOT]/plugins/libgreedy.so: plugin `greedy`: the section of phase `greedy` has a key `seed`, which belongs to `global`

    error: 1 configuration error; nothing was started
    ");
}

/// As a property, in a definition, by a pattern, by the names allowed; `anything` takes it as a name
/// of the user's choice.
#[test]
fn keys_of_the_hosts_are_refused_however_they_are_said() {
    let project = Project::new();
    let greedy = third_party("greedy");
    // A check looks anew each time: what is known of a file doesn't depend on this variable.
    let checked = |schema: &Value| {
        let mut command = project.command(["plugins", "check"]);
        command.arg(&greedy).env("GREEDY_SCHEMA", schema.to_string());
        project.spawn(command).finish()
    };
    let claims = [
        ("seed", json!({"properties": {"seed": {"type": "integer"}}})),
        ("device", json!({"properties": {"model": {"properties": {"device": {}}}}})),
        ("dtype", json!({"$defs": {"Model": {"properties": {"dtype": {}}}}})),
        ("amp_dtype", json!({"patternProperties": {"^amp_": {"type": "string"}}})),
        ("deterministic", json!({"propertyNames": {"enum": ["lr", "deterministic"]}})),
        ("seed", json!({"if": {"required": ["lr"]}, "then": {"required": ["seed"]}})),
    ];
    for (key, schema) in claims {
        let refused = checked(&schema).expect(1).stdout;
        let reason =
            format!("the section of phase `greedy` has a key `{key}`, which belongs to `global`");
        assert!(refused.contains(&reason), "{schema}: {refused}");
    }
    let taken = checked(&json!({"properties": {"anything": {"additionalProperties": {}}}}));
    assert!(taken.stdout.contains("ok   loads"), "{taken}");
}

#[test]
fn the_same_plugin_twice() {
    let project = Project::new().plugins(&["linreg"]);
    let first = project.plugin_path().join("liblinreg.so");
    fs::copy(&first, project.plugin_path().join("libzz.so")).unwrap();
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 0
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    ----- stderr
    note: plugin `linreg` 0.3.0 from [ROOT]/plugins/libzz.so is there already, from [ROOT]/plugins/liblinreg.so
    ");
    // One file by two names is one file.
    fs::remove_file(project.plugin_path().join("libzz.so")).unwrap();
    std::os::unix::fs::symlink(&first, project.plugin_path().join("libzz.so")).unwrap();
    assert_eq!(project.host(["plugins", "list"]).expect(0).stderr, "");
}

#[test]
fn the_working_directory_is_searched_only_when_named() {
    let project = Project::new();
    fs::copy(third_party("linreg"), project.path("liblinreg.so")).unwrap();
    fs::create_dir(project.path("plugins")).unwrap();
    fs::copy(third_party("linreg"), project.path("plugins/liblinreg.so")).unwrap();
    assert_eq!(project.host(["plugins", "list"]).expect(0).stdout, "");
    let listed = |named: &Path| {
        let mut command = project.command(["plugins", "list"]);
        command.env("HOST_PLUGIN_PATH", named);
        project.spawn(command).finish()
    };
    for named in [project.path(""), project.path("plugins")] {
        let output = listed(&named).expect(0);
        assert!(output.stdout.starts_with("linreg  0.3.0"), "{output}");
    }
    assert_snapshot!(listed(Path::new("plugins")), @"
    exit: 1
    ----- stderr
    error: `plugins` is a relative path (named by HOST_PLUGIN_PATH): another directory each time
    no plugins found in: [INSTALL], [INSTALL]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
    let mut command = project.command(["plugins", "list"]);
    command.env("HOST_PLUGIN_PATH", "");
    assert_eq!(project.spawn(command).finish().expect(0).stdout, "");
}

#[test]
fn a_directory_that_is_not_there() {
    let project = Project::new();
    let mut command = project.command(["plugins", "list"]);
    command.env("HOST_PLUGIN_PATH", "/no/such/directory");
    assert_snapshot!(project.spawn(command).finish(), @"
    exit: 1
    ----- stderr
    error: no such directory: `/no/such/directory` (named by HOST_PLUGIN_PATH)
    no plugins found in: [INSTALL], [INSTALL]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
}

#[test]
fn lists_are_also_json() {
    let project = Project::new().plugins(&["linreg", "misfit", "stress", "twin"]);
    let output = project.host(["plugins", "list", "--json"]).expect(1);
    let json = output.json();
    assert_eq!(json["schema"], 1);
    let names: Vec<_> = json["plugins"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["linreg", "stress", "twin"]);
    let phase = json!({ "phase": "stress", "capabilities": [], "devices": ["cpu"] });
    assert_eq!(json["plugins"][1]["phases"], json!([phase]));
    assert_eq!(json["plugins"][1]["blake3"].as_str().unwrap().len(), 64);
    assert_eq!(json["conflicts"].as_array().unwrap().len(), 1);
    assert_eq!(json["refused"].as_array().unwrap().len(), 1);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_plugin_looked_at_by_name_and_by_file() {
    let project = Project::new().plugins(&["linreg"]);
    let by_name = project.host(["plugins", "inspect", "linreg"]).expect(0);
    assert_snapshot!(by_name, @"
    exit: 0
    ----- stdout
    linreg 0.3.0 — Linear regression by gradient descent, on the SDK alone
    source: [ROOT]/plugins/liblinreg.so
    blake3: [HASH]
    built with: SDK 0.1.0, rustc [VERSION], [TARGET]

    phase linreg
      computes on: cpu
      keys, with defaults:
        total_steps = 200  Optimizer updates (integer, at least 1)
        learning_rate = 0.1  Learning rate (number, 0 to 1)
    ");
    let file = project.plugin_path().join("liblinreg.so");
    let by_file = project.host(["plugins", "inspect", file.to_str().unwrap()]).expect(0);
    assert_snapshot!(by_file, @"
    exit: 0
    ----- stdout
    linreg 0.3.0 — Linear regression by gradient descent, on the SDK alone
    file: [ROOT]/plugins/liblinreg.so
    blake3: [HASH]
    built with: SDK 0.1.0, abi_stable-0.11, rustc [VERSION], [TARGET], panic = unwind

    phase linreg
      computes on: cpu
      trains in: float32
      version of the section: 1
      version of the state: 1
    ");
    let json = project.host(["plugins", "inspect", "linreg", "--json"]).expect(0).json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["plugins"][0]["phases"][0]["defaults"]["total_steps"], 200);

    assert_snapshot!(project.host(["plugins", "inspect", "linregg"]), @"
    exit: 2
    ----- stderr
    error: no plugin `linregg`
    help: `host plugins list` shows those that there are
    ");
    fs::write(project.path("libtext.so"), "text").unwrap();
    assert_snapshot!(project.host(["plugins", "inspect", "./libtext.so"]), @"
    exit: 1
    ----- stderr
    error: refused: ./libtext.so: not a shared library: neither ELF, Mach-O nor PE
    ");
    assert_snapshot!(project.host(["plugins", "inspect", "./nothing.so"]), @"
    exit: 1
    ----- stderr
    error: refused: ./nothing.so: can't be read: no such file or directory
    ");
    // What it says of itself is no reason to refuse it; its code would tell more, and doesn't run.
    let greedy = third_party("greedy");
    project.host(["plugins", "inspect", greedy.to_str().unwrap()]).expect(0);
}

/// Listing tells nothing of what a plugin does later; running it ends with its reason on a line.
#[test]
fn a_plugin_that_panics_in_a_step() {
    let project = Project::new()
        .plugins(&["stress"])
        .file("panic.toml", "[stress]\nmode = 'panic_in_step'\nat_step = 3\n");
    project.host(["plugins", "list"]).expect(0);
    assert_snapshot!(project.host(["run", "--config", "panic.toml"]), @"
    exit: 1
    ----- stderr
    run runs/[RUN]
    [stress] phase 1 of 1, plugin stress: preparing
    [stress] 5 steps
    [stress] step 1/5 · train/loss 1.1044 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000001
    [stress] step 2/5 · train/loss 0.0624 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000002
    [stress] step 3/5 · train/loss 1.2137 · train/samples_per_s [PACE] · train/step_ms [MS]
    [stress] checkpoint phases/01-stress/checkpoints/step-00000003
    error: phase `stress` (plugin `stress`) failed at step 3: the plugin panicked in `step`: the step went wrong (stress/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
    let checkpoints = project.last_run().join("phases/01-stress/checkpoints");
    assert_eq!(fs::read_to_string(checkpoints.join("last")).unwrap(), "step-00000003\n");
}
