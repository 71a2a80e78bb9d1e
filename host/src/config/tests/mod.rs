//! What users read, asserted word for word, and the rules behind plans that resolve.
//!
//! A [`Project`] is a temporary directory with files and a request; the phases in it belong to a made-up
//! plugin whose schema has one setting of each kind.

mod exported;
mod faults;
mod files;
mod hostile;
mod lifted;
mod precedence;
mod shapes;
mod syntax;
mod values;

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Toy {
    #[serde(default)]
    training: Training,
    #[serde(default)]
    data: Data,
    tokenizer: Option<Tokenizer>,
    #[serde(default)]
    loss: Option<Loss>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Training {
    #[schemars(range(min = 1))]
    total_steps: u32,
    warmup_steps: u64,
    base_lr: f64,
    betas: [f64; 2],
    eval_batches: Option<u32>,
    optimizer: Optimizer,
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    keep: f64,
    save_best: bool,
    note: String,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    /// Decoupled weight decay.
    #[default]
    Adamw,
    /// Plain descent.
    Sgd,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Data {
    #[schemars(extend("x-replace" = true))]
    mix: std::collections::BTreeMap<String, f64>,
    paths: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Tokenizer {
    path: String,
    vocab_size: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
enum Loss {
    Plain { scale: f64 },
    Focal { gamma: f64 },
}

/// A section with lists, of mappings and of bounded length, and with several switches.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Judge {
    #[serde(default)]
    panel: Panel,
    #[serde(default)]
    criteria: Vec<Criterion>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Panel {
    judges: Option<u32>,
    #[schemars(length(min = 1))]
    names: Vec<String>,
    #[schemars(length(min = 2, max = 3))]
    bounds: Vec<i64>,
    strict: bool,
    secret: bool,
    open: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Criterion {
    name: String,
    weight: f64,
}

struct Project {
    dir: TempDir,
    request: Request,
    catalogue: Catalogue,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalogue =
            Catalogue { profile_dirs: vec![dir.path().to_owned()], ..Catalogue::default() };
        let bare = Self { dir, request: Request::default(), catalogue };
        bare.with_phase::<Toy>("practise").with_phase::<Toy>("try")
    }

    fn with_phase<S: JsonSchema>(mut self, phase: &str) -> Self {
        self.catalogue.phases.push(KnownPhase {
            phase: phase.into(),
            plugin: "toy".into(),
            schema: schemars::schema_for!(S).to_value(),
            defaults: Value::Null,
            version: 1,
            changes: Vec::new(),
            amp_dtypes: vec![DType::Bf16],
        });
        self
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    fn config(mut self, name: &str) -> Self {
        self.request.file = Some(self.dir.path().join(name));
        self
    }

    fn with(name: &str, text: &str) -> Self {
        Self::new().file(name, text).config(name)
    }

    fn profile(mut self, name: &str) -> Self {
        self.request.profile = Some(name.into());
        self
    }

    fn phase(mut self, name: &str) -> Self {
        self.request.phase = Some(name.into());
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.request.overrides.push(text.into());
        self
    }

    fn flag(mut self, name: &'static str, key: &str, value: Value) -> Self {
        self.request.flags.push(Flag { name: name.into(), key: key.into(), value });
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.request.environment.push((name.into(), value.into()));
        self
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn plan(&self) -> Plan {
        resolve(&self.request, &self.catalogue).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn section(&self) -> Value {
        self.plan().phases[0].section.clone()
    }

    /// The rendered errors without the directory and the last line.
    fn fails(&self, expected: &str) {
        let errors = resolve(&self.request, &self.catalogue).expect_err("it resolves");
        let text = self.without_dir(&errors.to_string());
        let (text, last) = text.rsplit_once("\n\n").unwrap();
        assert!(last.ends_with("nothing was started"), "{last}");
        assert_eq!(text.trim_end(), expected.trim(), "\n--- is:\n{text}\n");
    }

    fn warns(&self, expected: &[&str]) {
        let warnings: Vec<String> =
            self.plan().warnings.iter().map(|text| self.without_dir(text)).collect();
        assert_eq!(warnings, expected);
    }

    fn without_dir(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root().display()), "")
    }
}
