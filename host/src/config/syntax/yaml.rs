//! The usual mistakes in YAML, looked for around the place where the parser stopped.

use super::{Line, Mistake, Span, behind, line_number, placeholder};

/// Characters that a text without quotes cannot begin with.
const RESERVED: [char; 3] = ['@', '`', '%'];

/// The mistake at a byte that the parser could not take, if it is one of the usual ones.
pub(super) fn mistake(text: &str, at: usize) -> Option<Mistake> {
    let line = Line::at(text, at)?;
    if line.text[..line.indent()].contains('\t') {
        return None;
    }
    let found = text[at..].chars().next();
    placeholder(text, at)
        .or_else(|| brackets(text, at))
        .or_else(|| reserved(line, text, at))
        .or_else(|| if found == Some(':') { second_colon(text, line, at) } else { None })
        .or_else(|| no_colon(line, at))
        .or_else(|| indentation(text, line, at))
}

/// Brackets that do not fit, or commas between what stands in them.
fn brackets(text: &str, at: usize) -> Option<Mistake> {
    let mut open: Vec<(char, usize)> = Vec::new();
    for line in Line::all(text) {
        for (offset, sign) in signs(line.text, !open.is_empty()) {
            let here = line.start + offset;
            match (sign, open.last()) {
                ('[' | '{', _) => open.push((sign, here)),
                (']' | '}', Some((other, _))) if partner(*other) == sign => drop(open.pop()),
                (']' | '}', Some((other, start))) => {
                    return Some(closed_by_another(text, (*other, *start), (sign, here)));
                }
                (']' | '}', None) => {
                    let span = Span { start: here, end: here + 1 };
                    return Some(Mistake::new(span, format!("one `{sign}` too many"), "remove it"));
                }
                (',', Some(_)) if here == at => return two_commas(text, at),
                (':', Some((_, start))) if here == at => {
                    let is_below = line.start > *start;
                    return if is_below {
                        open.last().map(not_closed)
                    } else {
                        missing_comma(text, at)
                    };
                }
                _ => {}
            }
        }
    }
    open.last().map(not_closed)
}

/// The brackets, commas and colons of a line that stand outside of quotes and plain texts.
fn signs(line: &str, is_in_brackets: bool) -> Vec<(usize, char)> {
    let mut depth = usize::from(is_in_brackets);
    let mut quote = None;
    let mut before = ' ';
    let mut found = Vec::new();
    for (at, c) in line.char_indices() {
        let begins = " ,[{:-".contains(before);
        match (quote, c) {
            (Some(open), _) => quote = (open != c).then_some(open),
            (None, '"' | '\'') if begins => quote = Some(c),
            (None, '#') if before == ' ' => break,
            (None, '[' | '{') if begins || depth > 0 => {
                depth += 1;
                found.push((at, c));
            }
            (None, ']' | '}') if depth > 0 || begins || "]}".contains(before) => {
                depth = depth.saturating_sub(1);
                found.push((at, c));
            }
            (None, ',' | ':') if depth > 0 => found.push((at, c)),
            _ => {}
        }
        before = c;
    }
    found
}

fn closed_by_another(text: &str, open: (char, usize), close: (char, usize)) -> Mistake {
    let ((sign, start), (found, at)) = (open, close);
    let (line, right) = (line_number(text, start), partner(sign));
    Mistake::new(
        Span { start: at, end: at + 1 },
        format!("a `{sign}` is closed by `{found}`"),
        format!("the `{sign}` in line {line} is closed by `{right}`"),
    )
}

fn not_closed((sign, start): &(char, usize)) -> Mistake {
    let span = Span { start: *start, end: start + 1 };
    Mistake::new(span, format!("a `{sign}` is not closed"), format!("add the `{}`", partner(*sign)))
}

fn two_commas(text: &str, at: usize) -> Option<Mistake> {
    text[..at].trim_end().ends_with(',').then(|| {
        let span = Span { start: at, end: at + 1 };
        Mistake::new(span, "two commas follow each other", "remove one of them")
    })
}

/// `{a: 1 b: 2}`: the comma belongs before the key that the second colon follows.
fn missing_comma(text: &str, at: usize) -> Option<Mistake> {
    let before = text[..at].trim_end_matches(|c: char| !c.is_whitespace() && !"{[,".contains(c));
    let end = before.trim_end().len();
    (end < before.len() && !before.trim_end().ends_with(['{', '[', ',', ':']))
        .then(|| Mistake::new(behind(end), "`,` is missing", "separate what follows with a comma"))
}

