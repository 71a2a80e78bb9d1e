//! A plugin's schema made part of a larger one: definitions under names of the phase's, and at every
//! place the default that holds there.
//!
//! A type that stands in two places has one definition, with the type's own defaults. Where the
//! section has others, the definition is written out at the place with those.

use serde_json::{Map, Value};

use super::super::reference::unwrapped;
use super::required::{leads_to_required, target};
use super::{Defs, hover};

/// How a value comes together from several layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Key by key: another layer may give what one leaves out.
    ByKey,
    /// Replaced as a whole: it must be complete.
    Whole,
}

/// What a place inherits from those around it.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The default that the section has here, where that is known.
    default: Option<&'a Value>,
    merge: Merge,
    /// Whether other schemas describe the same mapping too, so that this one can't close it.
    is_part: bool,
}

/// Rewrites the schemas of one phase.
pub(super) struct Rewriter<'a> {
    pub(super) root: &'a Value,
    /// What the names of the definitions begin with; none are made without one.
    pub(super) phase: &'a str,
    pub(super) defs: &'a mut Defs,
}

/// A schema of the host's own, which has no definitions.
pub(super) fn own(schema: &Value) -> Value {
    let mut defs = Defs::new();
    Rewriter { root: schema, phase: "", defs: &mut defs }.section(None)
}

impl Rewriter<'_> {
    /// The schema from its root, with these defaults.
    pub(super) fn section(&mut self, defaults: Option<&Value>) -> Value {
        let place = Place {
            default: defaults.filter(|d| d.is_object()),
            merge: Merge::ByKey,
            is_part: false,
        };
        let mut section = self.rewrite(self.root, place);
        if let Value::Object(section) = &mut section {
            section.shift_remove("default");
        }
        section
    }

    fn rewrite(&mut self, schema: &Value, place: Place<'_>) -> Value {
        let Value::Object(keywords) = schema else { return schema.clone() };
        let is_replaced = keywords.get("x-replace") == Some(&true.into());
        let here = Place {
            default: place.default.or_else(|| keywords.get("default")),
            merge: if is_replaced { Merge::Whole } else { place.merge },
            ..place
        };
        let mut out = self.start(keywords, here);
        for (keyword, value) in keywords {
            if let Some(value) = self.keyword(keyword, value, keywords, here) {
                // Without what is required, two alternatives may well fit at once.
                let is_choice = keyword == "oneOf" && here.merge == Merge::ByKey;
                let is_any = is_choice && !out.contains_key("anyOf");
                out.insert(if is_any { "anyOf" } else { keyword }.to_owned(), value);
            }
        }
        if is_closed_by_host(keywords) && !place.is_part {
            out.insert("additionalProperties".to_owned(), false.into());
        }
        set_default(&mut out, here.default);
        hover::describe(&mut out);
        out.into()
    }

    /// What becomes of one keyword; nothing where it is said in another way, or not at all.
    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        around: &Map<String, Value>,
        here: Place<'_>,
    ) -> Option<Value> {
        Some(match (keyword, value) {
            ("$schema" | "title" | "$defs" | "definitions" | "default" | "$ref", _) => return None,
            ("required", _) if here.merge == Merge::ByKey => return None,
            ("format", _) if is_machine_type(value) => return None,
            ("description", Value::String(text)) => unwrapped(text).into(),
            ("properties", _) => self.properties(value, here),
            ("patternProperties", _) => self.properties(value, Place { default: None, ..here }),
            ("additionalProperties", _) => self.members(value, here.merge),
            ("items" | "prefixItems", _) => self.members(value, Merge::Whole),
            ("oneOf" | "anyOf" | "allOf", _) => self.branches(keyword, around, here),
            _ => value.clone(),
        })
    }

    /// What a `$ref` leads to: a reference, or where the defaults differ, all of it.
    fn start(&mut self, keywords: &Map<String, Value>, here: Place<'_>) -> Map<String, Value> {
        let Some(pointer) = keywords.get("$ref").and_then(Value::as_str) else { return Map::new() };
        let target = target(self.root, pointer);
        let has_keys = target.is_some_and(|target| target.get("properties").is_some());
        if let Some(target) =
            target.filter(|_| has_keys && here.default.is_some_and(Value::is_object))
            && let Value::Object(inlined) = self.rewrite(target, here)
        {
            return inlined;
        }
        let name = self.define(pointer, here.merge);
        Map::from_iter([("$ref".to_owned(), name.into())])
    }

    /// The reference to the definition behind a pointer, which is made when it is not there yet.
    fn define(&mut self, pointer: &str, merge: Merge) -> String {
        if pointer == "#" {
            return definition(self.phase);
        }
        let own = pointer.rsplit('/').next().unwrap_or_default();
        let needs = target(self.root, pointer).is_some_and(|to| leads_to_required(self.root, to));
        let is_whole = merge == Merge::Whole && needs;
        let name = format!("{}.{own}{}", self.phase, if is_whole { ".whole" } else { "" });
        if !self.defs.contains_key(&name) {
            self.defs.insert(name.clone(), Value::Bool(true));
            let root = self.root;
            if let Some(target) = target(root, pointer) {
                let place = Place { default: None, merge, is_part: false };
                let rewritten = self.rewrite(target, place);
                self.defs.insert(name.clone(), rewritten);
            }
        }
        definition(&name)
    }

    fn properties(&mut self, properties: &Value, here: Place<'_>) -> Value {
        let entries = properties.as_object().into_iter().flatten().map(|(key, child)| {
            let default = here.default.and_then(|default| default.get(key));
            let place = Place { default, merge: here.merge, is_part: false };
            (key.clone(), self.rewrite(child, place))
        });
        Value::Object(entries.collect())
    }

    fn branches(&mut self, keyword: &str, around: &Map<String, Value>, here: Place<'_>) -> Value {
        let branches = around[keyword].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_null = |branch: &Value| branch.get("type") == Some(&"null".into());
        let is_optional = branches.len() == 2 && branches.iter().any(is_null);
        let is_part = keyword == "allOf" || around.contains_key("properties");
        // The default is that of the one mapping that may stand here; of several it may be any.
        let default = here.default.filter(|d| d.is_object() && (is_optional || is_part));
        let rewritten = branches.iter().map(|branch| {
            let default = default.filter(|_| !is_null(branch));
            let mut branch = self.rewrite(branch, Place { default, merge: here.merge, is_part });
            if default.is_some()
                && let Value::Object(branch) = &mut branch
            {
                branch.shift_remove("default");
            }
            branch
        });
        rewritten.collect()
    }

    /// Schemas of what stands under any name or at any index.
    fn members(&mut self, value: &Value, merge: Merge) -> Value {
        let place = Place { default: None, merge, is_part: false };
        match value {
            Value::Array(items) => items.iter().map(|item| self.rewrite(item, place)).collect(),
            other => self.rewrite(other, place),
        }
    }
}

