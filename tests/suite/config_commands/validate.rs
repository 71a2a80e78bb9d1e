//! What is wrong, for tools.

use insta::assert_snapshot;

use super::project;

#[test]
fn a_validation_is_there_as_json() {
    let project = project();
    let validate = |args: &[&str]| project.host([&["config", "validate", "--json"], args].concat());
    let good = validate(&["--config", "flat.json", "--phase", "linreg"]);
    assert_snapshot!(good, @r#"
    exit: 0
    ----- stdout
    {
      "schema": 1,
      "valid": true,
      "source": "flat.json",
      "phases": [
        "linreg"
      ],
      "warnings": [
        "`seed` in `flat.json:2` is overruled: `global.seed` is 4 from file flat.json:4"
      ],
      "errors": []
    }
    "#);
    project.write("bad.toml", "[linreg]\nlearning_rte = 1\ntotal_steps = 'ten'\n");
    assert_snapshot!(validate(&["--config", "bad.toml", "global.seed=-1"]), @r#"
    exit: 2
    ----- stdout
    {
      "schema": 1,
      "valid": false,
      "source": "bad.toml",
      "phases": [
        "linreg"
      ],
      "warnings": [],
      "errors": [
        {
          "code": "config::out_of_range",
          "message": "expected at least 0, found -1",
          "key": "global.seed",
          "file": null,
          "line": null,
          "column": null,
          "length": null,
          "input": "override 1: global.seed=-1",
          "found": "-1",
          "expected": "at least 0",
          "help": null
        },
        {
          "code": "config::unknown_key",
          "message": "unknown key `learning_rte` in `linreg`",
          "key": "linreg.learning_rte",
          "file": "bad.toml",
          "line": 2,
          "column": 1,
          "length": 12,
          "input": null,
          "found": null,
          "expected": null,
          "help": "did you mean `learning_rate`?"
        },
        {
          "code": "config::wrong_type",
          "message": "expected an integer, found string `ten`",
          "key": "linreg.total_steps",
          "file": "bad.toml",
          "line": 3,
          "column": 15,
          "length": 5,
          "input": null,
          "found": "string `ten`",
          "expected": "an integer",
          "help": null
        }
      ]
    }
    "#);
    assert_snapshot!(validate(&["--config", "none.toml"]), @r#"
    exit: 2
    ----- stdout
    {
      "schema": 1,
      "valid": false,
      "source": "none.toml",
      "phases": [],
      "warnings": [],
      "errors": [
        {
          "code": "config::missing_file",
          "message": "no configuration file `none.toml`",
          "key": null,
          "file": null,
          "line": null,
          "column": null,
          "length": null,
          "input": null,
          "found": null,
          "expected": null,
          "help": null
        }
      ]
    }
    "#);
}
