//! One key of a plan: what it is for, and every layer that had a say in its value.

use sdk::ChangeKind;
use serde_json::{Map, Value};

use super::check::{Subject, check, dotted};
use super::compare::leaves;
use super::document::{Node, NodeValue};
use super::error::{ConfigError, listed, nearest_help};
use super::global::{self, Global};
use super::inputs::{Target, target};
use super::layers::{Layer, Layered, Origin, Place};
use super::overrides::{Typed, spell};
use super::plan::{LayerValue, Plan, PlannedPhase};
use super::reference::{self, KeyEntry};
use super::schema::{Alternatives, Kind, Schema};
use super::written::Written;
use super::{Catalogue, KnownPhase, upgrade};

/// What there is to know about a key.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The key in the sectioned form.
    pub key: String,
    /// The key as it was asked for, when it is one of an earlier version.
    pub formerly: Option<String>,
    /// The value that counts; nothing when there is none.
    pub value: Option<Value>,
    /// What it takes and what it is for.
    pub about: KeyEntry,
    /// Every layer that had a say in it, lowest first; none for a mapping.
    pub layers: Vec<LayerValue>,
    /// Which of the layers counts.
    pub winner: Option<usize>,
    /// All settings in a mapping; none for a setting.
    pub settings: Vec<Setting>,
}

/// One setting of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its key in the sectioned form.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where the value comes from.
    pub origin: String,
}

/// Explains a key of a plan. `settings` are the resolved settings, `global` and a mapping for each
/// instance; the phase's name may be left out of the key where the plan has one phase.
///
/// # Errors
/// When there is no such key, with the nearest one.
pub fn explain(
    plan: &Plan,
    catalogue: &Catalogue,
    settings: &Value,
    key: &str,
) -> Result<Explanation, Box<ConfigError>> {
    let asked: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    if asked.iter().any(String::is_empty) {
        let error = ConfigError::new("config::bad_key", format!("`{key}` has an empty part"));
        let error = error.help("write it with dots between its parts, as `global.seed`");
        return Err(error.into());
    }
    let (subject, asked) = Asked::find(plan, catalogue, asked)?;
    let (path, formerly) = subject.todays(&asked, key)?;
    subject.check_known(&path)?;
    let value = lookup(&settings[subject.name], &path);
    let mut explanation = Explanation {
        key: dotted(subject.name, &path),
        formerly,
        value: value.cloned(),
        about: subject.about(&path),
        layers: Vec::new(),
        winner: None,
        settings: Vec::new(),
    };
    match value {
        Some(value @ Value::Object(map)) if !map.is_empty() => {
            explanation.settings = subject.settings(&path, value);
        }
        value => {
            explanation.layers = subject.layers(&path, value);
            explanation.winner = winner(&explanation.layers, value);
        }
    }
    subject.check_present(&path, &explanation, settings)?;
    Ok(explanation)
}

/// The section that a key belongs to.
struct Asked<'a> {
    plan: &'a Plan,
    catalogue: &'a Catalogue,
    /// `global`, or the name of an instance.
    name: &'a str,
    /// The phase; nothing for `global`.
    phase: Option<&'a str>,
    schema: Value,
    defaults: Value,
}

impl<'a> Asked<'a> {
    /// The section of a key, and the key without the segment that said so.
    fn find(
        plan: &'a Plan,
        catalogue: &'a Catalogue,
        mut path: Vec<String>,
    ) -> Result<(Self, Vec<String>), Box<ConfigError>> {
        let names: Vec<(&str, &str)> =
            plan.phases.iter().map(|phase| (&*phase.name, &*phase.phase)).collect();
        let found = target(&path[0], &names);
        let phase = match found {
            Some(Target::Global) => None,
            Some(Target::Section(idx)) => Some(&plan.phases[idx]),
            None if plan.phases.len() == 1 => Some(&plan.phases[0]),
            None => return Err(unknown_section(plan, catalogue, &path).into()),
        };
        if found.is_some() {
            path.remove(0);
        }
        let known = phase.and_then(|phase| catalogue.phase(&phase.phase));
        let (schema, defaults) = match known {
            Some(known) => (known.schema.clone(), known.defaults.clone()),
            None => {
                let defaults = serde_json::to_value(Global::default()).unwrap_or_default();
                (global::schema(), defaults)
            }
        };
        let name = phase.map_or(global::NAME, |phase| &phase.name);
        let phase = phase.map(|phase| &*phase.phase);
        Ok((Self { plan, catalogue, name, phase, schema, defaults }, path))
    }

