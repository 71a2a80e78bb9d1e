//! A trainer with settings of every sort, some of which do nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{
    Artifact, ExportRequest, GenerateReply, Metrics, PhaseContext, Schedule, StateVisitor,
    Stateful, StepReport, StopReason, TextGenerator, capability,
};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    rate: f64,
    /// Handed on, and read by nobody.
    idle: Option<f64>,
    loud: bool,
    mix: BTreeMap<String, f64>,
    source: Source,
    words: u64,
    page: Page,
    expected_words: Option<u64>,
    needs_word: Option<u64>,
    parts: Parts,
    /// Whether to begin where an earlier phase ended.
    goes_on: bool,
    /// Added from the sixth step on.
    late: f64,
}

/// Two that are one in sum.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Parts {
    left: f64,
    right: f64,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Source {
    Fixed { at: f64 },
    Drawn { spread: f64, name: String },
    Rare { odds: f64 },
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Page {
    Wide,
    Narrow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate: 0.1,
            idle: None,
            loud: false,
            mix: [("a".to_owned(), 0.7), ("b".to_owned(), 0.3)].into(),
            source: Source::Fixed { at: 1.0 },
            words: 3,
            page: Page::Wide,
            expected_words: None,
            needs_word: None,
            parts: Parts { left: 0.5, right: 0.5 },
            goes_on: false,
            late: 0.0,
        }
    }
}

struct Toy {
    config: Config,
    x: f64,
}

impl Stateful for Toy {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.value("x", &mut self.x)
    }
}

impl Trainer for Toy {
    type Config = Config;

    const CAPABILITIES: &'static [&'static str] = &[capability::GENERATE, "export/page"];

    fn check(config: &Config, _: &Artifacts) -> Vec<Error> {
        let sum: f64 = config.mix.values().sum();
        let mut faults = Vec::new();
        if (sum - 1.0).abs() > 1e-9 {
            faults.push(Error::new("toy::mix", "the mix must sum to 1").at("mix"));
        }
        if (config.parts.left + config.parts.right - 1.0).abs() > 1e-9 {
            faults.push(Error::new("toy::parts", "the parts must sum to 1").at("parts"));
        }
        if config.expected_words.is_some_and(|expected| expected != config.words) {
            faults.push(Error::new("toy::words", "another number").at("expected_words"));
        }
        if config.needs_word.is_some_and(|n| n != 1) {
            faults.push(Error::new("toy::word", "only 1 goes").at("needs_word"));
        }
        faults
    }

    fn prepare(config: Config, given: &Artifacts, cx: &PhaseContext) -> Result<Self> {
        if config.loud {
            log::info!("here I am");
        }
        let x = match &config.source {
            Source::Fixed { at } => *at,
            Source::Drawn { spread, .. } => spread * cx.generator("x").uniform(),
            Source::Rare { odds } => *odds,
        };
        let earlier = given.latest("end").filter(|_| config.goes_on);
        let x = earlier.and_then(|end| end.settings["x"].as_f64()).unwrap_or(x);
        Ok(Self { config, x })
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(10)
    }

    fn step(&mut self, step: u64, _: &PhaseContext) -> Result<StepReport> {
        self.x -= self.config.rate * self.x;
        if step >= 5 {
            self.x += self.config.late;
        }
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = clock.map_or(0, |since| since.subsec_nanos());
        Ok(StepReport::new(self.x, 1).metric("clock", f64::from(nanos)))
    }

    fn evaluate(&mut self, _: crate::Evaluation, _: &PhaseContext) -> Result<Metrics> {
        let Config { mix, parts, .. } = &self.config;
        Ok([("a".to_owned(), mix["a"]), ("difference".to_owned(), parts.left - parts.right)].into())
    }

    fn artifacts(&mut self) -> Result<Vec<Artifact>> {
        let settings = json!({ "section": self.config });
        Ok(vec![Artifact::new("toy", "toy", settings)])
    }

    fn text_generator(
        config: &Config,
        given: &Artifacts,
        _: &PhaseContext,
    ) -> Result<Box<dyn TextGenerator>> {
        given.require("toy")?;
        Ok(Box::new(Speaker(config.words)))
    }

    fn export(
        config: &Config,
        _: &Artifacts,
        request: &ExportRequest,
        _: &PhaseContext,
    ) -> Result<()> {
        let text = if config.page == Page::Wide { "w  i  d  e" } else { "narrow" };
        let below = std::path::Path::new(&request.directory).join("book");
        std::fs::create_dir(&below)?;
        Ok(std::fs::write(below.join("page.txt"), text)?)
    }
}

struct Speaker(u64);

