//! `host config diff`: the settings in which two profiles, files or runs differ.
//!
//! Both sides are what their files say: variables of the environment would hide a difference, or
//! make one.

use std::fmt::Write as _;
use std::slice;

use serde_json::{Value, json};

use super::explain::{clipped, settings_count};
use super::side::Side;
use crate::commands::selection::discover;
use crate::commands::{print, print_json};
use crate::config::{Difference, compare, escaped, inline, leaves};
use crate::run::RunError;

pub(super) fn exec(a: &str, b: &str, phase: Option<&str>, as_json: bool) -> Result<u8, RunError> {
    let [a, b] = Side::both([a, b], phase, &discover())?;
    let differences = compare(&a.settings, &b.settings);
    if as_json {
        print_json(&to_json(&a, &b, &differences))?;
    } else {
        print(&to_text(&a, &b, &differences))?;
    }
    Ok(0)
}

fn to_text(a: &Side, b: &Side, differences: &[Difference]) -> String {
    if differences.is_empty() {
        let count = settings_count(leaves(&a.settings).len());
        return format!("no differences: `{}` and `{}` agree in {count}\n", a.name, b.name);
    }
    let mut text = header("---", a) + &header("+++", b);
    for found in differences {
        let _ = writeln!(text, "\n{}", escaped(&found.key));
        write_values(&mut text, found, [('-', a, &found.a), ('+', b, &found.b)]);
    }
    text
}

/// What a side is, and where it is to be found if its name does not say so.
fn header(mark: &str, side: &Side) -> String {
    let place = if side.place == side.name { "" } else { &*format!(": {}", side.place) };
    format!("{mark} {} ({}{place})\n", side.name, side.kind)
}

/// One line for each side that has the key.
fn write_values(text: &mut String, found: &Difference, sides: [(char, &Side, &Option<Value>); 2]) {
    let rows = sides.into_iter().filter_map(|(mark, side, value)| {
        Some((mark, summary(value.as_ref()?), side.origin(&found.key).unwrap_or_default()))
    });
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or_default();
    for (mark, value, origin) in rows {
        let line = format!("{mark} {value:width$}  {}", escaped(origin));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// A value, or how much there is in a mapping that only one side has.
fn summary(value: &Value) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => settings_count(leaves(value).len()),
        _ => clipped(&inline(value)),
    }
}

fn to_json(a: &Side, b: &Side, differences: &[Difference]) -> Value {
    let side = |side: &Side| json!({ "name": side.name, "kind": side.kind, "place": side.place });
    let value = |side: &Side, key: &str, value: &Value| json!({ "value": value, "origin": side.origin(key) });
    let changed = differences.iter().filter_map(|found| {
        let (in_a, in_b) = (found.a.as_ref()?, found.b.as_ref()?);
        let [in_a, in_b] = [value(a, &found.key, in_a), value(b, &found.key, in_b)];
        Some(json!({ "key": found.key, "a": in_a, "b": in_b }))
    });
    json!({
        "schema": 1,
        "a": side(a),
        "b": side(b),
        "same": differences.is_empty(),
        "changed": changed.collect::<Vec<_>>(),
        "only_in_a": only(a, differences, |found| (&found.a, &found.b)),
        "only_in_b": only(b, differences, |found| (&found.b, &found.a)),
    })
}

/// The settings that only one side has.
fn only(
    side: &Side,
    differences: &[Difference],
    own_and_other: impl Fn(&Difference) -> (&Option<Value>, &Option<Value>),
) -> Vec<Value> {
    let one_sided = differences.iter().filter_map(|found| match own_and_other(found) {
        (Some(own), None) => Some((found, own)),
        _ => None,
    });
    let settings = one_sided.flat_map(|(found, own)| {
        leaves(own).into_iter().map(|(path, value)| {
            let key = [slice::from_ref(&found.key), &*path].concat().join(".");
            json!({ "key": key, "value": value, "origin": side.origin(&key) })
        })
    });
    settings.collect()
}
