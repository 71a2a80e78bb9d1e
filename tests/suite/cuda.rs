//! GPUs, as far as a machine without any can show them: what is chosen, refused and said.
//!
//! Drivers and libraries of CUDA are stand-ins, so these say the same on a machine that has both.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tests::{Output, Project, c_library, c_plugin, read_lines};

/// A plugin that can use GPUs, or says so, and shows what device it is given.
fn project() -> Project {
    Project::new().plugins(&["mirror"]).file("mirror.toml", "[mirror]\ntotal_steps = 1\n")
}

fn run(project: &Project, args: &[&str]) -> Output {
    let run = ["run", "--config", "mirror.toml", "--progress", "off"];
    project.host([&run, args].concat())
}

/// What a run that comes to its end says on standard error.
#[track_caller]
fn said(project: &Project, args: &[&str]) -> String {
    run(project, args).expect(0).stderr
}

/// The device that the plugin of the last run was given.
fn given(project: &Project) -> Value {
    let events = read_lines(&project.last_run().join("events.jsonl"));
    let facts = events.iter().find(|event| event["facts"]["kind"].is_string()).unwrap();
    json!([facts["facts"]["kind"], facts["facts"]["ordinal"]])
}

#[test]
fn a_gpu_that_is_there_is_taken_unless_another_device_is_asked_for() {
    let project = project().gpus(2);
    assert_eq!(said(&project, &[]), "note: computing on `cuda:0`, the first of 2 GPUs\n");
    assert_eq!(given(&project), json!(["cuda", 0]));
    assert_eq!(said(&project, &["--device", "cuda:1"]), "");
    assert_eq!(given(&project), json!(["cuda", 1]));
    assert_eq!(said(&project, &["--device", "cpu"]), "");
    assert_eq!(given(&project), json!(["cpu", 0]));
}

#[test]
fn without_a_gpu_the_cpu_computes_and_says_why() {
    let project = project().gpus(0);
    assert_eq!(said(&project, &[]), "note: computing on the CPU: no GPU is there\n");
    assert_eq!(given(&project), json!(["cpu", 0]));
}

#[test]
fn all_phases_compute_on_one_device() {
    let project = project().gpus(1).plugins(&["linreg"]);
    let phases = "phases = ['linreg', 'mirror']\n[linreg]\ntotal_steps = 1\n";
    project.write("both.toml", phases);
    let output = project.host(["run", "--config", "both.toml", "--progress", "off"]).expect(0);
    assert_eq!(
        output.stderr,
        "note: computing on the CPU: plugin `linreg` was built without support for GPUs\n"
    );
    assert_eq!(given(&project), json!(["cpu", 0]));
}

#[test]
fn a_gpu_that_is_not_there_is_refused_before_anything_is_written() {
    let (two, none) = (project().gpus(2), project().gpus(0));
    assert_snapshot!(run(&two, &["--device", "cuda:2"]), @"
    exit: 2
    ----- stderr
    error: there is no `cuda:2`: 2 GPUs are there
      --> flag --device cuda:2
      = key: global.device
    help: say one of `cuda:0` to `cuda:1`

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(run(&none, &["--device", "cuda"]), @"
    exit: 2
    ----- stderr
    error: there is no `cuda:0`: no GPU is there
      --> flag --device cuda
      = key: global.device
    help: say `device: cpu`

    error: 1 configuration error; nothing was started
    ");
    assert_eq!(two.names(), ["mirror.toml"]);
}

/// Another error than that of no GPU: a driver that is too old for its own library, say.
#[test]
fn a_driver_that_does_not_start_is_told_with_its_error() {
    let project = project().broken_driver(803);
    assert_snapshot!(run(&project, &["--device", "cuda"]), @"
    exit: 2
    ----- stderr
    error: there is no `cuda:0`: NVIDIA's driver doesn't start, its error is 803
      --> flag --device cuda
      = key: global.device
    help: say `device: cpu`, or install the driver of the GPU

    error: 1 configuration error; nothing was started
    ");
    assert_eq!(
        said(&project, &[]),
        "note: computing on the CPU: NVIDIA's driver doesn't start, its error is 803\n"
    );
}

#[test]
fn a_plan_names_the_device() {
    let project = project().gpus(1);
    let output = project.host(["run", "--config", "mirror.toml", "--dry-run"]).expect(0);
    let first = output.stdout.lines().next().unwrap();
    assert!(first.contains("cuda:0"), "{first}");
    assert_eq!(output.stderr.lines().next(), Some("note: computing on `cuda:0`"));
}

#[test]
fn plugins_are_listed_with_the_devices_that_they_compute_on() {
    let project = project().plugins(&["linreg"]);
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 0
    ----- stdout
    linreg  0.3.0  phases: linreg  [ROOT]/plugins/liblinreg.so
    mirror  0.3.0  phases: mirror  on: cpu, cuda  [ROOT]/plugins/libmirror.so
    ");
    let listed = project.host(["plugins", "list", "--json"]).expect(0).json();
    assert_eq!(listed["plugins"][1]["phases"][0]["devices"], json!(["cpu", "cuda"]));
    let inspected = project.host(["plugins", "inspect", "mirror"]).expect(0).stdout;
    assert!(inspected.contains("\n  computes on: cpu, cuda\n"), "{inspected}");
}

/// A build for CUDA on a machine without its driver, and without its libraries.
#[test]
fn a_plugin_whose_libraries_are_missing() {
    let project = Project::new();
    let missing = project.path("missing");
    for (plugin, library, soname) in [
        ("libgpu.so", "libcuda.so", "libcuda.so.999"),
        ("libproducts.so", "libcublas.so", "libcublas.so.999"),
        ("libqueue.so", "libzmq.so", "libzmq.so.999"),
    ] {
        project.write("missing/x", "");
        let library = missing.join(library);
        c_library(&library, "int ask(void) { return 0; }", &[&format!("-Wl,-soname,{soname}")]);
        let source = "int ask(void); int answer(void) { return ask(); }";
        let path = project.plugin_path().join(plugin);
        c_plugin(&path, "gpu", &[], source, &[&library.display().to_string()]);
    }
    assert_snapshot!(project.host(["plugins", "list"]), @"
    exit: 1
    ----- stdout
    refused: [ROOT]/plugins/libgpu.so: built for CUDA, and the library `libcuda.so.999` isn't on this machine: install NVIDIA's driver, or use the build of this plugin for CPUs
    refused: [ROOT]/plugins/libproducts.so: built for CUDA, and the library `libcublas.so.999` isn't on this machine: install CUDA's libraries, or use the build of this plugin for CPUs
    refused: [ROOT]/plugins/libqueue.so: needs the library `libzmq.so.999`, which isn't on this machine
    ----- stderr
    no plugins found in: [INSTALL], [INSTALL]/plugins, [ROOT]/plugins
    help: put plugin libraries beside the host, or name their directory in HOST_PLUGIN_PATH
    ");
}
