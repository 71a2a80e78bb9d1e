//! The authors' guide shows the code of the examples, word for word.
//!
//! A part of an example stands between `// guide: NAME` and `// guide: end`; in the guide a block of
//! code behind `<!-- FILE: NAME -->` is that part. With `UPDATE_GUIDE=1` the test writes the parts
//! into the guide instead of comparing them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = "docs/writing-a-plugin.md";
/// Where the examples lie whose marked parts are all shown.
const EXAMPLES: [&str; 2] = ["sdk/examples", "sdk/numerics/examples"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The part of a file of this name, where both are there.
fn part(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(repository().join(file)).ok()?;
    let (before, after) = text.split_once(&format!("// guide: {name}\n"))?;
    let (part, _) = after.split_once("// guide: end\n")?;
    // A part from inside of something stands at the margin.
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let part = part.strip_suffix(indent).unwrap_or(part);
    Some(
        part.lines()
            .map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line)))
            .collect(),
    )
}

/// The guide with every block that names a part replaced by it, and the names.
fn with_parts(guide: &str) -> (String, BTreeSet<(String, String)>) {
    let (mut text, mut names, mut lines) = (String::new(), BTreeSet::new(), guide.lines());
    while let Some(line) = lines.next() {
        text += &format!("{line}\n");
        let place = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let Some((file, name)) = place.and_then(|place| place.split_once(": ")) else { continue };
        assert_eq!(lines.next(), Some("```rust"), "no block behind {line}");
        let old: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let part = part(file, name).unwrap_or_else(|| panic!("{file} has no part `{name}`"));
        assert!(old.iter().all(|line| !line.starts_with("<!--")), "no end of the block: {line}");
        text += &format!("```rust\n{part}```\n");
        names.insert((file.to_owned(), name.to_owned()));
    }
    (text, names)
}

#[test]
fn the_guide_shows_the_examples_as_they_are() {
    let path = repository().join(GUIDE);
    let guide = fs::read_to_string(&path).unwrap();
    let (text, _) = with_parts(&guide);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let differs = guide.lines().zip(text.lines()).position(|(a, b)| a != b);
    let place = differs.map_or(0, |line| line + 1);
    assert!(
        guide == text,
        "{GUIDE}:{place} is not the code of the example: UPDATE_GUIDE=1 mends it"
    );
}

#[test]
fn every_part_that_an_example_marks_is_shown() {
    let guide = fs::read_to_string(repository().join(GUIDE)).unwrap();
    let (_, shown) = with_parts(&guide);
    assert!(!shown.is_empty());
    let of = |directory: &str| {
        let entries = fs::read_dir(repository().join(directory)).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names = names.filter(|name| name.ends_with(".rs"));
        names.map(|name| format!("{directory}/{name}")).collect::<Vec<_>>()
    };
    for file in EXAMPLES.into_iter().flat_map(of) {
        let text = fs::read_to_string(repository().join(&file)).unwrap();
        let marks = text.lines().filter_map(|line| line.trim_start().strip_prefix("// guide: "));
        for name in marks.filter(|name| *name != "end") {
            assert!(
                shown.contains(&(file.clone(), name.to_owned())),
                "{file}: {name} is not shown"
            );
        }
    }
}
