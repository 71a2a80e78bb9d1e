//! The files of the systems that this one replaces, in their own shapes.

/// The language models' configurations, as facts.
mod files;

/// Their settings tree, and what became of each key of it.
mod tree;

/// Every configuration of the language models runs, or is refused for a true reason.
mod gpt;

/// The spectral system's YAML, with a stand-in plugin.
mod spectral;

use serde_json::Value;

/// The leaves of a tree by dotted key; a list is a leaf, and so is what `whole` names.
fn leaves(tree: &Value, whole: &[&str]) -> Vec<(String, Value)> {
    fn walk(value: &Value, key: &str, whole: &[&str], found: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) if !map.is_empty() && !whole.contains(&key) => {
                for (name, child) in map {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(child, &key, whole, found);
                }
            }
            _ => found.push((key.to_owned(), value.clone())),
        }
    }
    let mut found = Vec::new();
    walk(tree, "", whole, &mut found);
    found
}

/// `base` with all that `over` says; `whole` is replaced as it stands.
fn merged(base: &Value, over: &Value, key: &str, whole: &[&str]) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return over.clone() };
    let mut merged = base.clone();
    for (name, child) in over {
        let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let value = match base.get(name) {
            Some(old) if !whole.contains(&below.as_str()) => {
                self::merged(old, child, &below, whole)
            }
            _ => child.clone(),
        };
        merged.insert(name.clone(), value);
    }
    Value::Object(merged)
}

/// Whether two values are the same number, or the same at all.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => match (one, other) {
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
            }
            _ => one == other,
        },
    }
}
