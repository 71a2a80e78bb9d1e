//! The one `global` of a plan: from the document's block, from lifted keys and from outside.

use super::check::{Subject, check, make_integers};
use super::describe;
use super::error::ConfigError;
use super::flat::{Lifted, place_name};
use super::global::{self, Global};
use super::inputs::{Input, Target};
use super::layers::{Layer, Layered, Origin, Part, Place};
use super::schema::Schema;
use super::shape::Shaped;

/// Where faults and remarks go.
pub(super) struct Findings<'a> {
    pub(super) errors: &'a mut Vec<ConfigError>,
    pub(super) warnings: &'a mut Vec<String>,
}

/// Merges and checks the shared settings; nothing comes back in their place if they are faulty.
pub(super) fn merge(
    shaped: &Shaped,
    inputs: &[(Target, Input)],
    found: &mut Findings<'_>,
) -> (Option<Global>, Layered) {
    let schema = global::schema();
    let view = Schema::new(&schema);
    let mut settings = Layered::default();
    for (node, origin) in in_order(shaped) {
        settings.apply(node, origin, view);
    }
    for (_, input) in inputs.iter().filter(|(target, _)| *target == Target::Global) {
        input.apply(&mut settings, view);
    }
    global::normalise(settings.value_mut());
    make_integers(settings.value_mut(), &view.top());
    report_lifted(&shaped.lifted, &settings, found);
    let errors = check(Subject { name: global::NAME, schema: &schema, settings: &settings });
    if !errors.is_empty() {
        found.errors.extend(errors);
        return (None, settings);
    }
    match serde_json::from_value(settings.value().clone()) {
        Ok(global) => (Some(global), settings),
        Err(error) => {
            found.errors.push(unusable(&error));
            (None, settings)
        }
    }
}

/// Lifted keys first, then the blocks of a pipeline's parts, then the document's own block.
fn in_order(shaped: &Shaped) -> impl Iterator<Item = (&super::document::Node, &Origin)> {
    let lifted = shaped.lifted.iter().map(|lifted| (&lifted.node, &lifted.origin));
    let blocks = |is_part: bool| {
        let all = shaped.globals.iter().map(|(node, origin)| (node, origin));
        all.filter(move |(_, origin)| (origin.layer == Layer::File) == is_part)
    };
    lifted.chain(blocks(true)).chain(blocks(false))
}

/// Warns about every lifted key; two that disagree with nothing above them are an error.
fn report_lifted(all: &[Lifted], settings: &Layered, found: &mut Findings<'_>) {
    for (idx, lifted) in all.iter().enumerate() {
        let path = [lifted.key.to_owned()];
        let here = lifted_place(lifted);
        let mut warning = format!(
            "`{}` in `{here}` is read as `global.{}`; write it there",
            lifted.from, lifted.key
        );
        let Some(winner) = settings.origin(&path) else {
            continue;
        };
        let own = normal(lifted, &lifted.node.to_value());
        let effective = settings.value().get(lifted.key).cloned().unwrap_or_default();
        if winner.layer > Layer::File && own != effective {
            warning = format!(
                "`{}` in `{here}` is overruled: `global.{}` is {} from {winner}",
                lifted.from,
                lifted.key,
                describe::literal(&effective)
            );
        }
        found.warnings.push(warning);
        let rival = all[..idx].iter().find(|other| other.key == lifted.key);
        if let Some(rival) = rival.filter(|rival| normal(rival, &rival.node.to_value()) != own)
            && winner.layer <= Layer::File
        {
            found.errors.push(disagreement(lifted, rival));
        }
    }
}

fn disagreement(lifted: &Lifted, rival: &Lifted) -> ConfigError {
    let (one, other) = (lifted_place(rival), lifted_place(lifted));
    ConfigError::new(
        "config::contradiction",
        format!("`{}` in `{one}` and `{}` in `{other}` disagree", rival.from, lifted.from),
    )
    .at(lifted.origin.place.pointer(Part::Value))
    .key(format!("global.{}", lifted.key))
    .help(format!("all phases share one value: set `global.{}`", lifted.key))
}

fn lifted_place(lifted: &Lifted) -> String {
    match &lifted.origin.place {
        Place::File { source, key, value } => place_name(source, key.or(*value)),
        _ => lifted.origin.to_string(),
    }
}

/// A lifted value in canonical spelling.
fn normal(lifted: &Lifted, block: &serde_json::Value) -> serde_json::Value {
    let mut block = block.clone();
    global::normalise(&mut block);
    block.get(lifted.key).cloned().unwrap_or_default()
}

fn unusable(error: &serde_json::Error) -> ConfigError {
    ConfigError::new("config::invalid_value", format!("`{}` cannot be used: {error}", global::NAME))
        .key(global::NAME)
}
