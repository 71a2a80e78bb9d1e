//! Every setting of the host's own acts: each is given another value, and the run shows it.
//!
//! Which settings there are is read from the schema, so that a new one without a line here fails.
//! What belongs to a plugin's section is tried beside the plugin, with `sdk::testing`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::{Project, read_lines};

/// A plugin that shows what reaches it.
fn project() -> Project {
    Project::new().plugins(&["mirror"]).file("mirror.toml", "[mirror]\n")
}

/// The keys at a place of the exported schema.
fn keys(project: &Project, place: &str) -> Vec<String> {
    let schema = project.host(["config", "schema"]).expect(0).json();
    let properties = schema.pointer(place).and_then(Value::as_object);
    properties.unwrap_or_else(|| panic!("no `{place}` in the schema")).keys().cloned().collect()
}

/// What can be seen of a run, by name.
fn shown(project: &Project, args: &[&str]) -> BTreeMap<String, Value> {
    let output = project.host([&["run", "--progress", "off"], args].concat()).expect(0);
    let line = output.stdout.lines().find_map(|line| line.strip_prefix("run: "));
    let run = PathBuf::from(line.expect("a finished run says where it is"));
    let name = run.file_name().unwrap().to_string_lossy().into_owned();
    // Behind a name of the user's, the time and eight digits.
    let own_name = name.rsplitn(4, '-').nth(3).unwrap_or_default();
    let events = read_lines(&project.path(&run).join("events.jsonl"));
    let prepared = events.iter().find(|event| event["event"] == "phase_prepared").unwrap();
    let phases = project.path(&run).join("phases");
    let mut shown = BTreeMap::from([
        ("directory".to_owned(), json!(run.parent())),
        ("name".to_owned(), json!(own_name)),
        ("phases".to_owned(), json!(names(&phases))),
        ("steps".to_owned(), prepared["total_steps"].clone()),
        ("checkpoints".to_owned(), json!(count(&phases.join("01-mirror/checkpoints"), "step-"))),
    ]);
    let facts = prepared["facts"].as_object().unwrap();
    shown.extend(facts.iter().map(|(name, value)| (name.clone(), value.clone())));
    shown
}

fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn count(directory: &std::path::Path, start: &str) -> usize {
    names(directory).iter().filter(|name| name.starts_with(start)).count()
}

