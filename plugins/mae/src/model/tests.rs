//! What reaches the model and what does not, and that all of it is trained.

use sdk::{DeviceContext, PhaseContext};
use sdk_numerics::{Gradients, Workers};
use serde_json::{Value, json};

use super::*;
use crate::data::{Data, Sample};
use crate::masking::Mask;

fn cx() -> PhaseContext {
    PhaseContext::detached("mae", 5, DeviceContext::default())
}

/// Twelve bands, with all that has parameters.
fn spectra(more: &Value) -> Config {
    let mut section = json!({
        "encoder": {"embed_dim": 8, "depth": 2, "heads": 2},
        "decoder": {"basis_K": 3},
        "data": {"kind": "synthetic", "lab_grid_nm": {"start": 400.0, "stop": 950.0, "num": 12}},
        "tokenizer": {"n_frequencies": 2},
    });
    for (block, keys) in more.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            section[block][key] = value.clone();
        }
    }
    serde_json::from_value(section).unwrap()
}

fn opened(config: &Config) -> (Data, Autoencoder) {
    let data = Data::open(config, &cx()).unwrap();
    let mut init = cx().generator("model init");
    let model =
        Autoencoder::new(config, &data.extents(), &mut init, &Device::Cpu, Compute::Own).unwrap();
    (data, model)
}

/// The loss of two samples under one mask, and the gradients of all parameters.
fn gradients(config: &Config) -> (Autoencoder, Gradients) {
    let (mut data, model) = opened(config);
    let samples = data.batch(0, 2, &cx()).unwrap();
    let mask = data.mask(&samples[0], config, &mut cx().generator("masks"));
    let examples: Vec<Example> =
        samples.iter().map(|sample| data.example(sample, &mask, config).unwrap()).collect();
    let counts = (examples.iter().map(|e| e.n_scored).sum(), 2);
    let mut gradients = Gradients::new(model.params());
    Workers::new(1)
        .gradients(model.params(), vec![examples], &mut gradients, |examples| {
            model.loss(&examples, &[1, 2], counts)
        })
        .unwrap();
    (model, gradients)
}

#[test]
fn every_parameter_gets_a_gradient() {
    let index = json!({
        "encoder": {"position": "token_index"}, "decoder": {"position": "token_index"},
        "objective": {"smoothness_weight": 0.1},
    });
    let noise: Config = serde_json::from_value(json!({
        "encoder": {"embed_dim": 8, "depth": 1, "heads": 2, "norm": "after", "activation": "relu"},
        "data": {"kind": "noise", "n_pixels": 6, "n_bands": 4},
    }))
    .unwrap();
    for config in [spectra(&json!({})), spectra(&index), noise] {
        let (model, gradients) = gradients(&config);
        for (name, ..) in model.params().iter() {
            let largest = gradients.get(name).unwrap().iter().fold(0f32, |m, g| m.max(g.abs()));
            assert!(largest > 1e-9, "{name}: {largest}");
        }
    }
}

/// Gradients against central differences, through all parts: f32, so a few per cent.
#[test]
fn gradients_are_those_of_the_loss() {
    let config = spectra(&json!({"objective": {"smoothness_weight": 0.1}}));
    let (model, gradients) = gradients(&config);
    let (mut data, _) = opened(&config);
    let samples = data.batch(0, 2, &cx()).unwrap();
    let mask = data.mask(&samples[0], &config, &mut cx().generator("masks"));
    let examples: Vec<Example> =
        samples.iter().map(|sample| data.example(sample, &mask, &config).unwrap()).collect();
    let counts = (examples.iter().map(|e| e.n_scored).sum(), 2);
    let loss = || {
        let loss = model.loss(&examples, &[1, 2], counts).unwrap();
        f64::from(loss.to_scalar::<f32>().unwrap())
    };
    for name in ["mask_token", "line.weight", "head.bias", "head.weight"] {
        let gradient = gradients.get(name).unwrap();
        let var = model.params().iter().find(|(own, ..)| *own == name).unwrap().2;
        let own = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        // A step along the gradient changes the loss by the step times its norm.
        let moved = |h: f64| {
            let values =
                own.iter().zip(&gradient).map(|(w, g)| w + (h * f64::from(*g) / norm) as f32);
            let values = Tensor::from_vec(values.collect(), var.shape(), &Device::Cpu).unwrap();
            var.set(&values).unwrap();
            loss()
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        moved(0.0);
        assert!((slope / norm - 1.0).abs() < 0.03, "{name}: {slope} for {norm}");
    }
}

fn with_value(sample: &Sample, band: usize, value: f64) -> Sample {
    let mut sample = sample.clone();
    sample.values[band] = value;
    sample
}

/// What is masked reaches the model neither as a token nor through the scale of the others.
#[test]
fn masked_values_change_no_prediction_and_only_they_change_the_loss() {
    for region in ["masked", "visible"] {
        let config = spectra(&json!({"objective": {"loss_region": region}}));
        let (mut data, model) = opened(&config);
        let sample = data.batch(0, 1, &cx()).unwrap().swap_remove(0);
        let mask = Mask { spatial: vec![true], spectral: (0..12).map(|i| i % 3 != 1).collect() };
        let look = |sample: &Sample| {
            let example = data.example(sample, &mask, &config).unwrap();
            let y = model.predict(std::slice::from_ref(&example)).unwrap().swap_remove(0);
            let errors = y.iter().zip(&example.target).zip(&example.weights);
            let loss: f32 = errors.map(|((y, x), w)| w * (y - x).powi(2)).sum();
            (y, loss)
        };
        let (y, loss) = look(&sample);
        let (masked_y, masked_loss) = look(&with_value(&sample, 4, 0.9));
        assert_eq!(y, masked_y, "{region}");
        assert_eq!(loss == masked_loss, region == "visible", "{loss} {masked_loss}");
        let (seen_y, _) = look(&with_value(&sample, 5, 0.9));
        assert_ne!(y, seen_y, "{region}");
    }
}

/// A missing value is never seen and never scored.
#[test]
fn missing_values_are_neither_seen_nor_scored() {
    let config = spectra(&json!({}));
    let (mut data, _) = opened(&config);
    let sample = with_value(&data.batch(0, 1, &cx()).unwrap().swap_remove(0), 7, f64::NAN);
    for seed in 0..20 {
        let mask = data.mask(&sample, &config, &mut Generator::new(seed, "masks"));
        let example = data.example(&sample, &mask, &config).unwrap();
        // Eleven are there; half of them, to even, are masked.
        assert_eq!((example.n_scored, example.seen.places.len()), (6, 5), "seed {seed}");
        assert!(!example.seen.places.contains(&7) && example.weights[7] == 0.0);
        assert!(example.target.iter().all(|value| value.is_finite()));
    }
}
