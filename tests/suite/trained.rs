//! What is done with a finished run: generate, chat, export, and starting another run from it.
//!
//! The plugin here has no model: it repeats what it hears, so what is tested is the host's share.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use tests::{Project, contents, read_json};

/// A project with a finished run of the parrot.
fn project(section: &str) -> Project {
    let text = format!("phases = ['parrot']\n[parrot]\n{section}\n");
    let project = Project::new().plugins(&["linreg", "parrot"]).file("run.toml", &text);
    project.host(["run", "--config", "run.toml", "--progress", "off"]).expect(0);
    project
}

#[test]
fn a_prompt_comes_from_the_command_line_or_from_standard_input() {
    let project = project("");
    assert_snapshot!(project.host(["generate", "two words"]), @r"
    exit: 0
    ----- stdout
    answer 1 after 0 messages: two words
    ");
    for args in [&["generate"][..], &["generate", "-"]] {
        let told = project.host_told(args, "two words\n").expect(0);
        assert_eq!(told.stdout, "answer 1 after 0 messages: two words\n");
    }
    assert_snapshot!(project.host_told(["generate"], [0xFF, b'\n']), @r"
    exit: 2
    ----- stderr
    error: the prompt on standard input is not UTF-8
    help: convert it, as with `iconv`
    ");
}

#[test]
fn what_is_typed_reaches_the_plugin() {
    let project = project("max_words = 2");
    let args = ["generate", "hear me", "--system", "be brief", "--json", "--trace-layer", "0"];
    let reply = project.host(args).expect(0).json();
    let words = json!([
        { "id": 0, "text": "(be ", "logprob": -0.5, "attention": [[1.0]] },
        { "id": 1, "text": "brief) ", "logprob": -0.5, "attention": [[1.0]] },
    ]);
    assert_eq!(
        reply,
        json!({
            "schema": 1, "text": "(be brief) ", "tokens": 2, "prompt_tokens": 2,
            "dropped_messages": 0, "stop_reason": "length", "steps": words,
        })
    );
    project.write("system.txt", "sing\n");
    let args = ["generate", "x", "--system-file", "system.txt", "--max-new-tokens", "9"];
    assert_eq!(project.host(args).expect(0).stdout, "(sing) answer 1 after 0 messages: x\n");
    let both = ["generate", "x", "--system", "a", "--system-file", "b"];
    assert!(project.host(both).expect(2).stderr.contains("cannot be used with"));
    assert_snapshot!(project.host(["generate", "x", "--system-file", "nosuch"]), @r"
    exit: 2
    ----- stderr
    error: reading `nosuch`: no such file or directory
    ");
}

#[test]
fn a_plugins_errors_while_generating_are_named() {
    let project = project("");
    assert_snapshot!(project.host(["generate", &"long ".repeat(20)]), @r"
    exit: 2
    ----- stderr
    error: the prompt is too long: 100 bytes
    help: say less
    ");
    let output = project.host(["generate", "panic"]).expect(1);
    assert_snapshot!(output, @r"
    exit: 1
    ----- stderr
    error: phase `parrot` (plugin `parrot`) failed while generating: the plugin panicked in `call`: asked to panic (parrot/src/lib.rs:[LINE])
    help: this is a defect of the plugin; set RUST_BACKTRACE=1 for the place
    ");
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let project = project("");
    let output = project.host_unread(["generate", "a b c d e f"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_signal_ends_the_text_with_what_there_is() {
    let project = project("word_ms = 100");
    let running = project.start(["generate", &"word ".repeat(15)]);
    sleep(Duration::from_millis(700));
    running.signal("INT");
    let output = running.finish().expect(130);
    assert!(output.stdout.starts_with("answer 1 after"), "{output}");
    assert!(output.stdout.ends_with('\n') && output.stdout.len() < 70, "{output}");
}

#[test]
fn a_chat_remembers_forgets_and_goes_on_after_errors() {
    let project = project("");
    let long = "long ".repeat(20);
    let said = format!("one\n\ntwo\n{long}\nthree\nfour\n/reset\nfive\n/help\n/exit\nsix\n");
    assert_snapshot!(project.host_told(["chat", "--system", "S"], said), @r"
    exit: 0
    ----- stdout
    (S) answer 1 after 0 messages: one
    (S) answer 2 after 2 messages: two
    (S) answer 3 after 4 messages: three
    (S) answer 4 after 4 messages: four
    (S) answer 5 after 0 messages: five
    ----- stderr
    error: the prompt is too long: 99 bytes
    help: say less
    note: 2 earlier messages no longer fit
    /reset  forget what was said
    /exit   end the chat (so does Ctrl-D)
    /help   this list
    Ctrl-C  end the answer
    ");
}

#[test]
fn a_signal_ends_the_answer_and_not_the_chat() {
    let project = project("word_ms = 100");
    let mut command = project.command(["chat"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    let mut running = project.spawn(command);
    std::io::Write::write_all(&mut writer, b"a b c d e f g h i j k l m n o p q r s t u v w\n")
        .unwrap();
    sleep(Duration::from_millis(800));
    running.signal("INT");
    sleep(Duration::from_millis(400));
    assert!(running.is_running());
    std::io::Write::write_all(&mut writer, b"again\n").unwrap();
    drop(writer);
    let output = running.finish().expect(0);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert!(lines[0].starts_with("answer 1 after") && !lines[0].ends_with('w'), "{output}");
    assert_eq!(lines[1], "answer 2 after 2 messages: again");
}

#[test]
fn artifacts_are_exported_as_they_are_and_in_a_plugins_formats() {
    let project = project("");
    let output = project.host(["export", "--out", "plain"]).expect(0);
    assert_eq!(output.stdout, "plain\n");
    let names: Vec<String> = contents(&project.path("plain")).into_keys().collect();
    assert_eq!(names, ["ears.json", "ears.safetensors"]);
    assert_eq!(read_json(&project.path("plain/ears.json"))["kind"], "parrot");

    assert_snapshot!(project.host(["export", "--format", "words"]), @r"
    exit: 0
    ----- stdout
    runs/[RUN]/exports/parrot-words
    ----- stderr
    exported phase `parrot` of runs/[RUN]
    ");
    let words = project.last_run().join("exports/parrot-words/words.txt");
    assert_eq!(fs::read_to_string(words).unwrap(), "2 words\n");
    assert_snapshot!(project.host(["export", "--format", "words"]), @r"
    exit: 2
    ----- stderr
    error: `runs/[RUN]/exports/parrot-words` is there already
    help: name another with `--out`, or replace it: `--force`
    ");
    project.host(["export", "--format", "words", "--force"]).expect(0);
    assert_snapshot!(project.host(["export", "--format", "wrods"]), @r"
    exit: 2
    ----- stderr
    error: no plugin exports as `wrods`
    help: known formats: `safetensors`, `torn`, `words`
    ");
}

#[test]
fn an_export_that_fails_leaves_nothing_and_replaces_nothing() {
    let project = project("");
    project.host(["export", "--format", "words", "--out", "out"]).expect(0);
    let args = ["export", "--format", "torn", "--out", "out", "--force"];
    assert_snapshot!(project.host(args), @r"
    exit: 1
    ----- stderr
    error: phase `parrot` (plugin `parrot`) failed while exporting: the words ran out
    help: export as `words`
    ");
    assert_eq!(project.names(), ["out", "run.toml", "runs"]);
    assert_eq!(fs::read_to_string(project.path("out/words.txt")).unwrap(), "2 words\n");
}

#[test]
fn a_run_may_start_from_another_one() {
    let project = project("");
    let parrot = project.last_run();
    let name = parrot.file_name().unwrap().to_str().unwrap().to_owned();
    project.write("next.toml", "phases = ['linreg']\n[linreg]\ntotal_steps = 3\n");
    let start = |from: &str| project.host(["run", "--config", "next.toml", "--init-from", from]);
    let received = || {
        let line = project.last_run().join("phases/01-linreg/artifacts/line.json");
        read_json(&line)["settings"]["received"].clone()
    };
    start(&name).expect(0);
    assert_eq!(received(), json!({ "parrot.ears": 2.0 }));
    start("runs/".to_owned().as_str()).expect(2);
    let checkpoint = parrot.join("phases/01-parrot/checkpoints/step-00000001");
    start(checkpoint.to_str().unwrap()).expect(0);
    assert_eq!(received(), json!({ "init_from.model/ears": 1.0 }));
    project.host(["export", &name, "--out", "plain"]).expect(0);
    start("plain/ears.safetensors").expect(0);
    assert_eq!(received(), json!({ "init_from.ears": 2.0 }));
    let resumed = ["run", "--config", "next.toml", "--init-from", &name, "--resume"];
    project.host(resumed).expect(0);
}

#[test]
fn what_a_run_is_to_start_from_must_be_there() {
    let project = project("");
    let before = project.names();
    let start = |from: &str| project.host(["run", "--config", "run.toml", "--init-from", from]);
    assert_snapshot!(start("nosuch"), @"
    exit: 2
    ----- stderr
    error: there is no run and no file `nosuch`
      --> flag --init-from nosuch
      = key: global.init_from
    help: name a run below the output directory, a checkpoint's directory, or a file

    error: 1 configuration error; nothing was started
    ");
    assert_snapshot!(start("last"), @r"
    exit: 2
    ----- stderr
    error: `last` would name this run itself once it has started
      --> flag --init-from last
      = key: global.init_from
    help: name the run by its directory's name

    error: 1 configuration error; nothing was started
    ");
    project.write("broken.safetensors", "no tensors");
    let output = start("broken.safetensors").expect(2);
    assert!(output.stderr.contains("reading `broken.safetensors`"), "{output}");
    fs::remove_file(project.path("broken.safetensors")).unwrap();
    assert_eq!(project.names(), before);
}
