//! What the parsers of the three formats say, in the reader's words.
//!
//! A parser speaks of its own work: scalars, tokens, indicators. The tables below say instead what
//! is wrong with the file and, where one mistake is behind nearly all of a kind, what to do. What
//! they don't know is passed on: those words are plain enough.

use super::document::syntax_error;
use super::error::ConfigError;
use super::number;
use super::printable::is_hidden;
use super::source::{Source, Span};

/// Words that a parser's message contains, what is said instead, and the way out. The first that
/// fits counts.
pub(super) type Phrase = (&'static str, &'static str, Option<&'static str>);

const CONTROL: &str = "a control character stands in the text";
const ESCAPE: &str = "a `\\` is followed by a character that means nothing there";
const ESCAPE_HELP: &str = "write a plain `\\` as `\\\\`, or put the string in single quotes";
const HALF: &str = "`\\u…` names half a character";
const INDENTATION: &str = "the indentation is not that of the lines above";
const QUOTES: &str = "a string needs quotes";
const TAB: &str = "a tab stands where YAML takes only spaces";
const TAB_HELP: &str = "indent with spaces";
const NUMBER_HELP: &str = "write numbers as `31`, `0.5` or `1e-5`";

/// What serde_json says.
pub(super) const JSON: &[Phrase] = &[
    ("EOF while parsing a value", "the text ends where a value is expected", None),
    ("EOF while parsing a list", "the text ends inside a list", None),
    ("EOF while parsing an object", "the text ends inside a mapping", None),
    ("EOF while parsing a string", "the text ends inside quotes", None),
    ("expected ident", "expected `true`, `false` or `null`", None),
    (
        "expected value",
        "expected a value",
        Some(
            "strings stand in double quotes; JSON has no comments, and no `None`, `True` or `'…'`",
        ),
    ),
    ("key must be a string", "a key must stand in double quotes", None),
    ("control character", CONTROL, Some("write a line break as `\\n`, a tab as `\\t`")),
    ("invalid escape", ESCAPE, Some("write a plain `\\` as `\\\\`")),
    ("invalid number", "this is no number of JSON", Some(NUMBER_HELP)),
    ("number out of range", number::TOO_LARGE, None),
    ("trailing characters", "there is more behind the end of the document", None),
    ("lone leading surrogate", HALF, None),
    ("unexpected end of hex escape", HALF, None),
    ("invalid unicode code point", "`\\u…` names no character", None),
];

/// What the toml crate says.
pub(super) const TOML: &[Phrase] = &[
    ("string values must be quoted", QUOTES, None),
    ("invalid float", QUOTES, None),
    ("invalid boolean", QUOTES, None),
    ("invalid date-time", QUOTES, None),
    ("cannot extend value", "a key with a value cannot have keys below it", None),
    ("key with no value", "a key without `=` and a value", None),
    ("missing value", "a key without a value", None),
    ("missing assignment", "a key without `=` and a value", None),
    ("keys cannot be empty", "a key is missing", None),
    ("invalid key-value pair", "a key is missing", None),
    ("missing key", "a key is missing", None),
    ("unexpected key or value", "there is more behind the value", Some("begin a new line")),
    ("unexpected content", "there is more behind the end", Some("begin a new line")),
    ("missing comma", "a comma is missing", None),
    ("extra comma", "there is a comma too many", None),
    ("unclosed table", "a `[` is not closed", None),
    ("unclosed array table", "a `[[` is not closed", None),
    ("unclosed array", "a `[` is not closed", None),
    ("unclosed inline table", "a `{` is not closed", None),
    ("unexpected leading zero", "a number does not begin with zeros", None),
    ("invalid mantissa", "a number begins with a digit", Some(NUMBER_HELP)),
    ("invalid fraction", "a number has a digit behind its point", Some(NUMBER_HELP)),
    ("invalid exponent", "a number has a digit behind its `e`", Some(NUMBER_HELP)),
    ("comment character", "a control character stands in a comment", None),
    ("visible characters", CONTROL, Some("write it as `\\n`, `\\t` or `\\u…` in double quotes")),
    (
        "carriage return",
        "a line ends in a carriage return alone",
        Some("save the file with the line ends of Unix or Windows"),
    ),
    ("missing escaped value", ESCAPE, Some(ESCAPE_HELP)),
    ("too few unicode value digits", "`\\u…` lacks digits", None),
    ("multi-line", "triple quotes are not closed", None),
    ("`=` in array", "a `[` is not closed", None),
    ("extra assignment", "there is a `=` too many", None),
    ("invalid unquoted key", "a key with this character must stand in quotes", None),
];

/// What granit and serde-saphyr say.
pub(super) const YAML: &[Phrase] = &[
    ("hexadecimal number for low surrogate", HALF, None),
    ("surrogate", HALF, None),
    ("did not find expected hexadecimal number", "`\\x…` or `\\u…` lacks digits", None),
    ("invalid Unicode character escape", "`\\u…` names no character", None),
    ("unknown escape character", ESCAPE, Some(ESCAPE_HELP)),
    (
        "did not find expected key",
        "expected a key, or the indentation is not that of the line above",
        Some("give the keys of one mapping the same indentation"),
    ),
    ("simple key", "expected `:` behind the key, on its line", None),
    ("tab", TAB, Some(TAB_HELP)),
    ("indent", INDENTATION, None),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        Some("check the indentation, and put a string that holds `: ` in quotes"),
    ),
    (
        "illegal placement of ':'",
        "a `:` stands where no key can be",
        Some("check the brackets above, and put a string that holds `: ` in quotes"),
    ),
    ("':' must be followed", "a `:` needs a space behind it", None),
    ("'-' must be followed", "a `-` needs a space behind it", None),
    ("mapping keys are not allowed", "a key cannot stand here", None),
    (
        "block sequence entries are not allowed",
        "a list item cannot stand here",
        Some("begin a list on the line below its key"),
    ),
    (
        "did not find expected '-' indicator",
        "expected a list item that begins with `- `",
        Some("give the items of one list the same indentation"),
    ),
    ("did not find expected ',' or '}'", "expected `,` or `}`", None),
    ("expected ',' or ']'", "expected `,` or `]`", None),
    ("did not find expected node content", "expected a value", None),
    ("unclosed bracket", "a bracket is not closed", None),
    ("mismatched bracket", "a bracket is closed by one of another kind", None),
    ("misplaced bracket", "a bracket is closed that was not opened", None),
    ("unclosed quote", "a quote is not closed", None),
    ("trailing content after", "there is more behind the closing quote", None),
    ("inside a block", "a list item cannot stand here", None),
    ("may not precede any of", "a `:` stands where no key can be", None),
    ("a BOM must not", "a byte order mark stands inside the text", None),
    ("<document start>", "there is more behind the end of the document", None),
    ("expected comment or line break", "there is more behind `|` or `>`", Some("begin a new line")),
    ("document indicator", "`---` or `...` stands inside a string", None),
    ("document end marker", "there is more behind the end of the document", None),
    ("plain scalar", QUOTES, None),
    ("eof", "the text ends too early", None),
    ("EOF", "the text ends too early", None),
    ("end of input", "the text ends too early", None),
    ("scanning an anchor or alias", QUOTES, Some("`&` and `*` at its beginning have a meaning")),
    ("unknown anchor", "an alias names no anchor above it", None),
    ("recursive reference", "an alias stands inside of what it names", None),
    ("unexpected character", QUOTES, Some("what it begins with has a meaning in YAML")),
    ("comment intercepting", "a comment stands inside a string of several lines", None),
    ("comments must be separated", "a `#` needs a space before it", None),
    ("directive", "a line that begins with `%` must be `%YAML 1.2`", None),
    ("tag", QUOTES, Some("`!` at its beginning has a meaning in YAML")),
    ("handle wasn't declared", QUOTES, Some("`!` at its beginning has a meaning in YAML")),
];

/// A syntax error in the reader's words.
pub(super) fn refused(
    source: &Source,
    span: Span,
    reason: &str,
    phrases: &'static [Phrase],
) -> ConfigError {
    if source.slice(span).starts_with(|c: char| !c.is_whitespace() && is_hidden(c)) {
        return syntax_error(source, span, CONTROL);
    }
    match phrases.iter().find(|(words, _, _)| reason.contains(words)) {
        Some((_, said, help)) => {
            syntax_error(source, span, said).maybe_help(help.map(str::to_owned))
        }
        None => syntax_error(source, span, without_activity(reason)),
    }
}

/// The reason without what the parser was doing.
fn without_activity(reason: &str) -> &str {
    match reason.split_once(", ") {
        Some((activity, rest)) if activity.starts_with("while ") => rest,
        _ => reason,
    }
}
