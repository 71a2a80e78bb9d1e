//! What the per-trainer keys of old files come to in `global`, and what is said of them.
//!
//! One rule for all of them: what `global` says, or the environment, an override or a flag, counts
//! before what a trainer's own key says, and a difference is told with both places.

use sdk::DType;
use serde_json::Value;

use super::document::{Node, NodeValue};
use super::error::ConfigError;
use super::flat::{Lifted, place_name};
use super::global::{self, Global};
use super::layers::{Layer, Layered, Origin, Part, Place};
use super::shape::Shaped;
use super::shared::Findings;
use super::{Catalogue, describe};

/// A lifted key and what counts of it.
#[derive(Clone, Debug)]
pub(super) struct Judged<'a> {
    pub(super) lifted: &'a Lifted,
    /// What is applied in its place.
    node: Node,
    /// The plugin that can't compute in the type that was asked for.
    pub(super) unable: Option<&'a str>,
}

impl Judged<'_> {
    /// What is applied, and as whose.
    pub(super) fn layer(&self) -> (&Node, &Origin) {
        (&self.node, &self.lifted.origin)
    }

    /// The value that was asked for, in canonical spelling.
    fn asked(&self) -> Value {
        let mut block = self.lifted.node.to_value();
        global::normalise(&mut block);
        block.get(self.lifted.key).cloned().unwrap_or_default()
    }

    fn place(&self) -> String {
        match &self.lifted.origin.place {
            Place::File { source, key, value } => place_name(source, key.or(*value)),
            _ => self.lifted.origin.to_string(),
        }
    }
}

/// Mixed precision that a phase's plugin can't do is left out: the seed systems did without where
/// the device had none, so their files ask for it everywhere.
pub(super) fn judge<'a>(shaped: &'a Shaped, catalogue: &'a Catalogue) -> Vec<Judged<'a>> {
    let judged = |lifted: &'a Lifted| {
        let judged = Judged { lifted, node: lifted.node.clone(), unable: None };
        let unable = unable(&judged, shaped, catalogue);
        let node = if unable.is_some() { without_value(&lifted.node) } else { judged.node };
        Judged { lifted, node, unable }
    };
    let mut all: Vec<_> = shaped.lifted.iter().map(judged).collect();
    // All phases share one type, so what one of them can't do comes last and counts.
    all.sort_by_key(|judged| judged.unable.is_some());
    all
}

fn unable<'a>(judged: &Judged<'_>, shaped: &Shaped, catalogue: &'a Catalogue) -> Option<&'a str> {
    let asked = judged.asked();
    let dtype = (judged.lifted.key == "amp_dtype").then(|| DType::from_name(asked.as_str()?))??;
    if !matches!(dtype, DType::Bf16 | DType::F16) {
        return None; // no type of mixed precision at all: the check says so
    }
    let mut phases = shaped.sections.iter().filter_map(|section| catalogue.phase(&section.phase));
    let unable = phases.find(|known| !known.amp_dtypes.contains(&dtype))?;
    Some(&unable.plugin)
}

fn without_value(node: &Node) -> Node {
    let entries = node.entries().iter().cloned();
    let nulls = entries.map(|(key, value)| (key, Node { value: NodeValue::Null, ..value }));
    Node { value: NodeValue::Map(nulls.collect()), span: node.span }
}

/// Warns about every lifted key; two that disagree with nothing above them are an error.
pub(super) fn report(all: &[Judged<'_>], settings: &Layered, found: &mut Findings<'_>) {
    for (idx, judged) in all.iter().enumerate() {
        let key = judged.lifted.key;
        let Some(winner) = settings.origin(&[key.to_owned()]) else { continue };
        let effective = settings.value().get(key).cloned().unwrap_or_default();
        let is_overruled = winner.layer > Layer::Legacy;
        found.warnings.push(match judged.unable {
            _ if is_overruled && judged.asked() != effective => {
                overruled(judged, &effective, winner)
            }
            Some(plugin) if !is_overruled => left_out(judged, plugin, settings),
            _ => read_as(judged),
        });
        let rival = all[..idx].iter().find(|other| other.lifted.key == key);
        if let Some(rival) = rival.filter(|rival| rival.asked() != judged.asked() && !is_overruled)
        {
            found.errors.push(disagreement(judged, rival));
        }
    }
}

fn read_as(judged: &Judged<'_>) -> String {
    let Lifted { key, from, .. } = judged.lifted;
    let is_renamed = !from.ends_with(key);
    let value = if is_renamed {
        format!(": {}", describe::literal(&judged.asked()))
    } else {
        String::new()
    };
    format!("`{from}` in `{}` is read as `global.{key}{value}`; write it there", judged.place())
}

fn overruled(judged: &Judged<'_>, effective: &Value, winner: &Origin) -> String {
    let (from, here) = (&judged.lifted.from, judged.place());
    let (key, value) = (judged.lifted.key, describe::literal(effective));
    format!("`{from}` in `{here}` is overruled: `global.{key}` is {value} from {winner}")
}

fn left_out(judged: &Judged<'_>, plugin: &str, settings: &Layered) -> String {
    let (from, here) = (&judged.lifted.from, judged.place());
    let asked = describe::literal(&judged.asked());
    let own = Global::default().dtype;
    let dtype = settings.value().get("dtype").and_then(Value::as_str).unwrap_or(&own);
    format!(
        "`{from}` in `{here}` has no effect: plugin `{plugin}` can't compute in {asked}; \
         the run computes in {dtype}, as `global.dtype` says"
    )
}

fn disagreement(judged: &Judged<'_>, rival: &Judged<'_>) -> ConfigError {
    let (one, other) = (rival.place(), judged.place());
    ConfigError::new(
        "config::contradiction",
        format!(
            "`{}` in `{one}` and `{}` in `{other}` disagree",
            rival.lifted.from, judged.lifted.from
        ),
    )
    .at(judged.lifted.origin.place.pointer(Part::Value))
    .key(format!("global.{}", judged.lifted.key))
    .help(format!("all phases share one value: set `global.{}`", judged.lifted.key))
}