    /// The path in today's names, and the key as it was asked for if that is an earlier one.
    fn todays(
        &self,
        path: &[String],
        key: &str,
    ) -> Result<(Vec<String>, Option<String>), Box<ConfigError>> {
        let view = Schema::new(&self.schema);
        let Some(known) = self.phase.and_then(|phase| self.catalogue.phase(phase)) else {
            return Ok((spell(path, view), None));
        };
        let old = spell(&upgrade::spell_old(path, known), view);
        let mut node = Typed::given(&Value::Null).at_path(&old, view);
        upgrade::input(&mut node, self.name, known, &question(key));
        let path = path_to_null(&node).ok_or_else(|| Box::new(self.gone(&old, known)))?;
        let is_old = path != old;
        Ok((path, is_old.then(|| dotted(self.name, &old))))
    }

    /// The words for a key that the plugin has no more.
    fn gone(&self, path: &[String], known: &KnownPhase) -> ConfigError {
        let key = dotted(self.name, path);
        let plain = path.join(".");
        let why = known.changes.iter().find_map(|change| match &change.kind {
            ChangeKind::Removed { key, why, .. } if plain.starts_with(key.as_str()) => Some(why),
            _ => None,
        });
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        ConfigError::new("config::removed_key", format!("`{key}` is no setting any more{why}"))
            .key(key)
    }

    /// Refuses a key that the schema does not know.
    fn check_known(&self, path: &[String]) -> Result<(), Box<ConfigError>> {
        let mut place = Schema::new(&self.schema).top();
        for (idx, segment) in path.iter().enumerate() {
            if !place.takes(Kind::Map) {
                return Err(self.not_a_section(&path[..idx], &place).into());
            }
            if !place.keys().contains(&segment.as_str()) && !place.is_open() {
                return Err(self.unknown_key(&path[..=idx]).into());
            }
            place = place.child(segment);
        }
        Ok(())
    }

    /// Refuses a name of the user's choice that nobody has chosen.
    fn check_present(
        &self,
        path: &[String],
        explanation: &Explanation,
        settings: &Value,
    ) -> Result<(), Box<ConfigError>> {
        let Some((last, parent)) = path.split_last() else { return Ok(()) };
        let place = Schema::new(&self.schema).at(parent);
        let is_named = place.keys().contains(&last.as_str());
        if is_named || explanation.value.is_some() || !explanation.layers.is_empty() {
            return Ok(());
        }
        let chosen = lookup(&settings[self.name], parent).and_then(Value::as_object);
        let names = || chosen.into_iter().flat_map(Map::keys).map(String::as_str);
        let key = dotted(self.name, parent);
        let error = ConfigError::new("config::unknown_key", format!("`{key}` has no `{last}`"));
        let near = nearest_help(last, names());
        let held = chosen.filter(|map| !map.is_empty());
        let help = near.or_else(|| held.map(|_| format!("it has {}", listed(names()))));
        Err(error.key(dotted(self.name, path)).maybe_help(help).into())
    }

    /// The words that the check has for a key that is nowhere known.
    fn unknown_key(&self, path: &[String]) -> ConfigError {
        let view = Schema::new(&self.schema);
        let mut settings = Layered::default();
        let node = Typed::given(&Value::Null).at_path(path, view);
        settings.apply(&node, &question(&path.join(".")), view);
        let key = dotted(self.name, path);
        let errors = check(Subject { name: self.name, schema: &self.schema, settings: &settings });
        let mut found = errors
            .into_iter()
            .filter(|error| error.code == "config::unknown_key" && error.key == key);
        let error = found.next().unwrap_or_else(|| {
            ConfigError::new("config::unknown_key", format!("unknown key `{key}`")).key(&key)
        });
        ConfigError { location: None, ..error }
    }

