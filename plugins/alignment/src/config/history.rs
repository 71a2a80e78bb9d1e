//! What became of the seed system's settings: its files are of version 0, today's of version 1.

use sdk::Change;

/// The version of the section.
pub const VERSION: u32 = 1;

/// How an older section becomes one of today.
pub fn changes() -> Vec<Change> {
    let removed = |key: &str, why: &str| Change::removed(VERSION, key, why);
    let no_context = "a head's input is the embedding; no context was ever handed to one";
    vec![
        Change::moved(VERSION, "tokenizer.axis_norm", "tokenizer.lambda_norm"),
        Change::moved(VERSION, "tokenizer.n_fourier_frequencies", "tokenizer.n_frequencies"),
        Change::respelled(VERSION, "banddepth.loss", "mse", "l2"),
        removed("tokenizer.default_fwhm_nm", "widths are the sensor's or follow from the bands"),
        removed("tokenizer.pooled_kind", "a tower pools by the mean of its tokens")
            .accepting(["mean"]),
        removed("loss.gather_ddp", "one process sees the whole batch"),
        removed("cycle.sensor_context_dim", no_context).accepting([0]),
        removed("cycle.lab_context_dim", no_context).accepting([0]),
        removed("cycle.use_brightness_temperature", "it only chose a name and converted nothing")
            .accepting([false]),
    ]
}
