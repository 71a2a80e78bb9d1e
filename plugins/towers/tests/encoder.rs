//! Encoders against what they must agree with: the first system's sizes, padding, threads.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use candle_core::{DType, Device, Tensor};
use sdk::{Artifacts, Generator};
use sdk_numerics::{Gradients, Params, Workers, error};
use spectral::TokenizerConfig;
use towers::{
    Encoder, EncoderConfig, PositionEncoding, SpectralEncoder, TokenBatch, TokenSet, masked_mean,
};

fn encoder(config: &EncoderConfig, n_features: usize, n_places: usize) -> (Params, Encoder) {
    let mut params = Params::new(&Device::Cpu, DType::F32);
    let mut init = Generator::new(7, "model init");
    let encoder = Encoder::declare("tower", config, n_features, n_places, &mut params, &mut init);
    (params, encoder.unwrap())
}

fn small() -> EncoderConfig {
    EncoderConfig { embed_dim: 8, heads: 2, dropout: 0.2, ..EncoderConfig::default() }
}

/// `n` samples of up to five tokens of three features; sample `i` misses `i` of its tokens.
fn sets(n: usize) -> Vec<TokenSet> {
    let set = |i: usize| {
        let features: Vec<f32> = (0..15).map(|j| ((i * 15 + j) as f32 * 0.7).sin()).collect();
        TokenSet::of(&features, 3, |place| place >= i)
    };
    (0..n).map(set).collect()
}

const NM: [f64; 5] = [400.0, 550.0, 700.0, 1000.0, 2000.0];

/// Embed 256, depth 6, 8 heads and 512 learned places, as the first system counts them.
#[test]
fn the_reference_encoder_has_as_many_parameters_as_the_original() {
    let (params, _) = encoder(&EncoderConfig::reference(256, 6, 8), 256, 512);
    assert_eq!(params.count(), 8_021_504);
}

/// The first system's initialisation: uniform, within bounds that follow from the extents.
#[test]
fn the_reference_encoder_starts_within_the_frameworks_bounds() {
    let (params, _) = encoder(&EncoderConfig::reference(64, 1, 4), 64, 4);
    let largest = |name: &str| {
        let values = params.get(&format!("tower.layers.0.{name}")).flatten_all().unwrap();
        values.to_vec1::<f32>().unwrap().iter().fold(0f32, |most, value| most.max(value.abs()))
    };
    let bounds = [
        ("qkv.weight", (6.0f32 / 256.0).sqrt()),
        ("proj.weight", 0.125),
        ("up.weight", 0.125),
        ("up.bias", 0.125),
        ("down.weight", 2048f32.sqrt().recip()),
        ("down.bias", 2048f32.sqrt().recip()),
    ];
    for (name, bound) in bounds {
        let found = largest(name);
        assert!(found <= bound && found > 0.9 * bound, "{name}: {found} of {bound}");
    }
    assert_eq!((largest("qkv.bias"), largest("proj.bias")), (0.0, 0.0));
}

#[test]
fn padding_changes_nothing() {
    let (_, encoder) = encoder(&small(), 3, 5);
    let places = encoder.places(&NM).unwrap();
    let pooled = |sets: &[TokenSet]| -> Vec<Vec<f32>> {
        let batch = TokenBatch::new(sets, 3, &Device::Cpu).unwrap();
        let h = encoder.infer(&batch, &places).unwrap();
        masked_mean(&h, &batch.lengths).unwrap().to_vec2().unwrap()
    };
    let sets = sets(4);
    let together = pooled(&sets);
    for (i, set) in sets.iter().enumerate() {
        let alone = pooled(std::slice::from_ref(set));
        let far =
            together[i].iter().zip(&alone[0]).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(far < 1e-6, "sample {i}: {far}");
    }
    assert_ne!(together[0], together[1]);
}

