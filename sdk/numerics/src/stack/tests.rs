//! One operation against many, and the ways in which gradients arrive.

use candle_core::{DType, Device};

use super::*;
use crate::gradients::Gradients;
use crate::ops::Compute;
use crate::ops::check::wave;
use crate::parallel::Workers;

/// A decoder with everything that the GPT has, and an encoder of the other kind.
fn configs() -> [StackConfig; 3] {
    let decoder = StackConfig {
        width: 12,
        heads: 2,
        feed_forward: 20,
        layers: 2,
        norm: Norm::Rms,
        norm_eps: 1e-3,
        placement: Placement::Before,
        activation: Activation::SwiGlu,
        is_causal: true,
        rope_theta: Some(100.0),
        attention_bias: false,
        feed_forward_bias: true,
        dropout: 0.2,
    };
    let encoder = StackConfig {
        heads: 3,
        norm: Norm::Layer,
        placement: Placement::After,
        activation: Activation::Gelu,
        is_causal: false,
        rope_theta: None,
        attention_bias: true,
        ..decoder.clone()
    };
    let third = StackConfig {
        activation: Activation::Relu,
        placement: Placement::Before,
        dropout: 0.0,
        ..encoder.clone()
    };
    [decoder, encoder, third]
}

/// A stack behind a first layer and in front of a last one, all of them drawn alike.
struct Model {
    params: Params,
    stack: TransformerStack,
}

const POSITIONS: usize = 7;

impl Model {
    fn new(config: &StackConfig, dtype: DType) -> Self {
        let mut init = Generator::new(1, "model init");
        let mut params = Params::new(&Device::Cpu, dtype);
        let start = Init::Normal { std: 0.3 };
        let c = config.width;
        params.declare("first", ParamKind::Weight, &[c, 5], start, &mut init).unwrap();
        let stack =
            TransformerStack::declare("stack", config, POSITIONS, start, &mut params, &mut init);
        params.declare("last", ParamKind::Weight, &[3, c], start, &mut init).unwrap();
        // Biases and gains with values of their own: 0 and 1 would hide what they do.
        for (i, (_, kind, var)) in params.iter().enumerate() {
            let (scale, middle) = match kind {
                ParamKind::Weight | ParamKind::Embedding => continue,
                ParamKind::Bias => (0.3, 0.0),
                ParamKind::Norm => (0.3, 1.0),
            };
            let values = (wave(var.dims(), i) * scale).unwrap() + middle;
            var.set(&values.unwrap().to_dtype(dtype).unwrap()).unwrap();
        }
        Self { params, stack: stack.unwrap() }
    }

    /// A loss that weighs every output by itself, padding left out.
    fn loss(&self, sequences: Sequences<'_>) -> Result<Tensor> {
        let dtype = self.params.dtype();
        let x = wave(&[2, POSITIONS, 5], 3).to_dtype(dtype)?;
        let x = ops::linear(&x, self.params.get("first"), None)?;
        let y = self.stack.forward(&x, sequences)?;
        let weights = wave(&[2, POSITIONS, 3], 9).to_dtype(dtype)?;
        let there = |i: usize| {
            let length = sequences.lengths.get(i / POSITIONS).copied().unwrap_or(POSITIONS);
            f64::from(u8::from(i % POSITIONS < length))
        };
        let there: Vec<f64> = (0..2 * POSITIONS).map(there).collect();
        let there = Tensor::from_vec(there, (2, POSITIONS, 1), &Device::Cpu)?.to_dtype(dtype)?;
        let y = ops::linear(&y, self.params.get("last"), None)?.broadcast_mul(&there)?;
        (y * weights)?.sum_all()
    }

    /// Loss and gradients, by the tape alone.
    fn by_tape(&self, sequences: Sequences<'_>) -> (f64, Vec<Vec<f64>>) {
        let loss = self.loss(sequences).unwrap();
        let store = loss.backward().unwrap();
        let gradients = self.params.iter().map(|(_, _, var)| flat(store.get(var).unwrap()));
        (flat(&loss)[0], gradients.collect())
    }

