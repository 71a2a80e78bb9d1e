//! Two trees of settings, key by key.

use serde_json::{Map, Value};

use super::document::join;

/// A dotted key whose values differ; a mapping that only one side has is one difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// The value on the first side, if it has one.
    pub a: Option<Value>,
    /// The value on the second side, if it has one.
    pub b: Option<Value>,
}

/// Where two trees differ: in the order of the first, then what only the second has.
pub fn compare(a: &Value, b: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(Some(a), Some(b), "", &mut found);
    found
}

/// The leaves of a tree with their paths, in order; an empty mapping is a leaf.
pub fn leaves(value: &Value) -> Vec<(Vec<String>, &Value)> {
    fn walk<'a>(
        value: &'a Value,
        path: &mut Vec<String>,
        found: &mut Vec<(Vec<String>, &'a Value)>,
    ) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (name, child) in map {
                    path.push(name.clone());
                    walk(child, path, found);
                    path.pop();
                }
            }
            _ => found.push((path.clone(), value)),
        }
    }
    let mut found = Vec::new();
    walk(value, &mut Vec::new(), &mut found);
    found
}

fn walk(a: Option<&Value>, b: Option<&Value>, key: &str, found: &mut Vec<Difference>) {
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for name in names(a, b) {
                walk(a.get(name), b.get(name), &join(key, name), found);
            }
        }
        (a, b) if a != b => {
            found.push(Difference { key: key.to_owned(), a: a.cloned(), b: b.cloned() });
        }
        _ => {}
    }
}

fn names<'a>(
    a: &'a Map<String, Value>,
    b: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_come_in_the_order_of_the_first_side() {
        let a = json!({"z": 1, "m": {"same": [1], "x": 1.0, "gone": null}, "e": {}});
        let b = json!({"new": {"a": 1}, "m": {"x": 2, "same": [1]}, "e": {}, "z": 1});
        let found: Vec<_> =
            compare(&a, &b).into_iter().map(|found| (found.key, found.a, found.b)).collect();
        assert_eq!(
            found,
            [
                ("m.x".to_owned(), Some(json!(1.0)), Some(json!(2))),
                ("m.gone".to_owned(), Some(Value::Null), None),
                ("new".to_owned(), None, Some(json!({"a": 1}))),
            ]
        );
        assert_eq!(compare(&a, &a), []);
        let keys: Vec<_> = leaves(&a).into_iter().map(|(path, _)| path.join(".")).collect();
        assert_eq!(keys, ["z", "m.same", "m.x", "m.gone", "e"]);
    }
}
