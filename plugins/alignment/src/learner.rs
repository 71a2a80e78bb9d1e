//! One step of the alignment: both towers on the whole batch, the loss, and back.
//!
//! The contrastive loss looks at all embeddings at once, so a batch can't be cut into parts: the
//! towers spread its spectra over the threads themselves.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Result, Tensor};
use sdk::{Generator, PhaseContext, StateVisitor, Stateful, StepReport};
use sdk_numerics::ops::Compute;
use sdk_numerics::{AdamW, Gradients, Init, ParamKind, Params, WarmupCosine, Workers, error};
use towers::SpectralEncoder;

use crate::config::Config;
use crate::heads::{Cycle, DepthHead};
use crate::info_nce::{info_nce, temperature};
use crate::pairs::Pair;
use crate::tower::{Input, Side, Tower, encoder_name};

/// Names of the two towers' parameters.
const LAB: &str = "lab";
/// As above; where the towers are one, it is this one.
pub(crate) const SENSOR: &str = "sensor";

/// The two sides.
#[derive(Clone, Debug)]
pub(crate) struct Sides {
    /// The laboratory.
    pub(crate) lab: Side,
    /// The sensor.
    pub(crate) sensor: Side,
    /// Wavelengths of the laboratory's own grid, whatever its tower sees.
    pub(crate) grid: Side,
    /// Whether the laboratory's tower sees spectra as the sensor's bands do.
    pub(crate) is_on_bands: bool,
}

impl Sides {
    /// Both inputs of some pairs.
    ///
    /// # Errors
    /// When a spectrum has another number of values than its side has bands.
    pub(crate) fn inputs(&self, pairs: &[Pair]) -> sdk::Result<[Input; 2]> {
        let of_lab = self.lab.input(pairs.iter().map(|pair| {
            if self.is_on_bands { pair.on_bands.as_slice() } else { pair.lab.as_slice() }
        }))?;
        let of_sensor = self.sensor.input(pairs.iter().map(|pair| pair.sensor.as_slice()))?;
        Ok([of_lab, of_sensor])
    }
}

/// Both towers with all that is learned beside them.
pub(crate) struct Model {
    /// All parameters.
    pub(crate) params: Params,
    lab: Tower,
    sensor: Tower,
    cycle: Option<Cycle>,
    depths: Option<DepthHead>,
    /// Logarithm of the temperature, `(1)`; a parameter where it is learned.
    log_tau: Tensor,
    cycle_weight: f64,
    depth_weight: f64,
}

