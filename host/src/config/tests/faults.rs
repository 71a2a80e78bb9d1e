//! Every kind of fault in every format that can hold it, as data.
//!
//! A file of `cases/` is one kind of fault. Its first line says what is wrong; `--- FILE ARGS` begins
//! a case, the file that is asked for with what is typed behind it, and `+++ FILE` a file beside it.
//! The mark `--missing` says that there is no such file, `--profile` that a profile is asked for.
//! What the reader is told stands in `snapshots/`, one file for each kind.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use super::{Judge, Project};
use crate::config::source::Source;
use crate::config::syntax::{Format, recognised};
use crate::config::{ConfigError, ConfigErrors, Pointer, resolve};

/// One kind of fault.
struct Kind {
    name: String,
    title: String,
    cases: Vec<Case>,
}

/// A request that is refused.
struct Case {
    file: String,
    args: Vec<String>,
    files: Vec<(String, String)>,
}

impl Kind {
    fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/cases");
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut kinds: Vec<Self> = entries.map(|path| Self::read(&path)).collect();
        kinds.sort_by(|one, other| one.name.cmp(&other.name));
        kinds
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (title, rest) = text.split_once('\n').unwrap();
        let mut cases: Vec<Case> = Vec::new();
        for line in rest.lines() {
            if let Some(request) = line.strip_prefix("--- ") {
                cases.push(Case::new(request));
            } else if let Some(name) = line.strip_prefix("+++ ") {
                cases.last_mut().unwrap().files.push((name.to_owned(), String::new()));
            } else {
                let (_, text) = cases.last_mut().unwrap().files.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Self { name, title: title.to_owned(), cases }
    }
}

impl Case {
    fn new(request: &str) -> Self {
        let mut words = request.split(' ').map(str::to_owned);
        let file = words.next().unwrap();
        let args: Vec<String> = words.collect();
        let is_there = !args.iter().any(|arg| ["--missing", "--profile"].contains(&arg.as_str()));
        let files = if is_there { vec![(file.clone(), String::new())] } else { Vec::new() };
        Self { file, args, files }
    }

