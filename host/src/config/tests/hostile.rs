//! Input that was not written to run: too large, too deep, or meant to do harm.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Project;
use crate::config::{ConfigError, resolve};

/// The first fault of a file.
#[track_caller]
pub(super) fn fault(name: &str, text: impl AsRef<[u8]>) -> (Project, ConfigError) {
    let project = Project::new().file(name, text).config(name);
    let begun = Instant::now();
    let errors = resolve(&project.request, &project.catalogue).expect_err("it resolves");
    assert!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?}", begun.elapsed());
    assert!(errors.to_string().len() < 60_000, "too much to read");
    (project, errors.0.into_iter().next().unwrap())
}

/// Asserts the headline of the first fault, and its code.
#[track_caller]
fn refused(name: &str, text: impl AsRef<[u8]>, code: &str, message: &str) {
    let (project, error) = fault(name, text);
    assert_eq!((error.code, &*project.without_dir(&error.message)), (code, message));
}

#[test]
fn numbers_are_what_their_format_calls_one() {
    let cases = [
        ("toml", "0x1F", json!(31)),
        ("toml", "0o17", json!(15)),
        ("toml", "1_000", json!(1000)),
        ("toml", "-0", json!(0)),
        ("yaml", "0x1F", json!(31)),
        ("yaml", "0o17", json!(15)),
        ("yaml", "007", json!(7)),
        ("yaml", ".5", json!(0.5)),
        ("yaml", "+1", json!(1)),
        ("yaml", "-0", json!(0)),
        ("yaml", "18446744073709551615", json!(u64::MAX)),
        ("yaml", "-9223372036854775808", json!(i64::MIN)),
        ("json", "-0", json!(0)),
        ("json", "18446744073709551615", json!(u64::MAX)),
        ("json", "5e-324", json!(5e-324)),
    ];
    for (format, written, value) in cases {
        let text = match format {
            "toml" => format!("[try.training]\nbase_lr = {written}\n"),
            _ => format!("{{\"try\": {{\"training\": {{\"base_lr\": {written}}}}}}}"),
        };
        let section = Project::with(&format!("a.{format}"), &text).section();
        assert_eq!(section["training"]["base_lr"], value, "{written} in {format}");
    }
}

#[test]
fn texts_that_look_like_something_else_stay_texts() {
    let cases = [
        ("yaml", "12:30:45", "12:30:45"),
        ("yaml", "2001-12-14", "2001-12-14"),
        ("yaml", "yes", "yes"),
        ("yaml", "! 5", "5"),
        ("yaml", "<<", "<<"),
        ("toml", "1979-05-27", "1979-05-27"),
    ];
    for (format, written, value) in cases {
        let text = match format {
            "toml" => format!("[try.training]\nnote = {written}\n"),
            _ => format!("try:\n  training:\n    note: {written}\n"),
        };
        let section = Project::with(&format!("a.{format}"), &text).section();
        assert_eq!(section["training"]["note"], value, "{written} in {format}");
    }
}

