//! The keys of a section, read from its schema: all that there may be, and those that a value has.
//!
//! A key is a dotted path such as `training.betas`. `*` stands for a name of the user's choice or a
//! place in a list, and `[KIND]` for one kind of several: `sources.*[text].path`. The kind itself is
//! the key `sources.*.kind=text`. A list or a mapping of plain values is one key.

use std::collections::BTreeSet;

use serde_json::Value;

/// A schema with the document that its references point into.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
    at: &'a Value,
}

/// What a value may be at one place.
pub(super) struct Place<'a> {
    /// Objects with fields.
    pub(super) variants: Vec<Variant<'a>>,
    /// What the entries of a mapping or a list are, where they have keys of their own.
    entries: Option<Schema<'a>>,
    /// Everything else but null.
    pub(super) plain: Vec<Schema<'a>>,
    /// Whether null is allowed.
    pub(super) is_nullable: bool,
}

/// An object that a value may be.
pub(super) struct Variant<'a> {
    /// Its fields by name.
    fields: Vec<(&'a str, Schema<'a>)>,
    required: BTreeSet<&'a str>,
    /// The field that says which kind it is, and the kind.
    pub(super) tag: Option<(&'a str, &'a Value)>,
}

/// A key with its place in one value.
pub(super) struct Leaf<'a> {
    /// The key.
    pub(super) key: String,
    /// Names from the top down; numbers in lists.
    pub(super) path: Vec<String>,
    /// What may stand there.
    pub(super) schema: Schema<'a>,
    /// The field that says which kind of mapping this is, for the key of a kind.
    pub(super) tag: Option<&'a str>,
}

