//! Where the comments of a text stand, found without the parser, which throws them away.
//!
//! Knows just enough of YAML and TOML to tell a comment from a `#` within a text. That no comment is
//! missed is checked in the end, on the file that was made.

use super::Format;
use crate::config::source::Span;

/// The comments of a text.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// From each `#` to the end of its line.
    pub(super) comments: Vec<Span>,
    /// Lines, by their first byte, that begin within a text of several lines.
    pub(super) within_text: Vec<usize>,
    /// Whether YAML's anchors, aliases or merge keys are used.
    pub(super) has_aliases: bool,
}

/// Finds the comments of a well-formed text.
pub(super) fn find(text: &str, format: Format) -> Found {
    let mut found = Found::default();
    match format {
        Format::Json => {}
        Format::Toml => toml(text, &mut found),
        Format::Yaml => Yaml::default().read(text, &mut found),
    }
    found
}

/// The lines of a text with the byte at which each begins, without their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.trim_end_matches(['\n', '\r']))
    })
}

fn toml(text: &str, found: &mut Found) {
    let mut end: Option<&str> = None;
    for (start, line) in lines(text) {
        if end.is_some() {
            found.within_text.push(start);
        }
        let mut at = 0;
        while let Some(c) = line[at..].chars().next() {
            let rest = &line[at..];
            let mut length = c.len_utf8();
            match end {
                Some(quotes) if rest.starts_with(quotes) => {
                    length = quotes.len();
                    end = None;
                }
                Some(quotes) if c == '\\' && quotes.starts_with('"') => {
                    length += rest[1..].chars().next().map_or(0, char::len_utf8);
                }
                Some(_) => {}
                None if c == '#' => {
                    found.comments.push(Span { start: start + at, end: start + line.len() });
                    break;
                }
                None => {
                    end = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| rest.starts_with(q));
                    length = end.map_or(length, str::len);
                }
            }
            at += length;
        }
        // A text in single quotes ends with its line at the latest.
        end = end.filter(|quotes| quotes.len() == 3);
    }
}

/// The state of a reader of YAML from line to line.
#[derive(Default)]
struct Yaml {
    quote: Option<char>,
    /// The indentation above a block text.
    block: Option<usize>,
    /// Blank lines that belong to a block text if it goes on.
    blank: Vec<usize>,
    flow_depth: usize,
}

impl Yaml {
    fn read(&mut self, text: &str, found: &mut Found) {
        for (start, line) in lines(text) {
            if !self.is_block_text(start, line, found) {
                self.line(start, line, found);
            }
        }
    }

    /// Whether a line belongs to a block text that was begun above.
    fn is_block_text(&mut self, start: usize, line: &str, found: &mut Found) -> bool {
        let Some(parent) = self.block else { return false };
        if line.trim().is_empty() {
            self.blank.push(start);
            return true;
        }
        if indentation(line) > parent {
            found.within_text.append(&mut self.blank);
            found.within_text.push(start);
            return true;
        }
        self.block = None;
        self.blank.clear();
        false
    }

    fn line(&mut self, start: usize, line: &str, found: &mut Found) {
        if self.quote.is_some() {
            found.within_text.push(start);
        }
        // Whether a value may begin here; a quote within a plain text is a letter like any other.
        let mut is_open = true;
        let mut before = ' ';
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map_or(' ', |(_, next)| *next);
            match (self.quote, c) {
                (Some('"'), '\\') => drop(chars.next()),
                (Some('\''), '\'') if next == '\'' => drop(chars.next()),
                (Some(quote), c) if c == quote => self.quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => {
                    found.comments.push(Span { start: start + at, end: start + line.len() });
                    return;
                }
                (None, '"' | '\'') if is_open => {
                    self.quote = Some(c);
                    is_open = false;
                }
                (None, '|' | '>') if is_open && self.flow_depth == 0 => {
                    self.block = Some(parent_column(line));
                    is_open = false;
                }
                (None, '[' | '{') if is_open => self.flow_depth += 1,
                (None, ']' | '}') if self.flow_depth > 0 => {
                    self.flow_depth -= 1;
                    is_open = false;
                }
                (None, ',') if self.flow_depth > 0 => is_open = true,
                (None, ':') if next.is_whitespace() => is_open = true,
                (None, ':') if self.flow_depth > 0 && before == '"' => is_open = true,
                (None, '-' | '?') if is_open && next.is_whitespace() => {}
                (None, '&' | '*' | '!') if is_open && !next.is_whitespace() => {
                    found.has_aliases |= c != '!';
                    // What is named or tagged begins behind the name.
                    while chars.next_if(|(_, c)| !c.is_whitespace() && *c != ',').is_some() {}
                }
                (None, c) if c.is_whitespace() => {}
                (None, _) => is_open = false,
            }
            before = c;
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The column of the key, or of the item, that a block text on this line belongs to.
fn parent_column(line: &str) -> usize {
    let mut column = indentation(line);
    while let Some(item) = line[column..].strip_prefix("- ") {
        let inner = column + 2 + indentation(item);
        // `- |` has no key; its text is deeper than the dash.
        if line[inner..].starts_with(['|', '>']) {
            break;
        }
        column = inner;
    }
    column
}
