//! Faults of a section, and what it is by default.

use super::*;

fn faults(text: &str) -> Vec<(String, String)> {
    let config: Config = serde_json::from_str(text).unwrap();
    let faults = config.check().into_iter();
    faults.map(|fault| (fault.path.unwrap_or_default(), fault.message)).collect()
}

#[test]
fn the_defaults_are_sound_and_train_with_warmup_and_norms_in_front() {
    let config = Config::default();
    assert!(config.check().is_empty(), "{:?}", config.check());
    let schedule = config.optimizer.rates(config.trainer.max_steps).schedule();
    assert_eq!((schedule.lr(0), schedule.lr(50), schedule.lr(100)), (0.0, 5e-4, 1e-3));
    assert_eq!(config.model.norm, towers::NormPlacement::Before);
}

#[test]
fn every_fault_is_found_at_its_key() {
    let text = r#"{
        "trainer": {"batch_size": 0},
        "data": {"sensor": "emitt", "mixed_part": 0.5},
        "model": {"embed_dim": 30, "heads": 4},
        "optimizer": {"lr": 0.001, "min_lr": 0.1, "warmup_steps": 3000, "betas": [0.9, 1.0]},
        "loss": {"tau_init": 0.0},
        "cycle": {"enabled": true, "cycle_raw": false, "num_layers": 0},
        "banddepth": {"enabled": true}
    }"#;
    let keys: Vec<String> = faults(text).into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "trainer.batch_size",
            "data.sensor",
            "data.mixed_part",
            "model.heads",
            "optimizer.min_lr",
            "optimizer.warmup_steps",
            "optimizer.betas.1",
            "loss.tau_init",
            "cycle.num_layers",
            "cycle.enabled",
            "banddepth.config",
        ]
    );
}

#[test]
fn a_perceptron_refuses_what_it_has_not() {
    let text = r#"{"model": {"tower": "mlp", "activation": "swiglu", "dropout": 0.1}}"#;
    let expected = [
        ("model.activation", "an `mlp` has no `swiglu`: take `gelu` or `relu`"),
        ("model.dropout", "an `mlp` drops nothing: `dropout` must be 0"),
    ];
    assert_eq!(faults(text), expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
}

#[test]
fn unknown_keys_are_refused_in_every_block() {
    for block in
        ["trainer", "data", "tokenizer", "model", "optimizer", "loss", "cycle", "banddepth"]
    {
        let text = format!(r#"{{"{block}": {{"nowhere": 1}}}}"#);
        assert!(serde_json::from_str::<Config>(&text).is_err(), "{block}");
    }
}

#[test]
fn settings_without_a_name_are_the_one_that_is_trained_on() {
    let data = DataConfig { sensor_noise_rel: 0.02, ..DataConfig::default() };
    let expected = Perturbation { noise: Noise::relative(0.02), ..Perturbation::default() };
    assert_eq!(data.evaluations(), [("held_back".to_owned(), expected)]);
}
