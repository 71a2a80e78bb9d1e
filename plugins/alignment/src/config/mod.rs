//! The section of an alignment phase.

mod history;
mod losses;
mod model;
mod training;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sdk::{Error, Generator, Result};
use serde::{Deserialize, Serialize};
use spectral::data::LibraryConfig;
use spectral::{
    AxisUnit, Grid, NamedPerturbation, Noise, Perturbation, PerturbationConfig, Projection,
    ProjectionConfig, Sensor, SensorConfig, SyntheticLab, TokenizerConfig,
};

pub use history::{VERSION, changes};
pub use losses::{BandDepthConfig, CycleConfig, DepthLoss, LossConfig};
pub use model::{ModelConfig, TowerKind};
pub use training::{OptimizerConfig, TrainerConfig};

/// Alignment of the spectra of a laboratory with those of a sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Batches, steps and what is due how often.
    pub trainer: TrainerConfig,
    /// The spectra, and the sensor that looks at them.
    pub data: DataConfig,
    /// How a band becomes a token.
    pub tokenizer: TokenizerConfig,
    /// The two towers.
    pub model: ModelConfig,
    /// AdamW and its learning rate.
    pub optimizer: OptimizerConfig,
    /// The contrastive loss.
    pub loss: LossConfig,
    /// The way from each side's embedding to the other side's spectrum.
    pub cycle: CycleConfig,
    /// Depths of absorption bands, told from what the sensor sees.
    pub banddepth: BandDepthConfig,
}

/// The spectra, and the sensor that looks at them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// A sensor's name, a `.csv` or `.json` file with one, or bands that are made up.
    pub sensor: SensorConfig,
    /// Wavelengths of the laboratory's spectra as the towers see them, in nanometres.
    pub lab_grid_nm: Grid,
    /// Width of the laboratory's bands.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unit" = "nm"))]
    pub lab_fwhm_nm: f64,
    /// Standard deviation of the noise on each value of a made-up spectrum.
    #[schemars(range(min = 0.0))]
    pub lab_noise_std: f64,
    /// Number of peaks of made-up spectra.
    #[schemars(range(max = 1000))]
    pub synthetic_peaks: usize,
    /// Whether each made-up spectrum has peaks of its own. Otherwise those of a batch share them and
    /// differ by their noise alone, and nothing can be learned from them.
    pub own_peaks: bool,
    /// Standard deviation of the sensor's noise, as a part of the value, where `perturbation` is
    /// null.
    #[schemars(range(min = 0.0))]
    pub sensor_noise_rel: f64,
    /// Spectra from files; null makes them up.
    pub library: Option<LibraryConfig>,
    /// What happens to the spectra that are trained on between laboratory and sensor, drawn anew each
    /// time: `none`, `clean`, `field`, or its parts. Null is noise of `sensor_noise_rel` alone.
    pub perturbation: Option<PerturbationConfig>,
    /// Part of the pairs of a step whose spectrum is a mixture of two of the library: more materials
    /// than it has.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-unit" = "part of 1"))]
    pub mixed_part: f64,
    /// Deviation of the smooth curves that each spectrum of the library is multiplied by before it is
    /// trained on, drawn anew each time: neighbours of its materials, which are to be told from them.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-unit" = "part of 1"))]
    pub variation: f64,
    /// Settings in which held-back spectra are looked at, by a name of your own; without any it is the
    /// one that is trained on.
    #[schemars(extend("x-replace" = true))]
    pub evaluate: BTreeMap<String, PerturbationConfig>,
    /// Times that each held-back spectrum is looked at in each of these settings.
    #[schemars(range(min = 1, max = 1000))]
    pub eval_views: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        let lab = SyntheticLab::default();
        Self {
            sensor: SensorConfig::Named("emit".to_owned()),
            lab_grid_nm: lab.lab_grid_nm,
            lab_fwhm_nm: 5.0,
            lab_noise_std: lab.lab_noise_std,
            synthetic_peaks: lab.synthetic_peaks,
            own_peaks: true,
            sensor_noise_rel: 0.01,
            library: None,
            perturbation: None,
            mixed_part: 0.0,
            variation: 0.0,
            evaluate: BTreeMap::new(),
            eval_views: 1,
        }
    }
}

impl DataConfig {
    /// The made-up spectra.
    pub fn synthetic(&self) -> SyntheticLab {
        SyntheticLab {
            lab_grid_nm: self.lab_grid_nm.clone(),
            lab_noise_std: self.lab_noise_std,
            synthetic_peaks: self.synthetic_peaks,
        }
    }

    /// What happens to the spectra that are trained on.
    pub fn training(&self) -> Perturbation {
        match &self.perturbation {
            Some(config) => config.parts(),
            None => Perturbation {
                noise: Noise::relative(self.sensor_noise_rel),
                ..PerturbationConfig::Named(NamedPerturbation::None).parts()
            },
        }
    }

