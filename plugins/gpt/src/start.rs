//! What a phase starts from, and whether its section agrees with that.
//!
//! Sizes and tokenizer come from the section, else from what was handed on, else they are the
//! defaults. Where section and model handed on both say something, they must say the same: that is
//! checked before anything starts, from descriptions alone.

use corpus::{PretrainDataConfig, training_texts};
use sdk::{Artifacts, Error, PhaseContext, Result, StateVisitor};
use serde_json::{Value, json};
use tokenizer::{Tokenizer, TokenizerConfig, TrainConfig};

use crate::config::ModelConfig;
use crate::handover::differences;
use crate::import::{self, Initial, Known};
use crate::within;

/// A tokenizer is trained on about so much text.
const TRAINING_BYTES: u64 = 64 << 20;

/// A section's model and tokenizer, and what was handed on or promised.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Sizes in the section; left out, they are those of what was handed on.
    pub model: Option<&'a ModelConfig>,
    /// Tokenizer in the section; left out, it is that of what was handed on.
    pub tokenizer: Option<&'a TokenizerConfig>,
    /// What was handed on, or is promised.
    pub given: &'a Artifacts,
}

impl Start<'_> {
    /// Every fault of the section alone, and between it and what it starts from.
    pub fn check(&self) -> Vec<Error> {
        let known = match import::known(self.given) {
            Ok(known) => known.unwrap_or_default(),
            Err(fault) => return vec![fault],
        };
        let mut faults: Vec<Error> =
            self.model.iter().flat_map(|model| within("model", model.check())).collect();
        faults.extend(self.size_faults(&known));
        match self.ids(&known) {
            Ok(ids) => faults.extend(self.vocab_fault(&known, &ids)),
            Err(fault) => faults.push(fault),
        }
        faults
    }

    /// Sizes of the model: the section's, else those of what was handed on, else the defaults.
    ///
    /// # Errors
    /// When what was handed on can't be read.
    pub fn sizes(&self) -> Result<ModelConfig> {
        let known = || Ok(import::known(self.given)?.and_then(|known| known.sizes));
        let own = self.model.cloned().map_or_else(known, |own| Ok(Some(own)));
        own.map(Option::unwrap_or_default)
    }

    /// Description of the tokenizer, as far as it is known before anything ran.
    ///
    /// # Errors
    /// When a file can't be read, or the section names another tokenizer than what was handed on.
    pub fn description(&self) -> Result<Value> {
        self.ids(&import::known(self.given)?.unwrap_or_default())
    }

    /// The tokenizer; `train` makes the one that is to be trained.
    ///
    /// # Errors
    /// As [`Start::description`], and those of `train`.
    pub fn open(
        &self,
        initial: Option<&Initial<'_>>,
        train: impl FnOnce(&TrainConfig) -> Result<Tokenizer>,
    ) -> Result<Tokenizer> {
        let handed_on = initial.and_then(|initial| initial.tokenizer.clone());
        match (self.tokenizer, handed_on) {
            (Some(own), None) => match own.training() {
                Some(training) => train(&training),
                None => Tokenizer::open(own),
            },
            // They agree: `check` has seen to that.
            (_, Some(handed_on)) => Ok(handed_on),
            (None, None) => Ok(Tokenizer::byte()),
        }
    }

    fn size_faults(&self, known: &Known) -> Vec<Error> {
        let (Some(own), Some(known_sizes)) = (self.model, &known.sizes) else { return Vec::new() };
        let fault = |(key, here, there): (&str, String, String)| {
            let message = format!("`{key}` is {here}, but {} has {there}", known.origin);
            Error::new("gpt::sizes", message)
                .at(format!("model.{key}"))
                .help("the sizes of the model must be those of what it starts from")
        };
        differences(own, known_sizes).into_iter().map(fault).collect()
    }

    /// What the ids mean: the section's word, or that of what was handed on.
    fn ids(&self, known: &Known) -> Result<Value> {
        let Some(own) = self.tokenizer else {
            return Ok(known.tokenizer.clone().unwrap_or_else(|| Tokenizer::byte().description()));
        };
        let described = match own.training() {
            Some(training) => json!({ "kind": "train", "vocab_size": training.vocab_size }),
            None => Tokenizer::open(own)?.description(),
        };
        match &known.tokenizer {
            Some(theirs) if !is_same(&described, theirs) => {
                let message = format!("{} was trained with another tokenizer", known.origin);
                let help = "name its tokenizer: the ids must mean the same";
                Err(Error::new("gpt::tokenizer", message).at("tokenizer").help(help))
            }
            Some(theirs) => Ok(theirs.clone()),
            None => Ok(described),
        }
    }

    fn vocab_fault(&self, known: &Known, ids: &Value) -> Option<Error> {
        let rows =
            self.model.or(known.sizes.as_ref()).map_or(ModelConfig::default().vocab, |m| m.vocab);
        let needed = ids["vocab_size"].as_u64()? as usize;
        if rows >= needed {
            return None;
        }
        let message = format!("`V` is {rows}, but the tokenizer has {needed} tokens");
        let help = format!("set `V` to {needed}, or take another tokenizer");
        Some(Error::new("tokenizer::vocab", message).at("model.V").help(help))
    }
}

