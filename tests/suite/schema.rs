//! `host config schema`: one source for editors, checkers and the reference page.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Map, Value, json};
use tests::{Installation, Project, repository};

/// A project with the first-party plugins.
fn project() -> Project {
    Project::with(Installation::dynamic())
}

fn schema(project: &Project, args: &[&str]) -> Value {
    project.host([&["config", "schema"], args].concat()).expect(0).json()
}

/// What a `$ref` leads to, or the schema itself.
fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(pointer) => root.pointer(pointer.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    }
}

/// Calls `visit` with the path and the schema of every key of today's, at every depth.
fn for_each_key(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    match schema {
        Value::Object(map) => {
            for (keyword, value) in map {
                match (keyword.as_str(), value) {
                    // What must be there is said apart, by keys without anything else.
                    ("if" | "then" | "default", _) => {}
                    ("properties", Value::Object(properties)) => {
                        for (key, child) in properties {
                            let path = format!("{path}.{key}");
                            if child["deprecated"] != true {
                                visit(&path, child);
                                for_each_key(child, &path, visit);
                            }
                        }
                    }
                    ("$defs", Value::Object(defs)) => {
                        defs.iter().for_each(|(name, def)| for_each_key(def, name, visit));
                    }
                    (_, value) => for_each_key(value, path, visit),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| for_each_key(item, path, visit)),
        _ => {}
    }
}

#[test]
fn the_reference_page_is_the_one_that_the_host_prints() {
    let printed = project().host(["config", "schema", "--format", "markdown"]).expect(0).stdout;
    let committed = fs::read_to_string(repository().join("docs/configuration.md"));
    let differs = printed.lines().zip(committed.as_deref().unwrap_or_default().lines());
    let line = differs.take_while(|(printed, committed)| printed == committed).count();
    assert!(
        committed.is_ok_and(|committed| committed == printed),
        "docs/configuration.md is stale from line {}: run\n    cargo run -- config schema --format markdown > docs/configuration.md",
        line + 1
    );
}

#[test]
fn every_key_says_what_it_is_for_and_every_number_where_it_ends() {
    let project = project();
    let schema = schema(&project, &[]);
    let mut faults = Vec::new();
    let mut n_keys = 0;
    for_each_key(&schema, "", &mut |path, key| {
        n_keys += 1;
        let target = follow(&schema, key);
        let is_said = [key, target].iter().any(|schema| schema["description"].is_string());
        // The key that tells one mapping from the others is told by what the mapping is for.
        if !is_said && key["const"].is_null() {
            faults.push(format!("{path} has no description"));
        }
        let bounds = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];
        let is_number = ["integer", "number"].iter().any(|kind| {
            key["type"] == *kind
                || key["type"].as_array().is_some_and(|all| all.contains(&json!(kind)))
        });
        if is_number && bounds.iter().all(|bound| key[*bound].is_null()) {
            faults.push(format!("{path} has no range"));
        }
    });
    assert_eq!(faults, Vec::<String>::new());
    assert!(n_keys > 150, "only {n_keys} keys were looked at");
}

/// Compares the defaults with the schema, key by key; both must have the same keys.
fn compare(root: &Value, schema: &Value, defaults: &Value, path: &str, n: &mut usize) {
    let schema = follow(root, schema);
    let defaults = defaults.as_object().unwrap();
    for (key, default) in defaults {
        let path = format!("{path}.{key}");
        let place = &schema["properties"][key];
        assert!(place.is_object(), "{path} is not in the schema");
        if default.is_object() && follow(root, place)["properties"].is_object() {
            compare(root, place, default, &path, n);
        } else {
            *n += 1;
            assert_eq!(place.get("default"), Some(default), "{path}");
        }
    }
}

#[test]
fn every_default_is_the_one_that_the_plugin_has_at_that_place() {
    let project = project().plugins(&["linreg", "parrot"]);
    let schema = schema(&project, &[]);
    for (phase, n_expected) in [("pretrain", 43), ("sft", 42), ("linreg", 2)] {
        let known = project.host(["plugins", "inspect", phase, "--json"]).expect(0).json();
        let defaults = &known["plugins"][0]["phases"][0]["defaults"];
        let mut n = 0;
        compare(&schema, &schema["$defs"][phase], defaults, phase, &mut n);
        assert_eq!(n, n_expected, "{phase}");
    }
    // The one that a shared definition would get wrong.
    let steps = |phase: &str| {
        schema["$defs"][phase]["properties"]["training"]["properties"]["total_steps"]["default"]
            .as_u64()
            .unwrap()
    };
    assert_eq!((steps("pretrain"), steps("sft")), (17_000, 1889));
}

/// All `$ref` below a schema.
fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn a_schema_is_one_document_and_names_its_phases_only() {
    let project = project().plugins(&["linreg"]);
    let keys = |schema: &Value| -> Vec<String> {
        let keys = schema["properties"].as_object().unwrap().iter();
        keys.filter(|(_, key)| key["deprecated"] != true).map(|(key, _)| key.clone()).collect()
    };
    let all = schema(&project, &[]);
    let of_profile = schema(&project, &["--profile", "smoke-sft"]);
    let flat = schema(&project, &["--phase", "linreg"]);
    let phases = ["alignment", "linreg", "mae", "pretrain", "sft"];
    let host = ["$schema", "profile", "global", "phases"];
    assert_eq!(keys(&all), [&host[..], &phases].concat());
    assert_eq!(keys(&of_profile), ["$schema", "profile", "global", "phases", "sft"]);
    assert_eq!(
        keys(&flat),
        [
            "$schema",
            "profile",
            "global",
            "total_steps",
            "learning_rate",
            "extends",
            "schema_version"
        ]
    );
    for schema in [all, of_profile, flat] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let mut found = Vec::new();
        references(&schema, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            assert!(schema.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}

#[test]
fn a_section_of_another_authors_plugin() {
    let project = Project::new().plugins(&["linreg"]);
    let schema = schema(&project, &[]);
    assert_snapshot!(format!("{:#}", schema["$defs"]["linreg"]), @r#"
    {
      "type": [
        "object",
        "null"
      ],
      "additionalProperties": false,
      "properties": {
        "total_steps": {
          "type": "integer",
          "minimum": 1,
          "description": "Optimizer updates.",
          "default": 200,
          "markdownDescription": "Optimizer updates.\n\ninteger, at least 1; default: `200`"
        },
        "learning_rate": {
          "type": "number",
          "description": "Learning rate.",
          "minimum": 0.0,
          "maximum": 1.0,
          "default": 0.1,
          "markdownDescription": "Learning rate.\n\nnumber, 0 to 1; default: `0.1`"
        },
        "extends": {
          "type": "string",
          "minLength": 1,
          "description": "A profile, or a file beside this one, whose section of the same phase this one builds on."
        },
        "phase": {
          "const": "linreg",
          "description": "The phase that this section is of, where its name is not the phase's."
        },
        "schema_version": {
          "type": "integer",
          "minimum": 1,
          "maximum": 1,
          "description": "The version of the section's keys that this was written for; older ones are brought up to date."
        }
      },
      "description": "Linear regression.",
      "title": "Section of phase linreg"
    }
    "#);
    assert_snapshot!(format!("{:#}", schema["additionalProperties"]), @r##"
    {
      "type": "object",
      "description": "A section under a name of your own choice, for a phase that runs more than once.",
      "properties": {
        "extends": {
          "type": "string",
          "minLength": 1,
          "description": "A profile, or a file beside this one, whose section of the same phase this one builds on."
        },
        "phase": {
          "enum": [
            "linreg"
          ],
          "description": "The phase that this section is of: its name is one of your own choice."
        },
        "schema_version": {
          "type": "integer",
          "minimum": 1,
          "description": "The version of the section's keys that this was written for; older ones are brought up to date."
        }
      },
      "required": [
        "phase"
      ],
      "allOf": [
        {
          "if": {
            "properties": {
              "phase": {
                "const": "linreg"
              }
            },
            "required": [
              "phase"
            ]
          },
          "then": {
            "$ref": "#/$defs/linreg"
          }
        }
      ]
    }
    "##);
    let page = project.host(["config", "schema", "--format", "markdown"]).expect(0).stdout;
    assert_snapshot!(page.split_once("## Phase").unwrap().1, @"
     `linreg`

    Linear regression. Of plugin `linreg`; version 1 of its keys.

    | key | takes | default | range | for |
    |---|---|---|---|---|
    | `total_steps` | integer | `200` | at least 1 | Optimizer updates. |
    | `learning_rate` | number | `0.1` | 0 to 1 | Learning rate. |
    ");
}

#[test]
fn a_phase_that_nobody_has() {
    let project = Project::new().plugins(&["linreg"]);
    assert_snapshot!(project.host(["config", "schema", "--phase", "linregg"]), @"
    exit: 2
    ----- stderr
    error: no plugin registers phase `linregg`
    help: phases are: `linreg`
    ");
    let bare = Project::new().host(["config", "schema"]).expect(0);
    assert_snapshot!(bare.stderr, @"
    note: no plugin is loaded: only the host's own keys are listed
    help: `host plugins list` shows where plugins are looked for
    ");
    assert_eq!(bare.json()["additionalProperties"], false);
}

/// A profile's text with `$schema` in front, in each of the formats.
fn with_schema_key(profile: &str) -> [(&'static str, String); 3] {
    let table: toml::Table = profile.parse().unwrap();
    let mut document = Map::from_iter([("$schema".to_owned(), json!("./host.schema.json"))]);
    document.extend(serde_json::to_value(table).unwrap().as_object().unwrap().clone());
    let yaml: Vec<String> =
        document.iter().map(|(key, value)| format!("{}: {value}\n", json!(key))).collect();
    [
        ("json", Value::Object(document).to_string()),
        ("yaml", yaml.concat()),
        ("toml", format!("'$schema' = './host.schema.json'\n{profile}")),
    ]
}

#[test]
fn shipped_profiles_resolve_alike_with_a_schema_key_in_every_format() {
    let project = project();
    let mut names = Vec::new();
    for file in fs::read_dir(repository().join("configs")).unwrap().flatten() {
        let name = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        let own = project.host(["config", "resolve", "--profile", &name]).expect(0).stdout;
        for (extension, text) in with_schema_key(&fs::read_to_string(file.path()).unwrap()) {
            let file = format!("{name}.{extension}");
            project.write(&file, text);
            let resolved = project.host(["config", "resolve", "--config", &file]).expect(0);
            assert_eq!(resolved.stdout, own, "{file}");
            assert_eq!(resolved.stderr, "", "{file}");
        }
        names.push(name);
    }
    assert_eq!(names.len(), 20, "{names:?}");
}
