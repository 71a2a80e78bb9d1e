//! Plugins that are broken, or mean harm: each is refused or contained, with a message of its own.
//!
//! A library that is refused before it is loaded must not have run an instruction: those here have a
//! constructor that writes a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use tests::{Output, Project, c_library, c_plugin, third_party};

/// A message of a refusal is at most so long.
const LINES_MAX: usize = 10;

/// A constructor that leaves a trace at `$TRACE`, and whatever comes behind it.
const TRACES: &str = "
    #include <fcntl.h>
    #include <stdlib.h>
    #include <unistd.h>
    __attribute__((constructor)) static void trace(void) {
        const char *path = getenv(\"TRACE\");
        if (path) close(open(path, O_CREAT | O_WRONLY, 0600));
    }
";

/// A host with one library on its plugin path, and a place where a trace would show that it ran.
struct Case {
    project: Project,
    library: PathBuf,
}

impl Case {
    fn new() -> Self {
        let project = Project::new();
        let library = project.plugin_path().join("libbad.so");
        Self { project, library }
    }

    /// A library whose records say so.
    fn saying(records: &[(&str, &str)]) -> Self {
        let case = Self::new();
        c_plugin(&case.library, "bad", records, TRACES, &[]);
        case
    }

    fn trace(&self) -> PathBuf {
        self.project.path("trace")
    }

    fn host(&self, args: &[&str]) -> Output {
        let mut command = self.project.command(args);
        command.env("TRACE", self.trace());
        self.project.spawn(command).finish()
    }

    /// Why a listing refuses the library: exit code 1, and one line on standard output.
    #[track_caller]
    fn reason(&self) -> String {
        let output = self.host(&["plugins", "list"]).expect(1);
        let lines = output.stdout.lines().count() + output.stderr.lines().count();
        assert!(lines <= LINES_MAX, "{lines} lines:\n{output}");
        let shown = output.stable(&output.stdout);
        let start = "refused: [ROOT]/plugins/libbad.so: ";
        let Some(reason) = shown.trim_end().strip_prefix(start) else { panic!("{output}") };
        assert!(!reason.contains('\n'), "{reason}");
        reason.to_owned()
    }

    /// The same of one that was refused before anything of it ran, by every way to it.
    #[track_caller]
    fn unrun(&self) -> String {
        let reason = self.reason();
        let file = self.library.display().to_string();
        for args in [&["plugins", "inspect", file.as_str()], &["plugins", "check", file.as_str()]] {
            self.host(args).expect(1);
        }
        self.host(&["plugins", "add", &file]).expect(1);
        self.host(&["profiles", "list"]).expect(0);
        assert!(!self.trace().exists(), "it ran: {reason}");
        reason
    }
}

#[test]
fn the_trace_shows_what_runs() {
    let case = Case::saying(&[]);
    let reason = case.reason();
    assert_snapshot!(reason, @"not a trainer plugin: it exports no plugin root");
    assert!(case.trace().exists());
}

#[test]
fn files_that_are_no_library() {
    let mut said = Vec::new();
    for bytes in
        [&b""[..], b"\x7fELF", b"#!/bin/sh\ntouch \"$TRACE\"\n", &[0xff; 4096], b"!<arch>\n"]
    {
        let case = Case::new();
        fs::write(&case.library, bytes).unwrap();
        said.push(case.unrun());
    }
    assert_snapshot!(said.join("\n"), @"
    not a shared library: it does not start as an ELF file does
    not a 64-bit ELF file, or cut short in its header
    not a shared library: it does not start as an ELF file does
    not a shared library: it does not start as an ELF file does
    not a shared library: it does not start as an ELF file does
    ");
}

#[test]
fn a_library_cut_at_twenty_places() {
    let whole = Case::saying(&[]);
    let bytes = fs::read(&whole.library).unwrap();
    let n = bytes.len();
    let mut reasons = Vec::new();
    for i in 0..20 {
        let case = Case::new();
        fs::write(&case.library, &bytes[..1 + (n - 2) * i / 19]).unwrap();
        reasons.push(case.unrun());
    }
    reasons.dedup();
    assert_snapshot!(reasons.join("\n"), @"
    not a shared library: it does not start as an ELF file does
    cut short: it has [N] bytes and needs [N]
    ");
}

#[test]
fn libraries_of_other_machines() {
    let mut said = Vec::new();
    let whole = Case::saying(&[]);
    let bytes = fs::read(&whole.library).unwrap();
    // ELF's machine, class, byte order and type, at their places in the header.
    for (at, value) in [(18, 0xb6), (4, 1), (5, 2), (16, 1)] {
        let case = Case::new();
        let mut changed = bytes.clone();
        changed[at] = value;
        fs::write(&case.library, changed).unwrap();
        said.push(case.unrun());
    }
    let case = Case::saying(&[("target", "riscv64gc-unknown-linux-gnu")]);
    said.push(case.unrun());
    assert_snapshot!(said.join("\n"), @"
    built for another processor: ELF machine 182
    not a 64-bit ELF file, or cut short in its header
    built for another processor: ELF machine 15872
    not a shared library: another type of ELF file
    built for riscv64gc-unknown-linux-gnu, this host runs on [TARGET]
    ");
}

#[test]
fn records_that_do_not_fit() {
    let cases: [&[(&str, &str)]; 8] = [
        &[("abi", "abi_other-1.0")],
        &[("sdk", "0.0.9")],
        &[("sdk", "99")],
        &[("panic", "abort")],
        &[("phase", "global")],
        &[("phase", "../../etc/passwd")],
        &[("plugin", "..")],
        &[("phase", "a\\033[31mred")],
    ];
    let said: Vec<String> = cases.iter().map(|records| Case::saying(records).unrun()).collect();
    assert_snapshot!(said.join("\n"), @r#"
    built for the boundary `abi_other-1.0`, this host has `abi_stable-0.11`; rebuild it with SDK 0.1.0
    built with SDK 0.0.9, this host needs SDK 0.1.0
    built with SDK 99, this host needs SDK 0.1.0
    built with panic = "abort": a panic would end the host; build it with "unwind"
    plugin `bad` registers a phase `global`, a name that configurations have for something else
    its metadata can't be read: `../../etc/passwd` is no name for a phase
    its metadata can't be read: `..` is no name for a plugin
    its metadata can't be read: control characters
    "#);
}

#[test]
fn records_that_cannot_be_read() {
    let magic = "host-plugin-v1\\n\\0";
    let many = format!("{magic}{}", "device\\0cpu\\0".repeat(300));
    let sections = [
        ("nothing", "\"nothing\"".to_owned()),
        (
            "cut short",
            format!(
                "{{{}}}",
                "'h','o','s','t','-','p','l','u','g','i','n','-','v','1','\\n',0,'p','h'"
            ),
        ),
        ("no UTF-8", format!("\"{magic}phase\\0\\xff\\xfe\\0\"")),
        ("a bad number", format!("\"{magic}state_version\\0many\\0\"")),
        ("a long list", format!("\"{many}\"")),
        ("incomplete", format!("\"{magic}phase\\0bad\\0\"")),
        ("twice", format!("\"{magic}phase\\0a\\0phase\\0b\\0\"")),
        ("too long", format!("\"{magic}\" FILL")),
    ];
    let mut said = Vec::new();
    for (what, section) in sections {
        let case = Case::new();
        let fill = format!("\"{}\"", "x".repeat(300_000));
        let section = section.replace("FILL", &fill);
        let record = format!(
            "__attribute__((section(\".host_plugin\"), used)) static const char record[] = {section};"
        );
        c_library(&case.library, &format!("{record}{TRACES}"), &[]);
        said.push(format!("{what}: {}", case.unrun()));
    }
    assert_snapshot!(said.join("\n"), @"
    nothing: its metadata can't be read: no record is in it
    cut short: its metadata can't be read: cut short
    no UTF-8: its metadata can't be read: text that is not UTF-8
    a bad number: its metadata can't be read: `state_version` is not a number
    a long list: its metadata can't be read: a list of more than 256 values
    incomplete: its metadata can't be read: `plugin` is missing
    twice: its metadata can't be read: `phase` is there twice
    too long: its metadata can't be read: 300017 bytes, more than 262144
    ");
}

#[test]
fn roots_that_are_none() {
    let header = "_as_lib_header_root_module_loader";
    let symbol = root_symbol();
    assert!(symbol.starts_with('_'), "{header}");
    let mut said = Vec::new();
    for (what, source) in [
        ("no root", String::new()),
        ("a null header", format!("const void *const {symbol} = 0;")),
        ("a dangling header", format!("const void *const {symbol} = (const void *)8;")),
        ("another magic", format!("static const char h[512]; const void *const {symbol} = h;")),
    ] {
        let case = Case::new();
        c_plugin(&case.library, "bad", &[], &source, &[]);
        said.push(format!("{what}: {}", case.reason()));
    }
    assert_snapshot!(said.join("\n"), @"
    no root: not a trainer plugin: it exports no plugin root
    a null header: built with another version of abi_stable, needs 0.11
    a dangling header: built with another version of abi_stable, needs 0.11
    another magic: built with another version of abi_stable, needs 0.11
    ");
}

/// The symbol that every plugin exports.
fn root_symbol() -> String {
    let output = std::process::Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(third_party("linreg"))
        .output()
        .expect("a C toolchain is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().last().unwrap_or_default().to_owned()
}

#[test]
fn what_the_linker_does_not_have() {
    let mut said = Vec::new();
    let case = Case::new();
    c_plugin(&case.library, "bad", &[], "int ask(void); int tell(void) { return ask(); }", &[]);
    said.push(format!("an undefined symbol: {}", case.reason()));
    let case = Case::new();
    let source = "__thread char big[1 << 20] __attribute__((tls_model(\"initial-exec\"))) = {1};
                  char *get(void) { return big; }";
    c_plugin(&case.library, "bad", &[], source, &[]);
    said.push(format!("initial-exec TLS: {}", case.reason()));
    assert_snapshot!(said.join("\n"), @"
    an undefined symbol: can't be loaded: undefined symbol: ask
    initial-exec TLS: can't be loaded: cannot allocate memory in static TLS block
    ");
}

/// A library that was missing may be there the next time: nothing of that is kept.
#[test]
fn what_was_missing_is_looked_for_again() {
    let case = Case::new();
    let missing = case.project.home("missing");
    fs::create_dir(&missing).unwrap();
    let needed = missing.join("libneeded.so");
    c_library(&needed, "int ask(void) { return 0; }", &["-Wl,-soname,libneeded.so.9"]);
    let source = "int ask(void); int answer(void) { return ask(); }";
    c_plugin(&case.library, "bad", &[], source, &[&needed.display().to_string()]);
    let first = case.reason();
    assert!(first.starts_with("needs the library `libneeded.so.9`"), "{first}");
    fs::rename(&needed, missing.join("libneeded.so.9")).unwrap();
    let mut command = case.project.command(["plugins", "list"]);
    command.env("LD_LIBRARY_PATH", &missing);
    let output = case.project.spawn(command).finish().expect(1);
    assert!(output.stdout.contains("it exports no plugin root"), "{output}");
}

/// C keeps back what it prints until its buffer is full; it counts all the same.
#[test]
fn what_is_printed_in_c_counts_too() {
    let case = Case::new();
    fs::copy(third_party("hostile"), &case.library).unwrap();
    let mut command = case.project.command(["plugins", "list"]);
    command.env("HOSTILE", "printf");
    let output = case.project.spawn(command).finish().expect(1);
    assert!(output.stdout.contains("it writes to standard output when it is loaded"), "{output}");
}

/// What a library does while it is loaded, it does to a process that was made for it.
#[test]
fn what_happens_while_it_is_loaded() {
    let mut said = Vec::new();
    for what in ["exit", "abort", "crash", "chdir", "setenv", "signal", "stdout", "flood"] {
        let case = Case::new();
        fs::copy(third_party("hostile"), &case.library).unwrap();
        let mut command = case.project.command(["plugins", "list"]);
        command.env("HOSTILE", what);
        let output = case.project.spawn(command).finish().expect(1);
        let shown = output.stable(&output.stdout);
        let shown = shown.trim_end().trim_start_matches("refused: [ROOT]/plugins/libbad.so: ");
        said.push(format!("{what}: {}", without_day(shown)));
    }
    assert_snapshot!(said.join("\n"), @"
    exit: in quarantine since [DAY]: it ended the process with exit code 7 while it was examined; `host plugins check [ROOT]/plugins/libbad.so` tries it again
    abort: in quarantine since [DAY]: it ended the process with signal SIGABRT while it was examined; `host plugins check [ROOT]/plugins/libbad.so` tries it again
    crash: in quarantine since [DAY]: it ended the process with signal SIGSEGV, an access to memory that isn't its own while it was examined; `host plugins check [ROOT]/plugins/libbad.so` tries it again
    chdir: it changes the working directory when it is loaded
    setenv: it changes the environment when it is loaded
    signal: it takes the signal SIGINT when it is loaded
    stdout: it writes to standard output when it is loaded
    flood: it writes to standard output when it is loaded
    ");
}

fn without_day(text: &str) -> String {
    let at = text.find("since ").map(|at| at + "since ".len());
    at.map_or_else(|| text.to_owned(), |at| format!("{}[DAY]{}", &text[..at], &text[at + 10..]))
}

/// A plugin that never comes to an end while it is loaded is given up after ten seconds.
#[test]
fn a_library_that_hangs() {
    let case = Case::new();
    fs::copy(third_party("hostile"), &case.library).unwrap();
    let mut command = case.project.command(["plugins", "list"]);
    command.env("HOSTILE", "hang");
    let begun = Instant::now();
    let output = case.project.spawn(command).finish().expect(1);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(output.stdout.contains("it did not come to an end in 10 s"), "{output}");
}

/// One that crashed isn't tried again until it changes, or somebody asks; the others go on.
#[test]
fn quarantine_lasts_until_it_is_asked_for() {
    let case = Case::new();
    let project = &case.project;
    fs::copy(third_party("hostile"), &case.library).unwrap();
    fs::copy(third_party("linreg"), project.plugin_path().join("liblinreg.so")).unwrap();
    let mut command = project.command(["plugins", "list"]);
    command.env("HOSTILE", "crash");
    project.spawn(command).finish().expect(1);
    // Nothing makes it crash any more, and it is still not tried.
    let listed = project.host(["plugins", "list"]).expect(1);
    assert!(listed.stdout.contains("in quarantine since"), "{listed}");
    assert!(listed.stdout.contains("linreg  0.3.0"), "{listed}");
    project.write("line.toml", "[linreg]\ntotal_steps = 3\n");
    let run = project.host(["run", "--config", "line.toml", "--progress", "off"]).expect(0);
    assert!(run.stderr.contains("warning: not used:"), "{run}");
    let file = case.library.display().to_string();
    project.host(["plugins", "check", &file]);
    let listed = project.host(["plugins", "list"]).expect(0);
    assert!(listed.stdout.contains("hostile  0.3.0"), "{listed}");
}

/// A process that somebody else ends says nothing of the library: it is looked at again.
#[test]
fn an_examination_that_is_ended_from_outside_is_no_quarantine() {
    let case = Case::new();
    fs::copy(third_party("hostile"), &case.library).unwrap();
    let mut command = case.project.command(["plugins", "list"]);
    command.env("HOSTILE", "terminated");
    let output = case.project.spawn(command).finish().expect(1);
    let reason = "libbad.so: it ended the process with signal SIGTERM while it was examined\n";
    assert!(output.stdout.ends_with(reason), "{output}");
    let listed = case.project.host(["plugins", "list"]).expect(0);
    assert!(listed.stdout.contains("hostile  0.3.0"), "{listed}");
}

#[test]
fn directories_and_files_that_anybody_can_write() {
    let case = Case::saying(&[]);
    let directory = case.project.plugin_path();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let output = case.host(&["plugins", "list"]);
    assert_snapshot!(output, @"
    exit: 1
    ----- stderr
    error: nothing of `[ROOT]/plugins` is loaded: `[ROOT]/plugins` can be written by everybody on this machine
    no plugins found in: [INSTALL], [INSTALL]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
    assert!(!case.trace().exists());
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&case.library, fs::Permissions::from_mode(0o666)).unwrap();
    assert_snapshot!(case.reason(), @"it can be written by everybody on this machine");
    assert!(!case.trace().exists());
}

#[test]
fn links_that_lead_out() {
    let case = Case::new();
    let elsewhere = case.project.home("libelsewhere.so");
    c_plugin(&elsewhere, "bad", &[], TRACES, &[]);
    symlink(&elsewhere, &case.library).unwrap();
    assert_snapshot!(case.reason(), @"a link to `[ROOT]/home/libelsewhere.so`, out of its directory; name that directory instead, or use `host plugins add`");
    fs::remove_file(&case.library).unwrap();
    symlink("/no/such/file", &case.library).unwrap();
    assert_snapshot!(case.reason(), @"a link to nothing");
    assert!(!case.trace().exists());
}

/// Whoever can change a link on the way leads us elsewhere.
#[test]
fn links_that_anybody_can_change() {
    let case = Case::saying(&[]);
    let open = case.project.home("open");
    fs::create_dir(&open).unwrap();
    symlink(case.project.plugin_path(), open.join("current")).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = case.project.command(["plugins", "list"]);
    command.env("HOST_PLUGIN_PATH", open.join("current")).env("TRACE", case.trace());
    let output = case.project.spawn(command).finish().expect(1);
    assert!(output.stderr.contains("can be written by everybody on this machine"), "{output}");

    let inside = case.project.plugin_path().join("sub");
    fs::create_dir(&inside).unwrap();
    fs::rename(&case.library, inside.join("libbad.so")).unwrap();
    symlink("sub/libbad.so", &case.library).unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o777)).unwrap();
    let reason = case.reason();
    assert!(reason.contains("can be written by everybody on this machine"), "{reason}");
    assert!(!case.trace().exists());
}

/// What a plugin does in a run ends the phase, or nothing, and never the run's record.
#[test]
fn what_happens_in_a_run() {
    let project = Project::new().plugins(&["hostile"]);
    let run = |mode: &str| {
        let file = format!("{mode}.toml");
        project.write(&file, format!("[hostile]\nmode = '{mode}'\ntotal_steps = 3\n"));
        project.host(["run", "--config", &file, "--progress", "off", "--run-name", mode])
    };
    let lines = |output: &Output| output.stderr.lines().count() + output.stdout.lines().count();
    for mode in ["none", "reenters", "events", "tells_after_the_end", "leak", "backward_progress"] {
        let output = run(mode).expect(0);
        assert!(lines(&output) <= LINES_MAX, "{mode}:\n{output}");
    }
    let failed = run("nan").expect(1);
    assert!(
        failed.stderr.contains("failed at step 0: the loss is not a finite number"),
        "{failed}"
    );
    let failed = run("panics").expect(2);
    assert!(failed.stderr.contains("it panics when it is asked"), "{failed}");
    assert!(lines(&failed) <= LINES_MAX, "{failed}");
}

/// A million log records in a step: a thousand are kept, and the others counted.
#[test]
fn a_flood_of_records_does_not_fill_the_disk() {
    let project = Project::new().plugins(&["hostile"]);
    project.write("logs.toml", "[hostile]\nmode = 'logs'\ntotal_steps = 2\n");
    project.host(["run", "--config", "logs.toml", "--progress", "off"]).expect(0);
    let events = project.last_run().join("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let records = text.lines().filter(|line| line.contains("\"record ")).count();
    let told: u64 = text
        .lines()
        .filter_map(|line| line.split("\"message\":\"").nth(1))
        .filter_map(|message| message.split_once(" log records left out")?.0.parse::<u64>().ok())
        .sum();
    assert_eq!(records as u64 + told, 1_000_000);
    assert!(text.len() < 20_000_000, "{} bytes", text.len());
}

/// A schema that goes round in circles, and a description that no memory would hold.
#[test]
fn schemas_that_are_bombs() {
    let project = Project::new();
    fs::copy(third_party("greedy"), project.plugin_path().join("libbad.so")).unwrap();
    let host = |schema: &str, args: &[&str]| {
        let mut command = project.command(args);
        command.env("GREEDY_SCHEMA", schema).env("HOST_CACHE_DIR", project.path(args[0]));
        project.spawn(command).finish()
    };
    let circle = r##"{"type": "object", "properties": {
        "a": {"$ref": "#/properties/a"}, "b": {"$ref": "#/$defs/B"}},
        "$defs": {"B": {"anyOf": [{"$ref": "#/$defs/B"}, {"$ref": "#"}]}}}"##;
    project.write("bad.toml", "[greedy]\na = 1\n");
    let begun = Instant::now();
    host(circle, &["plugins", "list"]).expect(0);
    host(circle, &["plugins", "inspect", "greedy"]).expect(0);
    host(circle, &["config", "schema"]).expect(0);
    host(circle, &["config", "validate", "--config", "bad.toml"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    let project = Project::new();
    fs::copy(third_party("hostile"), project.plugin_path().join("libbad.so")).unwrap();
    let mut command = project.command(["plugins", "list"]);
    command.env("HOSTILE_DESCRIPTION_BYTES", (17 << 20).to_string());
    let output = project.spawn(command).finish().expect(1);
    assert!(output.stdout.contains("libbad.so: its description has more than 16 MiB"), "{output}");
}

/// What `host plugins check` says of trainers that break one rule each.
#[test]
fn what_a_check_finds() {
    let project = Project::new().plugins(&["hostile"]);
    let library = project.plugin_path().join("libhostile.so").display().to_string();
    let checked = |mode: &str| {
        let set = format!("mode={mode}");
        project.host(["plugins", "check", &library, &set, "--threads", "1"])
    };
    let sound = checked("none").expect(0);
    assert!(sound.stdout.contains("level: deterministic ("), "{sound}");
    let mut said = Vec::new();
    for mode in [
        "random",
        "forgets",
        "evaluates_loudly",
        "breaks_promise",
        "backward_progress",
        "chdir",
        "exit",
        "leak",
        "nan",
        "panics",
    ] {
        let output = checked(mode).expect(1);
        let failed = output.stdout.lines().filter_map(|line| line.strip_prefix("  FAIL "));
        let names: Vec<&str> = failed.filter_map(|line| line.split_whitespace().next()).collect();
        let level = output.stdout.lines().last().unwrap_or_default();
        let level = level.split(" (").next().unwrap_or_default();
        said.push(format!("{mode}: {level}; {}", names.join(", ")));
    }
    assert_snapshot!(said.join("\n"), @"
    random: level: loads; two-at-once, exact-resume, evaluations-between, same-seed, same-evaluation, same-artifacts
    forgets: level: conformant; exact-resume
    evaluates_loudly: level: loads; evaluation-is-quiet, evaluation-repeats, cancel-evaluation, evaluations-between
    breaks_promise: level: loads; promises-kept
    backward_progress: level: loads; progress
    chdir: level: loads; surroundings
    exit: level: loads; steps
    leak: level: loads; create-and-drop
    nan: level: loads; steps, steps-train
    panics: level: loads; sound-section, asked-twice, nonsense
    ");
}

/// Threads that stay behind are found; what else they disturb is a matter of chance.
#[test]
fn a_thread_that_outlives_its_phase() {
    let project = Project::new().plugins(&["hostile"]);
    let library = project.plugin_path().join("libhostile.so").display().to_string();
    let args = ["plugins", "check", &library, "mode=tells_after_the_end", "--threads", "1"];
    let output = project.host(args).expect(1);
    let threads = output.stdout.lines().find(|line| line.starts_with("  FAIL threads"));
    assert!(threads.is_some_and(|line| line.contains("after ten more")), "{output}");
}

/// A listing knows what it knew: two hundred plugins that had to be examined would be two hundred
/// processes, some seconds of them. The bound lies far from both.
#[test]
fn a_listing_of_two_hundred_plugins_examines_none_again() {
    let project = Project::new();
    let bytes = fs::read(third_party("linreg")).unwrap();
    for i in 0..200 {
        fs::write(project.plugin_path().join(format!("libp{i:03}.so")), &bytes).unwrap();
    }
    let time = || {
        let begun = Instant::now();
        project.host(["plugins", "list"]).expect(0);
        begun.elapsed()
    };
    let first = time();
    let least = (0..5).map(|_| time()).min().unwrap();
    println!("200 plugins: {first:.1?} at first, then {least:.1?}");
    assert!(least < Duration::from_millis(500) && least < first / 3, "{first:?}, then {least:?}");
}