/// Which of it the second has otherwise.
fn differing(base: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Value {
    let differing = other.iter().filter(|(name, value)| base.get(*name) != Some(value));
    differing.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn every_shared_setting_changes_what_it_says_and_nothing_else() {
    let project = project().gpus(2);
    let base = shown(&project, &["--config", "mirror.toml", "global.threads=1"]);
    let first = project.last_run().display().to_string();
    let cases = [
        ("seed", "7", json!({"seed": 7})),
        ("device", "cuda:1", json!({"ordinal": 1})),
        ("dtype", "float64", json!({"dtype": "f64"})),
        ("amp_dtype", "bfloat16", json!({"amp_dtype": "bf16"})),
        ("deterministic", "true", json!({"deterministic": true})),
        ("threads", "3", json!({"threads": 3})),
        ("output_dir", "elsewhere", json!({"directory": "elsewhere"})),
        ("run_name", "ann", json!({"name": "ann"})),
        ("max_steps", "2", json!({"steps": 2, "checkpoints": 2})),
        ("keep_checkpoints", "1", json!({"checkpoints": 1})),
        ("init_from", first.as_str(), json!({"given": ["mirror"]})),
    ];
    let known: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys(&project, "/properties/global/properties"), known, "a case for each key");
    for (key, value, expected) in cases {
        let setting = format!("global.{key}={value}");
        let other = shown(&project, &["--config", "mirror.toml", "global.threads=1", &setting]);
        assert_eq!(differing(&base, &other), expected, "{setting}");
    }
}

/// The keys that stand beside the sections, and those of the host's inside of one.
#[test]
fn every_key_of_a_files_frame_changes_what_it_says() {
    let project = project()
        .file("base.toml", "[mirror]\ntotal_steps = 2\n")
        .file("part.json", r#"{"total_steps": 3}"#);
    let base = shown(&project, &["--config", "mirror.toml"]);
    let again = "[again]\nphase = 'mirror'\n";
    let cases = [
        // For editors alone.
        ("$schema", "'$schema' = 'x'\n[mirror]\n".to_owned(), json!({})),
        ("profile", "[profile]\nphase = 'mirror'\n".to_owned(), json!({})),
        ("global", "global = {seed = 7}\n[mirror]\n".to_owned(), json!({"seed": 7})),
        (
            "phases",
            format!("phases = ['mirror', 'again']\n{again}"),
            json!({"phases": ["01-mirror", "02-again"]}),
        ),
        ("mirror", "[mirror]\ntotal_steps = 1\n".to_owned(), json!({"steps": 1, "checkpoints": 1})),
        (
            "mirror_config_path",
            "mirror_config_path = 'part.json'\n".to_owned(),
            json!({"steps": 3}),
        ),
        ("total_steps", "[mirror]\ntotal_steps = 4\n".to_owned(), json!({"steps": 4})),
        (
            "extends",
            "[mirror]\nextends = 'base.toml'\n".to_owned(),
            json!({"steps": 2, "checkpoints": 2}),
        ),
        (
            "phase",
            format!("phases = ['again']\n{again}"),
            json!({"phases": ["01-again"], "checkpoints": 0}),
        ),
    ];
    let mut found = keys(&project, "/properties");
    found.extend(keys(&project, "/$defs/mirror/properties"));
    let mut known: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    known.push("schema_version");
    found.sort();
    known.sort_unstable();
    assert_eq!(found, known, "a case for each key");
    for (key, text, expected) in cases {
        project.write("case.toml", &text);
        let other = shown(&project, &["--config", "case.toml"]);
        assert_eq!(differing(&base, &other), expected, "{key}: {text}");
    }
    project.write("case.toml", "[mirror]\nschema_version = 1\n");
    shown(&project, &["--config", "case.toml"]);
    project.write("case.toml", "[mirror]\nschema_version = 2\n");
    project.host(["run", "--config", "case.toml"]).expect(2);
}

#[test]
fn every_key_of_a_profile_changes_how_it_is_listed() {
    let project = project();
    let listed = |block: &str, section: &str| {
        project.write("configs/plain.toml", format!("[profile]\n{block}\n{section}"));
        let mut list = project.host(["profiles", "list", "--json"]).expect(0).json();
        list["profiles"][0].take().as_object().unwrap().clone().into_iter().collect()
    };
    let base: BTreeMap<String, Value> = listed("", "[mirror]\n");
    let cases = [
        ("name", "'other'", json!({"name": "other"})),
        ("group", "'dev'", json!({"group": "dev"})),
        ("description", "'{mirror.total_steps} steps'", json!({"description": "5 steps"})),
        ("notes", "'quick'", json!({"notes": "quick"})),
    ];
    let mut known: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    known.extend(["phase", "formerly"]);
    assert_eq!(keys(&project, "/properties/profile/properties"), known, "a case for each key");
    for (key, value, expected) in cases {
        let other = listed(&format!("{key} = {value}"), "[mirror]\n");
        assert_eq!(differing(&base, &other), expected, "{key}");
    }

    let flat = |block: &str| {
        project.write("configs/plain.toml", format!("total_steps = 1\n[profile]\n{block}\n"));
        project.host(["run", "--profile", "plain"])
    };
    assert_eq!((flat("phase = 'mirror'").code, flat("").code), (Some(0), Some(2)));

    let told = |block: &str| {
        listed(block, "[mirror]\n");
        project.host(["run", "--config", "configs/earlier.json"]).expect(2).stderr
    };
    assert!(!told("").contains("plain"));
    assert!(told("formerly = ['earlier']").contains("`plain`"));
}
