//! Sizes of the model.

use schemars::JsonSchema;
use sdk::Error;
use serde::{Deserialize, Serialize};

/// Sizes of the GPT. Two phases can hand weights on when all of these agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Vocabulary size: ids are below it.
    #[serde(rename = "V")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-unit" = "tokens"))]
    pub vocab: usize,
    /// Longest context, in tokens.
    #[serde(rename = "T")]
    #[schemars(range(min = 1, max = 65_536), extend("x-unit" = "tokens"))]
    pub context: usize,
    /// Width of the residual stream; a multiple of `H`.
    #[serde(rename = "C")]
    #[schemars(range(min = 2, max = 65_536), extend("x-unit" = "channels"))]
    pub width: usize,
    /// Number of layers.
    #[serde(rename = "L")]
    #[schemars(range(min = 1, max = 1024), extend("x-unit" = "layers"))]
    pub n_layers: usize,
    /// Number of attention heads; each has `C / H` channels, an even number.
    #[serde(rename = "H")]
    #[schemars(range(min = 1, max = 1024), extend("x-unit" = "heads"))]
    pub n_heads: usize,
    /// Width inside of the feed-forward layers.
    #[schemars(range(min = 1, max = 262_144), extend("x-unit" = "channels"))]
    pub d_ff: usize,
    /// Probability of dropping an element: of embeddings, attention probabilities, attention
    /// output and feed-forward output.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1, "x-unit" = "probability"))]
    pub dropout: f64,
    /// Base of the rotary position angles.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub rope_theta: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            vocab: 256,
            context: 512,
            width: 384,
            n_layers: 8,
            n_heads: 6,
            d_ff: 1152,
            dropout: 0.1,
            rope_theta: 10_000.0,
        }
    }
}

impl ModelConfig {
    /// Channels of one head; what [`ModelConfig::check`] accepts has no rest.
    pub fn head_width(&self) -> usize {
        self.width / self.n_heads.max(1)
    }

    /// Number of values in all parameters.
    pub fn parameter_count(&self) -> usize {
        let (c, f) = (self.width, self.d_ff);
        let layer = 2 * c + 4 * c * c + 3 * c * f + 2 * f + c;
        self.vocab * c + self.n_layers * layer + c
    }

    /// Weights that take part in a matrix product for each token; the table does as the head.
    pub fn product_weights(&self) -> usize {
        let (c, f) = (self.width, self.d_ff);
        self.n_layers * (4 * c * c + 3 * c * f) + self.vocab * c
    }

    /// Floating-point operations of a training step for each token: forward and backward of the
    /// weights and of attention over a whole context.
    pub fn flops_per_token(&self) -> f64 {
        let attention = 12 * self.n_layers * self.width * self.context;
        (6 * self.product_weights() + attention) as f64
    }

    /// Every fault, with its path inside of this section.
    pub fn check(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        let sizes = [
            ("V", self.vocab),
            ("T", self.context),
            ("C", self.width),
            ("L", self.n_layers),
            ("H", self.n_heads),
            ("d_ff", self.d_ff),
        ];
        for (name, _) in sizes.iter().filter(|(_, size)| *size == 0) {
            let message = format!("`{name}` must be at least 1: 0");
            faults.push(Error::new("config::range", message).at(*name));
        }
        if self.n_heads > 0 {
            if !self.width.is_multiple_of(self.n_heads) {
                let message = format!(
                    "`C` must be a multiple of `H`: {} is not one of {}",
                    self.width, self.n_heads
                );
                faults.push(Error::new("config::heads", message).at("H"));
            } else if !self.head_width().is_multiple_of(2) {
                let message = format!(
                    "`C / H` must be even, rotary positions turn pairs of channels: {}",
                    self.head_width()
                );
                faults.push(Error::new("config::heads", message).at("H"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let message = format!("`dropout` must be in [0, 1): {}", self.dropout);
            faults.push(Error::new("config::range", message).at("dropout"));
        }
        if self.rope_theta <= 0.0 || !self.rope_theta.is_finite() {
            let message = format!("`rope_theta` must be above 0: {}", self.rope_theta);
            faults.push(Error::new("config::range", message).at("rope_theta"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_reference() {
        let text = serde_json::to_value(ModelConfig::default()).unwrap();
        let names: Vec<&String> = text.as_object().unwrap().keys().collect();
        assert_eq!(names, ["V", "T", "C", "L", "H", "d_ff", "dropout", "rope_theta"]);
        let config: ModelConfig = serde_json::from_str(r#"{"C": 64, "H": 2}"#).unwrap();
        assert_eq!((config.width, config.context), (64, 512));
        assert!(serde_json::from_str::<ModelConfig>(r#"{"c": 64}"#).is_err());
    }

    #[test]
    fn faults_name_their_keys() {
        let paths = |config: ModelConfig| crate::config::paths(config.check());
        assert!(paths(ModelConfig::default()).is_empty());
        assert_eq!(paths(ModelConfig { width: 6, n_heads: 2, ..ModelConfig::default() }), ["H"]);
        let bad = ModelConfig { width: 5, n_heads: 2, dropout: 5.0, ..ModelConfig::default() };
        assert_eq!(paths(bad), ["H", "dropout"]);
        assert_eq!(paths(ModelConfig { n_heads: 0, ..ModelConfig::default() }), ["H"]);
    }

    #[test]
    fn counts_of_the_reference() {
        let count = |vocab, width, n_layers, d_ff| {
            ModelConfig { vocab, width, n_layers, d_ff, ..ModelConfig::default() }.parameter_count()
        };
        assert_eq!(count(16_000, 384, 8, 1152), 21_507_456);
        assert_eq!(count(50_257, 384, 8, 1152), 34_662_144);
        assert_eq!(count(256, 256, 4, 512), 2_694_400);
        assert_eq!(count(256, 64, 2, 128), 99_264);
    }

    #[test]
    fn operations_are_counted_by_the_formula() {
        let dev = ModelConfig {
            context: 128,
            width: 256,
            n_layers: 4,
            n_heads: 4,
            d_ff: 512,
            ..ModelConfig::default()
        };
        assert_eq!(dev.product_weights(), 2_686_976);
        assert_eq!(dev.flops_per_token(), 17_694_720.0);
        let prod = ModelConfig { vocab: 16_000, context: 256, ..ModelConfig::default() };
        assert_eq!((prod.flops_per_token() / 1e6).round(), 138.0);
    }

    #[test]
    fn schema_holds_ranges_defaults_and_descriptions() {
        let schema = schemars::schema_for!(ModelConfig).to_value();
        let heads = &schema["properties"]["H"];
        assert_eq!(heads["minimum"], 1);
        assert_eq!(heads["default"], 6);
        assert!(heads["description"].as_str().unwrap().starts_with("Number of attention heads"));
        assert_eq!(schema["properties"]["dropout"]["exclusiveMaximum"], 1);
        assert_eq!(schema["additionalProperties"], false);
    }
}
