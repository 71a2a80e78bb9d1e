//! The text of an ENVI header taken apart: `key = value` and `key = { … }`, with the line of each.
//!
//! Keys are taken in any case and with any blanks inside. A value in braces may go over lines.
//! Lines that begin with `;` are comments, also inside braces. What is none of these is a fault:
//! a brace that closes too early would otherwise lose the rest of a list without a word.

use std::collections::BTreeMap;

use sdk::{Error, Result};

/// A value of a header.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    /// What stands behind the `=`.
    Word(String),
    /// What stands in braces, taken apart at commas, each with its line.
    List(Vec<(usize, String)>),
}

/// A value and the line that its key stands on, from 1.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A fault in a header, at a line of its file.
pub(super) fn fault(file: &str, line: usize, message: impl AsRef<str>) -> Error {
    Error::new("spectral::envi_header", format!("{file}:{line}: {}", message.as_ref()))
}

/// The entries of a header by key, in lower case and with single blanks.
///
/// # Errors
/// When the text is no header, at the first line that can't be read.
pub(super) fn entries(file: &str, text: &str) -> Result<BTreeMap<String, Entry>> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    if !lines.next().is_some_and(|(_, first)| first.trim().eq_ignore_ascii_case("envi")) {
        return Err(fault(file, 1, "an ENVI header begins with the line `ENVI`"));
    }
    let mut entries = BTreeMap::<String, Entry>::new();
    while let Some((i, text)) = lines.next() {
        if is_skipped(text) {
            continue;
        }
        let line = i + 1;
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| not_an_entry(file, line, text))
            .map(|(key, value)| (normal_key(key), value.trim()))?;
        let value = match value.strip_prefix('{') {
            Some(first) => Value::List(list(file, line, first, &mut lines)?),
            None => Value::Word(value.to_owned()),
        };
        if let Some(before) = entries.insert(key.clone(), Entry { line, value }) {
            let message = format!("`{key}` is given twice, first on line {}", before.line);
            return Err(fault(file, line, message));
        }
    }
    Ok(entries)
}

fn is_skipped(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with(';')
}

fn normal_key(key: &str) -> String {
    key.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn not_an_entry(file: &str, line: usize, text: &str) -> Error {
    let shown: String = text.trim().chars().take(40).collect();
    fault(file, line, format!("expected `key = value`, found: `{shown}`"))
        .help("a list in braces may go over lines; its last line ends with `}`")
}

/// The items of a list whose brace was opened on `line`, before `first`.
fn list<'a>(
    file: &str,
    line: usize,
    first: &'a str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Vec<(usize, String)>> {
    let mut items = Items::default();
    let rest = lines.map(|(i, text)| (i + 1, text)).filter(|(_, text)| !text.starts_with(';'));
    for (line, text) in [(line, first)].into_iter().chain(rest) {
        match before_end(text) {
            Some(last) => {
                items.add(line, last);
                return Ok(items.finished());
            }
            None => items.add(line, text),
        }
    }
    Err(fault(file, line, "the brace `{` is never closed"))
}

/// What stands before the brace that ends a list, where `text` has it. Behind it there is nothing
/// but a comment: a brace inside of a name ends no list.
fn before_end(text: &str) -> Option<&str> {
    let is_end = |at: usize| {
        let rest = text[at + 1..].trim();
        rest.is_empty() || rest.starts_with(';')
    };
    text.match_indices('}').find(|(at, _)| is_end(*at)).map(|(at, _)| &text[..at])
}

/// Items of a list; one that goes over lines stands where it begins.
#[derive(Default)]
struct Items {
    done: Vec<(usize, String)>,
    open: Option<(usize, String)>,
}

impl Items {
    fn add(&mut self, line: usize, text: &str) {
        for (i, part) in text.split(',').enumerate() {
            if i > 0 {
                self.done.push(self.open.take().unwrap_or((line, String::new())));
            }
            let part = part.trim();
            match &mut self.open {
                Some((_, open)) if !open.is_empty() && !part.is_empty() => {
                    open.push(' ');
                    open.push_str(part);
                }
                Some((_, open)) if !open.is_empty() => {}
                open => *open = Some((line, part.to_owned())),
            }
        }
    }

    /// The items; a comma behind the last one begins none.
    fn finished(mut self) -> Vec<(usize, String)> {
        self.done.extend(self.open.take().filter(|(_, text)| !text.is_empty()));
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BTreeMap<String, Entry> {
        entries("a.hdr", text).unwrap()
    }

    fn list_of(text: &str) -> Vec<(usize, String)> {
        let Value::List(items) = read(text).remove("l").unwrap().value else { panic!("no list") };
        items
    }

    #[test]
    fn keys_are_taken_in_any_case_and_values_as_they_are() {
        let read =
            read("ENVI\r\n; made by hand\r\nData   TYPE=4\r\n\r\nfile type = ENVI Standard\r\n");
        assert_eq!(read["data type"], Entry { line: 3, value: Value::Word("4".to_owned()) });
        assert_eq!(read["file type"].value, Value::Word("ENVI Standard".to_owned()));
    }

    #[test]
    fn lists_go_over_lines_with_comments_between_and_each_item_has_its_line() {
        let items = list_of("ENVI\nl = {\n a,\n; not me, nor me\n b c,d\n  e, f,\n}\nn = 1\n");
        let items: Vec<_> = items.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(items, [(3, "a"), (5, "b c"), (5, "d e"), (6, "f")]);
    }

    #[test]
    fn a_brace_inside_of_a_name_ends_no_list_and_a_name_may_be_empty() {
        let texts = |text| list_of(text).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts("ENVI\nl = { a {x} 1, , c } ; three"), ["a {x} 1", "", "c"]);
        assert_eq!(texts("ENVI\nl = {}"), Vec::<String>::new());
        assert_eq!(texts("ENVI\nl = { }"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_header_is_told_with_file_line_and_what_was_expected() {
        let told = |text: &str| entries("a.hdr", text).unwrap_err().message;
        assert_eq!(told(""), "a.hdr:1: an ENVI header begins with the line `ENVI`");
        assert_eq!(told("lines = 3"), "a.hdr:1: an ENVI header begins with the line `ENVI`");
        assert_eq!(told("ENVI\nx\n"), "a.hdr:2: expected `key = value`, found: `x`");
        assert_eq!(told("ENVI\na = { 1,\n2\n"), "a.hdr:2: the brace `{` is never closed");
        assert_eq!(
            told("ENVI\nlines = 1\nsamples = 2\nLines = 3"),
            "a.hdr:4: `lines` is given twice, first on line 2"
        );
    }
}
