//! What may differ between a plugin and its host: compiler and tensor library. What must not is refused
//! with the rest that is broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::{Installation, Project, built_by, first_party, other_candle, read_tensors};

/// A compiler that is not the one of this build, and no older than what the SDK needs: the one that
/// `HOST_OTHER_RUSTC` names, or the system's. CI installs one.
fn another_compiler() -> Option<PathBuf> {
    let named = std::env::var_os("HOST_OTHER_RUSTC").map(PathBuf::from);
    let rustc = named.unwrap_or_else(|| PathBuf::from("/usr/bin/rustc"));
    let version = |rustc: &Path| {
        let output = Command::new(rustc).arg("--version").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let theirs = version(&rustc)?;
    let minor: u32 = theirs.split(['.', ' ']).nth(2)?.parse().ok()?;
    (minor >= 95 && Some(&theirs) != version(Path::new("rustc")).as_ref()).then_some(rustc)
}

fn listed(project: &Project) -> Value {
    project.host(["plugins", "list", "--json"]).expect(0).json()
}

#[test]
fn a_plugin_of_another_compiler_loads_runs_and_panics() {
    let Some(rustc) = another_compiler() else {
        println!("there is no other compiler: nothing is tried");
        return;
    };
    let project = Project::new().plugins(&["linreg"]);
    let ours = listed(&project)["plugins"][0]["rustc"].clone();
    fs::remove_file(project.plugin_path().join("liblinreg.so")).unwrap();
    for plugin in ["linreg", "stress"] {
        let library = built_by(&rustc, plugin);
        fs::copy(&library, project.plugin_path().join(library.file_name().unwrap())).unwrap();
    }
    let list = listed(&project);
    for plugin in list["plugins"].as_array().unwrap() {
        assert!(plugin["rustc"].as_str().unwrap().starts_with("rustc 1."), "{plugin}");
        assert_ne!(plugin["rustc"], ours);
    }
    project.write("line.toml", "[linreg]\ntotal_steps = 50\n");
    let output = project.host(["run", "--config", "line.toml", "--progress", "off"]).expect(0);
    assert!(output.stdout.contains("linreg  50 steps"), "{output}");
    project.write("panic.toml", "[stress]\nmode = 'panic_in_step'\n");
    let output = project.host(["run", "--config", "panic.toml", "--progress", "off"]).expect(1);
    assert!(output.stderr.contains("the plugin panicked in `step`"), "{output}");
    let library = project.plugin_path().join("liblinreg.so").display().to_string();
    project.host(["plugins", "check", &library]).expect(0);
}

#[test]
fn a_plugin_with_another_candle_trains_beside_ours() {
    let Some(library) = other_candle() else {
        println!("another candle can't be fetched: nothing is tried");
        return;
    };
    let project = Project::with(Installation::dynamic());
    fs::copy(library, project.plugin_path().join("libother_candle.so")).unwrap();
    let pipeline =
        "phases = ['pretrain', 'other-candle']\n[pretrain]\nextends = 'smoke-pretrain'\n";
    project.write("both.toml", pipeline);
    let output = project.host(["run", "--config", "both.toml", "--progress", "off"]).expect(0);
    // The points are 1.25 from their middle in the mean square, and that is what is left of the loss.
    assert!(output.stdout.contains("other-candle  40 steps · train/loss 1.2500"), "{output}");
    let list = listed(&project);
    let build = |name: &str| {
        let plugins = list["plugins"].as_array().unwrap();
        assert!(plugins.iter().any(|plugin| plugin["name"] == name), "{list}");
    };
    build("other-candle");
    build("pretrain");
}

/// A step in C under a skin of Rust: to the host a plugin like any other.
#[test]
fn a_plugin_in_c_under_a_skin_of_rust() {
    let project = Project::new().plugins(&["in_c"]);
    project.write("line.toml", "[in-c]\n");
    let output = project.host(["run", "--config", "line.toml", "--progress", "off"]).expect(0);
    assert!(output.stdout.contains("in-c  100 steps · train/loss"), "{output}");
    let tensors = project.last_run().join("phases/01-in-c/artifacts/line.safetensors");
    let line = &read_tensors(&tensors)["line"];
    let numbers: Vec<f64> =
        line.bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    assert!((numbers[0] - 3.0).abs() < 1e-6 && (numbers[1] + 1.0).abs() < 1e-6, "{numbers:?}");
    let library = project.plugin_path().join("libin_c.so").display().to_string();
    project.host(["plugins", "check", &library]).expect(0);
}

/// The first-party plugins keep to what is asked of those of others.
#[test]
fn the_first_party_plugins_conform() {
    let project = Project::with(Installation::dynamic());
    for plugin in first_party() {
        let library = Installation::dynamic().directory().join(format!("lib{plugin}.so"));
        let output = project.host(["plugins", "check", &library.display().to_string()]).expect(0);
        let level = output.stdout.lines().last().unwrap_or_default();
        assert!(level.starts_with("level: deterministic ("), "{output}");
    }
}
