//! How text is drawn from the model.

use schemars::JsonSchema;
use sdk::Error;
use serde::{Deserialize, Serialize};

/// How text is drawn from the model, where a request doesn't say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationConfig {
    /// How many tokens a text may have at most, the prompt not counted.
    #[schemars(range(min = 1), extend("x-unit" = "tokens"))]
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token each time.
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
    /// Draw from so many likeliest tokens only; `null` or 0 from all.
    #[schemars(extend("x-unit" = "tokens"))]
    pub top_k: Option<usize>,
    /// Draw from the smallest set of likeliest tokens whose probabilities sum to this; `null` from
    /// all.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub top_p: Option<f64>,
    /// Makes tokens that are there already less likely, the more the larger above 1; `null` or 1
    /// changes nothing.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub repetition_penalty: Option<f64>,
    /// The token that ends a text; `null` takes the tokenizer's end of turn.
    pub stop_token_id: Option<u32>,
    /// Tokens that are never drawn, besides those of `ban_role_tokens`.
    pub banned_token_ids: Option<Vec<u32>>,
    /// Whether the tokens that open a message are never drawn.
    pub ban_role_tokens: bool,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.9,
            top_k: Some(50),
            top_p: None,
            repetition_penalty: None,
            stop_token_id: None,
            banned_token_ids: None,
            ban_role_tokens: true,
        }
    }
}

impl GenerationConfig {
    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: String| {
            faults.push(Error::new("generate::range", message).at(path));
        };
        if self.max_new_tokens == 0 {
            fault("max_new_tokens", "`max_new_tokens` must be at least 1: 0".to_owned());
        }
        let temperature = self.temperature;
        if temperature < 0.0 || !temperature.is_finite() {
            fault("temperature", format!("`temperature` must be at least 0: {temperature}"));
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            fault("top_p", format!("`top_p` must be in (0, 1]: {p}"));
        }
        if let Some(p) = self.repetition_penalty.filter(|p| *p <= 0.0 || !p.is_finite()) {
            fault("repetition_penalty", format!("`repetition_penalty` must be above 0: {p}"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::paths;

    #[test]
    fn defaults_are_those_of_the_reference() {
        let config: GenerationConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, GenerationConfig::default());
        assert_eq!((config.max_new_tokens, config.temperature), (256, 0.9));
        assert_eq!((config.top_k, config.top_p), (Some(50), None));
        let all: GenerationConfig = serde_json::from_str(r#"{"top_k": null}"#).unwrap();
        assert_eq!(all.top_k, None);
        assert!(serde_json::from_str::<GenerationConfig>(r#"{"use_kv_cache": true}"#).is_err());
    }

    #[test]
    fn faults_name_their_keys() {
        assert!(GenerationConfig::default().check().is_empty());
        let bad = GenerationConfig {
            max_new_tokens: 0,
            temperature: -0.1,
            top_p: Some(1.5),
            repetition_penalty: Some(0.0),
            ..GenerationConfig::default()
        };
        let want = ["max_new_tokens", "temperature", "top_p", "repetition_penalty"];
        assert_eq!(paths(bad.check()), want);
        let nan = GenerationConfig { top_p: Some(f64::NAN), ..GenerationConfig::default() };
        assert_eq!(paths(nan.check()), ["top_p"]);
    }
}
