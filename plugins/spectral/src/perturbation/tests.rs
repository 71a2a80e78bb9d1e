//! What the field does to spectra.

use super::*;
use crate::{AxisUnit, Grid, NoiseLevel};

fn lab() -> Axis {
    Grid::even(350.0, 2500.0, 2151).axis(AxisUnit::Nanometers).unwrap()
}

fn observer(perturbation: Perturbation) -> Observer {
    let emit = Sensor::named("emit").unwrap();
    Observer::new(emit, &lab(), ProjectionConfig::default(), perturbation).unwrap()
}

fn generator(seed: u64) -> Generator {
    Generator::new(seed, "field")
}

/// Views of one spectrum under different seeds.
fn views(perturbation: Perturbation, values: &[f64], n_views: u64) -> Vec<Vec<f64>> {
    let observer = observer(perturbation);
    let other = vec![0.0; values.len()];
    let view = |seed| observer.observe(values, Some(&other), &mut generator(seed)).unwrap();
    (0..n_views).map(view).collect()
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (f64::min(a, x), f64::max(b, x)))
}

#[test]
fn a_neutral_perturbation_is_the_projection_and_draws_nothing() {
    let values: Vec<f64> = lab().values().iter().map(|nm| 0.3 + 0.1 * (nm / 90.0).sin()).collect();
    let emit = Sensor::named("emit").unwrap();
    let projection = Projection::new(&emit, &lab(), &ProjectionConfig::default()).unwrap();
    let mut draws = generator(1);
    let seen = observer(Perturbation::default()).observe(&values, None, &mut draws).unwrap();
    assert_eq!(seen, projection.apply(&values));
    assert_eq!(draws.position().words, 0);
}

#[test]
fn factors_offsets_and_slopes_fill_their_ranges() {
    let gain = Perturbation { gain: [0.5, 1.5], ..Perturbation::default() };
    let (least, most) = range(views(gain, &[0.4; 2151], 400).iter().map(|view| view[100] / 0.4));
    assert!((0.5..0.52).contains(&least) && (1.48..1.5).contains(&most), "{least} {most}");

    let offset = Perturbation { offset_max: 0.05, ..Perturbation::default() };
    let (least, most) = range(views(offset, &[0.4; 2151], 400).iter().map(|view| view[9] - 0.4));
    assert!((-0.05..-0.048).contains(&least) && (0.048..0.05).contains(&most), "{least} {most}");

    let slope = Perturbation { slope_max: 0.2, ..Perturbation::default() };
    let slopes = views(slope, &[0.4; 2151], 400);
    let (least, most) = range(slopes.iter().map(|view| (view[284] - view[0]) / 0.4));
    assert!((-0.2..-0.19).contains(&least) && (0.19..0.2).contains(&most), "{least} {most}");
    for view in slopes {
        assert!((view[0] + view[284] - 0.8).abs() < 1e-12, "one end rises as the other falls");
    }
}

#[test]
fn up_to_a_fifth_of_another_material_is_mixed_in() {
    let mix = Perturbation { mix_max: 0.2, ..Perturbation::default() };
    let (least, most) = range(views(mix, &[0.5; 2151], 400).iter().map(|view| view[50] / 0.5));
    assert!((0.8..0.802).contains(&least) && (0.998..1.0).contains(&most), "{least} {most}");
    let mix = Perturbation { mix_max: 0.2, ..Perturbation::default() };
    let error = observer(mix).observe(&[0.5; 2151], None, &mut generator(1)).unwrap_err();
    assert_eq!(error.message, "mixing materials needs a second spectrum");
}

#[test]
fn shifted_centres_read_a_ramp_elsewhere() {
    let shift = Perturbation { center_shift_std_nm: 2.0, ..Perturbation::default() };
    // A ramp of 1 for each nanometre: a band reads where its centre is.
    let values: Vec<f64> = lab().values().to_vec();
    let emit = Sensor::named("emit").unwrap();
    let centers = emit.centers_nm();
    let errors: Vec<f64> = views(shift, &values, 20)
        .iter()
        .flat_map(|view| view[2..280].iter().zip(&centers[2..280]).map(|(seen, nm)| seen - nm))
        .collect();
    let deviation = (errors.iter().map(|nm| nm * nm).sum::<f64>() / errors.len() as f64).sqrt();
    assert!((deviation - 2.0).abs() < 0.06, "{deviation}");
}

#[test]
fn removed_ranges_are_missing_and_known_to_be() {
    let field = observer(Perturbation::field());
    let seen = field.observe(&[0.4; 2151], Some(&[0.2; 2151]), &mut generator(1)).unwrap();
    let centers = field.sensor().centers_nm();
    for ((nm, value), is_seen) in centers.iter().zip(&seen).zip(field.is_seen()) {
        let is_water = (1340.0..=1460.0).contains(nm) || (1790.0..=1960.0).contains(nm);
        assert_eq!(value.is_nan(), is_water, "{nm}");
        assert_eq!(is_seen, !is_water, "{nm}");
    }
    assert_eq!(seen.iter().filter(|value| value.is_nan()).count(), 16 + 23);
}

#[test]
fn a_seed_gives_the_same_view_and_gaps_do_not_move_the_noise() {
    let values: Vec<f64> = lab().values().iter().map(|nm| 0.3 + 0.1 * (nm / 90.0).sin()).collect();
    let view = |perturbation, seed| {
        let other = vec![0.6; 2151];
        let seen = observer(perturbation).observe(&values, Some(&other), &mut generator(seed));
        seen.unwrap()
    };
    let without_water = Perturbation { removed_nm: Vec::new(), ..Perturbation::field() };
    let (whole, gappy) = (view(without_water, 1), view(Perturbation::field(), 1));
    for (whole, gappy) in whole.iter().zip(&gappy).filter(|(_, gappy)| gappy.is_finite()) {
        assert_eq!(whole, gappy);
    }
    assert_ne!(view(Perturbation::clean(), 1), view(Perturbation::clean(), 2));
}

#[test]
fn a_configuration_names_a_perturbation_or_lists_its_parts() {
    let parts = |text: &str| serde_json::from_str::<PerturbationConfig>(text).unwrap().parts();
    assert_eq!(parts("\"none\""), Perturbation::default());
    assert_eq!(parts("\"field\""), Perturbation::field());
    let noise = parts(r#"{"noise": {"relative": 0.01}}"#);
    assert_eq!(noise, Perturbation::clean());
    assert_eq!(noise.noise.absolute, NoiseLevel::Same(0.0));
    assert!(serde_json::from_str::<PerturbationConfig>("\"feild\"").is_err());
}

#[test]
fn faults_name_their_keys() {
    let wrong = Perturbation {
        mix_max: 2.0,
        slope_max: -0.1,
        gain: [1.5, 0.5],
        removed_nm: vec![[1460.0, 1340.0]],
        noise: Noise::relative(-0.1),
        ..Perturbation::default()
    };
    let paths: Vec<_> = wrong.check().into_iter().filter_map(|fault| fault.path).collect();
    assert_eq!(paths, ["mix_max", "slope_max", "gain", "removed_nm", "noise.relative"]);
}
