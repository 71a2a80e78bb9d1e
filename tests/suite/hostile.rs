//! Files that were not written to run: the host says so at once, in little memory, and writes nothing.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use tests::{Output, Project};

/// The most memory that the host may ask for, in KiB.
const MEMORY_KIB_MAX: u64 = 256 * 1024;

fn project() -> Project {
    Project::new().plugins(&["linreg"])
}

/// Validates a configuration; whatever it says, it must be quick, and write nothing.
#[track_caller]
fn validate(project: &Project, args: &[&str]) -> Output {
    let before = project.names();
    let begun = Instant::now();
    let output = project.host([&["config", "validate", "--config"], args].concat());
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert_eq!(project.names(), before, "something was written");
    output
}

#[test]
fn what_is_no_file_is_refused_before_it_is_opened() {
    let project = project();
    let made = Command::new("mkfifo").arg(project.path("pipe.yaml")).status();
    assert!(made.is_ok_and(|status| status.success()));
    symlink("/dev/zero", project.path("zero.toml")).unwrap();
    let _socket = UnixListener::bind(project.path("socket.json")).unwrap();
    project.write("directory.toml/x", "");
    assert_snapshot!(validate(&project, &["pipe.yaml"]), @"
    exit: 2
    ----- stderr
    error: cannot read configuration file `pipe.yaml`: is a pipe

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["zero.toml"]), @"
    exit: 2
    ----- stderr
    error: cannot read configuration file `zero.toml`: is a device

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["socket.json"]), @"
    exit: 2
    ----- stderr
    error: cannot read configuration file `socket.json`: is a socket

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["directory.toml"]), @"
    exit: 2
    ----- stderr
    error: cannot read configuration file `directory.toml`: is a directory

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["/dev/zero"]), @"
    exit: 2
    ----- stderr
    error: cannot tell the format of `/dev/zero`
      = expected: a name ending in `.toml`, `.yaml`, `.yml` or `.json`

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_base_that_is_no_file_is_refused_where_it_is_named() {
    let project = project().file("run.toml", "[linreg]\nextends = 'pipe.toml'\n");
    let made = Command::new("mkfifo").arg(project.path("pipe.toml")).status();
    assert!(made.is_ok_and(|status| status.success()));
    assert_snapshot!(validate(&project, &["run.toml"]), @"
    exit: 2
    ----- stderr
    error: cannot read configuration file `pipe.toml`: is a pipe
     --> run.toml:2:11
      |
    2 | extends = 'pipe.toml'
      |           ^^^^^^^^^^^
      = key: linreg.extends

    error: 1 configuration error; nothing was started
    ");
}

#[test]
fn a_base_elsewhere_is_refused_however_it_is_reached() {
    let project = project();
    std::fs::write(project.home("secret.toml"), "[linreg]\npassword = 'tulip'\n").unwrap();
    project.write("sub/near.toml", "[linreg]\nextends = '../base.toml'\n");
    project.write("base.toml", "[linreg]\ntotal_steps = 3\n");
    project.write("up.toml", "[linreg]\nextends = '../home/secret.toml'\n");
    project.write("link.toml", "[linreg]\nextends = './linked.toml'\n");
    project.write("parts.json", "{\"linreg_config_path\": \"../home/secret.toml\"}");
    symlink(project.home("secret.toml"), project.path("linked.toml")).unwrap();

    validate(&project, &["sub/near.toml"]).expect(0);
    assert_snapshot!(validate(&project, &["up.toml"]), @"
    exit: 2
    ----- stderr
    error: `up.toml` may not build on `../home/secret.toml`: it lies elsewhere
     --> up.toml:2:11
      |
    2 | extends = '../home/secret.toml'
      |           ^^^^^^^^^^^^^^^^^^^^^
      = key: linreg.extends
      = found: `[ROOT]/home/secret.toml`
      = expected: a file below the working directory or a directory with profiles
    help: copy it there, or run from a directory that holds both

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["link.toml"]), @"
    exit: 2
    ----- stderr
    error: `link.toml` may not build on `./linked.toml`: it lies elsewhere
     --> link.toml:2:11
      |
    2 | extends = './linked.toml'
      |           ^^^^^^^^^^^^^^^
      = key: linreg.extends
      = found: `[ROOT]/home/secret.toml`
      = expected: a file below the working directory or a directory with profiles
    help: copy it there, or run from a directory that holds both

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(validate(&project, &["parts.json"]), @r#"
    exit: 2
    ----- stderr
    error: `parts.json` may not build on `../home/secret.toml`: it lies elsewhere
     --> parts.json:1:24
      |
    1 | {"linreg_config_path": "../home/secret.toml"}
      |                        ^^^^^^^^^^^^^^^^^^^^^
      = key: linreg_config_path
      = found: `[ROOT]/home/secret.toml`
      = expected: a file below the working directory or a directory with profiles
    help: copy it there, or run from a directory that holds both

    error: 1 configuration error; nothing was started
    "#);
    let absolute = project.home("secret.toml");
    project.write("far.toml", format!("[linreg]\nextends = '{}'\n", absolute.display()));
    let far = validate(&project, &["far.toml"]).expect(2);
    assert!(far.stderr.contains("it lies elsewhere"), "{far}");
    assert!(!far.stderr.contains("tulip"), "{far}");
    let inside = project.path("base.toml");
    project.write("inside.toml", format!("[linreg]\nextends = '{}'\n", inside.display()));
    validate(&project, &["inside.toml"]).expect(0);
}

#[test]
fn a_chain_of_bases_ends() {
    let project = project().file("end.toml", "[linreg]\ntotal_steps = 3\n");
    for idx in 0..40 {
        let base = if idx == 0 { "end.toml".to_owned() } else { format!("b{}.toml", idx - 1) };
        project.write(&format!("b{idx}.toml"), format!("[linreg]\nextends = '{base}'\n"));
    }
    validate(&project, &["b15.toml"]).expect(0);
    assert_snapshot!(validate(&project, &["b16.toml"]), @"
    exit: 2
    ----- stderr
    error: `extends` goes on through more than 16 files
     --> b0.toml:2:11
      |
    2 | extends = 'end.toml'
      |           ^^^^^^^^^^
      = key: linreg.extends

    error: 1 configuration error; nothing was started
    ");
    project.write("parts.json", "{\"linreg_config_path\": \"parts.json\"}");
    assert_snapshot!(validate(&project, &["parts.json"]), @r#"
    exit: 2
    ----- stderr
    error: unknown key `linreg_config_path` in `linreg`
     --> parts.json:1:2
      |
    1 | {"linreg_config_path": "parts.json"}
      |  ^^^^^^^^^^^^^^^^^^^^
      = key: linreg.linreg_config_path
    help: known keys: `total_steps`, `learning_rate`

    error: 1 configuration error; nothing was started
    "#);
}

/// Runs the host under a limit of its memory: beyond it, it would not end with a code of its own.
#[track_caller]
fn limited(project: &Project, args: &[&str]) -> Output {
    let host = project.command(args);
    let mut shell = Command::new("sh");
    let script = format!("ulimit -v {MEMORY_KIB_MAX} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(host.get_program()).args(host.get_args());
    shell.env_clear().envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(project.path("")).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    project.spawn(shell).finish()
}

#[test]
fn large_files_take_little_time_and_memory() {
    let brackets = "[".repeat(10 << 20);
    let fits = "[".repeat((1 << 20) - 20);
    let leaf: String = (0..9_000).map(|idx| format!("\"{idx}{}\":1,", "k".repeat(90))).collect();
    let deep = "{\"a\":".repeat(29) + "{" + &leaf + "\"x\":1}" + &"}".repeat(29);
    let laughs: String = (1..9)
        .map(|idx| format!("a{idx}: &a{idx} [{}]\n", vec![format!("*a{}", idx - 1); 9].join(",")))
        .collect();
    let cases = [
        ("brackets.json", brackets.clone()),
        ("brackets.yaml", brackets.clone()),
        ("brackets.toml", brackets),
        ("fits.json", fits.clone()),
        ("fits.yaml", fits.clone()),
        ("fits.toml", "a = ".to_owned() + &fits),
        ("deep.json", format!("{{\"linreg\": {deep}}}")),
        ("laughs.yaml", format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{laughs}")),
    ];
    for (name, text) in cases {
        let project = project().file(name, &text);
        let begun = Instant::now();
        let output = limited(&project, &["config", "validate", "--config", name]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?}", begun.elapsed());
        assert!(output.stderr.len() < 60_000, "{name} has {} bytes", output.stderr.len());
        assert_eq!(project.names(), [name], "something was written");
        output.expect(2);
    }
}
