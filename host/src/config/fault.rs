//! The validator's findings in the reader's words.
//!
//! One function per question: which alternative did the author of the file mean, what is expected,
//! what was found. The validator's own texts are used only for keywords that no schema of ours has.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Fault;
use serde_json::Value;

use super::describe::{expected, found, items, literal};
use super::error::nearest;
use super::meant;
use super::schema::{Alternatives, Kind};
use super::syntax::Format;

/// How one wrong value is reported.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) found: String,
    pub(super) expected: Option<String>,
    pub(super) help: Option<String>,
}

/// What a value that fits no alternative was meant to be.
pub(super) enum Meant<'a> {
    /// This alternative, with these faults in it.
    Branch(&'a [ValidationError<'static>]),
    /// A mapping whose kind is told by a key, and the key names no known kind.
    Tag(&'a ValidationError<'static>),
    /// Nothing recognisable.
    None,
}

/// Finds the alternative that has the right shape though not the right content.
pub(super) fn meant_branch<'a>(
    context: &'a [Vec<ValidationError<'static>>],
    depth: usize,
) -> Meant<'a> {
    let depth_of =
        |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
    let is_named = |kind: &Fault| matches!(kind, Fault::Constant { .. } | Fault::Enum { .. });
    let other_kind = |error: &ValidationError<'_>| {
        depth_of(error) == depth
            && (is_named(error.kind()) || matches!(error.kind(), Fault::Type { .. }))
    };
    let tag = |error: &ValidationError<'_>| {
        depth_of(error) == depth + 1 && matches!(error.kind(), Fault::Constant { .. })
    };

    let shaped: Vec<_> = context.iter().filter(|branch| !branch.iter().any(other_kind)).collect();
    let tagged: Vec<_> = shaped.iter().filter(|branch| !branch.iter().any(tag)).collect();
    if let Some(branch) = tagged.iter().min_by_key(|branch| branch.len()) {
        return Meant::Branch(branch);
    }
    let first_tag = shaped.iter().flat_map(|branch| branch.iter()).find(|error| tag(error));
    first_tag.map_or(Meant::None, Meant::Tag)
}

/// Words for a wrong value at a place of the schema.
pub(super) fn words(
    error: &ValidationError<'_>,
    place: &Alternatives<'_>,
    format: Option<Format>,
) -> Words {
    let value: &Value = error.instance();
    let (code, wanted) = wanted(error.kind(), value, place);
    let shown = shown(error.kind(), value);
    let Some(wanted) = wanted else {
        let message = format!("value not accepted: {error}");
        return Words { code, message, found: shown, expected: None, help: None };
    };
    let known = place.named_values();
    let known: Vec<&str> = known.iter().filter_map(|value| value.as_str()).collect();
    let help = value
        .as_str()
        .and_then(|text| nearest(text, known))
        .map(|near| format!("did you mean `{near}`?"))
        .or_else(|| is_of_another_form(error.kind()).then(|| meant::help(value, place, format))?);
    let message = format!("expected {wanted}, found {shown}");
    Words { code, message, found: shown, expected: Some(wanted), help }
}

/// The code of a fault and what is expected instead; nothing for keywords that need no words.
fn wanted(
    fault: &Fault,
    value: &Value,
    place: &Alternatives<'_>,
) -> (&'static str, Option<String>) {
    let range = |text: String| ("config::out_of_range", Some(text));
    match fault {
        Fault::Minimum { limit } => range(format!("at least {}", literal(limit))),
        Fault::Maximum { limit } => range(format!("at most {}", literal(limit))),
        Fault::ExclusiveMinimum { limit } => range(format!("more than {}", literal(limit))),
        Fault::ExclusiveMaximum { limit } => range(format!("less than {}", literal(limit))),
        Fault::MultipleOf { multiple_of } => range(format!("a multiple of {multiple_of}")),
        Fault::MinItems { .. } | Fault::MaxItems { .. } => {
            ("config::wrong_length", Some(expected(place)))
        }
        Fault::AdditionalItems { limit } => {
            ("config::wrong_length", Some(format!("at most {}", items(*limit as u64))))
        }
        Fault::UniqueItems => {
            ("config::invalid_value", Some("a list without repetitions".to_owned()))
        }
        Fault::MinLength { limit: 1 } => {
            ("config::wrong_length", Some("a string that is not empty".to_owned()))
        }
        Fault::MinLength { limit } => {
            ("config::wrong_length", Some(format!("at least {limit} characters")))
        }
        Fault::MaxLength { limit } => {
            ("config::wrong_length", Some(format!("at most {limit} characters")))
        }
        Fault::MinProperties { limit } => ("config::wrong_length", Some(keys("at least", *limit))),
        Fault::MaxProperties { limit } => ("config::wrong_length", Some(keys("at most", *limit))),
        Fault::Pattern { pattern } => {
            let named = place.text("x-expected").map(str::to_owned);
            (
                "config::invalid_value",
                Some(named.unwrap_or_else(|| format!("a string matching `{pattern}`"))),
            )
        }
        Fault::Enum { .. } | Fault::Constant { .. } => {
            ("config::invalid_value", Some(expected(place)))
        }
        Fault::Type { .. } => ("config::wrong_type", Some(expected(place))),
        Fault::AnyOf { .. } | Fault::OneOfNotValid { .. } => {
            let is_text = value.is_string() && place.takes(Kind::String);
            let code = if is_text { "config::invalid_value" } else { "config::wrong_type" };
            (code, Some(expected(place)))
        }
        _ => ("config::invalid_value", None),
    }
}

fn keys(bound: &str, count: u64) -> String {
    format!("a mapping with {bound} {count} {}", if count == 1 { "key" } else { "keys" })
}

/// Of a list or mapping of the wrong size the size is what was found.
fn shown(fault: &Fault, value: &Value) -> String {
    match (fault, value) {
        (
            Fault::MinItems { .. } | Fault::MaxItems { .. } | Fault::AdditionalItems { .. },
            Value::Array(list),
        ) => list.len().to_string(),
        (Fault::MinProperties { .. } | Fault::MaxProperties { .. }, Value::Object(map)) => {
            map.len().to_string()
        }
        (
            Fault::Minimum { .. }
            | Fault::Maximum { .. }
            | Fault::ExclusiveMinimum { .. }
            | Fault::ExclusiveMaximum { .. },
            _,
        ) => literal(value),
        _ => found(value),
    }
}

/// Whether the value is not of a kind or length that is taken, rather than out of a range.
fn is_of_another_form(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Type { .. }
            | Fault::AnyOf { .. }
            | Fault::OneOfNotValid { .. }
            | Fault::Enum { .. }
            | Fault::Constant { .. }
            | Fault::MaxItems { .. }
            | Fault::AdditionalItems { .. }
    )
}
