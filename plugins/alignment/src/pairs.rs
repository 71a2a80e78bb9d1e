//! Pairs to train on: a laboratory's spectrum, and what the sensor sees of it.

use std::collections::BTreeMap;

use sdk::{Error, Generator, PhaseContext, Result};
use spectral::data::{Library, Resampler, Spectrum};
use spectral::{
    Axis, AxisUnit, EvenGrid, Grid, Known, Observer, Perturbation, ProjectionConfig, Sensor,
    SyntheticLab,
};

use crate::config::DataConfig;

/// Distance of the samples that spectra of a library are brought to before a sensor looks at them.
const FINE_NM: f64 = 1.0;

/// Smallest part of the axis that a spectrum must have to be of use.
const COVERED: f64 = 0.5;

/// A spectrum of a laboratory and what a sensor sees of it. Missing values are NaN.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The laboratory's spectrum on its grid.
    pub(crate) lab: Vec<f64>,
    /// The same as the sensor's bands would see it in the laboratory.
    pub(crate) on_bands: Vec<f64>,
    /// What the sensor sees.
    pub(crate) sensor: Vec<f64>,
}

/// Held-back spectra in one setting, looked at once or more often.
#[derive(Clone, Debug)]
pub(crate) struct HeldBack {
    /// Name of the setting.
    pub(crate) name: String,
    /// In each view all spectra in the same order.
    pub(crate) views: Vec<Vec<Pair>>,
}

/// Where pairs come from.
pub(crate) struct Pairs {
    source: Source,
    /// The laboratory's grid.
    pub(crate) lab_nm: Vec<f64>,
    /// The sensor.
    pub(crate) sensor: Sensor,
    /// Whether each band has a value in the setting that is trained on.
    pub(crate) is_seen: Vec<bool>,
    /// What is held back.
    pub(crate) held_back: Vec<HeldBack>,
}

enum Source {
    MadeUp(Box<MadeUp>),
    Library(Box<FromLibrary>),
}

/// A library, and the sensor that looks at its spectra.
struct FromLibrary {
    training: Training,
    observer: Observer,
    digest: String,
}

/// A spectrum of a library, in the forms that a pair needs.
#[derive(Clone)]
struct Entry {
    lab: Vec<f64>,
    known: Known,
}

/// Spectra that are made up, and the sensor that looks at them.
struct MadeUp {
    lab: SyntheticLab,
    own_peaks: bool,
    sees: Sees,
}

impl MadeUp {
    fn pairs(&self, n: usize, generator: &mut Generator) -> Result<Vec<Pair>> {
        let spectra: Vec<Vec<f64>> = if self.own_peaks {
            (0..n).flat_map(|_| self.lab.batch(1, generator)).collect()
        } else {
            self.lab.batch(n, generator)
        };
        let pair = |(i, values): (usize, &Vec<f64>)| {
            let other = &spectra[(i + 1) % n];
            self.sees.pair(values.clone(), values, other, generator)
        };
        spectra.iter().enumerate().map(pair).collect()
    }
}

/// The spectra of a library that are trained on, and how there come to be more of them.
struct Training {
    spectra: Vec<Entry>,
    others: Others,
    mixed_part: f64,
    variation: f64,
    lab_nm: Vec<f64>,
    band_nm: Vec<f64>,
}

/// The sensor in the laboratory and in one setting.
struct Sees {
    plain: Observer,
    observer: Observer,
}

impl Sees {
    fn new(sensor: &Sensor, axis: &Axis, perturbation: Perturbation) -> Result<Self> {
        let observe = |perturbation| {
            Observer::new(sensor.clone(), axis, ProjectionConfig::default(), perturbation)
        };
        Ok(Self { plain: observe(Perturbation::default())?, observer: observe(perturbation)? })
    }

    /// A pair; `lab` is the spectrum on the laboratory's grid.
    fn pair(
        &self,
        lab: Vec<f64>,
        values: &[f64],
        other: &[f64],
        generator: &mut Generator,
    ) -> Result<Pair> {
        let on_bands = self.plain.observe(values, None, generator)?;
        let sensor = self.observer.observe(values, Some(other), generator)?;
        Ok(Pair { lab, on_bands, sensor })
    }
}

impl Pairs {
    /// Opens the sensor and reads the spectra.
    ///
    /// # Errors
    /// When a file is missing or faulty, or the sensor sees nothing of the spectra.
    pub(crate) fn open(config: &DataConfig, batch_size: usize, cx: &PhaseContext) -> Result<Self> {
        let sensor = config.sensor.open(&mut cx.generator("sensor"));
        let sensor = sensor.map_err(|error| error.at("data.sensor"))?;
        log::info!("sensor {sensor}");
        match &config.library {
            Some(_) => Self::of_library(config, sensor, cx),
            None => Self::made_up(config, sensor, batch_size, cx),
        }
    }

