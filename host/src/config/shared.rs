//! The one `global` of a plan: from the document's block, from lifted keys and from outside.

use super::Catalogue;
use super::check::{Subject, check, make_integers};
use super::document::Node;
use super::error::ConfigError;
use super::global::{self, Global};
use super::inputs::{Input, Target};
use super::layers::{Layer, Layered, Origin};
use super::lifted::{self, Judged};
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
    catalogue: &Catalogue,
    found: &mut Findings<'_>,
) -> (Option<Global>, Layered) {
    let schema = global::schema();
    let view = Schema::new(&schema);
    let mut settings = Layered::default();
    let lifted = lifted::judge(shaped, catalogue);
    for (node, origin) in in_order(&lifted, shaped) {
        settings.apply(node, origin, view);
    }
    for (_, input) in inputs.iter().filter(|(target, _)| *target == Target::Global) {
        input.apply(&mut settings, view);
    }
    global::normalise(settings.value_mut());
    make_integers(settings.value_mut(), &view.top());
    lifted::report(&lifted, &settings, found);
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
pub(super) fn in_order<'a>(
    lifted: &'a [Judged<'_>],
    shaped: &'a Shaped,
) -> impl Iterator<Item = (&'a Node, &'a Origin)> {
    let lifted = lifted.iter().map(Judged::layer);
    let blocks = |is_part: bool| {
        let all = shaped.globals.iter().map(|(node, origin)| (node, origin));
        all.filter(move |(_, origin)| (origin.layer == Layer::File) == is_part)
    };
    lifted.chain(blocks(true)).chain(blocks(false))
}

fn unusable(error: &serde_json::Error) -> ConfigError {
    ConfigError::new("config::invalid_value", format!("`{}` cannot be used: {error}", global::NAME))
        .key(global::NAME)
}
