//! What became of the first system's settings, where all of them stood in one block, `train`.

use sdk::Change;

/// The version that all changes here lead to.
const VERSION: u32 = 1;

/// Where settings that live on have gone.
const MOVED: [(&str, &str); 5] = [
    ("train.embed_dim", "encoder.embed_dim"),
    ("train.n_heads", "encoder.heads"),
    ("train.depth", "encoder.depth"),
    ("train.spatial_mask_ratio", "masking.spatial_ratio"),
    ("train.spectral_mask_ratio", "masking.spectral_ratio"),
];

/// The history of the section. What was trained on there was noise, whatever the file said.
pub(crate) fn changes() -> Vec<Change> {
    let removed = |key: &str, why: &str| Change::removed(VERSION, &format!("train.{key}"), why);
    // Each of these tells a file of that time.
    let old = ["mode", "mask_path", "embed_dim", "basis_K"];
    let noise = |key| Change::implied(VERSION, &format!("train.{key}"), "data.kind", "noise");
    let mut changes: Vec<Change> = old.into_iter().map(noise).collect();
    changes.extend(MOVED.map(|(from, to)| Change::moved(VERSION, from, to)));
    changes.extend([
        removed("mode", "this trainer is the masked autoencoder").accepting(["mae"]),
        removed("mask_path", "the first mask is the artifact `mask` of the phase"),
        removed("basis_K", "it made a module that nothing used; `decoder.basis_K` is one that is"),
        removed("no_spatial_mask", "`masking.spatial_ratio: 0` masks no tokens").accepting([false]),
        removed("no_posenc", "`encoder.position: none` leaves positions out").accepting([false]),
    ]);
    let depths = "band depths belong to the trainer that aligns spectra";
    changes.extend([
        removed("banddepth_cfg", depths).accepting([serde_json::Value::Null]),
        removed("banddepth_weight", depths).accepting([0.0]),
        removed("banddepth_loss", depths),
        removed("banddepth_hidden", depths),
    ]);
    changes
}