    fn made_up(
        config: &DataConfig,
        sensor: Sensor,
        batch_size: usize,
        cx: &PhaseContext,
    ) -> Result<Self> {
        let lab = config.synthetic();
        let axis = lab.lab_grid_nm.axis(AxisUnit::Nanometers)?;
        let made_up = |perturbation| -> Result<MadeUp> {
            let (lab, sees) = (lab.clone(), Sees::new(&sensor, &axis, perturbation)?);
            Ok(MadeUp { lab, own_peaks: config.own_peaks, sees })
        };
        let mut held_back = Vec::new();
        for (name, perturbation) in config.evaluations() {
            let own = made_up(perturbation)?;
            let mut generator = cx.generator(&format!("held back/{name}"));
            let views = (0..config.eval_views).map(|_| own.pairs(batch_size, &mut generator));
            held_back.push(HeldBack { name, views: views.collect::<Result<_>>()? });
        }
        let own = made_up(config.training())?;
        let (lab_nm, is_seen) = (lab.lab_grid_nm.positions(), own.sees.observer.is_seen());
        Ok(Self { source: Source::MadeUp(Box::new(own)), lab_nm, sensor, is_seen, held_back })
    }

    fn of_library(config: &DataConfig, sensor: Sensor, cx: &PhaseContext) -> Result<Self> {
        let grid = config.lab_grid_nm.axis(AxisUnit::Nanometers)?;
        let fine = fine(&grid).axis(AxisUnit::Nanometers)?;
        let (train, val) = read(config, &fine)?;
        let on_grid = Resampler::new(&fine, &grid);
        let observer = Sees::new(&sensor, &fine, config.training())?.observer;
        let rows_train = rows(&train);
        let known = observer.know(&rows_train)?.into_iter();
        let spectra: Vec<Entry> = known
            .zip(&rows_train)
            .map(|(known, row)| Entry { lab: on_grid.values(row), known })
            .collect();
        log::info!("{} spectra to train on, {} held back", spectra.len(), val.len());
        let held_back = held_back(config, &sensor, &fine, &on_grid, &val, cx)?;
        let (lab_nm, is_seen) = (grid.to_nm().to_vec(), observer.is_seen());
        let training = Training {
            spectra,
            others: Others::of(&train),
            mixed_part: config.mixed_part,
            variation: config.variation,
            lab_nm: lab_nm.clone(),
            band_nm: sensor.centers_nm(),
        };
        let digest = train.digest();
        let source = Source::Library(Box::new(FromLibrary { training, observer, digest }));
        Ok(Self { source, lab_nm, sensor, is_seen, held_back })
    }

    /// Hash of the spectra that are trained on; none where they are made up.
    pub(crate) fn digest(&self) -> Option<&str> {
        match &self.source {
            Source::MadeUp(_) => None,
            Source::Library(library) => Some(&library.digest),
        }
    }

    /// Number of spectra that are trained on; none where there is no end of them.
    pub(crate) fn n_train(&self) -> Option<usize> {
        match &self.source {
            Source::MadeUp(_) => None,
            Source::Library(library) => Some(library.training.spectra.len()),
        }
    }

    /// Pairs of a step. While the library has enough spectra, none stands in a step twice: it would
    /// be told from itself.
    ///
    /// # Errors
    /// When levels of noise don't fit the sensor.
    pub(crate) fn next(&self, n: usize, generator: &mut Generator) -> Result<Vec<Pair>> {
        match &self.source {
            Source::MadeUp(made_up) => made_up.pairs(n, generator),
            Source::Library(library) => {
                let Training { spectra, others, .. } = &library.training;
                let order = order(spectra.len(), n, generator);
                let pair = |idx: usize| {
                    let Entry { lab, known } = library.training.entry(idx, generator);
                    let other = &spectra[others.draw(idx, generator)].known;
                    let sensor = library.observer.observe_known(&known, Some(other), generator)?;
                    Ok(Pair { lab, on_bands: known.seen().to_vec(), sensor })
                };
                order.into_iter().map(pair).collect()
            }
        }
    }
}

impl Training {
    /// A spectrum, or what is drawn from it.
    fn entry(&self, idx: usize, generator: &mut Generator) -> Entry {
        let own = &self.spectra[idx];
        let mixed = mixed(&self.spectra, idx, self.mixed_part, generator);
        if self.variation == 0.0 {
            return mixed.unwrap_or_else(|| own.clone());
        }
        let entry = mixed.as_ref().unwrap_or(own);
        let curve = Curve::draw(&self.band_nm, self.variation, generator);
        let lab =
            entry.lab.iter().zip(curve.at(&self.lab_nm)).map(|(value, factor)| value * factor);
        Entry { lab: lab.collect(), known: entry.known.scaled(&curve.at(&self.band_nm)) }
    }
}

/// A smooth curve around 1: the exponential of a few bumps.
struct Curve([Bump; N_BUMPS]);

/// Number of bumps of a curve.
const N_BUMPS: usize = 4;

/// Narrowest and widest standard deviation of a bump: from an absorption band to a continuum.
const BUMP_NM: (f64, f64) = (20.0, 500.0);

struct Bump {
    height: f64,
    center_nm: f64,
    width_nm: f64,
}

