//! `AdamW` whose state can be saved and whose decay goes by kind of parameter.
//!
//! Loshchilov and Hutter 2019, as PyTorch computes it: `p ← p (1 − lr·wd)`, then
//! `p ← p − lr · m̂ / (√v̂ + eps)` with `m̂ = m / (1 − β₁ᵗ)` and `√v̂ = √v / √(1 − β₂ᵗ)`.

use candle_core::{DType, Device, Tensor};
use sdk::{Error, Result, StateVisitor, Stateful, TensorHandle};

use sdk_transformer::kernels::{AdamStep, adamw};
use sdk_transformer::threads::{Items, Ranges, Threads};

use crate::gradients::Gradients;
use crate::in_place;
use crate::parallel::Workers;
use crate::params::{Param, ParamKind, Params};

/// Settings of [`AdamW`]; the learning rate comes with each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay rates of the two moments, each in `[0, 1)`.
    pub betas: (f64, f64),
    /// Added to the root of the second moment; above 0.
    pub eps: f64,
    /// Decoupled weight decay, at least 0.
    pub weight_decay: f64,
    /// Whether norm gains and biases decay too.
    pub decay_norm_and_bias: bool,
    /// Whether embeddings decay too, and with them a head that shares the table.
    pub decay_embeddings: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.95),
            eps: 1e-8,
            weight_decay: 0.1,
            decay_norm_and_bias: true,
            decay_embeddings: true,
        }
    }
}

impl AdamWConfig {
    fn decay(&self, kind: ParamKind) -> f64 {
        let decays = match kind {
            ParamKind::Weight => true,
            ParamKind::Bias | ParamKind::Norm => self.decay_norm_and_bias,
            ParamKind::Embedding => self.decay_embeddings,
        };
        if decays { self.weight_decay } else { 0.0 }
    }
}

/// The optimizer and its state: two f32 moments per value in host memory, and the step count.
///
/// On the CPU with f32 parameters a step is one pass over memory; otherwise parameters are brought
/// to the host and back.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    threads: Threads,
    steps_done: u64,
    slots: Vec<Slot>,
    /// Where the moments of each parameter begin, and the end.
    offsets: Vec<usize>,
    m: Vec<f32>,
    v: Vec<f32>,
}

/// What belongs to one parameter.
#[derive(Debug)]
struct Slot {
    name: String,
    shape: Vec<usize>,
    decay: f64,
    /// How its last update went.
    outcome: candle_core::Result<()>,
}

impl AdamW {
    /// Zero moments for `params`, on one thread.
    pub fn new(params: &Params, config: AdamWConfig) -> Self {
        let slots = params
            .iter()
            .map(|(name, kind, var)| Slot {
                name: name.to_owned(),
                shape: var.dims().to_vec(),
                decay: config.decay(kind),
                outcome: Ok(()),
            })
            .collect();
        let (m, v) = (vec![0.0; params.count()], vec![0.0; params.count()]);
        let (threads, offsets) = (Threads::new(1), params.offsets());
        Self { config, threads, steps_done: 0, slots, offsets, m, v }
    }

    /// Lets a step use the threads of `workers`; the result is the same.
    #[must_use]
    pub fn workers(mut self, workers: &Workers) -> Self {
        self.threads = workers.threads.clone();
        self
    }

    /// Steps taken so far, those before a resume included.
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// One update of every parameter with learning rate `lr`, at least 0. Clipping that
    /// [`Gradients::clip`] asked for is applied here.
    ///
    /// # Errors
    /// When `params` are not those the optimizer was made for, or a copy from or to the device
    /// fails.
    pub fn step(&mut self, params: &Params, gradients: &Gradients, lr: f64) -> Result<()> {
        if params.len() != self.slots.len() {
            let message = format!(
                "the optimizer was made for {} parameters, not {}",
                self.slots.len(),
                params.len()
            );
            return Err(Error::new("adamw::params", message));
        }
        self.steps_done += 1;
        let step = self.at(lr, gradients.scale());
        let moments =
            (Ranges::new(&mut self.m, &self.offsets), Ranges::new(&mut self.v, &self.offsets));
        self.threads.each((Items::new(&mut self.slots), moments), |i, (slot, (m, v))| {
            let step = AdamStep { shrink: (1.0 - lr * slot.decay) as f32, ..step };
            slot.outcome = update(params.at(i), gradients.values(i), m, v, step);
        });
        self.slots.iter_mut().try_for_each(|slot| {
            std::mem::replace(&mut slot.outcome, Ok(()))
                .map_err(|e| crate::error(e).context(format!("updating parameter `{}`", slot.name)))
        })
    }

    /// The numbers of the step at hand, without decay.
    fn at(&self, lr: f64, grad_scale: f32) -> AdamStep {
        let t = self.steps_done as f64;
        let (beta1, beta2) = self.config.betas;
        AdamStep {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            eps: self.config.eps as f32,
            step_size: (lr / (1.0 - beta1.powf(t))) as f32,
            root_bias2: (1.0 - beta2.powf(t)).sqrt() as f32,
            shrink: 1.0,
            grad_scale,
        }
    }
}

/// One update of a parameter and its moments.
fn update(
    param: &Param,
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    step: AdamStep,
) -> candle_core::Result<()> {
    let var = &param.var;
    if var.device().is_cpu() && var.dtype() == DType::F32 {
        return in_place::write(param, |p| adamw(p, gradient, m, v, step));
    }
    let mut p = var.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    adamw(&mut p, gradient, m, v, step);
    let p = Tensor::from_vec(p, var.shape(), &Device::Cpu)?;
    var.set(&p.to_dtype(var.dtype())?.to_device(var.device())?)
}

