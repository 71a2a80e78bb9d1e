//! Settings of the model, of its training and of its generation, shared by the pretrain and sft
//! plugins.
//!
//! The names in a configuration file are those of the reference (`V`, `T`, `C`, …); the schema's
//! descriptions are the doc comments here. Ranges of single fields are in the schema, relations
//! between fields in `check`.

mod best;
mod generation;
pub mod history;
mod model;
mod training;

pub use best::{BestMetric, BestMetricWeights, OWN_LOSS};
pub use generation::GenerationConfig;
pub use model::ModelConfig;
pub use training::TrainingConfig;

/// Paths of some faults, for tests.
#[cfg(test)]
fn paths(faults: Vec<sdk::Error>) -> Vec<String> {
    faults.into_iter().map(|fault| fault.path.unwrap_or_default()).collect()
}