    /// What is wrong, with names of files as the user typed them.
    fn errors(&self) -> ConfigErrors {
        let mut project = Project::new().with_phase::<Judge>("judge");
        for (name, text) in &self.files {
            project = project.file(name, text);
        }
        let is_profile = self.args.iter().any(|arg| arg == "--profile");
        project = if is_profile { project.profile(&self.file) } else { project.config(&self.file) };
        for pair in self.args.chunks(2) {
            project = match pair {
                [mark] if mark == "--missing" || mark == "--profile" => project,
                [flag, value] if flag == "--phase" => project.phase(value),
                [flag, value] if flag == "--set" => project.set(value),
                _ => panic!("not an argument of a case: {pair:?}"),
            };
        }
        let errors = resolve(&project.request, &project.catalogue);
        let errors = errors.err().unwrap_or_else(|| panic!("`{}` resolves", self.file));
        ConfigErrors(errors.0.into_iter().map(|error| without_dir(&project, error)).collect())
    }
}

fn without_dir(project: &Project, mut error: ConfigError) -> ConfigError {
    error.message = project.without_dir(&error.message);
    error.help = error.help.map(|help| project.without_dir(&help));
    match &mut error.location {
        Some(Pointer::File(location)) => location.file = project.without_dir(&location.file),
        Some(Pointer::Input(input)) => *input = project.without_dir(input),
        None => {}
    }
    error
}

fn shown(kind: &Kind) -> String {
    let mut text = format!("{}\n", kind.title);
    for case in &kind.cases {
        let args: String = case.args.iter().map(|arg| format!(" {arg}")).collect();
        write!(text, "\n----- {}{args}\n", case.file).unwrap();
        for error in case.errors().0 {
            write!(text, "{error}\n\n").unwrap();
        }
    }
    text
}

/// Words of the program's and the parsers' own, which no reader should have to know.
const JARGON: [&str; 25] = [
    "i64",
    "u32",
    "u64",
    "f64",
    "usize",
    "String",
    "Option",
    "Vec",
    "bool",
    "struct",
    "enum",
    "variant",
    "untagged",
    "newtype",
    "serde",
    "deserialize",
    "::",
    "panicked",
    "unwrap",
    "scalar",
    "token",
    "EOF",
    "mantissa",
    "literal",
    "instance",
];

/// Faults that are of a file as a whole, or of a request, and have no place in a text.
const WITHOUT_PLACE: [&str; 4] = [
    "config::missing_file",    // there is no text
    "config::unknown_format",  // the text was not read
    "config::unknown_profile", // a name that was typed
    "config::no_phase",        // what is missing was to be typed
];

#[test]
fn there_is_a_case_for_every_kind_of_fault_in_every_format() {
    let kinds = Kind::all();
    let cases: usize = kinds.iter().map(|kind| kind.cases.len()).sum();
    assert!(kinds.len() >= 110, "only {} kinds", kinds.len());
    assert!(cases >= 320, "only {cases} cases");
    for extension in [".json", ".yaml", ".toml"] {
        let is_of_format = |case: &&Case| case.file.ends_with(extension);
        let of_format: usize =
            kinds.iter().map(|kind| kind.cases.iter().filter(is_of_format).count()).sum();
        assert!(of_format >= 90, "only {of_format} cases of {extension}");
    }
}

#[test]
fn no_fault_is_told_in_the_words_of_a_program() {
    for (name, error) in all_errors() {
        // What stands in backticks or in the source line is the reader's own.
        let own: String = error.message.split('`').step_by(2).collect();
        let help: String = error.help.iter().flat_map(|help| help.split('`').step_by(2)).collect();
        let texts = [Some(own), error.expected.clone(), error.found.clone(), Some(help)];
        for text in texts.iter().flatten() {
            for word in JARGON {
                assert!(!text.contains(word), "`{word}` in {name}:\n{error}");
            }
        }
    }
}

#[test]
fn every_fault_has_a_headline_and_a_place() {
    for (name, error) in all_errors() {
        let first = error.message.chars().next().unwrap();
        assert!(!first.is_uppercase(), "a headline begins in lower case, {name}:\n{error}");
        assert!(!error.message.ends_with('.'), "a headline has no period, {name}:\n{error}");
        let shown = error.to_string();
        assert!(
            !shown.lines().any(|line| line.len() > 400),
            "a line is too long, {name}:\n{error}"
        );
        let is_placed = error.location.is_some() || WITHOUT_PLACE.contains(&error.code);
        assert!(is_placed, "no place, {name}:\n{error}");
    }
}

/// A parser may stop anywhere: at every byte of every text, what is looked for there is found in the
/// text or not at all.
#[test]
fn a_mistake_is_looked_for_wherever_a_parser_stops() {
    for kind in Kind::all() {
        for (name, text) in kind.cases.into_iter().flat_map(|case| case.files) {
            // Blanks of more than one byte, and letters beside them.
            for text in [text.clone(), text.replace(' ', "\u{a0}"), text.replace('t', "ß")] {
                let source = Source::new(name.clone(), &text);
                for at in 0..=text.len() + 1 {
                    for format in [Format::Json, Format::Toml, Format::Yaml] {
                        let Some(error) = recognised(&source, format, at) else { continue };
                        let Some(Pointer::File(place)) = error.location else { panic!("{name}") };
                        let lines = text.split('\n').count();
                        assert!(place.line <= lines, "{name} {at}: {}", error.message);
                    }
                }
            }
        }
    }
}

#[test]
fn every_mark_lies_on_its_line() {
    for (name, error) in all_errors() {
        let Some(Pointer::File(location)) = &error.location else { continue };
        let width = location.source_line.chars().count();
        // Just behind the line is where something is missing.
        assert!(location.indent + location.length <= width + 1, "{name}:\n{error}");
        assert!(location.line >= 1 && location.column >= 1, "{name}:\n{error}");
    }
}

#[test]
fn nearly_every_fault_has_a_way_out() {
    let errors = all_errors();
    let (with, without): (Vec<_>, Vec<_>) =
        errors.iter().partition(|(_, error)| error.help.is_some() || error.expected.is_some());
    let codes: BTreeSet<&str> = without.iter().map(|(_, error)| error.code).collect();
    assert!(with.len() * 20 >= errors.len() * 19, "{codes:?} have neither help nor expectation");
}

/// Every error of every case, with the name of its kind and file.
fn all_errors() -> &'static [(String, ConfigError)] {
    static ALL: LazyLock<Vec<(String, ConfigError)>> = LazyLock::new(|| {
        let kinds = Kind::all();
        let cases = kinds.iter().flat_map(|kind| kind.cases.iter().map(move |case| (kind, case)));
        let errors = cases.flat_map(|(kind, case)| {
            let name = format!("{} {}", kind.name, case.file);
            case.errors().0.into_iter().map(move |error| (name.clone(), error))
        });
        errors.collect()
    });
    &ALL
}

#[test]
fn every_fault_is_told_in_full() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for kind in Kind::all() {
            insta::assert_snapshot!(kind.name.clone(), shown(&kind));
        }
    });
}
