//! Questions to a plugin's JSON Schema that validation does not answer.
//!
//! Which keys are known at a place, which kinds of value it takes, whether a key belongs somewhere
//! else. A place of a schema is a set of [`Alternatives`]: everything that `$ref`, `anyOf`, `oneOf`
//! and `allOf` lead to, taken together, because a reader asks what *may* stand there.

use serde_json::{Map, Value};

/// How many references may follow each other; a schema with more is going in circles.
const REFERENCES_MAX: usize = 16;
/// How deep a key is searched in other parts of a schema.
const SEARCH_DEPTH: usize = 6;
const APPLICATORS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The kinds of value a configuration knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Integer,
    Number,
    String,
    List,
    Map,
}

impl Kind {
    const ALL: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Bool),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::List),
        ("object", Self::Map),
    ];

    /// The kinds that a schema's own `type` names; none where it has no `type`.
    pub(super) fn of_type(schema: &Value) -> Vec<Self> {
        let named =
            |name: &Value| Self::ALL.iter().find(|(known, _)| name == known).map(|(_, kind)| *kind);
        match schema.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(named).collect(),
            Some(name) => named(name).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

/// A schema document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema<'a> {
    root: &'a Value,
}

/// Every schema that may hold at one place.
#[derive(Clone, Debug)]
pub(super) struct Alternatives<'a> {
    schema: Schema<'a>,
    list: Vec<&'a Value>,
}

impl<'a> Schema<'a> {
    /// Looks at a schema.
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// What may stand at the top.
    pub(super) fn top(self) -> Alternatives<'a> {
        let mut list = Vec::new();
        self.expand(self.root, REFERENCES_MAX, &mut list);
        Alternatives { schema: self, list }
    }

    /// What may stand at a path.
    pub(super) fn at<S: AsRef<str>>(self, path: &[S]) -> Alternatives<'a> {
        path.iter().fold(self.top(), |place, segment| place.child(segment.as_ref()))
    }

    /// The dotted path of a mapping that knows a key, if one does.
    pub(super) fn owner_of(self, key: &str) -> Option<String> {
        search(&self.top(), key, "", SEARCH_DEPTH)
    }

    fn expand(self, schema: &'a Value, references_left: usize, list: &mut Vec<&'a Value>) {
        // A schema that leads back to itself says nothing new the second time.
        if list.iter().any(|known| std::ptr::eq(*known, schema)) {
            return;
        }
        list.push(schema);
        if references_left == 0 {
            return;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            if let Some(target) = target {
                self.expand(target, references_left - 1, list);
            }
        }
        for name in APPLICATORS {
            for branch in schema.get(name).and_then(Value::as_array).into_iter().flatten() {
                self.expand(branch, references_left - 1, list);
            }
        }
    }
}

impl<'a> Alternatives<'a> {
    /// What may stand under a key or at an index.
    pub(super) fn child(&self, segment: &str) -> Self {
        let mut list = Vec::new();
        for schema in &self.list {
            if let Some(child) = child_of(schema, segment) {
                self.schema.expand(child, REFERENCES_MAX, &mut list);
            }
        }
        Self { schema: self.schema, list }
    }

    /// The schemas that may hold here, as they are written.
    pub(super) fn schemas(&self) -> &[&'a Value] {
        &self.list
    }

