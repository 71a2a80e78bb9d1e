//! `host plugins add`, `remove` and `trust`: the store, the lock, and what settings can tighten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use insta::assert_snapshot;
use tests::{Output, Project, third_party};

fn linreg() -> String {
    third_party("linreg").display().to_string()
}

fn lock(project: &Project) -> String {
    fs::read_to_string(project.home("config/host/plugins.lock")).unwrap_or_default()
}

/// The one library in the store.
fn stored(project: &Project) -> PathBuf {
    let store = project.home(".local/share/host/plugins");
    let entries = fs::read_dir(store).unwrap().flatten().map(|entry| entry.path());
    let directories: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    directories[0].join("liblinreg.so")
}

fn said(output: &Output) -> String {
    // The store lies under the home, whose name is that of the test's directory.
    let places = regex::Regex::new(r"\d{4}-\d\d-\d\d").unwrap();
    places.replace_all(&output.to_string(), "[DAY]").into_owned()
}

#[test]
fn a_plugin_is_installed_used_and_removed() {
    let project = Project::new().file("line.toml", "[linreg]\ntotal_steps = 3\n");
    assert_snapshot!(said(&project.host(["plugins", "add", &linreg()])), @"
    exit: 0
    ----- stderr
    installed `linreg` 0.3.0
      library: [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so
      blake3: [HASH]
    ");
    assert_snapshot!(said(&project.host(["plugins", "list"])), @"
    exit: 0
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so
    ");
    let text = lock(&project);
    let table: toml::Table = text.parse().unwrap();
    let plugin = &table["plugin"][0];
    for (key, value) in [("name", "linreg"), ("version", "0.3.0"), ("source", &linreg())] {
        assert_eq!(plugin[key].as_str(), Some(value), "{text}");
    }
    assert_eq!(plugin["blake3"].as_str().unwrap().len(), 64);
    assert!(plugin["target"].as_str().unwrap().contains("-linux-"));
    project.host(["run", "--config", "line.toml", "--progress", "off"]).expect(0);

    // The file that it came from may go; the store has its own.
    assert_snapshot!(said(&project.host(["plugins", "add", &linreg()])), @"
    exit: 0
    ----- stderr
    `linreg` 0.3.0 is installed already
      library: [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so
      blake3: [HASH]
    ");
    assert_snapshot!(said(&project.host(["plugins", "remove", "linreg"])), @"
    exit: 0
    ----- stderr
    removed `linreg`
    ");
    assert_eq!(project.host(["plugins", "list"]).expect(0).stdout, "");
    assert!(!lock(&project).contains("linreg"));
    assert_snapshot!(said(&project.host(["plugins", "remove", "linreg"])), @"
    exit: 2
    ----- stderr
    error: `linreg` is not installed
    help: `host plugins list` shows where plugins lie; those beside the host and on the plugin path are files of yours
    ");
}

#[test]
fn what_was_checked_of_a_file_holds_for_its_copy() {
    let project = Project::new();
    project.host(["plugins", "check", &linreg()]).expect(0);
    project.host(["plugins", "add", &linreg()]).expect(0);
    let listed = project.host(["plugins", "list"]).expect(0);
    assert!(listed.stdout.contains("level: deterministic"), "{listed}");
    project.host(["plugins", "check", "linreg"]).expect(0);
}

/// A file that was swapped is another file: nothing that was known of it holds.
#[test]
fn what_was_checked_does_not_hold_for_what_came_in_its_place() {
    let project = Project::new().plugins(&["linreg"]).file("line.toml", "[linreg]\n");
    let library = project.plugin_path().join("liblinreg.so");
    project.host(["plugins", "check", &library.display().to_string()]).expect(0);
    fs::copy(third_party("idle"), &library).unwrap();
    let listed = project.host(["plugins", "list"]).expect(0);
    assert!(listed.stdout.starts_with("idle  0.3.0  phases: idle  /"), "{listed}");
    assert!(!listed.stdout.contains("level"), "{listed}");
    let run = project.host(["run", "--config", "line.toml"]).expect(2);
    assert!(run.stderr.contains("`line.toml` does not say which phase it belongs to"), "{run}");
}

#[test]
fn a_changed_library_is_refused_until_it_is_trusted() {
    let project = Project::new().file("line.toml", "[linreg]\ntotal_steps = 3\n");
    project.host(["plugins", "add", &linreg()]).expect(0);
    assert_snapshot!(said(&project.host(["plugins", "trust", "linreg"])), @"
    exit: 0
    ----- stderr
    `linreg` has not changed since it was added on [DAY]
    ");
    let library = stored(&project);
    // Another library in its place, as somebody would swap it.
    fs::set_permissions(&library, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&library).unwrap();
    bytes.extend(b"more");
    fs::write(&library, &bytes).unwrap();
    assert_snapshot!(said(&project.host(["plugins", "list"])), @"
    exit: 1
    ----- stdout
    refused: [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so: changed since it was added on [DAY]; `host plugins trust linreg` takes it as it is now
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
    let run = project.host(["run", "--config", "line.toml"]).expect(2);
    assert!(run.stderr.contains("changed since it was added on"), "{run}");
    project.host(["plugins", "trust", "linreg"]).expect(0);
    project.host(["plugins", "list"]).expect(0);
    project.host(["run", "--config", "line.toml", "--progress", "off"]).expect(0);

    // What is no plugin any more can't be trusted into one.
    fs::set_permissions(stored(&project), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(stored(&project), "text").unwrap();
    assert_snapshot!(said(&project.host(["plugins", "trust", "linreg"])), @"
    exit: 1
    ----- stderr
    error: refused: linreg: not a shared library: it does not start as an ELF file does
    ");
    fs::remove_file(stored(&project)).unwrap();
    assert_snapshot!(said(&project.host(["plugins", "list"])), @"
    exit: 1
    ----- stdout
    refused: [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so: gone; `host plugins remove linreg` forgets it
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
    project.host(["plugins", "remove", "linreg"]).expect(0);
    project.host(["plugins", "list"]).expect(0);
}

/// A section that changed under its version would leave files of before behind without a word.
#[test]
fn a_section_that_changed_silently_is_told() {
    let project = Project::new();
    let add = |schema: &str| {
        let mut command = project.command(["plugins", "add"]);
        command.arg(third_party("greedy")).env("GREEDY_SCHEMA", schema);
        project.spawn(command).finish().expect(0)
    };
    add(r#"{"type": "object", "properties": {"rate": {}}}"#);
    let again = add(r#"{"type": "object", "properties": {"rate": {}}}"#);
    assert!(!again.stderr.contains("warning"), "{again}");
    let changed = add(r#"{"type": "object", "properties": {"speed": {}}}"#);
    let warning =
        "warning: the section of phase `greedy` has other keys than before, under the same version";
    assert!(changed.stderr.contains(warning), "{changed}");
}

#[test]
fn settings_can_only_ask_for_more_trust() {
    let project = Project::new().plugins(&["linreg", "idle"]);
    project.host(["plugins", "add", &linreg()]).expect(0);
    let listed = |asked: &str| {
        let mut command = project.command(["plugins", "list"]);
        command.env("HOST_PLUGIN_TRUST", asked);
        project.spawn(command).finish()
    };
    assert_snapshot!(said(&listed("locked")), @"
    exit: 1
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    refused: [ROOT]/plugins/libidle.so: not in plugins.lock, and only what is in it is trusted; `host plugins add [ROOT]/plugins/libidle.so` installs it
    ----- stderr
    note: plugin `linreg` 0.3.0 from [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so is there already, from [ROOT]/plugins/liblinreg.so
    ");
    assert_snapshot!(said(&listed("everything")), @"
    exit: 1
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    refused: [ROOT]/plugins/libidle.so: not in plugins.lock, and only what is in it is trusted; `host plugins add [ROOT]/plugins/libidle.so` installs it
    ----- stderr
    note: plugin `linreg` 0.3.0 from [ROOT]/home/.local/share/host/plugins/[HASH]/liblinreg.so is there already, from [ROOT]/plugins/liblinreg.so
    error: HOST_PLUGIN_TRUST is `path` or `locked`, not `everything`: took `locked`
    ");
    let config = project.home("config/host/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "[plugins]\ntrust = 'locked'\n").unwrap();
    let refused = listed("path").expect(1);
    assert!(refused.stdout.contains("libidle.so: not in plugins.lock"), "{refused}");
    // What can't be read may have asked for it.
    for text in [&b"[plugins]\ntrusts = 'path'\n"[..], b"# caf\xe9\n[plugins]\ntrust = 'locked'\n"]
    {
        fs::write(&config, text).unwrap();
        let refused = listed("path").expect(1);
        assert!(refused.stdout.contains("libidle.so: not in plugins.lock"), "{refused}");
        assert!(refused.stderr.contains("config.toml: "), "{refused}");
    }
}

/// A file that has a locked hash when it is looked at, and is another when it is loaded, doesn't run.
#[test]
fn what_is_swapped_while_others_are_examined_does_not_run() {
    let project = Project::new();
    for plugin in ["linreg", "hostile"] {
        project.host(["plugins", "add", &third_party(plugin).display().to_string()]).expect(0);
    }
    // The first takes its time to load; meanwhile the second becomes another.
    let slow = project.plugin_path().join("liba.so");
    let swapped = project.plugin_path().join("libb.so");
    fs::copy(third_party("hostile"), &slow).unwrap();
    fs::copy(third_party("linreg"), &swapped).unwrap();
    let mut command = project.command(["plugins", "list"]);
    command.env("HOST_PLUGIN_TRUST", "locked").env("HOSTILE", "slow");
    command.env("HOST_CACHE_DIR", project.path("fresh"));
    let running = project.spawn(command);
    std::thread::sleep(std::time::Duration::from_millis(700));
    fs::copy(third_party("stress"), &swapped).unwrap();
    let output = running.finish();
    assert!(!output.stdout.contains("stress"), "{output}");
    assert!(output.stdout.contains("libb.so: not in plugins.lock"), "{output}");
}

/// A name without a path is a file of this directory, not one of the linker's.
#[test]
fn a_bare_file_name_is_checked_here() {
    let project = Project::new();
    fs::copy(third_party("linreg"), project.path("libhere.so")).unwrap();
    project.host(["plugins", "check", "libhere.so"]).expect(0);
    project.host(["plugins", "add", "libhere.so"]).expect(0);
}

/// A cache that others can write is not believed: what it says of a hash would be theirs to choose.
#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let project = Project::new().plugins(&["linreg"]);
    let cache = project.home("shared");
    fs::create_dir_all(cache.join("plugins")).unwrap();
    fs::set_permissions(cache.join("plugins"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = project.command(["plugins", "list"]);
    command.env("HOST_CACHE_DIR", &cache);
    project.spawn(command).finish().expect(0);
    assert_eq!(fs::read_dir(cache.join("plugins")).unwrap().count(), 0);
    // Its own, which nobody else can.
    project.host(["plugins", "list"]).expect(0);
}

#[test]
fn a_damaged_lock_is_no_licence() {
    let project = Project::new();
    project.host(["plugins", "add", &linreg()]).expect(0);
    let path = project.home("config/host/plugins.lock");
    let sound = lock(&project);
    for (what, text) in [
        ("another version", sound.replace("schema = 1", "schema = 2")),
        ("a path for a file", sound.replace("liblinreg.so\"", "../../liblinreg.so\"")),
        ("a hash that is none", sound.replace("blake3 = \"", "blake3 = \"../")),
        ("no TOML", "plugin = [".to_owned()),
        ("an unknown key", format!("{sound}allow = true\n")),
    ] {
        fs::write(&path, text).unwrap();
        let listed = project.host(["plugins", "list"]).expect(1);
        assert_eq!(listed.stdout, "", "{what}");
        assert!(listed.stderr.contains("plugins.lock`"), "{what}: {listed}");
        project.host(["plugins", "add", &linreg()]).expect(1);
    }
}

#[test]
fn what_is_refused_is_not_installed() {
    let project = Project::new().plugins(&["misfit"]).file("libtext.so", "text");
    let misfit = project.plugin_path().join("libmisfit.so").display().to_string();
    let said: Vec<String> = ["libtext.so", "libnothing.so", &misfit]
        .iter()
        .map(|file| said(&project.host(["plugins", "add", file])))
        .collect();
    assert_snapshot!(said.join("\n"), @"
    exit: 1
    ----- stderr
    error: refused: libtext.so: not a shared library: it does not start as an ELF file does

    exit: 1
    ----- stderr
    error: reading `libnothing.so`: no such file or directory

    exit: 1
    ----- stderr
    error: refused: [ROOT]/plugins/libmisfit.so: its boundary types have another layout (first difference: `PluginRoot`); rebuild it with SDK 0.1.0
    ");
    assert_eq!(lock(&project), "");
    let store = project.home(".local/share/host/plugins");
    let left: Vec<_> = fs::read_dir(store).into_iter().flatten().flatten().collect();
    let left: Vec<_> = left.iter().filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}