/// Whether two descriptions are of one tokenizer; of one that is yet to be trained only kind and
/// size are known.
fn is_same(own: &Value, theirs: &Value) -> bool {
    let is_trained = |description: &Value| description.get("hash").is_some();
    if is_trained(own) && is_trained(theirs) {
        return own == theirs;
    }
    own["kind"] == theirs["kind"] && own["vocab_size"] == theirs["vocab_size"]
}

/// Trains the tokenizer on the texts that the phase trains on.
///
/// # Errors
/// When a text can't be read, the texts give too few tokens, or the run was asked to stop.
pub fn train_tokenizer(
    training: &TrainConfig,
    data: &PretrainDataConfig,
    cx: &PhaseContext,
) -> Result<Tokenizer> {
    let mut failure = None;
    let mut texts = training_texts(data, TRAINING_BYTES, cx)?.map_while(|text| match text {
        Ok(text) => Some(text),
        Err(e) => {
            failure = Some(e);
            None
        }
    });
    let mut progress = |done: u64| {
        cx.progress("training the tokenizer", done, TRAINING_BYTES.max(done));
        cx.check_cancelled()
    };
    let trained = Tokenizer::train(training, &mut texts, &mut progress);
    drop(texts);
    failure.map_or(trained, Err)
}

/// Names the tokenizer in a phase's state: a checkpoint says what its ids mean, and one whose ids
/// mean something else is refused.
///
/// # Errors
/// When the checkpoint was written with another tokenizer.
pub fn tokenizer_state(tokenizer: &Tokenizer, visitor: &mut StateVisitor<'_>) -> Result<()> {
    let mut description = tokenizer.description();
    visitor.value("tokenizer/description", &mut description)?;
    let mut is_same = description == tokenizer.description();
    if let Some(model) = tokenizer.model().filter(|_| is_same) {
        let mut bytes = model.to_vec();
        visitor.vec("tokenizer/model", &mut bytes)?;
        is_same = bytes == model;
    }
    if is_same {
        return Ok(());
    }
    let message = "the checkpoint was written with another tokenizer than this phase has now";
    Err(Error::new("tokenizer::mismatch", message)
        .help("give the tokenizer and the data that the run was started with"))
}

