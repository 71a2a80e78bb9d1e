//! How well spectra of a sensor are found among laboratory spectra without any training: by spectral
//! angle and by centred correlation.
//!
//! ```text
//! cargo run --release -p spectral --example baselines -- LIBRARY.sli [SENSOR] [PERTURBATION] [SPLIT_SEED]
//! ```
//!
//! `PERTURBATION` is `"clean"`, `"field"` or a JSON object of [`spectral::Perturbation`]'s keys; without
//! it both settings are shown. Spectra held back by material (a fifth of the materials) are the candidates,
//! and each of them, as the sensor sees it, is a query.

use std::path::Path;
use std::process::ExitCode;

use sdk::{Generator, Result};
use spectral::angle::{centered_correlation, cosine};
use spectral::data::envi::EnviLibrary;
use spectral::data::{Markers, MaterialRule, SplitRule, USGS_DELETED};
use spectral::{
    Axis, Observer, Perturbation, PerturbationConfig, ProjectionConfig, Sensor, retrieval,
};

/// Times that each spectrum is looked at.
const N_VIEWS: u64 = 4;

/// Held-back spectra, and their axis.
fn held_back(path: &Path, seed: u64) -> Result<(Axis, Vec<Vec<f64>>)> {
    let file = EnviLibrary::read(path, &Markers::new(&[USGS_DELETED]))?;
    let materials = MaterialRule::default().compiled()?;
    let library: spectral::data::Library = file.spectra(None, &materials)?.into_iter().collect();
    let (_, held_back) = library.split(&SplitRule { val_seed: seed, ..SplitRule::default() });
    let axis = held_back.spectra()[0].axis().clone();
    Ok((axis, held_back.spectra().iter().map(|spectrum| spectrum.values().to_vec()).collect()))
}

/// Retrieval@1 by angle and by correlation, over all views.
fn baselines(observer: &Observer, clean: &[Vec<f64>], spectra: &[Vec<f64>]) -> Result<[f64; 2]> {
    let mut generator = Generator::new(42, "baselines");
    let (mut by_angle, mut by_correlation) = (Vec::new(), Vec::new());
    for _ in 0..N_VIEWS {
        let mut seen = Vec::new();
        for values in spectra {
            let other = generator.pick(spectra);
            let other = other.map(Vec::as_slice);
            seen.push(observer.observe(values, other, &mut generator)?);
        }
        by_angle.extend(retrieval::ranks(seen.len(), |i, j| cosine(&seen[i], &clean[j])));
        by_correlation
            .extend(retrieval::ranks(seen.len(), |i, j| centered_correlation(&seen[i], &clean[j])));
    }
    Ok([retrieval::at(1, &by_angle), retrieval::at(1, &by_correlation)])
}

fn run(arguments: &[String]) -> Result<String> {
    let path = arguments.first().map_or("library.sli", String::as_str);
    let sensor = Sensor::open(arguments.get(1).map_or("emit", String::as_str))?;
    let settings = match arguments.get(2) {
        Some(text) => {
            let config: PerturbationConfig = serde_json::from_str(text)?;
            vec![("given", config.parts())]
        }
        None => vec![("clean", Perturbation::clean()), ("field", Perturbation::field())],
    };
    let split_seed = arguments.get(3).and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let (axis, spectra) = held_back(Path::new(path), split_seed)?;
    let observe = |perturbation| {
        Observer::new(sensor.clone(), &axis, ProjectionConfig::default(), perturbation)
    };
    let plain = observe(Perturbation::default())?;
    let mut generator = Generator::new(42, "clean");
    let clean: Vec<Vec<f64>> = spectra
        .iter()
        .map(|values| plain.observe(values, None, &mut generator))
        .collect::<Result<_>>()?;
    let mut lines = vec![format!("{} spectra held back, sensor {sensor}", spectra.len())];
    for (name, perturbation) in settings {
        let [angle, correlation] = baselines(&observe(perturbation)?, &clean, &spectra)?;
        lines.push(format!(
            "{name}: retrieval@1 by spectral angle {angle:.3}, by centred correlation {correlation:.3}"
        ));
    }
    Ok(lines.join("\n"))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
