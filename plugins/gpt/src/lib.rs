//! The GPT of the pretrain and sft plugins: its model, its training step, its generation, and its way
//! in and out.

pub mod config;
mod engine;
pub mod export;
pub mod forecast;
pub mod generation;
pub mod handover;
pub mod import;
pub mod learner;
mod llama;
pub mod model;
pub mod sampling;
pub mod start;
pub mod weights;

use sdk::{DeviceKind, Error, Metrics};

use crate::config::OWN_LOSS;
use corpus::SourceReport;

/// Version of candle that this was built with.
const CANDLE_VERSION: &str = "0.11.1";

/// What both phases compute on.
pub const DEVICES: &[DeviceKind] = sdk_numerics::DEVICES;

/// What both phases' builds are worth recording by: candle's version and, where they compute on
/// GPUs, the compute capability of those that the build is for.
pub const BUILD_FACTS: &[(&str, &str)] = match option_env!("CUDA_COMPUTE_CAP") {
    Some(capability) if cfg!(feature = "cuda") => {
        &[("candle", CANDLE_VERSION), ("cuda compute capability", capability)]
    }
    _ => &[("candle", CANDLE_VERSION)],
};

/// What both phases can do besides training.
pub const CAPABILITIES: &[&str] = &[sdk::capability::GENERATE, "export/hf", "export/gguf"];

/// Puts a section's name in front of the path of each fault.
pub fn within(section: &str, faults: Vec<Error>) -> impl Iterator<Item = Error> {
    faults.into_iter().map(move |fault| fault.below(section))
}

/// A validation loss in nats per token under the names that all phases use: `loss`, `perplexity`
/// and, where it is known how many bytes of text a token stands for, `bits_per_byte`.
pub fn loss_metrics(loss: Option<f64>, bytes_per_token: Option<f64>) -> Metrics {
    let Some(loss) = loss else { return Metrics::new() };
    let mut metrics =
        Metrics::from([(OWN_LOSS.to_owned(), loss), ("perplexity".to_owned(), loss.exp())]);
    if let Some(bytes) = bytes_per_token.filter(|bytes| *bytes > 0.0) {
        metrics.insert("bits_per_byte".to_owned(), loss / std::f64::consts::LN_2 / bytes);
    }
    metrics
}

/// Records that could not be used are told one by one up to this many.
const TOLD: usize = 10;

/// Says what became of each source, and of records that could not be used.
pub fn log_reports(reports: &[&SourceReport]) {
    for report in reports {
        let SourceReport { name, n_train, train_tokens, n_val, val_tokens, .. } = report;
        log::info!(
            "source `{name}`: {n_train} to train on ({train_tokens} tokens), {n_val} held back ({val_tokens} tokens)"
        );
        for (n, what) in [
            (report.n_truncated, "shortened to fit the context"),
            (report.n_left_out, "left out by the rules of the data set"),
            (report.n_blank, "left out, as their text is blank"),
            (report.n_spell_special, "spell out a special token; they are kept, as plain text"),
        ] {
            if n > 0 {
                log::info!("source `{name}`: {n} {what}");
            }
        }
        warn_of_losses(report);
    }
}

/// What a user may not expect to lose.
fn warn_of_losses(report: &SourceReport) {
    let name = &report.name;
    for (n, what) in [
        (report.n_unlabelled, "without anything to learn, left out"),
        (report.n_replaced, "sequences of bytes that are no UTF-8, replaced by U+FFFD"),
    ] {
        if n > 0 {
            log::warn!("source `{name}`: {n} {what}");
        }
    }
    for bad in report.bad_records.iter().take(TOLD) {
        log::warn!("source `{name}`, {}:{}: {}, left out", bad.file, bad.line, bad.reason);
    }
    let more = report.n_bad.saturating_sub(report.bad_records.len().min(TOLD));
    if more > 0 {
        log::warn!("source `{name}`: {more} more records could not be used");
    }
}

#[cfg(test)]
mod tests {
    use super::loss_metrics;

    #[test]
    fn bits_are_those_of_a_byte_and_not_of_a_token() {
        let metrics = loss_metrics(Some(2.0), Some(4.0));
        assert!((metrics["perplexity"] - 7.389_056_1).abs() < 1e-6);
        // 2 nats are 2.885390 bits, for 4 bytes.
        assert!((metrics["bits_per_byte"] - 0.721_347_5).abs() < 1e-6);
        assert!(!loss_metrics(Some(2.0), None).contains_key("bits_per_byte"));
        assert!(loss_metrics(None, Some(4.0)).is_empty());
    }

    #[test]
    fn every_format_is_a_capability_and_every_capability_is_there() {
        let exports = super::CAPABILITIES.iter().filter_map(|name| name.strip_prefix("export/"));
        assert!(exports.eq(crate::export::FORMATS));
    }

    #[test]
    fn the_version_of_candle_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"candle-core\"\nversion = \"{}\"", super::CANDLE_VERSION);
        assert!(lock.contains(&entry), "CANDLE_VERSION is out of date");
    }
}
