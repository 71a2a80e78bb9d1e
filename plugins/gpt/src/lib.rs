//! The GPT of the pretrain and sft plugins: its text data, its model and its generation.

pub mod chat;
pub mod config;
pub mod data;
pub mod generation;
pub mod handover;
pub mod learner;
pub mod model;
pub mod tokenizer;
pub mod world;

use sdk::{Error, Metrics};

use crate::config::{ModelConfig, TrainingConfig};
use crate::data::SourceReport;
use crate::tokenizer::{Tokenizer, TokenizerConfig};

/// Version of candle that this was built with, for the plugins' build facts.
pub const CANDLE_VERSION: &str = "0.11.1";

/// Puts a section's name in front of the path of each fault.
pub fn within(section: &str, faults: Vec<Error>) -> impl Iterator<Item = Error> {
    faults.into_iter().map(move |fault| {
        let path = match &fault.path {
            Some(path) => format!("{section}.{path}"),
            None => section.to_owned(),
        };
        fault.at(path)
    })
}

/// Faults between model, training and tokenizer, of whichever phase.
pub fn check_sections(
    model: Option<&ModelConfig>,
    training: &TrainingConfig,
    tokenizer: &TokenizerConfig,
) -> Vec<Error> {
    let mut faults: Vec<Error> = within("training", training.check()).collect();
    if let Some(model) = model {
        faults.extend(within("model", model.check()));
        let fits = Tokenizer::open(tokenizer).and_then(|t| t.check_model_vocab(model.vocab));
        faults.extend(fits.err());
    }
    faults
}

/// Loss and perplexity under the names that all phases use.
pub fn loss_metrics(loss: Option<f64>) -> Metrics {
    let Some(loss) = loss else { return Metrics::new() };
    [("loss".to_owned(), loss), ("perplexity".to_owned(), loss.exp())].into()
}

/// Says what became of each source, and of records that could not be used.
pub fn log_reports(reports: &[&SourceReport]) {
    for report in reports {
        log::info!(
            "source `{}`: {} to train on ({} tokens), {} held back ({} tokens)",
            report.name,
            report.n_train,
            report.train_tokens,
            report.n_val,
            report.val_tokens
        );
        if report.n_truncated > 0 {
            log::info!(
                "source `{}`: {} shortened to fit the context",
                report.name,
                report.n_truncated
            );
        }
        if report.n_unlabelled > 0 {
            log::warn!(
                "source `{}`: {} without anything to learn, left out",
                report.name,
                report.n_unlabelled
            );
        }
        for bad in report.bad_records.iter().take(10) {
            log::warn!("source `{}`, line {}: {}, left out", report.name, bad.line, bad.reason);
        }
        let more = report.bad_records.len().saturating_sub(10);
        if more > 0 {
            log::warn!("source `{}`: {more} more records could not be used", report.name);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_of_candle_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"candle-core\"\nversion = \"{}\"", super::CANDLE_VERSION);
        assert!(lock.contains(&entry), "CANDLE_VERSION is out of date");
    }
}