    /// Loss and gradients by two workers, each with all of the input.
    fn by_workers(&self, sequences: Sequences<'_>) -> (f64, Vec<Vec<f32>>) {
        let mut gradients = Gradients::new(&self.params);
        let shards = vec![(), ()];
        let loss = Workers::new(2)
            .gradients(&self.params, shards, &mut gradients, |()| {
                self.loss(sequences).map_err(crate::error)
            })
            .unwrap();
        let names = self.params.iter().map(|(name, _, _)| gradients.get(name).unwrap());
        (loss, names.collect())
    }
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference as a share of the largest value.
fn apart(got: impl IntoIterator<Item = f64>, want: &[f64]) -> f64 {
    let largest = want.iter().fold(0f64, |most, x| most.max(x.abs()));
    let differences = got.into_iter().zip(want).map(|(got, want)| (got - want).abs());
    differences.fold(0.0, f64::max) / largest
}

const CALLS: [Sequences<'_>; 3] = [
    Sequences { lengths: &[], seeds: &[] },
    Sequences { lengths: &[7, 4], seeds: &[] },
    Sequences { lengths: &[5, 7], seeds: &[11, 12] },
];

#[test]
fn one_operation_agrees_with_many_in_f64() {
    for config in configs() {
        let (fused, composed) = (Model::new(&config, DType::F32), Model::new(&config, DType::F64));
        for call in CALLS {
            let (loss, gradients) = fused.by_tape(call);
            let (want, wanted) = composed.by_tape(call);
            assert!((loss - want).abs() < 1e-5 * want.abs().max(1.0), "{loss} {want}");
            for ((name, _, _), (got, want)) in
                fused.params.iter().zip(gradients.iter().zip(&wanted))
            {
                let apart = apart(got.iter().copied(), want);
                assert!(apart < 1e-5, "{name}: {apart} {config:?} {call:?}");
            }
        }
    }
}

#[test]
fn gradients_in_f64_are_those_of_finite_differences() {
    for config in configs() {
        let model = Model::new(&config, DType::F64);
        let (_, gradients) = model.by_tape(CALLS[2]);
        for ((name, _, var), gradient) in model.params.iter().zip(&gradients) {
            let j = gradient.len() / 2;
            let (values, h) = (flat(var), 1e-5);
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[j] += delta;
                var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                flat(&model.loss(CALLS[2]).unwrap())[0]
            };
            let numeric = (at(h) - at(-h)) / (2.0 * h);
            at(0.0);
            assert!((gradient[j] - numeric).abs() < 1e-6, "{name}: {} {numeric}", gradient[j]);
        }
    }
}

#[test]
fn workers_add_what_the_tape_finds() {
    for config in configs() {
        let model = Model::new(&config, DType::F32);
        let ((loss, gradients), (want, wanted)) =
            (model.by_tape(CALLS[2]), model.by_workers(CALLS[2]));
        assert!((2.0 * loss - want).abs() < 1e-5, "{loss} {want}");
        for (got, want) in wanted.iter().zip(&gradients) {
            assert!(apart(got.iter().map(|g| f64::from(*g) / 2.0), want) < 1e-6);
        }
        // Memory of the first call serves the second one, with the same result.
        assert_eq!(model.by_workers(CALLS[2]), (want, wanted));
    }
}

/// A second way back finds the pass used up, and computes it again.
#[test]
fn a_loss_may_go_backward_twice() {
    let model = Model::new(&configs()[0], DType::F32);
    let loss = model.loss(CALLS[2]).unwrap();
    let of = |store: candle_core::backprop::GradStore| {
        let gradients = model.params.iter().map(|(_, _, var)| flat(store.get(var).unwrap()));
        gradients.collect::<Vec<_>>()
    };
    assert_eq!(of(loss.backward().unwrap()), of(loss.backward().unwrap()));
}

#[test]
fn inference_is_a_pass_without_dropout() {
    for config in configs() {
        for dtype in [DType::F32, DType::F64] {
            let model = Model::new(&config, dtype);
            let x = wave(&[2, 6, config.width], 3).to_dtype(dtype).unwrap();
            for lengths in [&[][..], &[6, 2]] {
                let y = model.stack.infer(&x, lengths).unwrap();
                let sequences = Sequences { lengths, seeds: &[] };
                assert_eq!(flat(&y), flat(&model.stack.forward(&x, sequences).unwrap()));
                assert!(!y.track_op());
                // However training passes multiply.
                let mixed = model.stack.clone().with_compute(Compute::Bf16);
                assert_eq!(flat(&mixed.infer(&x, lengths).unwrap()), flat(&y));
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let [config, ..] = configs();
    let model = Model::new(&config, DType::F32);
    let refused = |x: &Tensor, sequences: Sequences<'_>| {
        crate::error(model.stack.forward(x, sequences).unwrap_err()).message
    };
    let x = |t: usize, c: usize| wave(&[2, t, c], 1).to_dtype(DType::F32).unwrap();
    let all = Sequences::default();
    let wide = "a stack of width 12 for 7 positions can't take [2, 7, 13]";
    assert_eq!(refused(&x(7, 13), all), wide);
    let long = "a stack of width 12 for 7 positions can't take [2, 8, 12]";
    assert_eq!(refused(&x(8, 12), all), long);
    let seeds = Sequences { seeds: &[1, 2, 3], ..all };
    assert_eq!(refused(&x(7, 12), seeds), "3 lengths or seeds don't fit 2 sequences");
    let empty = Sequences { lengths: &[7, 0], ..all };
    let message = "a sequence of 7 positions can't have a length of 0";
    assert_eq!(refused(&x(7, 12), empty), message);

    let declare = |config: StackConfig| {
        let (mut params, mut init) =
            (Params::new(&Device::Cpu, DType::F32), Generator::new(1, "x"));
        let start = Init::Zeros;
        let made = TransformerStack::declare("s", &config, 4, start, &mut params, &mut init);
        made.unwrap_err().message
    };
    let heads = declare(StackConfig { heads: 5, ..config.clone() });
    assert_eq!(heads, "5 heads can't share a width of 12");
    let odd = declare(StackConfig { heads: 4, ..config.clone() });
    assert_eq!(odd, "a rotary head must have an even width, not 3");
    let dropout = declare(StackConfig { dropout: 1.0, ..config });
    assert_eq!(dropout, "a probability of dropout must be in [0, 1), not 1");
}