/// Where a token lies must reach it in each way of telling, and not at all without one.
#[test]
fn positions_count_where_they_are_told() {
    let with = |position| {
        let (_, encoder) = encoder(&EncoderConfig { position, ..small() }, 3, 5);
        let places = encoder.places(&NM).unwrap();
        let pooled = |order: [u32; 3]| {
            let set = TokenSet { places: order.to_vec(), features: vec![0.5; 9] };
            let batch = TokenBatch::new(&[set], 3, &Device::Cpu).unwrap();
            let h = encoder.infer(&batch, &places).unwrap();
            masked_mean(&h, &batch.lengths).unwrap().to_vec2::<f32>().unwrap()
        };
        pooled([0, 1, 2]) == pooled([0, 1, 4])
    };
    assert!(with(PositionEncoding::None));
    assert!(!with(PositionEncoding::TokenIndex));
    assert!(!with(PositionEncoding::Wavelength));
}

/// One loss over the whole batch, on one thread and spread over several.
#[test]
fn spreading_over_threads_gives_the_same_gradients_and_repeats_bit_for_bit() {
    let gradients = |n_threads: usize| -> Vec<f32> {
        let (params, encoder) = encoder(&small(), 3, 5);
        let encoder = encoder.spread(&Workers::new(n_threads));
        let places = encoder.places(&NM).unwrap();
        let mut gradients = Gradients::new(&params);
        let batch = TokenBatch::new(&sets(4), 3, &Device::Cpu).unwrap();
        Workers::new(1)
            .gradients(&params, vec![batch], &mut gradients, |batch| {
                let loss = || {
                    let h = encoder.forward(&batch, &places, &[1, 2, 3, 4])?;
                    let z = masked_mean(&h, &batch.lengths)?; // (4, 8)
                    let mean: Tensor = z.mean_keepdim(0)?;
                    z.broadcast_mul(&mean)?.exp()?.sum_all()
                };
                loss().map_err(error)
            })
            .unwrap();
        params.iter().flat_map(|(name, ..)| gradients.get(name).unwrap()).collect()
    };
    let (one, three) = (gradients(1), gradients(3));
    let largest = one.iter().fold(0f32, |most, g| most.max(g.abs()));
    let far = one.iter().zip(&three).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(far < 1e-5 * largest, "{far} of {largest}");
    assert_eq!(three, gradients(3));
    assert_eq!(one, gradients(1));
}

fn described() -> SpectralEncoder {
    SpectralEncoder {
        encoder: small(),
        tokenizer: TokenizerConfig::default(),
        value_stats: None,
        sensor: None,
        axis_nm: NM.to_vec(),
    }
}

#[test]
fn an_encoder_is_handed_on_with_its_weights() {
    let (params, first) = encoder(&small(), 3, 5);
    let mut given = Artifacts::default();
    given.push("first", described().artifact(&params, "tower").unwrap());

    let mut other = Params::new(&Device::Cpu, DType::F32);
    let mut init = Generator::new(8, "model init");
    let second = Encoder::declare("sensor", &small(), 3, 5, &mut other, &mut init).unwrap();
    let (trained, tensors) = SpectralEncoder::latest(&given).unwrap().unwrap();
    described().check(&trained).unwrap();
    SpectralEncoder::load(tensors, &other, "sensor").unwrap();
    let says = |encoder: &Encoder| {
        let batch = TokenBatch::new(&sets(2), 3, &Device::Cpu).unwrap();
        let places = encoder.places(&NM).unwrap();
        let h = encoder.infer(&batch, &places).unwrap();
        masked_mean(&h, &batch.lengths).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(says(&first), says(&second));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let message = |change: fn(&mut SpectralEncoder)| {
        let mut trained = described();
        change(&mut trained);
        described().check(&trained).unwrap_err().message
    };
    let said = [
        message(|other| other.encoder.embed_dim = 16),
        message(|other| other.encoder.position = PositionEncoding::None),
        message(|other| other.tokenizer.n_frequencies = 3),
        message(|other| other.axis_nm.truncate(4)),
    ];
    assert_eq!(
        said,
        [
            "the encoder handed on was trained with `embed_dim` 16, not 8",
            "the encoder handed on was trained with `position` \"none\", not \"wavelength\"",
            "the encoder handed on was trained with `tokenizer.n_frequencies` 3, not 6",
            "the encoder handed on was trained on 4 bands, not 5",
        ]
    );
    // Neither has weights.
    let mut trained = described();
    (trained.encoder.dropout, trained.encoder.init) = (0.0, towers::InitRule::Framework);
    assert!(described().check(&trained).is_ok());
}