impl TextGenerator for Speaker {
    fn generate(&mut self, request: &GenerateRequest, _: &PhaseContext) -> Result<GenerateReply> {
        Ok(GenerateReply {
            text: request.prompt.repeat(self.0 as usize),
            tokens: self.0 as usize,
            prompt_tokens: 1,
            dropped_messages: 0,
            stop_reason: StopReason::Length,
            steps: Vec::new(),
        })
    }
}

#[test]
fn settings_that_do_nothing_and_settings_that_were_not_tried_are_told_apart_from_the_others() {
    let findings = Settings::<Toy>::new(json!({}))
        .also(json!({"source": {"kind": "drawn", "spread": 0.5, "name": "x"}}))
        .also(json!({"expected_words": 3, "needs_word": 1}))
        .alternatives("source[drawn].name", ["y", "z"])
        .alternatives("idle", [0.5])
        .only_refuses("expected_words")
        .together("parts", [json!({"left": 0.25, "right": 0.75})])
        .find()
        .unwrap();
    let unused = ["goes_on", "idle", "late", "needs_word", "source[drawn].name"];
    assert_eq!(findings.unused, unused);
    assert_eq!(
        findings.untried,
        ["source.kind=rare: no section has it", "source[rare].odds: no section has it"]
    );
    let used: Vec<_> = findings.used.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let want = [
        ("expected_words", "refused toy::words"),
        ("loud", "log INFO: here I am"),
        ("mix", "evaluation final.a"),
        ("page", "export page/book/page.txt"),
        ("parts.left", "evaluation final.difference"),
        ("parts.right", "evaluation final.difference"),
        ("rate", "step 0.loss"),
        ("source.kind=drawn", "step 0.loss"),
        ("source.kind=fixed", "step 0.loss"),
        ("source[drawn].spread", "step 0.loss"),
        ("source[fixed].at", "step 0.loss"),
        ("words", "text reply 0.text"),
    ];
    assert_eq!(used, want);
}

#[test]
fn a_key_whose_every_other_value_is_refused_was_not_tried() {
    let section = json!({"mix": {"a": 1.0}});
    let findings = Settings::<Toy>::new(section).find().unwrap();
    let mix = findings.untried.iter().find(|line| line.starts_with("mix")).unwrap();
    assert_eq!(mix, "mix: no other value is known; name an alternative");
    let section = json!({"mix": {"a": 1.0}});
    let findings = Settings::<Toy>::new(section).alternatives("mix", [json!({"a": 0.5})]).find();
    let findings = findings.unwrap();
    let mix = findings.untried.iter().find(|line| line.starts_with("mix")).unwrap();
    assert_eq!(mix, r#"mix: {"a":0.5} is refused: the mix must sum to 1"#);
}

#[test]
fn some_keys_need_what_an_earlier_phase_handed_on_or_more_steps() {
    let given = || {
        let mut given = Artifacts::default();
        given.push("first", Artifact::new("end", "end", json!({"x": 0.5})));
        given
    };
    let findings = Settings::<Toy>::new(json!({})).given(given).steps(6).find().unwrap();
    assert_eq!(findings.used["goes_on"], "step 0.loss");
    assert_eq!(findings.used["late"], "step 5.loss");
}

#[test]
fn a_request_of_the_authors_shows_in_the_text() {
    let settings = Settings::<Toy>::new(json!({}));
    let silent = settings.requests([GenerateRequest::new("")]).find().unwrap();
    assert_eq!(silent.used["words"], "text reply 0.tokens");
}

#[test]
fn what_else_changes_can_be_watched() {
    let settings = || Settings::<Toy>::new(json!({})).alternatives("idle", [0.5]);
    let idle = |findings: Findings| findings.used.get("idle").cloned();
    assert_eq!(idle(settings().find().unwrap()), None);
    let watched = settings().watch("idleness", |section| section["idle"].clone());
    assert_eq!(idle(watched.find().unwrap()).unwrap(), "watched idleness");

    // What one key leaves behind is no evidence for the next.
    let is_left = std::cell::Cell::new(false);
    let watched = settings().watch("left behind", move |section| {
        is_left.set(is_left.get() || section["rate"] != 0.1);
        is_left.get().into()
    });
    assert_eq!(idle(watched.find().unwrap()), None);
}

#[test]
fn a_section_that_does_not_run_and_a_key_that_is_none_are_mistakes_of_the_test() {
    let section = json!({"mix": {"a": 0.5}});
    let error = Settings::<Toy>::new(json!({})).also(section).find().unwrap_err();
    assert_eq!(error.message, "section 2 does not run as it is: the mix must sum to 1");
    let error = Settings::<Toy>::new(json!({})).only_refuses("idel").find().unwrap_err();
    assert_eq!(error.message, "the section has no key `idel`");
    assert!(error.help.unwrap().starts_with("its keys: `expected_words`, `goes_on`, "));
}
