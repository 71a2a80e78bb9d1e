//! Merged settings against the schema of their owner, with every fault in our own words.
//!
//! Two passes. The first walks the settings and reports unknown keys at every depth, whether or not
//! the schema closes its mappings: a mistyped hyperparameter wastes a run. The second asks the JSON
//! Schema validator and puts its findings into words (`fault.rs`).

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Fault;
use serde_json::Value;

use super::document::join;
use super::elsewhere;
use super::error::{ConfigError, Pointer, nearest};
use super::fault;
use super::layers::{Layered, Part};
use super::limits::FAULTS_MAX;
use super::schema::{Alternatives, Kind, Schema};
use super::syntax::Format;

/// Settings together with the schema they must meet and the name under which they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// First segment of the dotted keys.
    pub(super) name: &'a str,
    /// The owner's schema.
    pub(super) schema: &'a Value,
    /// The settings.
    pub(super) settings: &'a Layered,
}

/// All faults of the settings, in the order of their places.
pub(super) fn check(subject: Subject<'_>) -> Vec<ConfigError> {
    let mut checker = Checker { subject, errors: Vec::new() };
    let value = subject.settings.value();
    checker.unknown_keys(value, &Schema::new(subject.schema).top(), &mut Vec::new());
    match jsonschema::draft202012::new(subject.schema) {
        Ok(validator) => validator.iter_errors(value).for_each(|error| checker.add(&error)),
        Err(error) => checker.errors.push(broken_schema(subject.name, &error)),
    }
    let mut errors = checker.errors;
    drop_guessed_misses(&mut errors);
    errors.sort_by_key(position);
    errors
}

/// Writes whole numbers as integers where the schema wants integers: `1e3` steps are 1000.
pub(super) fn make_integers(value: &mut Value, place: &Alternatives<'_>) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                make_integers(child, &place.child(key));
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .for_each(|(idx, item)| make_integers(item, &place.child(&idx.to_string()))),
        Value::Number(number) if wants_integer(place) => {
            let whole = number.is_f64().then(|| number.as_f64()).flatten().and_then(whole);
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        _ => {}
    }
}

fn wants_integer(place: &Alternatives<'_>) -> bool {
    !place.takes(Kind::Number) && place.takes(Kind::Integer)
}

/// A decimal number as an integer, if it is one and exactly representable.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range and the fraction are checked before"
)]
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// A whole number that stayed a decimal one because it has no exact integer.
fn is_huge(number: &serde_json::Number) -> bool {
    number.is_f64() && number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

struct Checker<'a> {
    subject: Subject<'a>,
    errors: Vec<ConfigError>,
}