#[test]
fn nesting_has_one_limit_in_every_format() {
    let brackets = |count: usize| "[".repeat(count) + &"]".repeat(count);
    let tables = |count: usize| vec!["a"; count].join(".");
    let too_deep = |name: &str, text: &str| {
        refused(name, text, "config::too_deep", &format!("`{name}` is nested too deeply"));
    };
    for count in [32, 60, 300, 100_000] {
        too_deep("a.json", &format!("{{\"a\": {}}}", brackets(count)));
        too_deep("a.toml", &format!("a = {}", brackets(count)));
        too_deep("a.yaml", &format!("a: {}", brackets(count)));
    }
    too_deep("a.json", &"[".repeat(1 << 20));
    too_deep("a.toml", &("a = ".to_owned() + &"[".repeat(1 << 19)));
    too_deep("a.yaml", &"[".repeat(1 << 20));
    too_deep("a.yaml", &"- ".repeat(300));
    too_deep("a.yaml", &(0..60).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>());
    too_deep("a.toml", &format!("{} = 1", tables(40)));
    too_deep("a.toml", &format!("[{}]\n{} = 1", tables(60), tables(60)));
    too_deep("a.toml", &format!("{} = 1", tables(100_000)));
    let (project, error) = fault("a.json", format!("{{\"a\": {}}}", brackets(32)));
    assert_eq!(
        project.without_dir(&error.to_string()),
        "error: `a.json` is nested too deeply
 --> a.json:1:38
  |
1 | {\"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
  |                                      ^
  = expected: at most 32 mappings and lists inside each other"
    );
    let fits = format!("{{\"a\": {}}}", brackets(31));
    assert_eq!(fault("a.json", fits).1.code, "config::no_phase");
}

#[test]
fn the_number_of_values_has_one_limit_in_every_format() {
    let many = "1,".repeat(30_000) + "1";
    for (name, text) in [
        ("a.json", format!("{{\"a\": [{many}]}}")),
        ("a.toml", format!("a = [{many}]")),
        ("a.yaml", format!("a: [{many}]")),
    ] {
        let message = format!("`{name}` holds more than 20000 keys and values");
        refused(name, text, "config::too_large", &message);
    }
    let sections: String = (0..300).map(|idx| format!("s{idx}: {{}}\n")).collect();
    let message = "`a.yaml` has more than 200 keys at its top";
    refused("a.yaml", sections, "config::too_large", message);
    let phases = format!("phases = [{}]\n[try]\n", "'try',".repeat(300));
    let message = "`phases` names more than 200 phases";
    refused("a.toml", phases, "config::too_large", message);
}

#[test]
fn what_aliases_expand_to_counts() {
    let nine = |name: &str| vec![format!("*{name}"); 9].join(",");
    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for depth in 1..9 {
        laughs += &format!("a{depth}: &a{depth} [{}]\n", nine(&format!("a{}", depth - 1)));
    }
    let message = "`a.yaml` holds more than 20000 keys and values";
    refused("a.yaml", &laughs, "config::too_large", message);

    let mut merges = "a0: &a0 {k: 1}\n".to_owned();
    for depth in 1..100 {
        let last = depth - 1;
        merges += &format!("a{depth}: &a{depth} {{<<: [*a{last}, *a{last}], k{depth}: 1}}\n");
    }
    refused("a.yaml", &merges, "config::too_large", message);

    let text = "x".repeat(100_000);
    let repeated = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 1000].join(","));
    let message = "`a.yaml` holds more than 2 MiB of text once its aliases are expanded";
    refused("a.yaml", repeated, "config::too_large", message);

    let often = format!("a: &a x\nb: [{}]\n", vec!["*a"; 5000].join(","));
    assert_eq!(fault("a.yaml", often).1.code, "config::no_phase");
}

#[test]
fn merge_keys_drop_nothing_unseen() {
    let text = "try: {training: {<<: [{total_steps: 5}, {total_steps: 6, base_lr: 1}], keep: 1}}\n";
    let section = Project::with("a.yaml", text).section();
    let expected = json!({"training": {"total_steps": 5, "base_lr": 1, "keep": 1}});
    assert_eq!(section, expected);

    let twice =
        |text: &str, message: &str| refused("a.yaml", text, "config::duplicate_key", message);
    twice("a: {<<: {b: 1}, <<: {c: 1}}", "duplicate key `<<`");
    twice("a: {<<: {b: 1, b: 2}}", "duplicate key `b`");
    twice("x: &x {a: 1}\ny: {<<: *x, a: 2, a: 3}", "duplicate key `a`");
}

