//! The sensors that come with this crate.
//!
//! Instruments are files of the form that users write too, compiled in; the placeholders of the
//! earlier system are made by formulas.

use sdk::{Error, Result};

use super::{Sensor, file, placeholder};

/// How a sensor is made.
type Make = fn() -> Result<Sensor>;

/// Names and makers, in the order to list them in.
const SENSORS: [(&str, Make); 10] = [
    ("emit", || file::parse_json(include_str!("../../sensors/emit.json"))),
    ("enmap", || file::parse_json(include_str!("../../sensors/enmap.json"))),
    ("aviris-ng", || file::parse_json(include_str!("../../sensors/aviris-ng.json"))),
    ("hytes", || file::parse_json(include_str!("../../sensors/hytes.json"))),
    ("mako", || file::parse_json(include_str!("../../sensors/mako.json"))),
    ("emit-placeholder", placeholder::emit),
    ("enmap-placeholder", placeholder::enmap),
    ("aviris-ng-placeholder", placeholder::aviris_ng),
    ("hytes-placeholder", placeholder::hytes),
    ("mako-placeholder", placeholder::mako),
];

pub(super) fn names() -> Vec<&'static str> {
    SENSORS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn sensor(name: &str) -> Result<Sensor> {
    let wanted = plain(name);
    let known = SENSORS.iter().find(|(known, _)| plain(known) == wanted);
    let (_, make) = known.ok_or_else(|| unknown(name))?;
    make()
}

/// A name without what does not tell names apart: `AVIRIS_NG` and `avirisng` are `aviris-ng`.
fn plain(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn unknown(name: &str) -> Error {
    let wanted = plain(name);
    let likeness = |known: &str| strsim::jaro_winkler(&wanted, &plain(known));
    let nearest = names().into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let all = names().join(", ");
    let help = match nearest.filter(|known| likeness(known) > 0.75) {
        Some(nearest) => format!("did you mean `{nearest}`? There are: {all}"),
        None => format!("take one of {all}, or give a `.csv` or `.json` file of its bands"),
    };
    Error::new("spectral::unknown_sensor", format!("no sensor has the name `{name}`")).help(help)
}