impl<'a> Checker<'a> {
    fn unknown_keys(&mut self, value: &Value, place: &Alternatives<'_>, path: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let keys = place.keys();
                for (key, child) in map {
                    path.push(key.clone());
                    if keys.contains(&key.as_str()) || place.is_open() {
                        self.unknown_keys(child, &place.child(key), path);
                    } else {
                        self.unknown_key(path, &keys);
                    }
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (idx, item) in items.iter().enumerate() {
                    path.push(idx.to_string());
                    self.unknown_keys(item, &place.child(&idx.to_string()), path);
                    path.pop();
                }
            }
            Value::Number(number) if wants_integer(place) && is_huge(number) => {
                let message = format!("expected an integer, found `{number}`, which is too large");
                self.report(path, Part::Value, "config::out_of_range", message, |error| error);
            }
            _ => {}
        }
    }

    /// Reports the last segment of the path as unknown among the keys of its mapping.
    fn unknown_key(&mut self, path: &[String], keys: &[&str]) {
        let Some((key, parent)) = path.split_last().filter(|_| !self.is_full()) else {
            return;
        };
        let owner = dotted(self.subject.name, parent);
        let near =
            || nearest(key, keys.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let here = || elsewhere::other_kind(self.subject, key, parent);
        let elsewhere = elsewhere::in_section(self.subject, key, parent).or_else(here);
        let help = elsewhere.or_else(near).or_else(|| known_keys(&owner, keys));
        let message = format!("unknown key `{key}` in `{owner}`");
        self.report(path, Part::Key, "config::unknown_key", message, |error| {
            error.maybe_help(help)
        });
    }

    /// Puts one finding of the validator into words.
    fn add(&mut self, error: &ValidationError<'_>) {
        if self.is_full() {
            return;
        }
        let path = path_of(error);
        let place = Schema::new(self.subject.schema).at(&path);
        match error.kind() {
            Fault::AdditionalProperties { unexpected }
            | Fault::UnevaluatedProperties { unexpected } => {
                let keys = self.keys_of_branch(error).unwrap_or_else(|| place.keys());
                for key in unexpected {
                    let mut path = path.clone();
                    path.push(key.clone());
                    self.unknown_key(&path, &keys);
                }
            }
            Fault::Required { property } => {
                self.missing_key(&path, property.as_str().unwrap_or_default());
            }
            Fault::AnyOf { context } | Fault::OneOfNotValid { context } => {
                match fault::meant_branch(context, path.len()) {
                    fault::Meant::Branch(errors) => errors.iter().for_each(|error| self.add(error)),
                    fault::Meant::Tag(error) => self.wrong_value(error),
                    fault::Meant::None => self.wrong_value(error),
                }
            }
            _ => self.wrong_value(error),
        }
    }

    /// The keys of the one alternative that an error is about, where they stand beside its keyword.
    fn keys_of_branch(&self, error: &ValidationError<'_>) -> Option<Vec<&'a str>> {
        let (branch, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
        let properties = self.subject.schema.pointer(branch)?.get("properties")?.as_object()?;
        Some(properties.keys().map(String::as_str).collect())
    }

    fn wrong_value(&mut self, error: &ValidationError<'_>) {
        let path = path_of(error);
        let place = Schema::new(self.subject.schema).at(&path);
        let words = fault::words(error, &place, self.format_at(&path));
        let empty = self.empty_block_help(&path, error.instance(), &place);
        let help = empty
            .or(words.help)
            .or_else(|| self.mapping_help(error.instance(), &place))
            .or_else(|| self.whole_list_help(&path, error.instance(), &place));
        self.report(&path, Part::Value, words.code, words.message, |error| ConfigError {
            found: Some(words.found),
            expected: words.expected,
            help,
            ..error
        });
    }

    /// The format of the file that a value stands in.
    fn format_at(&self, path: &[String]) -> Option<Format> {
        match self.subject.settings.pointer(path, Part::Value)? {
            Pointer::File(location) => Format::of(&location.file),
            Pointer::Input(_) => None,
        }
    }

    /// A block of YAML whose keys stand beside it instead of in it.
    fn empty_block_help(
        &self,
        path: &[String],
        found: &Value,
        place: &Alternatives<'_>,
    ) -> Option<String> {
        let is_block = found.is_null() && place.names(Kind::Map);
        (is_block && self.format_at(path) == Some(Format::Yaml)).then(|| {
            let key = path.last().map_or(self.subject.name, String::as_str);
            format!("nothing stands under `{key}`: indent its keys further, or leave it out")
        })
    }

    /// What may stand in a mapping that one value stands for.
    fn mapping_help(&self, found: &Value, place: &Alternatives<'_>) -> Option<String> {
        let is_one = !matches!(found, Value::Object(_) | Value::Array(_) | Value::Null);
        let keys = place.keys();
        let is_known = is_one && place.names(Kind::Map) && !keys.is_empty();
        is_known.then(|| known_keys(self.subject.name, &keys)).flatten()
    }

    /// An override of one list item reads as a mapping with a number as its key.
    fn whole_list_help(
        &self,
        path: &[String],
        found: &Value,
        place: &Alternatives<'_>,
    ) -> Option<String> {
        let by_input =
            matches!(self.subject.settings.pointer(path, Part::Value), Some(Pointer::Input(_)));
        let key = dotted(self.subject.name, path);
        (by_input && found.is_object() && place.takes(Kind::List))
            .then(|| format!("lists are replaced whole: write `{key}=[…]`"))
    }

    fn missing_key(&mut self, parent: &[String], key: &str) {
        let mut path = parent.to_vec();
        path.push(key.to_owned());
        let expected = super::describe::expected(&Schema::new(self.subject.schema).at(&path));
        let owner = dotted(self.subject.name, parent);
        let message = format!("missing key `{key}` in `{owner}`");
        self.report(&path, Part::Key, "config::missing_key", message, |error| {
            error.expected(expected).help(format!("add `{key}` under `{owner}`"))
        });
    }

    /// Whether there are more faults than anybody reads at a time.
    fn is_full(&self) -> bool {
        self.errors.len() >= FAULTS_MAX
    }

    /// Adds an error once: the walk and several branches of a schema may find the same fault.
    fn report(
        &mut self,
        path: &[String],
        part: Part,
        code: &'static str,
        message: String,
        complete: impl FnOnce(ConfigError) -> ConfigError,
    ) {
        let key = dotted(self.subject.name, path);
        if self.is_full() || self.errors.iter().any(|error| error.key == key) {
            return;
        }
        let error =
            ConfigError::new(code, message).at(self.subject.settings.pointer(path, part)).key(key);
        self.errors.push(complete(error));
    }
}

/// The dotted key of a path in a section.
pub(super) fn dotted(section: &str, path: &[String]) -> String {
    path.iter().fold(section.to_owned(), |key, segment| join(&key, segment))
}

fn path_of(error: &ValidationError<'_>) -> Vec<String> {
    pointer_segments(error.instance_path().as_str())
}

/// The segments of a JSON pointer.
pub(super) fn pointer_segments(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn known_keys(owner: &str, keys: &[&str]) -> Option<String> {
    const SHOWN_MAX: usize = 24;
    match keys.len() {
        0 => Some(format!("`{owner}` takes no keys")),
        1..=SHOWN_MAX => {
            Some(format!("{}{}", elsewhere::KNOWN_KEYS, super::error::listed(keys.iter().copied())))
        }
        _ => None,
    }
}

/// A missing key that an unknown one was meant to be is one fault, not two.
fn drop_guessed_misses(errors: &mut Vec<ConfigError>) {
    let parent =
        |key: &str| key.rsplit_once('.').map(|(parent, _)| parent.to_owned()).unwrap_or_default();
    let guessed: Vec<String> = errors
        .iter()
        .filter(|error| error.code == "config::unknown_key")
        .filter_map(|error| {
            let near = error.help.as_ref()?.strip_prefix("did you mean `")?.strip_suffix("`?")?;
            Some(join(&parent(&error.key), near))
        })
        .collect();
    errors.retain(|error| error.code != "config::missing_key" || !guessed.contains(&error.key));
}

/// Files in line order, then what was typed.
fn position(error: &ConfigError) -> (u8, String, usize, usize) {
    match &error.location {
        Some(Pointer::File(location)) => (0, location.file.clone(), location.line, location.column),
        Some(Pointer::Input(input)) => (1, input.clone(), 0, 0),
        None => (2, String::new(), 0, 0),
    }
}

fn broken_schema(name: &str, error: &ValidationError<'_>) -> ConfigError {
    ConfigError::new(
        "config::broken_schema",
        format!("the plugin's schema for `{name}` is not usable: {error}"),
    )
    .help("this is a fault of the plugin, not of the configuration")
}