    /// The settings in which held-back spectra are looked at, each with its name.
    pub fn evaluations(&self) -> Vec<(String, Perturbation)> {
        if self.evaluate.is_empty() {
            return vec![("held_back".to_owned(), self.training())];
        }
        self.evaluate.iter().map(|(name, config)| (name.clone(), config.parts())).collect()
    }

    /// What is wrong with the grid for this sensor, if anything is.
    fn check_overlap(&self, sensor: &Sensor) -> Option<Error> {
        let sees = |axis| Projection::new(sensor, &axis, &ProjectionConfig::default());
        let axis = self.lab_grid_nm.axis(AxisUnit::Nanometers);
        axis.and_then(sees).err().map(|fault| fault.at("lab_grid_nm"))
    }

    fn check(&self) -> Vec<Error> {
        let mut faults = self.synthetic().check();
        match self.opened() {
            Err(fault) => faults.push(fault.at("sensor")),
            Ok(sensor) if faults.is_empty() => faults.extend(self.check_overlap(&sensor)),
            Ok(_) => {}
        }
        let parts = [
            ("sensor_noise_rel", self.sensor_noise_rel),
            ("mixed_part", self.mixed_part),
            ("variation", self.variation),
        ];
        for (key, value) in parts {
            if !(0.0..=1.0).contains(&value) {
                faults.push(fault(key, format!("`{key}` must be in [0, 1]: {value}")));
            }
        }
        if !(self.lab_fwhm_nm > 0.0 && self.lab_fwhm_nm.is_finite()) {
            let message = format!("`lab_fwhm_nm` must be above 0: {}", self.lab_fwhm_nm);
            faults.push(fault("lab_fwhm_nm", message));
        }
        for (key, value) in [("mixed_part", self.mixed_part), ("variation", self.variation)] {
            if value > 0.0 && self.library.is_none() {
                let message = format!("made-up spectra are not changed: `{key}` needs a `library`");
                faults.push(fault(key, message));
            }
        }
        if self.eval_views == 0 {
            faults.push(fault("eval_views", "`eval_views` must be at least 1: 0"));
        }
        faults.extend(within("perturbation", self.training().check()));
        for (name, config) in &self.evaluate {
            faults.extend(within(&format!("evaluate.{name}"), config.parts().check()));
        }
        faults
    }

    /// The sensor where no generator is at hand; bands that are drawn are then some of those that
    /// could be.
    pub fn opened(&self) -> Result<Sensor> {
        self.sensor.open(&mut Generator::new(0, "sensor"))
    }
}

impl Config {
    /// Every fault, with its path.
    pub fn check(&self) -> Vec<Error> {
        let mut faults: Vec<Error> = within("trainer", self.trainer.check()).collect();
        faults.extend(within("data", self.data.check()));
        faults.extend(self.data.library.iter().flat_map(|library| library.check("data.library")));
        faults.extend(within("tokenizer", self.tokenizer.check()));
        faults.extend(within("model", self.model.check()));
        faults.extend(within("optimizer", self.optimizer.check(self.trainer.max_steps)));
        faults.extend(within("loss", self.loss.check()));
        faults.extend(within("cycle", self.cycle.check()));
        faults.extend(within("banddepth", self.banddepth.check()));
        faults
    }
}

/// A fault of the setting at `key`.
fn fault(key: &str, message: impl Into<String>) -> Error {
    Error::new("config::range", message).at(key)
}

/// Puts a block's name in front of the path of each fault.
fn within(block: &str, faults: Vec<Error>) -> impl Iterator<Item = Error> {
    faults.into_iter().map(move |fault| fault.below(block))
}

/// Faults of the values that must be above 0, or at least 0.
fn out_of_range(above: &[(&str, f64)], at_least: &[(&str, f64)]) -> Vec<Error> {
    let above = above.iter().filter(|(_, value)| !(*value > 0.0 && value.is_finite()));
    let above = above.map(|(key, value)| fault(key, format!("`{key}` must be above 0: {value}")));
    let at_least = at_least.iter().filter(|(_, value)| !(*value >= 0.0 && value.is_finite()));
    let at_least =
        at_least.map(|(key, value)| fault(key, format!("`{key}` must be at least 0: {value}")));
    above.chain(at_least).collect()
}

/// Faults of the counts that must be at least 1.
fn zero_counts(counts: &[(&str, u64)]) -> impl Iterator<Item = Error> {
    let zero = counts.iter().filter(|(_, count)| *count == 0);
    zero.map(|(key, _)| fault(key, format!("`{key}` must be at least 1: 0")))
}

#[cfg(test)]
mod tests;
