//! The usual mistakes in one line of TOML, a key with its value.

use super::{Format, Line, Mistake, bad_word, behind};

/// What is wrong with a line that sets a key.
pub(super) fn setting(line: Line<'_>) -> Option<Mistake> {
    let content = without_comment(line.content());
    match content.split_once('=') {
        Some((key, value)) => blank_in_key(line, key.trim(), value.trim())
            .or_else(|| wrong_value(line, key.trim_end(), value)),
        None => no_equals(line, content),
    }
}

/// The line up to a `#` that stands outside of quotes.
fn without_comment(content: &str) -> &str {
    let mut quote = None;
    for (at, c) in content.char_indices() {
        match (quote, c) {
            (None, '#') => return content[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    content
}

fn no_equals(line: Line<'_>, content: &str) -> Option<Mistake> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let key = &content[..content.find(|c| !is_bare(c)).unwrap_or(content.len())];
    let rest = &content[key.len()..];
    if key.is_empty() {
        return None;
    }
    if let Some(value) = rest.trim_start().strip_prefix(':') {
        let sign = &rest.trim_start()[..1];
        let help = match value.trim() {
            "" => format!("write `{key} = …`, or `[{key}]` for a table"),
            value => format!("write `{key} = {value}`"),
        };
        return Some(Mistake::new(
            line.part(sign),
            "a `:` stands between a key and its value",
            help,
        ));
    }
    let help = match rest.trim() {
        "" => format!("write `{key} = …`"),
        value => format!("write `{key} = {value}`"),
    };
    Some(Mistake::new(behind(line.part(key).end), format!("`=` is missing behind `{key}`"), help))
}

fn blank_in_key(line: Line<'_>, key: &str, value: &str) -> Option<Mistake> {
    let is_bare = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    let needs_quotes = key.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    (needs_quotes && key.chars().all(is_bare)).then(|| {
        let help = format!("write `\"{key}\" = {value}`");
        Mistake::new(line.part(key), "a key with a space or another letter needs quotes", help)
    })
}

fn wrong_value(line: Line<'_>, key: &str, value: &str) -> Option<Mistake> {
    let sign_end = line.part(key).end + value_offset(line, value);
    let value = value.trim();
    if value.is_empty() {
        return Some(Mistake::new(
            behind(sign_end),
            "a value is missing behind `=`",
            "write the value, or leave the key out",
        ));
    }
    if is_toml(value) || value.starts_with(['"', '\'', '[', '{']) {
        return None;
    }
    if let Some((first, rest)) =
        value.split_once(char::is_whitespace).filter(|(first, _)| is_toml(first))
    {
        return second_setting(line, first, rest.trim_start());
    }
    match value.strip_suffix(',') {
        Some(rest) if is_toml(rest) => Some(Mistake::new(
            line.part(&value[rest.len()..]),
            "a comma ends the line",
            "remove it: each setting has a line of its own",
        )),
        _ => Some(bad_word(value, line.part(value), Format::Toml)),
    }
}

/// What stands behind a value that is whole by itself.
fn second_setting(line: Line<'_>, first: &str, rest: &str) -> Option<Mistake> {
    let key = rest.split('=').next().filter(|key| key.len() < rest.len())?.trim();
    let is_key = !key.is_empty() && !key.contains(char::is_whitespace);
    is_key.then(|| {
        Mistake::new(
            line.part(rest),
            "two settings stand in one line",
            format!("end the line behind `{first}`"),
        )
    })
}

/// How far behind its key the text behind `=` begins.
fn value_offset(line: Line<'_>, value: &str) -> usize {
    let content = line.content();
    let before = content.len() - content.find('=').map_or(0, |at| content.len() - at - 1);
    let key_length = content.find('=').map_or(0, |at| content[..at].trim_end().len());
    debug_assert!(content[before..].starts_with(value) || value.is_empty());
    before - key_length
}

fn is_toml(value: &str) -> bool {
    toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok()
}
