//! What else is learned from the embeddings: the other side's spectrum, and depths of absorptions.
//!
//! All heads exist before the optimizer does, so that it moves them too.

use candle_core::{Result, Tensor};
use sdk::Generator;
use sdk_numerics::Params;
use spectral::BandDepths;
use towers::{FeedForward, InitRule, Linear};

use crate::comparison::{Continuum, Known, slopes};
use crate::config::{BandDepthConfig, CycleConfig, DepthLoss};
use crate::pairs::Pair;
use crate::tower::{Side, perceive};

/// A part of the loss that is reported by itself.
pub(crate) type Part = (&'static str, Tensor);

/// Linear layers with GELU between any two.
#[derive(Clone, Debug)]
pub(crate) struct Head(Vec<Linear>);

impl Head {
    /// Declares `n_layers` layers under `name`, those inside `hidden` wide.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn declare(
        name: &str,
        (n_inputs, hidden, n_outputs): (usize, usize, usize),
        n_layers: usize,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Self> {
        let mut sizes = vec![n_inputs];
        sizes.extend(std::iter::repeat_n(hidden, n_layers.saturating_sub(1)));
        sizes.push(n_outputs);
        let layers = sizes.windows(2).enumerate().map(|(idx, pair)| {
            let name = format!("{name}.{idx}");
            Linear::declare(&name, (pair[0], pair[1]), InitRule::Framework, params, init)
        });
        Ok(Self(layers.collect::<sdk::Result<_>>()?))
    }

    /// `(B, inputs)` to `(B, outputs)`.
    ///
    /// # Errors
    /// When `z` has another width.
    pub(crate) fn forward(&self, z: &Tensor) -> Result<Tensor> {
        perceive(&self.0, FeedForward::Gelu, z)
    }
}

/// The way from each side's embedding to the other side's spectrum.
#[derive(Clone, Debug)]
pub(crate) struct Cycle {
    config: CycleConfig,
    to_sensor: Way,
    to_lab: Way,
}

/// The way to one side.
#[derive(Clone, Debug)]
struct Way {
    head: Head,
    nm: Vec<f64>,
    continuum: Option<Continuum>,
    /// Names of the parts of its loss.
    names: [&'static str; 5],
}

impl Cycle {
    /// Declares both heads; nothing where there is no cycle.
    ///
    /// # Errors
    /// When a name is taken.
    pub(crate) fn declare(
        config: &CycleConfig,
        embed_dim: usize,
        (lab, sensor): (&[f64], &[f64]),
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Option<Self>> {
        if !config.enabled {
            return Ok(None);
        }
        let mut way = |name: &str, nm: &[f64], names| -> sdk::Result<Way> {
            let hidden = config.hidden_dim.unwrap_or(embed_dim.max(nm.len()));
            let sizes = (embed_dim, hidden, nm.len());
            let head = Head::declare(name, sizes, config.num_layers, params, init)?;
            let like = Tensor::zeros(1, params.dtype(), params.device());
            let continuum = config.cycle_continuum.then(|| {
                like.and_then(|like| Continuum::new(nm, config.continuum_window_nm, &like))
            });
            let continuum = continuum.transpose().map_err(sdk_numerics::error)?;
            Ok(Way { head, nm: nm.to_vec(), continuum, names })
        };
        let names =
            ["sensor_l2", "sensor_sam", "sensor_cont_mse", "sensor_cont_sam", "sensor_slope"];
        let to_sensor = way("cycle.to_sensor", sensor, names)?;
        let names = ["lab_l2", "lab_sam", "lab_cont_mse", "lab_cont_sam", "lab_slope"];
        let to_lab = way("cycle.to_lab", lab, names)?;
        Ok(Some(Self { config: config.clone(), to_sensor, to_lab }))
    }

    /// The loss of both ways together, and its parts before their weights.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub(crate) fn loss(
        &self,
        z_lab: &Tensor,
        z_sensor: &Tensor,
        pairs: &[Pair],
    ) -> Result<(Tensor, Vec<Part>)> {
        let sensor = Known::of(pairs.iter().map(|pair| pair.sensor.as_slice()), z_lab)?;
        let lab = Known::of(pairs.iter().map(|pair| pair.lab.as_slice()), z_lab)?;
        let mut parts = self.way(&self.to_sensor, z_lab, &sensor)?;
        parts.extend(self.way(&self.to_lab, z_sensor, &lab)?);
        let mut loss = Tensor::zeros((), z_lab.dtype(), z_lab.device())?;
        for (weight, (_, part)) in &parts {
            loss = (loss + (part * *weight)?)?;
        }
        Ok((loss, parts.into_iter().map(|(_, part)| part).collect()))
    }

    /// The parts of one way's loss, with their weights.
    fn way(&self, way: &Way, z: &Tensor, known: &Known) -> Result<Vec<(f64, Part)>> {
        let config = &self.config;
        let told = way.head.forward(z)?;
        let [l2, sam, cont_mse, cont_sam, slope] = way.names;
        let mut parts = Vec::new();
        if config.cycle_raw {
            parts.push((config.l2_weight, (l2, known.mse(&told)?)));
            parts.push((config.sam_weight, (sam, known.angle(&told)?)));
        }
        if let Some(continuum) = &way.continuum {
            let removed = known.with(&continuum.removed(&known.values)?)?;
            let told = continuum.removed(&told)?;
            parts.push((config.continuum_weight, (cont_mse, removed.mse(&told)?)));
            parts.push((config.continuum_weight, (cont_sam, removed.angle(&told)?)));
        }
        if config.slope_reg {
            let slopes =
                known.map_pairs(|values| slopes(&way.nm, values))?.mse(&slopes(&way.nm, &told)?)?;
            parts.push((config.slope_weight, (slope, slopes)));
        }
        Ok(parts)
    }
}

/// Tells depths of absorption bands from what the sensor sees.
#[derive(Clone, Debug)]
pub(crate) struct DepthHead {
    config: BandDepthConfig,
    bands: BandDepths,
    head: Head,
}

impl DepthHead {
    /// Declares the head; nothing where depths are not told.
    ///
    /// # Errors
    /// When the file of the bands can't be read, or a name is taken.
    pub(crate) fn declare(
        config: &BandDepthConfig,
        embed_dim: usize,
        params: &mut Params,
        init: &mut Generator,
    ) -> sdk::Result<Option<Self>> {
        let Some(bands) = config.bands()? else { return Ok(None) };
        let n_layers = if config.hidden_dim.is_some() { 2 } else { 1 };
        let sizes = (embed_dim, config.hidden_dim.unwrap_or(1), bands.bands.len());
        let head = Head::declare("banddepth", sizes, n_layers, params, init)?;
        Ok(Some(Self { config: config.clone(), bands, head }))
    }

    /// The loss, before its weight.
    ///
    /// # Errors
    /// When the shapes disagree.
    pub(crate) fn loss(&self, z_sensor: &Tensor, lab: &Side, pairs: &[Pair]) -> Result<Tensor> {
        let depths = |pair: &Pair| self.bands.depths(&lab.nm, &pair.lab, self.config.sampling);
        let depths: Vec<Vec<f64>> = pairs.iter().map(depths).collect();
        let known = Known::of(depths.iter().map(Vec::as_slice), z_sensor)?;
        let told = self.head.forward(z_sensor)?;
        match self.config.loss {
            DepthLoss::L1 => known.l1(&told),
            DepthLoss::L2 => known.mse(&told),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use sdk_numerics::{AdamW, AdamWConfig, Gradients, Workers};

    use super::*;

    /// Both heads alone, on embeddings that stand still.
    #[test]
    fn angles_fall_as_the_heads_learn() {
        let wave = |n: usize, seed: f64| -> Vec<f64> {
            (0..n).map(|i| 0.5 + 0.4 * (i as f64 * 12.9898 + seed).sin()).collect()
        };
        let pairs: Vec<Pair> = (0..64)
            .map(|i| {
                let (lab, sensor) = (wave(6, f64::from(i)), wave(5, f64::from(i)));
                Pair { lab, on_bands: sensor.clone(), sensor }
            })
            .collect();
        let mut params = Params::new(&Device::Cpu, DType::F32);
        let mut init = Generator::new(3, "model init");
        let config = CycleConfig { enabled: true, l2_weight: 0.0, ..CycleConfig::default() };
        let nm = |n: usize| (0..n).map(|i| 500.0 + 100.0 * i as f64).collect::<Vec<f64>>();
        let axes = (&nm(6)[..], &nm(5)[..]);
        let cycle = Cycle::declare(&config, 6, axes, &mut params, &mut init).unwrap().unwrap();
        let embedding = |seed: f64| {
            let z: Vec<f32> = (0..64 * 6).map(|i| (i as f64 * 0.7 + seed).sin() as f32).collect();
            Tensor::from_vec(z, (64, 6), &Device::Cpu).unwrap()
        };
        let (z_lab, z_sensor) = (embedding(0.0), embedding(5.0));
        let mut gradients = Gradients::new(&params);
        let mut optimizer = AdamW::new(&params, AdamWConfig::default());
        let mut losses = Vec::new();
        for _ in 0..200 {
            gradients.zero();
            let loss = Workers::new(1).gradients(&params, vec![()], &mut gradients, |()| {
                let loss = cycle.loss(&z_lab, &z_sensor, &pairs).map_err(sdk_numerics::error)?;
                Ok(loss.0)
            });
            losses.push(loss.unwrap());
            optimizer.step(&params, &gradients, 5e-2).unwrap();
        }
        assert!(losses[199] < 0.8 * losses[0], "{} to {}", losses[0], losses[199]);
    }
}