impl Curve {
    /// Each bump's height is drawn first, then its centre and its width.
    fn draw(nm: &[f64], deviation: f64, generator: &mut Generator) -> Self {
        let (low, high) = (nm[0], nm[nm.len() - 1]);
        Self(std::array::from_fn(|_| Bump {
            height: deviation * generator.normal(),
            center_nm: low + (high - low) * generator.uniform(),
            width_nm: BUMP_NM.0 * (BUMP_NM.1 / BUMP_NM.0).powf(generator.uniform()),
        }))
    }

    fn at(&self, nm: &[f64]) -> Vec<f64> {
        let bump = |bump: &Bump, nm: f64| {
            bump.height * (-0.5 * ((nm - bump.center_nm) / bump.width_nm).powi(2)).exp()
        };
        nm.iter().map(|nm| self.0.iter().map(|own| bump(own, *nm)).sum::<f64>().exp()).collect()
    }
}

/// Each index once before any is there again, in a random order.
fn order(n_spectra: usize, n: usize, generator: &mut Generator) -> Vec<usize> {
    let mut order = Vec::new();
    while order.len() < n {
        let mut all: Vec<usize> = (0..n_spectra).collect();
        generator.shuffle(&mut all);
        order.extend(all);
    }
    order.truncate(n);
    order
}

/// With this probability a mixture of the spectrum with another, in equal shares or any others.
fn mixed(spectra: &[Entry], idx: usize, part: f64, generator: &mut Generator) -> Option<Entry> {
    if part == 0.0 || generator.uniform() >= part {
        return None;
    }
    let (own, other) = (&spectra[idx], generator.pick(spectra)?);
    let share = generator.uniform();
    let lab = own.lab.iter().zip(&other.lab).map(|(own, other)| own + share * (other - own));
    Some(Entry { lab: lab.collect(), known: own.known.mixed(&other.known, share) })
}

/// The library's spectra on the axis, those to train on and those held back.
fn read(config: &DataConfig, axis: &Axis) -> Result<(Library, Library)> {
    let Some(library) = &config.library else {
        return Err(Error::new("alignment::library", "there is no library").at("data.library"));
    };
    let mut spectra = library.load("data.library")?.resampled(axis);
    let left_out = spectra.drop_uncovered(COVERED);
    if !left_out.is_empty() {
        log::warn!("{} spectra lack half of the axis or more, left out", left_out.len());
    }
    let (train, val) = library.split(spectra, "data.library")?;
    if val.is_empty() {
        let message = "nothing is held back: there is nothing to measure on";
        return Err(Error::new("alignment::held_back", message)
            .at("data.library.split.val_fraction")
            .help("hold a part of the materials back, such as 0.2"));
    }
    Ok((train, val))
}

/// An even grid over the range of another one, so fine that no band falls between two samples.
fn fine(grid: &Axis) -> Grid {
    let (start, stop) = grid.range_nm();
    let num = ((stop - start) / FINE_NM).ceil() as usize + 1;
    Grid::Even(EvenGrid { start, stop, num })
}

/// The spectra of all materials but one.
struct Others {
    /// Which material each spectrum is of.
    materials: Vec<usize>,
    /// For each material the spectra of all others.
    of_others: Vec<Vec<usize>>,
}

impl Others {
    fn of(library: &Library) -> Self {
        let mut numbers = BTreeMap::new();
        let number = |spectrum: &Spectrum| {
            let next = numbers.len();
            *numbers.entry(spectrum.material.clone()).or_insert(next)
        };
        let materials: Vec<usize> = library.spectra().iter().map(number).collect();
        let others = |own| (0..materials.len()).filter(|i| materials[*i] != own).collect();
        let of_others = (0..numbers.len()).map(others).collect();
        Self { materials, of_others }
    }

    /// One of another material than the spectrum `own`, each with the same odds; `own` where there is
    /// none.
    fn draw(&self, own: usize, generator: &mut Generator) -> usize {
        generator.pick(&self.of_others[self.materials[own]]).copied().unwrap_or(own)
    }
}

fn rows(library: &Library) -> Vec<Vec<f64>> {
    library.spectra().iter().map(|spectrum| spectrum.values().to_vec()).collect()
}

fn held_back(
    config: &DataConfig,
    sensor: &Sensor,
    axis: &Axis,
    on_grid: &Resampler,
    library: &Library,
    cx: &PhaseContext,
) -> Result<Vec<HeldBack>> {
    let (rows, others) = (rows(library), Others::of(library));
    let mut all = Vec::new();
    for (name, perturbation) in config.evaluations() {
        let sees = Sees::new(sensor, axis, perturbation)?;
        let mut generator = cx.generator(&format!("held back/{name}"));
        let mut view = || -> Result<Vec<Pair>> {
            let pair = |(idx, row): (usize, &Vec<f64>)| {
                let other = &rows[others.draw(idx, &mut generator)];
                sees.pair(on_grid.values(row), row, other, &mut generator)
            };
            rows.iter().enumerate().map(pair).collect()
        };
        let views = (0..config.eval_views).map(|_| view()).collect::<Result<_>>()?;
        all.push(HeldBack { name, views });
    }
    Ok(all)
}