impl<'a> Schema<'a> {
    /// The whole schema.
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root, at: root }
    }

    fn child(self, at: &'a Value) -> Self {
        Self { root: self.root, at }
    }

    /// What a keyword says here.
    pub(super) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.at.get(keyword)
    }

    /// The schema of a list's items.
    pub(super) fn items(self) -> Option<Self> {
        self.get("items").map(|items| self.child(items))
    }

    /// Whether the schema names this type of JSON.
    pub(super) fn has_type(self, name: &str) -> bool {
        match self.get("type") {
            Some(Value::Array(names)) => names.iter().any(|known| known == name),
            Some(known) => known == name,
            None => false,
        }
    }

    /// The schemas that hold here together: this one, what it refers to, and the parts of `allOf`.
    fn parts(self) -> Vec<Self> {
        let referred = self.get("$ref").and_then(Value::as_str);
        let referred = referred.and_then(|to| self.root.pointer(to.strip_prefix('#')?));
        let all = self.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let others = referred.into_iter().chain(all);
        std::iter::once(self).chain(others.flat_map(|at| self.child(at).parts())).collect()
    }

    /// The schemas of which one holds here, each as the parts that hold together.
    fn alternatives(self) -> Vec<Vec<Self>> {
        let parts = self.parts();
        let choices = parts.iter().find_map(|part| {
            let choices = part.get("oneOf").or_else(|| part.get("anyOf"))?.as_array()?;
            Some(choices.iter().map(|at| part.child(at)))
        });
        let Some(choices) = choices else { return vec![parts] };
        let with_common_fields = |mut alternative: Vec<Self>| {
            alternative.extend(parts.iter().filter(|part| part.get("properties").is_some()));
            alternative
        };
        choices.flat_map(Self::alternatives).map(with_common_fields).collect()
    }

    /// What a value may be here.
    pub(super) fn place(self) -> Place<'a> {
        let (variants, plain) = (Vec::new(), Vec::new());
        let mut place = Place { variants, entries: None, plain, is_nullable: false };
        for parts in self.alternatives() {
            place.is_nullable |= parts.iter().any(|part| part.has_type("null"));
            let is_said =
                |part: &&Self| ["type", "const", "enum"].iter().any(|k| part.get(k).is_some());
            let plain = parts.iter().find(is_said).or(parts.first());
            if parts.iter().any(|part| part.get("properties").is_some()) {
                place.variants.push(Variant::of(&parts));
            } else if let Some(entries) = parts.iter().find_map(|part| part.entries()) {
                place.entries = Some(entries);
            } else {
                let is_null = |part: &&Self| part.get("type").is_some_and(|name| name == "null");
                place.plain.extend(plain.filter(|part| !is_null(part)));
            }
        }
        place
    }

    /// What the entries of a mapping or a list are, where they have keys of their own.
    fn entries(self) -> Option<Self> {
        let of = self.get("additionalProperties").or_else(|| self.get("items"))?;
        let entries = self.child(of);
        let place = entries.place();
        (!place.variants.is_empty() || place.entries.is_some()).then_some(entries)
    }

    /// All keys that a value may have.
    pub(super) fn keys(self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        self.collect("", &mut Vec::new(), &mut keys);
        keys
    }

    fn collect(self, key: &str, open: &mut Vec<*const Value>, keys: &mut BTreeSet<String>) {
        let parts = self.alternatives().concat();
        let here: Vec<_> = parts.iter().map(|part| std::ptr::from_ref(part.at)).collect();
        // A schema that holds itself has no more keys the second time.
        if here.iter().any(|part| open.contains(part)) {
            return;
        }
        let n_open = open.len();
        open.extend(here);
        let place = self.place();
        if place.is_leaf() {
            keys.insert(key.to_owned());
        }
        for variant in &place.variants {
            keys.extend(variant.kind_key(key));
            for (name, field) in variant.settings() {
                field.collect(&variant.key_of(key, name), open, keys);
            }
        }
        if let Some(entries) = place.entries {
            entries.collect(&join(key, "*"), open, keys);
        }
        open.truncate(n_open);
    }

    /// The keys of a value with their places in it.
    pub(super) fn leaves(self, value: &Value) -> Vec<Leaf<'a>> {
        let mut leaves = Vec::new();
        self.visit(String::new(), Vec::new(), value, &mut leaves);
        leaves
    }

    fn visit(self, key: String, path: Vec<String>, value: &Value, leaves: &mut Vec<Leaf<'a>>) {
        let place = self.place();
        if let Some(variant) = place.variants.iter().find(|variant| variant.fits(value)) {
            for (name, field) in variant.settings() {
                let value = value.get(name).unwrap_or(&Value::Null);
                field.visit(variant.key_of(&key, name), with(&path, name), value, leaves);
            }
            if let (Some(key), Some((tag, _))) = (variant.kind_key(&key), variant.tag) {
                leaves.push(Leaf { key, path, schema: self, tag: Some(tag) });
            }
        } else if let Some(entries) = place.entries {
            for (name, entry) in named(value) {
                entries.visit(join(&key, "*"), with(&path, &name), entry, leaves);
            }
        } else if place.is_leaf() {
            leaves.push(Leaf { key, path, schema: self, tag: None });
        }
    }
}

impl Leaf<'_> {
    /// What keys must share for the values of one to fit the other: mappings of different kinds do.
    pub(super) fn family(&self) -> String {
        match self.tag {
            Some(_) => self.key.rsplit_once('=').map_or("", |(key, _)| key).to_owned(),
            None => self.key.clone(),
        }
    }
}

impl Place<'_> {
    fn is_leaf(&self) -> bool {
        !self.plain.is_empty() || (self.variants.is_empty() && self.entries.is_none())
    }
}

impl<'a> Variant<'a> {
    fn of(parts: &[Schema<'a>]) -> Self {
        let fields: Vec<_> = parts
            .iter()
            .filter_map(|part| Some((part, part.get("properties")?.as_object()?)))
            .flat_map(|(part, fields)| fields.iter().map(|(k, at)| (k.as_str(), part.child(at))))
            .collect();
        let required = parts.iter().filter_map(|part| part.get("required")?.as_array());
        let required = required.flatten().filter_map(Value::as_str).collect();
        let tag = fields.iter().find_map(|(name, field)| Some((*name, field.get("const")?)));
        Self { fields, required, tag }
    }

    /// The fields but the one that says which kind it is.
    fn settings(&self) -> impl Iterator<Item = (&'a str, Schema<'a>)> {
        self.fields.iter().copied().filter(|(name, _)| self.tag.is_none_or(|(tag, _)| tag != *name))
    }

    /// Whether the variant has a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == name)
    }