/// A text that begins with a character that YAML keeps for itself.
fn reserved(line: Line<'_>, text: &str, at: usize) -> Option<Mistake> {
    let first = text[at..].chars().next().filter(|c| RESERVED.contains(c))?;
    let named = if first == '`' { "a backtick".to_owned() } else { format!("`{first}`") };
    let word = text[at..line.start + line.text.len()].trim_end();
    Some(Mistake::new(
        Span { start: at, end: at + word.len() },
        format!("a string that begins with {named} needs quotes"),
        format!("write `\"{word}\"`"),
    ))
}

/// A colon where the parser has read a text.
fn second_colon(text: &str, line: Line<'_>, at: usize) -> Option<Mistake> {
    let before = &line.text[..at - line.start];
    if let Some((key, _)) = before.split_once(": ") {
        let value = line.text[key.len() + 1..].trim();
        return Some(Mistake::new(
            line.part(value),
            "a string with `: ` in it needs quotes",
            format!("write `\"{}\"`", value.replace('"', "\\\"")),
        ));
    }
    let above = line.before(text)?;
    if !above.content().contains(':') && !above.content().starts_with("- ") {
        return Some(colon_missing(above));
    }
    (line.indent() > above.indent()).then(|| {
        let key = above.content().split(':').next().unwrap_or_default();
        Mistake::new(
            line.span(),
            "the line is indented further than the one above it",
            format!("`{key}` has a value already: begin both lines in the same column"),
        )
    })
}

/// A line that the parser has read as a key without a colon.
fn no_colon(line: Line<'_>, at: usize) -> Option<Mistake> {
    let content = line.content();
    let is_key = at == line.span().start && !content.contains(": ") && !content.ends_with(':');
    if !is_key || content.starts_with(['-', '"', '\'', '[', '{', '&', '*', '!', '#']) {
        return None;
    }
    if let Some((key, value)) = content.split_once(':') {
        return Some(Mistake::new(
            line.part(&content[key.len()..=key.len()]),
            "a space is missing behind `:`",
            format!("write `{key}: {value}`"),
        ));
    }
    if let Some((key, value)) = content.split_once('=') {
        return Some(Mistake::new(
            line.part(&content[key.len()..=key.len()]),
            "a `=` stands between a key and its value",
            format!("write `{}: {}`", key.trim(), value.trim()),
        ));
    }
    Some(colon_missing(line))
}

fn colon_missing(line: Line<'_>) -> Mistake {
    let content = line.content();
    let (key, help) = match content.split_once(' ') {
        Some((key, value)) => (key, format!("write `{key}: {}`", value.trim())),
        None => (content, format!("write `{content}:`")),
    };
    Mistake::new(behind(line.part(key).end), format!("`:` is missing behind `{key}`"), help)
}

/// A line that begins in a column of its own, or items among keys.
fn indentation(text: &str, line: Line<'_>, at: usize) -> Option<Mistake> {
    let is_at_start = at >= line.start && text[line.start..at].trim_matches(['-', ' ']).is_empty();
    if !is_at_start {
        return None;
    }
    let levels = levels_above(text, line);
    let is_item = line.content().starts_with("- ");
    if levels.contains(&line.indent()) {
        let (what, others) = if is_item { ("list item", "keys") } else { ("key", "list items") };
        return Some(Mistake::new(
            line.span(),
            format!("a {what} stands among {others}"),
            "give a list a key of its own, and indent its items below it",
        ));
    }
    let columns: Vec<String> = levels.iter().rev().map(|level| (level + 1).to_string()).collect();
    (!columns.is_empty()).then(|| {
        Mistake::new(
            line.span(),
            "the line begins in another column than those it belongs to",
            format!("begin it in column {}, as the lines above", in_words(&columns)),
        )
    })
}

/// `1, 3 or 5`.
fn in_words(columns: &[String]) -> String {
    match columns.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The indentations of the blocks that a line may go on with, the innermost first.
fn levels_above(text: &str, line: Line<'_>) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::new();
    for above in Line::all(text).take_while(|above| above.start < line.start) {
        if !above.content().is_empty() && !above.content().starts_with('#') {
            levels.retain(|level| *level < above.indent());
            levels.push(above.indent());
        }
    }
    levels.reverse();
    levels
}

fn partner(open: char) -> char {
    if open == '{' { '}' } else { ']' }
}