    fn not_a_section(&self, path: &[String], place: &Alternatives<'_>) -> ConfigError {
        let key = dotted(self.name, path);
        let message = format!("`{key}` is a setting: there are no keys in it");
        let error = ConfigError::new("config::unknown_key", message).key(&key);
        match place.takes(Kind::List) {
            true => error.help(format!("lists are set whole; ask for `{key}`")),
            false => error.help(format!("ask for `{key}`")),
        }
    }

    fn about(&self, path: &[String]) -> KeyEntry {
        let view = Schema::new(&self.schema);
        match path.split_last() {
            Some((last, parent)) => {
                reference::entry(&view.at(parent), last, lookup(&self.defaults, parent))
            }
            None => section_entry(self.name, &view.top()),
        }
    }

    fn settings(&self, path: &[String], value: &Value) -> Vec<Setting> {
        let mut written = Written::default();
        let setting = |(rest, value): (Vec<String>, &Value)| {
            let path = [path, &rest].concat();
            let origin = self.plan.origin(self.name, &path, &mut written);
            Setting { key: dotted(self.name, &path), value: value.clone(), origin }
        };
        leaves(value).into_iter().map(setting).collect()
    }

    fn layers(&self, path: &[String], value: Option<&Value>) -> Vec<LayerValue> {
        let mut layers = self.plan.history(self.name, path);
        let is_silent = layers.is_empty();
        let default = lookup(&self.defaults, path).or(value.filter(|_| is_silent)).cloned();
        if let Some(value) = default {
            let place = self.plan.default_of(self.name);
            layers.insert(0, LayerValue { layer: "default", place, value: Some(value) });
        }
        // A mapping that took the place of the default one has left the setting out.
        if value.is_none() && layers.last().is_some_and(|layer| layer.value.is_some()) {
            let above = (0..path.len())
                .rev()
                .find_map(|len| self.plan.history(self.name, &path[..len]).pop());
            layers.extend(above.map(|above| LayerValue { value: None, ..above }));
        }
        layers
    }
}

/// A section as a key among others.
fn section_entry(name: &str, top: &Alternatives<'_>) -> KeyEntry {
    KeyEntry {
        name: name.to_owned(),
        takes: "mapping".to_owned(),
        default: None,
        is_required: false,
        limits: String::new(),
        unit: None,
        about: reference::unwrapped(top.text("description").unwrap_or_default()),
        choices: Vec::new(),
        has_blocks: true,
        is_default_in_block: true,
    }
}

/// The last layer with a value; the default where a mapping was replaced whole.
fn winner(layers: &[LayerValue], value: Option<&Value>) -> Option<usize> {
    value?;
    let last = layers.len().checked_sub(1)?;
    let has_default = layers[0].layer == "default";
    if layers[last].value.is_some() { Some(last) } else { has_default.then_some(0) }
}

/// The origin of a key that somebody asks about.
fn question(key: &str) -> Origin {
    let place = Place::Override { position: 1, text: key.to_owned() };
    Origin { layer: Layer::Override, place }
}

/// Where the null of a question stands after all changes of the section.
fn path_to_null(node: &Node) -> Option<Vec<String>> {
    if matches!(node.value, NodeValue::Null) {
        return Some(Vec::new());
    }
    node.entries().iter().find_map(|(key, child)| {
        let mut path = path_to_null(child)?;
        path.insert(0, key.text.clone());
        Some(path)
    })
}

fn lookup<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, segment| value.get(segment))
}

fn unknown_section(plan: &Plan, catalogue: &Catalogue, path: &[String]) -> ConfigError {
    let first = &path[0];
    let names = || plan.phases.iter().map(|phase| phase.name.as_str()).chain([global::NAME]);
    let knows = |phase: &&PlannedPhase| {
        let known = catalogue.phase(&phase.phase);
        known.is_some_and(|known| Schema::new(&known.schema).top().keys().contains(&&**first))
    };
    let keys: Vec<String> = plan
        .phases
        .iter()
        .filter(knows)
        .map(|phase| format!("`{}`", dotted(&phase.name, path)))
        .collect();
    let meant = (!keys.is_empty()).then(|| format!("did you mean {}?", keys.join(" or ")));
    ConfigError::new("config::unknown_section", format!("there is no section `{first}`"))
        .help(format!("the key begins with one of {}", listed(names())))
        .maybe_help(meant.or_else(|| nearest_help(first, names())))
}