    fn fits(&self, value: &Value) -> bool {
        let Some(object) = value.as_object() else { return false };
        self.tag.is_none_or(|(name, kind)| object.get(name) == Some(kind))
            && self.required.iter().all(|name| object.contains_key(*name))
            && object.keys().all(|name| self.has(name))
    }

    fn kind(&self) -> Option<String> {
        self.tag.map(|(_, kind)| kind.as_str().map_or_else(|| kind.to_string(), str::to_owned))
    }

    fn kind_key(&self, key: &str) -> Option<String> {
        Some(format!("{}={}", join(key, self.tag?.0), self.kind()?))
    }

    fn key_of(&self, key: &str, name: &str) -> String {
        let kind = self.kind().map(|kind| format!("[{kind}]")).unwrap_or_default();
        join(&format!("{key}{kind}"), name)
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn with(path: &[String], name: &str) -> Vec<String> {
    path.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}

/// What a section has at a path.
pub(super) fn value_at<'v>(section: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(section, |value, name| match value {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })
}

/// The entries of a mapping or a list with their names.
fn named(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(map) => map.iter().map(|(name, entry)| (name.clone(), entry)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(i, entry)| (i.to_string(), entry)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {
                "rate": {"type": "number"},
                "betas": {"type": "array", "items": {"type": "number"}},
                "mix": {"type": "object", "additionalProperties": {"type": "number"}},
                "best": {"anyOf": [{"$ref": "#/$defs/Best"}, {"type": "null"}]},
                "sources": {"additionalProperties": {"$ref": "#/$defs/Source"}},
                "stages": {"items": {"properties": {"steps": {"type": "integer"}}}},
                "extra": {"anyOf": [{"$ref": "#/$defs/Extra"}, {"type": "null"}]},
            },
            "$defs": {
                "Best": {"oneOf": [{"const": "loss"}, {"const": "score"}]},
                "Source": {"oneOf": [
                    {"properties": {"kind": {"const": "none"}}, "required": ["kind"]},
                    {
                        "properties": {"kind": {"const": "text"}}, "required": ["kind"],
                        "$ref": "#/$defs/Text",
                    },
                ]},
                "Text": {"properties": {"path": {"type": "string"}}},
                "Extra": {"properties": {"a": {}, "again": {"$ref": "#/$defs/Extra"}}},
            },
        })
    }

    #[test]
    fn every_key_of_every_kind_has_a_name() {
        let keys: Vec<String> = Schema::new(&schema()).keys().into_iter().collect();
        let want = [
            "best",
            "betas",
            "extra.a",
            "mix",
            "rate",
            "sources.*.kind=none",
            "sources.*.kind=text",
            "sources.*[text].path",
            "stages.*.steps",
        ];
        assert_eq!(keys, want);
    }

    #[test]
    fn a_value_has_the_keys_of_its_kinds_and_those_that_are_left_out() {
        let schema = schema();
        let value = json!({
            "sources": {"b": {"kind": "text", "path": "x"}, "c": {"kind": "none"}},
            "stages": [{"steps": 3}],
            "extra": {"a": 1},
        });
        let leaves = Schema::new(&schema).leaves(&value);
        let places: Vec<_> =
            leaves.iter().map(|leaf| (leaf.key.as_str(), leaf.path.join("/"))).collect();
        let want = [
            ("rate", "rate"),
            ("betas", "betas"),
            ("mix", "mix"),
            ("best", "best"),
            ("sources.*[text].path", "sources/b/path"),
            ("sources.*.kind=text", "sources/b"),
            ("sources.*.kind=none", "sources/c"),
            ("stages.*.steps", "stages/0/steps"),
            ("extra.a", "extra/a"),
        ];
        assert_eq!(places, want.map(|(key, path)| (key, path.to_owned())));
        let best = leaves[3].schema.place();
        assert_eq!((best.plain.len(), best.is_nullable), (2, true));
    }
}