#[test]
fn keys_that_are_one_however_they_are_written_are_refused() {
    let twice = |name: &str, text: &str, key: &str| {
        refused(name, text, "config::duplicate_key", &format!("duplicate key `{key}`"));
    };
    twice("a.json", r#"{"a": 1, "\u0061": 2}"#, "a");
    twice("a.yaml", "a: 1\n\"a\": 2\n", "a");
    twice("a.yaml", "a: 1\n? a\n: 2\n", "a");
    twice("a.toml", "a = 1\n'a' = 2\n", "a");
    twice("a.toml", "a.b = 1\n[a]\nc = 1\n", "a");
    twice("a.toml", "[a.b]\nc = 1\n[a.b]\nd = 1\n", "b");
    let many: String = (0..9_000).map(|_| "  a: 1\n").collect();
    twice("a.yaml", &format!("b:\n{many}"), "a");
}

#[test]
fn keys_that_nobody_can_read_are_refused() {
    let bad = |name: &str, text: &str, message: &str| {
        refused(name, text, "config::bad_key", message);
    };
    let message = r"key `a\u{1b}[31mb` holds the invisible character U+001B";
    bad("a.json", r#"{"a\u001b[31mb": 1}"#, message);
    bad("a.yaml", r#""a\e[31mb": 1"#, message);
    bad("a.toml", r#""a\u001b[31mb" = 1"#, message);
    bad("a.yaml", "'a\u{202e}b': 1", r"key `a\u{202e}b` holds the invisible character U+202E");
    bad("a.toml", r#""a\nb" = 1"#, r"key `a\nb` holds the invisible character U+000A");
    let long = format!("{} = 1", "k".repeat(201));
    let message = format!("key `{}…` has more than 200 characters", "k".repeat(40));
    refused("a.toml", long, "config::too_large", &message);
}

#[test]
fn an_error_never_commands_the_terminal() {
    let text = "[try.training]\nnote = 5 # \u{202e}\nkeep = \"\\u001b[2J\\r\"\noptimizer = \"\\u202e\\n\"\n";
    let (project, error) = fault("a.toml", text);
    assert_eq!(
        project.without_dir(&error.to_string()),
        "error: expected a string, found `5`
 --> a.toml:2:8
  |
2 | note = 5 # �
  |        ^
  = key: try.training.note
help: write `\"5\"`, with quotes"
    );
    let errors = resolve(&project.request, &project.catalogue).unwrap_err().to_string();
    let is_hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!errors.contains(is_hidden), "{errors:?}");
    assert!(errors.contains(r"found string `\u{1b}[2J\r`"), "{errors}");
    assert!(errors.contains(r"found string `\u{202e}\n`"), "{errors}");
}

#[test]
fn the_first_of_many_faults_are_shown() {
    let keys: String = (0..100).map(|idx| format!("key_{idx} = 1\n")).collect();
    let project = Project::with("a.toml", &format!("[try]\n{keys}"));
    let errors = resolve(&project.request, &project.catalogue).unwrap_err();
    assert_eq!(errors.0.len(), 100);
    let text = errors.to_string();
    assert_eq!(text.matches("error: unknown key").count(), 20);
    let end = "\n\n… and 80 more\n\nerror: 100 configuration errors; nothing was started";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn many_faults_take_little_time() {
    let keys: String = (0..9_000).map(|idx| format!("\"key_{idx}\": 1,")).collect();
    let one_line = format!("{{\"try\": {{{keys} \"x\": 1}}}}");
    assert_eq!(fault("a.json", one_line).1.code, "config::unknown_key");
    let phases: String = (0..199).map(|idx| format!("[s{idx}]\nphase = 'tyr'\n")).collect();
    assert_eq!(fault("a.toml", phases).1.code, "config::unknown_phase");
    let long = format!("[try]\nextends = '{}'\n", "x".repeat(500_000));
    assert_eq!(fault("a.toml", long).1.code, "config::unknown_profile");
    let long = format!("[try.training]\noptimizer = '{}'\n", "x".repeat(500_000));
    assert_eq!(fault("a.toml", long).1.code, "config::invalid_value");
}

#[test]
fn overrides_have_the_same_limits() {
    let cases = [
        (
            "try.training.note=[[[[",
            "the value of override `try.training.note` is not JSON: a `[` is not closed",
        ),
        ("a={\"b\": 1, \"b\": 2}", "the value of override `a` is refused: duplicate key `b`"),
        ("a=[1e999]", "the value of override `a` is not JSON: the number is too large"),
        ("a=[NaN]", "the value of override `a` is not JSON: the number is not finite"),
        (
            "a=[99999999999999999999]",
            "the value of override `a` is not JSON: the integer is too large",
        ),
        (
            "a\u{1b}b=1",
            r"override 1 is refused: key `a\u{1b}b` holds the invisible character U+001B",
        ),
    ];
    for (text, message) in cases {
        let project = Project::with("a.toml", "[try]\n").set(text);
        let errors = resolve(&project.request, &project.catalogue).unwrap_err();
        assert_eq!(errors.0[0].message, message);
        assert_eq!(errors.0[0].code, "config::bad_override");
    }
    let deep = format!("a={}{}", "[".repeat(50_000), "]".repeat(50_000));
    Project::with("a.toml", "[try]\n").set(&deep).fails(&format!(
        "error: the value of override `a` is nested too deeply
  --> override 1: a={}…
help: write lists, mappings and quoted texts as JSON, for example `[0.9, 0.95]`",
        "[".repeat(160 - "override 1: a=".len())
    ));
    let path = format!("{}=1", vec!["a"; 40].join("."));
    let project = Project::with("a.toml", "[try]\n").set(&path);
    let errors = resolve(&project.request, &project.catalogue).unwrap_err();
    assert_eq!(errors.0[0].message, "the key of override 1 has more than 32 parts");
}

#[test]
fn a_number_that_cannot_be_held_is_no_number_in_an_override() {
    for written in ["1e999", "1e-999", "NaN", "inf", "-Infinity"] {
        let set = format!("training.base_lr={written}");
        Project::with("a.toml", "[try]\n").set(&set).fails(&format!(
            "error: expected a number, found string `{written}`
  --> override 1: {set}
  = key: try.training.base_lr"
        ));
        let set = format!("training.note={written}");
        let section = Project::with("a.toml", "[try]\n").set(&set).section();
        assert_eq!(section["training"]["note"], *written);
    }
}

#[test]
fn variables_have_the_same_limits() {
    let project = || Project::with("a.toml", "[try]\n");
    project().variable("HOST_SEED", "NaN").fails(
        "error: expected an integer, found string `NaN`
  --> environment HOST_SEED=NaN
  = key: global.seed",
    );
    project().variable("HOST_SEED", "18446744073709551616").fails(
        "error: expected an integer, found `1.8446744073709552e+19`, which is too large
  --> environment HOST_SEED=18446744073709551616
  = key: global.seed",
    );
    project().variable("HOST_DEVICE", "\u{1b}[2Jgpu").fails(
        r"error: expected `auto`, `cpu`, `cuda` or `cuda:N`, found string `\u{1b}[2Jgpu`
  --> environment HOST_DEVICE=\u{1b}[2Jgpu
  = key: global.device",
    );
    let brackets = "[".repeat(100_000);
    project().variable("HOST_RUN_NAME", &brackets).fails(&format!(
        "error: expected up to 100 letters, digits, `.`, `_` or `-`, found a long string
  --> environment HOST_RUN_NAME={}…
  = key: global.run_name",
        "[".repeat(160 - "environment HOST_RUN_NAME=".len())
    ));
}

#[test]
fn bytes_that_are_no_text_are_told_by_what_they_are() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let marked = [&[0xff, 0xfe][..], &utf16("a = 1\n")].concat();
    for name in ["a.toml", "a.yaml", "a.json"] {
        let message = format!("`{name}` is UTF-16, not UTF-8");
        refused(name, &marked, "config::not_utf8", &message);
        refused(name, utf16("a = 1\n"), "config::not_utf8", &message);
    }
    refused("a.toml", [0, 0, 0xfe, 0xff], "config::not_utf8", "`a.toml` is UTF-32, not UTF-8");
    let (project, error) = fault("a.toml", b"[try]\nnote = 'ab\xe4c'\n");
    assert_eq!(
        project.without_dir(&error.to_string()),
        "error: `a.toml` is not UTF-8 text: it holds the byte 0xe4
 --> a.toml:2:11
  |
2 | note = 'ab�c'
  |           ^
help: save the file as UTF-8"
    );
    let (project, error) = fault("a.toml", b"[try]\nnote = '\0'\n");
    assert_eq!(
        project.without_dir(&error.to_string()),
        "error: `a.toml` is no text: it holds the byte 0x00
 --> a.toml:2:9
  |
2 | note = '␀'
  |         ^
help: check that this is a configuration file"
    );
}

#[test]
fn files_of_nothing_are_named_as_that() {
    for name in ["a.toml", "a.yaml"] {
        for text in ["", "\n", "# nothing\n", "\u{feff}", "\u{feff}# nothing\r\n"] {
            let message = format!("`{name}` does not say which phase it belongs to");
            refused(name, text, "config::no_phase", &message);
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let project = Project::new().config("a.toml");
    let file = std::fs::File::create(project.root().join("a.toml")).unwrap();
    file.set_len(1 << 40).unwrap();
    project.fails(
        "error: `a.toml` is too large for a configuration
  = found: 1099511627776 bytes
  = expected: at most 1048576 bytes
help: check that this is the configuration you mean",
    );
}

#[test]
fn a_megabyte_of_anything_is_answered_soon() {
    let cases = [
        ("a.toml", "", "\n"),
        ("a.toml", "", "a.b\n"),
        ("a.json", "{", "\"a\": 1\n"),
        ("a.json", "\"", "\\"),
        ("a.yaml", "", "%x\n"),
        ("a.yaml", "x: '", " "),
    ];
    for (name, head, bit) in cases {
        fault(name, format!("{head}{}", bit.repeat(1_000_000 / bit.len())));
    }
}