/// A mapping whose keys have defaults of their own needs none for the whole.
fn set_default(schema: &mut Map<String, Value>, default: Option<&Value>) {
    let is_below = |default: &&Value| default.is_object() && schema.contains_key("properties");
    match default.filter(|default| !is_below(default)) {
        Some(default) => drop(schema.insert("default".to_owned(), default.clone())),
        None => drop(schema.shift_remove("default")),
    }
    // The YAML language server reads the first type as that of the default.
    if schema.get("default") == Some(&Value::Null)
        && let Some(Value::Array(types)) = schema.get_mut("type")
    {
        types.sort_by_key(|kind| kind != "null");
    }
}

/// A reference to a definition by its name.
pub(super) fn definition(name: &str) -> String {
    format!("#/$defs/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `uint64` and the like say to readers what the range says already.
fn is_machine_type(format: &Value) -> bool {
    let format = format.as_str().unwrap_or_default();
    ["int", "uint", "float", "double"].iter().any(|kind| {
        let bits = format.strip_prefix(kind);
        bits.is_some_and(|bits| bits.chars().all(|c| c.is_ascii_digit()))
    })
}

/// The host refuses unknown keys of a mapping even where its schema does not.
fn is_closed_by_host(keywords: &Map<String, Value>) -> bool {
    let says_itself = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
    ];
    keywords.contains_key("properties")
        && !says_itself.iter().any(|own| keywords.contains_key(*own))
}