impl Stateful for AdamW {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        visitor.value("t", &mut self.steps_done)?;
        for (slot, range) in self.slots.iter().zip(self.offsets.windows(2)) {
            for (prefix, moments) in [("m", &mut self.m), ("v", &mut self.v)] {
                let moment = &mut moments[range[0]..range[1]];
                let name = format!("{prefix}/{}", slot.name);
                let save = || TensorHandle::from_vec(moment.to_vec(), &slot.shape);
                let Some(saved) = visitor.tensor(&name, save)? else { continue };
                if saved.shape() != slot.shape {
                    let message = format!(
                        "restoring `{name}`: it has shape {:?}, wanted {:?}",
                        saved.shape(),
                        slot.shape
                    );
                    return Err(Error::new("adamw::shape", message));
                }
                moment.copy_from_slice(&saved.to_vec::<f32>()?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sdk::{Generator, StateDict};

    use super::*;
    use crate::params::Init;

    const KINDS: [(&str, ParamKind); 4] = [
        ("weight", ParamKind::Weight),
        ("bias", ParamKind::Bias),
        ("ln1", ParamKind::Norm),
        ("table", ParamKind::Embedding),
    ];

    fn params(dtype: DType) -> Params {
        let mut g = Generator::new(1, "model init");
        let mut params = Params::new(&Device::Cpu, dtype);
        for (name, kind) in KINDS {
            params.declare(name, kind, &[37], Init::Normal { std: 1.0 }, &mut g).unwrap();
        }
        params
    }

    fn values(params: &Params, name: &str) -> Vec<f64> {
        params.get(name).to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    /// Gradient of Σ p³ / 3.
    fn gradients(params: &Params) -> Gradients {
        let mut gradients = Gradients::new(params);
        for (name, _, _) in params.iter() {
            let p = params.get(name);
            let loss = (p.sqr().unwrap() * p).unwrap().sum_all().unwrap();
            let loss = (loss / 3.0).unwrap();
            gradients.add(params, &loss.backward().unwrap()).unwrap();
        }
        gradients
    }

    #[test]
    fn follows_the_formula_over_steps() {
        let config = AdamWConfig { betas: (0.8, 0.9), eps: 1e-3, ..AdamWConfig::default() };
        let params = params(DType::F32);
        let mut optimizer = AdamW::new(&params, config);
        let mut p = values(&params, "weight");
        let (mut m, mut v) = (vec![0.0; p.len()], vec![0.0; p.len()]);
        for t in 1..=5 {
            let lr = 0.01 * f64::from(t);
            optimizer.step(&params, &gradients(&params), lr).unwrap();
            for i in 0..p.len() {
                let g = p[i] * p[i];
                m[i] = 0.8 * m[i] + 0.2 * g;
                v[i] = 0.9 * v[i] + 0.1 * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - 0.8f64.powi(t)), v[i] / (1.0 - 0.9f64.powi(t)));
                p[i] = p[i] * (1.0 - lr * 0.1) - lr * m_hat / (v_hat.sqrt() + 1e-3);
            }
        }
        for (got, want) in values(&params, "weight").iter().zip(&p) {
            assert!((got - want).abs() < 2e-6, "{got} {want}");
        }
    }

    #[test]
    fn decay_goes_by_kind() {
        for (norm_and_bias, embeddings) in [(true, true), (false, true), (true, false)] {
            let config = AdamWConfig {
                decay_norm_and_bias: norm_and_bias,
                decay_embeddings: embeddings,
                ..AdamWConfig::default()
            };
            let params = params(DType::F32);
            let before: Vec<Vec<f64>> = KINDS.iter().map(|(n, _)| values(&params, n)).collect();
            // Zero gradients: only decay moves anything.
            AdamW::new(&params, config).step(&params, &Gradients::new(&params), 0.5).unwrap();
            for ((name, kind), before) in KINDS.iter().zip(before) {
                let factor = match kind {
                    ParamKind::Weight => 0.95,
                    ParamKind::Bias | ParamKind::Norm => [1.0, 0.95][usize::from(norm_and_bias)],
                    ParamKind::Embedding => [1.0, 0.95][usize::from(embeddings)],
                };
                let after = values(&params, name);
                assert!(after.iter().zip(&before).all(|(a, b)| (a - b * factor).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn state_continues_exactly_and_threads_do_not_matter() {
        let run = |from: Option<&StateDict>, threads: usize, steps: usize| {
            let params = params(DType::F32);
            let mut both = Both {
                optimizer: AdamW::new(&params, AdamWConfig::default())
                    .workers(&Workers::new(threads)),
                params,
            };
            if let Some(from) = from {
                from.restore(&mut both).unwrap();
            }
            for _ in 0..steps {
                let gradients = gradients(&both.params);
                both.optimizer.step(&both.params, &gradients, 0.01).unwrap();
            }
            (values(&both.params, "table"), StateDict::save(&mut both).unwrap())
        };
        let (whole, _) = run(None, 1, 6);
        let (_, half) = run(None, 3, 3);
        assert_eq!(half.values["optimizer/t"], 3);
        let (resumed, _) = run(Some(&half), 2, 3);
        assert_eq!(whole, resumed);
    }

    struct Both {
        params: Params,
        optimizer: AdamW,
    }

    impl Stateful for Both {
        fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
            visitor.nested("model", &mut self.params)?;
            visitor.nested("optimizer", &mut self.optimizer)
        }
    }

    #[test]
    fn other_types_go_through_the_host() {
        let (single, double) = (params(DType::F32), params(DType::F64));
        for params in [&single, &double] {
            let mut optimizer = AdamW::new(params, AdamWConfig::default());
            optimizer.step(params, &gradients(params), 0.01).unwrap();
        }
        for (a, b) in values(&single, "weight").iter().zip(values(&double, "weight")) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