/// The losses of a step; the first one is what is minimised.
type Losses = Vec<(&'static str, f64)>;

impl Model {
    /// Fresh parameters.
    ///
    /// # Errors
    /// When sizes don't fit together or the file of absorption bands can't be read.
    pub(crate) fn new(
        config: &Config,
        sides: &Sides,
        workers: &Workers,
        compute: Compute,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let mut params = Params::new(&candle_core::Device::Cpu, DType::F32);
        let model = &config.model;
        let n_places = sides.lab.nm.len().max(sides.sensor.nm.len());
        let mut tower = |name, side: &Side, params: &mut Params| {
            Tower::declare(name, model, side, n_places, params, init)
        };
        let lab = (!model.shared).then(|| tower(LAB, &sides.lab, &mut params)).transpose()?;
        let sensor = tower(SENSOR, &sides.sensor, &mut params)?;
        let lab = lab.map_or_else(|| sensor.on(&sides.lab).map_err(error), Ok)?;
        let axes = (sides.grid.nm.as_slice(), sides.sensor.nm.as_slice());
        let cycle = Cycle::declare(&config.cycle, model.embed_dim, axes, &mut params, init)?;
        let depths = DepthHead::declare(&config.banddepth, model.embed_dim, &mut params, init)
            .map_err(|error| error.at("banddepth.config"))?;
        let log_tau = log_tau(config, &mut params, init)?;
        Ok(Self {
            lab: lab.working(workers, compute),
            sensor: sensor.working(workers, compute),
            cycle,
            depths,
            log_tau,
            cycle_weight: model.cycle_weight,
            depth_weight: config.banddepth.weight,
            params,
        })
    }

    /// The temperature.
    ///
    /// # Errors
    /// Never for a model that was made.
    pub(crate) fn tau(&self) -> sdk::Result<f64> {
        let tau = temperature(&self.log_tau).and_then(|tau| tau.to_vec1::<f32>());
        Ok(f64::from(tau.map_err(error)?[0]))
    }

    /// Embeddings of both sides, without dropout.
    ///
    /// # Errors
    /// When the inputs are another model's.
    pub(crate) fn embeddings(&self, [lab, sensor]: &[Input; 2]) -> sdk::Result<[Tensor; 2]> {
        let both = || Ok([self.lab.infer(lab)?, self.sensor.infer(sensor)?]);
        both().map_err(error)
    }

    /// The contrastive loss of embeddings, in nats.
    ///
    /// # Errors
    /// When they are no pairs.
    pub(crate) fn contrast(&self, [lab, sensor]: &[Tensor; 2]) -> sdk::Result<f64> {
        let loss = info_nce(lab, sensor, &self.log_tau).and_then(|loss| scalar(&loss));
        loss.map_err(error)
    }

    /// What is minimised, and its parts before their weights.
    fn losses(
        &self,
        sides: &Sides,
        pairs: &[Pair],
        inputs: &[Input; 2],
        seeds: &Seeds,
    ) -> Result<(Tensor, Losses)> {
        let z_lab = self.lab.forward(&inputs[0], &seeds.lab)?;
        let z_sensor = self.sensor.forward(&inputs[1], &seeds.sensor)?;
        let mut total = info_nce(&z_lab, &z_sensor, &self.log_tau)?;
        let mut parts = vec![("infonce", scalar(&total)?)];
        if let Some(cycle) = &self.cycle {
            let (loss, own) = cycle.loss(&z_lab, &z_sensor, pairs)?;
            parts.push(("cycle", scalar(&loss)?));
            for (name, part) in own {
                parts.push((name, scalar(&part)?));
            }
            total = (total + (loss * self.cycle_weight)?)?;
        }
        if let Some(depths) = &self.depths {
            let loss = depths.loss(&z_sensor, &sides.grid, pairs)?;
            parts.push(("banddepth", scalar(&loss)?));
            total = (total + (loss * self.depth_weight)?)?;
        }
        Ok((total, parts))
    }
}

fn scalar(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar::<f64>()
}

/// The logarithm of the temperature at the start: a parameter of this model, where it is learned.
fn log_tau(config: &Config, params: &mut Params, init: &mut Generator) -> sdk::Result<Tensor> {
    let start = config.loss.tau_init.ln() as f32;
    let start = Tensor::new(&[start], params.device()).map_err(error)?;
    if !config.loss.learnable_tau {
        return Ok(start);
    }
    let log_tau = params.declare("log_tau", ParamKind::Bias, &[1], Init::Zeros, init)?;
    let own = params.iter().last().map(|(_, _, var)| var.set(&start));
    own.transpose().map_err(error)?;
    Ok(log_tau)
}

/// Seeds of dropout for each spectrum of both sides.
#[derive(Default)]
struct Seeds {
    lab: Vec<u64>,
    sensor: Vec<u64>,
}

/// Model, optimizer and randomness.
pub(crate) struct Learner {
    /// What learns.
    pub(crate) model: Model,
    optimizer: AdamW,
    gradients: Gradients,
    schedule: WarmupCosine,
    grad_clip: Option<f64>,
    has_dropout: bool,
    dropout: Generator,
}

impl Stateful for Learner {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> sdk::Result<()> {
        visitor.nested("model", &mut self.model.params)?;
        visitor.nested("optimizer", &mut self.optimizer)?;
        visitor.generator("dropout", &mut self.dropout)
    }
}

impl Learner {
    /// A model with fresh parameters, and its optimizer.
    ///
    /// # Errors
    /// As of [`Model::new`].
    pub(crate) fn new(config: &Config, sides: &Sides, cx: &PhaseContext) -> sdk::Result<Self> {
        let workers = Workers::new(cx.device().threads);
        let compute = Compute::of_phase(cx.device())?;
        let init = &mut cx.generator("model init");
        let model = Model::new(config, sides, &workers, compute, init)?;
        let params = &model.params;
        Ok(Self {
            optimizer: AdamW::new(params, config.optimizer.adamw()).workers(&workers),
            gradients: Gradients::new(params).workers(&workers),
            schedule: config.optimizer.rates(config.trainer.max_steps).schedule(),
            grad_clip: config.trainer.grad_clip_norm,
            has_dropout: config.model.dropout > 0.0,
            dropout: cx.generator("dropout"),
            model,
        })
    }

    /// Starts the sensor's tower with the weights of another phase.
    ///
    /// # Errors
    /// When they don't fit.
    pub(crate) fn start_from(
        &self,
        encoder: &std::collections::BTreeMap<String, sdk::TensorHandle>,
    ) -> sdk::Result<()> {
        SpectralEncoder::load(encoder, &self.model.params, &encoder_name(SENSOR))
    }

    /// One optimizer update: forward, backward, clip, update. Reports `lr`, `grad_norm` before
    /// clipping, `tau`, and the parts of the loss before their weights.
    ///
    /// # Errors
    /// When the arithmetic fails.
    pub(crate) fn step(
        &mut self,
        step: u64,
        sides: &Sides,
        pairs: &[Pair],
        cx: &PhaseContext,
    ) -> sdk::Result<StepReport> {
        let inputs = sides.inputs(pairs)?;
        let seeds = self.seeds(pairs.len());
        cx.stages().done("encode");
        self.gradients.zero();
        let parts = Mutex::new(Losses::new());
        let model = &self.model;
        // One worker: its gradients go to the buffers in place; the towers have threads of their own.
        let loss =
            Workers::new(1).gradients(&model.params, vec![()], &mut self.gradients, |()| {
                let (loss, own) = model.losses(sides, pairs, &inputs, &seeds).map_err(error)?;
                *parts.lock().unwrap_or_else(PoisonError::into_inner) = own;
                Ok(loss)
            })?;
        cx.stages().done("forward and backward");
        let grad_norm = self.gradients.clip(self.grad_clip);
        let (lr, tau) = (self.schedule.lr(step), self.model.tau()?);
        self.optimizer.step(&self.model.params, &self.gradients, lr)?;
        cx.stages().done("update");
        let report = StepReport::new(loss, pairs.len() as u64).metric("lr", lr);
        let report = report.metric("grad_norm", grad_norm).metric("tau", tau);
        let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
        Ok(parts.fold(report, |report, (name, value)| report.metric(format!("loss/{name}"), value)))
    }

    fn seeds(&mut self, n: usize) -> Seeds {
        if !self.has_dropout {
            return Seeds::default();
        }
        let mut draw = || (0..n).map(|_| self.dropout.next_u64()).collect();
        Seeds { lab: draw(), sensor: draw() }
    }
}