/// Says once what is not wrong but wasteful.
pub fn warn_of_unused_rows(model: &ModelConfig, tokenizer: &Tokenizer) {
    let (rows, used) = (model.vocab, tokenizer.vocab_size());
    if rows > used {
        log::warn!(
            "`V` is {rows}, but the tokenizer has {used} tokens: the other rows are never trained"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sdk::Artifact;

    use super::*;
    use crate::handover::Promised;

    fn promised(tokenizer: Value) -> Artifacts {
        let mut given = Artifacts::default();
        let promised = Promised { model: ModelConfig::default(), tokenizer, is_chat: false };
        given.push("pretrain", promised.artifact());
        given
    }

    fn paths(start: &Start<'_>) -> Vec<String> {
        start.check().into_iter().map(|fault| fault.path.unwrap_or_default()).collect()
    }

    #[test]
    fn a_section_that_says_nothing_takes_what_is_handed_on() {
        let given = promised(json!({ "kind": "train", "vocab_size": 256 }));
        let start = Start { model: None, tokenizer: None, given: &given };
        assert_eq!(paths(&start), Vec::<String>::new());
        assert_eq!(start.description().unwrap()["kind"], "train");
        assert_eq!(start.sizes().unwrap(), ModelConfig::default());

        let nothing = Artifacts::default();
        let start = Start { model: None, tokenizer: None, given: &nothing };
        assert_eq!(start.description().unwrap(), Tokenizer::byte().description());
    }

    #[test]
    fn a_section_that_says_something_else_is_told_each_difference() {
        let given = promised(Tokenizer::byte().description());
        let own = ModelConfig { width: 32, context: 99, n_heads: 2, ..ModelConfig::default() };
        let gpt2 = TokenizerConfig::Gpt2 {};
        let start = Start { model: Some(&own), tokenizer: Some(&gpt2), given: &given };
        assert_eq!(paths(&start), ["model.T", "model.C", "model.H", "tokenizer"]);
        let fault = &start.check()[0];
        assert_eq!(fault.message, "`T` is 99, but the model handed on by `pretrain` has 512");
    }

    #[test]
    fn a_vocabulary_needs_a_row_for_every_token() {
        let nothing = Artifacts::default();
        let (model, gpt2) = (ModelConfig::default(), TokenizerConfig::Gpt2 {});
        let start = Start { model: Some(&model), tokenizer: Some(&gpt2), given: &nothing };
        let faults = start.check();
        assert_eq!(faults[0].message, "`V` is 256, but the tokenizer has 50257 tokens");
        assert_eq!((faults.len(), faults[0].path.as_deref()), (1, Some("model.V")));
        let wide = ModelConfig { vocab: 60_000, ..model };
        assert!(paths(&Start { model: Some(&wide), ..start }).is_empty());
    }

    /// A tiny corpus gives a vocabulary of 320: of exactly so many, where the reference's comes out
    /// between 300 and 350.
    #[test]
    fn a_tokenizer_is_trained_on_the_texts_of_the_phase() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corpus.txt");
        let names = ["heron", "otter", "badger", "marten", "brown fox", "quick lynx", "jackdaw"];
        let line = |i: usize| {
            let (one, two) = (names[i % 7], names[i * i % 5]);
            format!("the {one} jumps over the {two} and asks question {}", i * 37 % 50)
        };
        std::fs::write(&path, (0..60).map(line).collect::<Vec<_>>().join("\n\n")).unwrap();
        let data: PretrainDataConfig = serde_json::from_value(json!({
            "sources": {"corpus": {"kind": "text", "path": path}},
            "mix": {"corpus": 1.0},
        }))
        .unwrap();
        let cx = PhaseContext::detached("pretrain", 42, sdk::DeviceContext::default());
        for model in ["bpe", "unigram"] {
            let section = json!({"kind": "train", "model": model, "vocab_size": 320});
            let own: TokenizerConfig = serde_json::from_value(section).unwrap();
            let trained = train_tokenizer(&own.training().unwrap(), &data, &cx).unwrap();
            assert_eq!(trained.vocab_size(), 320);
            let again = Tokenizer::from_parts(&trained.description(), trained.model()).unwrap();
            assert_eq!(again, trained);
            let ids = trained.encode("the quick brown fox");
            assert!(ids.len() < 15 && ids.iter().all(|id| (4..320).contains(id)), "{ids:?}");
            assert_eq!(trained.decode(&ids), "the quick brown fox");

            // Each special token is one piece with an id of its own.
            let pieces = trained.vocabulary().unwrap();
            let mut found = Vec::new();
            for (id, text) in trained.special().all().into_iter().zip(trained.special_texts().all())
            {
                assert_eq!(pieces[id as usize].text, text);
                found.push(id);
            }
            found.sort_unstable();
            found.dedup();
            assert_eq!((found.len(), pieces.len()), (4, 320));
        }
    }

    #[test]
    fn training_a_tokenizer_stops_when_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corpus.txt");
        std::fs::write(&path, (0..5000).map(|i| format!("line {i}\n")).collect::<String>())
            .unwrap();
        let data: PretrainDataConfig = serde_json::from_value(json!({
            "sources": {"corpus": {"kind": "text", "path": path, "documents": "lines"}},
            "mix": {"corpus": 1.0},
        }))
        .unwrap();
        let section = json!({"kind": "train", "model": "bpe", "vocab_size": 280});
        let training: TokenizerConfig = serde_json::from_value(section).unwrap();
        let training = training.training().unwrap();
        for n in [1, 5, 20, 30] {
            let looks = Arc::new(AtomicUsize::new(0));
            let looked = looks.clone();
            let is_cancelled = move || looked.fetch_add(1, Ordering::Relaxed) + 1 >= n;
            let device = sdk::DeviceContext::default();
            let cx = PhaseContext::detached_with("pretrain", 42, device, is_cancelled);
            let error = train_tokenizer(&training, &data, &cx).unwrap_err();
            assert_eq!(error.code, sdk::CANCELLED);
            // Texts that are read ahead may look once more.
            let n_looks = looks.load(Ordering::Relaxed);
            assert!((n..=n + 1).contains(&n_looks), "{n}: {n_looks}");
        }
    }

    #[test]
    fn other_artifacts_say_nothing_about_a_start() {
        let mut given = Artifacts::default();
        given.push("linreg", Artifact::new("line", "linreg", Value::Null));
        let start = Start { model: None, tokenizer: None, given: &given };
        assert_eq!(start.sizes().unwrap(), ModelConfig::default());
    }
}
