//! Which validation loss chooses the best checkpoint.
//!
//! Under `val/` a phase reports `loss`, its own; and, where it measures them, `pretrain_loss`,
//! `sft_loss` and `weighted_loss`.

use schemars::JsonSchema;
use sdk::Error;
use serde::{Deserialize, Serialize};

/// Name of a phase's own validation loss.
pub const OWN_LOSS: &str = "loss";

/// A validation loss to choose the best checkpoint by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BestMetric {
    /// On held-back texts.
    PretrainValLoss,
    /// On held-back conversations.
    SftValLoss,
    /// Both, weighted with `best_metric_weights`.
    Weighted,
}

impl BestMetric {
    /// Its name among the metrics of an evaluation.
    pub fn name(self) -> &'static str {
        match self {
            Self::PretrainValLoss => "pretrain_loss",
            Self::SftValLoss => "sft_loss",
            Self::Weighted => "weighted_loss",
        }
    }
}

/// How much each validation loss counts; together 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BestMetricWeights {
    /// Weight of the loss on held-back texts.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pretrain_val_loss: f64,
    /// Weight of the loss on held-back conversations.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sft_val_loss: f64,
}

impl BestMetricWeights {
    /// The weighted mean of two losses.
    pub fn mean(&self, pretrain_loss: f64, sft_loss: f64) -> f64 {
        self.pretrain_val_loss * pretrain_loss + self.sft_val_loss * sft_loss
    }
}

/// What is wrong with the weights of `metric`, if anything is.
pub(super) fn check_weights(
    metric: Option<BestMetric>,
    weights: Option<&BestMetricWeights>,
) -> Option<Error> {
    let message = match (metric, weights) {
        (Some(BestMetric::Weighted), None) => {
            let message = "`best_metric: weighted` needs `best_metric_weights`";
            return Some(Error::new("config::best_metric", message).at("best_metric"));
        }
        (Some(BestMetric::Weighted), Some(weights)) => {
            let (a, b) = (weights.pretrain_val_loss, weights.sft_val_loss);
            if a >= 0.0 && b >= 0.0 && (a + b - 1.0).abs() < 1e-9 {
                return None;
            }
            format!("the weights must be at least 0 and sum to 1: {a} + {b}")
        }
        (_, Some(_)) => "`best_metric_weights` is for `best_metric: weighted` only".to_owned(),
        (_, None) => return None,
    };
    Some(Error::new("config::best_metric", message).at("best_metric_weights"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_belong_to_the_weighted_metric_and_sum_to_one() {
        let weights = |a, b| BestMetricWeights { pretrain_val_loss: a, sft_val_loss: b };
        let check = |metric, weights: Option<BestMetricWeights>| {
            check_weights(metric, weights.as_ref()).map(|fault| fault.message)
        };
        let weighted = Some(BestMetric::Weighted);
        assert_eq!(check(weighted, Some(weights(0.3, 0.7))), None);
        assert_eq!(check(None, None), None);
        assert_eq!(check(Some(BestMetric::SftValLoss), None), None);
        let sum = check(weighted, Some(weights(0.3, 0.3))).unwrap();
        assert_eq!(sum, "the weights must be at least 0 and sum to 1: 0.3 + 0.3");
        assert!(check(weighted, Some(weights(-0.5, 1.5))).is_some());
        assert!(check(weighted, None).unwrap().contains("needs"));
        assert!(check(None, Some(weights(0.5, 0.5))).unwrap().contains("only"));
        assert!((weights(0.25, 0.75).mean(2.0, 4.0) - 3.5).abs() < 1e-12);
        assert!((weights(0.5, 0.5).mean(1.5, 2.0) - 1.75).abs() < 1e-12);
    }
}