    /// Each alternative by itself.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let schema = self.schema;
        self.list.iter().map(move |alternative| Self { schema, list: vec![alternative] })
    }

    /// The keys that a mapping here may have, where they are fixed.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<&str> = Vec::new();
        for key in self.properties().flat_map(Map::keys) {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether a mapping here may have keys of the user's choice.
    pub(super) fn is_open(&self) -> bool {
        let says = |schema: &Value, open: bool| {
            ["additionalProperties", "unevaluatedProperties"].iter().any(|name| {
                match schema.get(name) {
                    Some(Value::Bool(value)) => *value == open,
                    Some(_) => open,
                    None => false,
                }
            })
        };
        let patterns = |schema: &Value| schema.get("patternProperties").is_some();
        if self.list.iter().any(|schema| says(schema, true) || patterns(schema)) {
            return true;
        }
        let closed = self.list.iter().any(|schema| says(schema, false));
        !closed && self.properties().next().is_none()
    }

    /// Whether a value of this kind is taken here.
    pub(super) fn takes(&self, kind: Kind) -> bool {
        self.list.is_empty()
            || self.list.iter().any(|schema| kinds(schema).contains(&kind))
            || (kind == Kind::Integer && self.takes(Kind::Number))
    }

    /// Whether a kind of value is asked for here, rather than let through among all others.
    pub(super) fn names(&self, kind: Kind) -> bool {
        let asked = |schema: &Value| Some(kinds(schema)).filter(|all| all.len() < Kind::ALL.len());
        self.list.iter().filter_map(|schema| asked(schema)).any(|kinds| kinds.contains(&kind))
    }

    /// The key that tells the kind of a mapping, and the kind.
    pub(super) fn tag(&self) -> Option<(&'a str, &'a str)> {
        let mut entries = self.properties().flatten();
        entries.find_map(|(key, schema)| Some((key.as_str(), schema.get("const")?.as_str()?)))
    }

    /// A number of the schema here, such as `minItems`.
    pub(super) fn bound(&self, name: &str) -> Option<u64> {
        self.list.iter().find_map(|schema| schema.get(name).and_then(Value::as_u64))
    }

    /// Whether a mapping here is replaced whole by a higher layer.
    pub(super) fn is_replaced_whole(&self) -> bool {
        self.list.iter().any(|schema| schema.get("x-replace") == Some(&Value::Bool(true)))
    }

    /// The values that stand in the schema itself (`enum` and `const`), without null.
    pub(super) fn named_values(&self) -> Vec<&'a Value> {
        let values = self.list.iter().flat_map(|schema| named_values(schema));
        values.filter(|value| !value.is_null()).collect()
    }

    /// The alternatives that are told by their `type`, not by named values.
    pub(super) fn plain(&self) -> impl Iterator<Item = &'a Value> {
        self.list.iter().copied().filter(|schema| named_values(schema).all(Value::is_null))
    }

    /// A text of the schema here, such as `x-expected`.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.list.iter().find_map(|schema| schema.get(name).and_then(Value::as_str))
    }

    fn properties(&self) -> impl Iterator<Item = &'a Map<String, Value>> {
        self.list.iter().filter_map(|schema| schema.get("properties").and_then(Value::as_object))
    }
}

fn named_values(schema: &Value) -> impl Iterator<Item = &Value> {
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    several.chain(schema.get("const"))
}

fn child_of<'a>(schema: &'a Value, segment: &str) -> Option<&'a Value> {
    if let Some(child) = schema.get("properties").and_then(|properties| properties.get(segment)) {
        return Some(child);
    }
    if let Ok(idx) = segment.parse::<usize>() {
        let fixed = schema.get("prefixItems").and_then(|items| items.get(idx));
        if let Some(child) = fixed.or_else(|| schema.get("items")) {
            return Some(child);
        }
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    patterns
        .and_then(|patterns| patterns.values().next())
        .or_else(|| schema.get("additionalProperties").filter(|child| child.is_object()))
}

fn kinds(schema: &Value) -> Vec<Kind> {
    let named: Vec<Kind> = named_values(schema).map(kind_of).collect();
    let typed = Kind::of_type(schema);
    let leads_on =
        schema.get("$ref").is_some() || APPLICATORS.iter().any(|name| schema.get(name).is_some());
    match (named.is_empty(), typed.is_empty()) {
        (false, _) => named,
        (true, false) => typed,
        (true, true) if leads_on => Vec::new(),
        (true, true) if schema.get("properties").is_some() => vec![Kind::Map],
        (true, true) => Kind::ALL.iter().map(|(_, kind)| *kind).collect(),
    }
}

/// The kind of a value.
pub(super) fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(number) if number.is_f64() => Kind::Number,
        Value::Number(_) => Kind::Integer,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Map,
    }
}

fn search(place: &Alternatives<'_>, key: &str, path: &str, depth_left: usize) -> Option<String> {
    let keys = place.keys();
    if keys.contains(&key) {
        return Some(path.to_owned());
    }
    if depth_left == 0 {
        return None;
    }
    keys.iter().find_map(|name| {
        search(&place.child(name), key, &super::document::join(path, name), depth_left - 1)
    })
}
