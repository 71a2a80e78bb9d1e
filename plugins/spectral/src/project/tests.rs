//! Projections: golden values of the reference, coverage and gaps.

use sdk::Generator;

use super::*;
use crate::sampling::{linear, trapezoid};
use crate::{AxisUnit, Grid, VirtualSensor};

fn nm(start: f64, stop: f64, num: usize) -> Axis {
    Grid::even(start, stop, num).axis(AxisUnit::Nanometers).unwrap()
}

/// The reference's spectrum: 0.3 + 0.2 sin(λ / 100) on 256 wavelengths.
fn reference_lab() -> (Axis, Vec<f64>) {
    let lab = nm(380.0, 2500.0, 256);
    let values = lab.values().iter().map(|nm| 0.3 + 0.2 * (nm / 100.0).sin()).collect();
    (lab, values)
}

/// What a placeholder sees of the reference's spectrum, as the reference computes it.
fn reference_view(sensor: &str, integration: Integration) -> Vec<f64> {
    let (lab, values) = reference_lab();
    let config = ProjectionConfig { integration, beyond: Beyond::LastValue, min_coverage: 0.0 };
    let sensor = Sensor::named(sensor).unwrap();
    Projection::new(&sensor, &lab, &config).unwrap().apply(&values)
}

#[track_caller]
fn ends_are(found: &[f64], first: &[f64], last: &[f64]) {
    let near = |found: &[f64], expected: &[f64]| {
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5)
    };
    let tail = &found[found.len() - last.len()..];
    assert!(near(found, first), "{:?} for {first:?}", &found[..first.len()]);
    assert!(near(tail, last), "{tail:?} for {last:?}");
}

// Golden values of the reference system at its guide commit, for the tables that it had then.

#[test]
fn emit_s_placeholder_sees_what_the_reference_computes() {
    let found = reference_view("emit-placeholder", Integration::Spectrum);
    assert_eq!(found.len(), 10);
    ends_are(&found, &[0.146_313_0, 0.287_986_7, 0.463_367_1], &[0.340_689_5, 0.126_795_5]);
}

#[test]
fn enmap_s_placeholder_sees_what_the_reference_computes() {
    let found = reference_view("enmap-placeholder", Integration::Band);
    ends_are(&found, &[0.125_784_5, 0.120_133_2, 0.115_091_3], &[0.164_639_3, 0.181_816_6]);
}

#[test]
fn aviris_ng_s_placeholder_sees_what_the_reference_computes() {
    let found = reference_view("aviris-ng-placeholder", Integration::Band);
    ends_are(&found, &[0.175_992_4, 0.169_920_7, 0.162_505_9], &[0.273_365_1, 0.273_529_6]);
}

#[test]
fn the_projection_is_the_normalised_integral() {
    // The same by hand, band by band, for bands well inside of a fine spectrum.
    let lab = nm(350.0, 2550.0, 2201);
    let values: Vec<f64> = lab.values().iter().map(|nm| 0.4 + 0.3 * (nm / 37.0).sin()).collect();
    let emit = Sensor::named("emit").unwrap();
    let config =
        ProjectionConfig { integration: Integration::Spectrum, ..ProjectionConfig::default() };
    let found = Projection::new(&emit, &lab, &config).unwrap().apply(&values);
    for (band, found) in emit.bands().iter().zip(found) {
        let response: Vec<f64> = lab.values().iter().map(|nm| band.at(*nm)).collect();
        let product: Vec<f64> = response.iter().zip(&values).map(|(s, r)| s * r).collect();
        let expected = trapezoid(lab.values(), &product) / trapezoid(lab.values(), &response);
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }
}

#[test]
fn bands_are_means_of_the_curve_however_it_is_sampled() {
    // A Gaussian band of a sine is the sine damped by exp(−σ²k²/2).
    let emit = Sensor::named("emit").unwrap();
    let exact = |center: f64, fwhm: f64| {
        let sigma = fwhm / crate::FWHM_PER_SIGMA;
        0.4 + 0.3 * (center / 37.0).sin() * (-0.5 * (sigma / 37.0).powi(2)).exp()
    };
    for (num, tolerance) in [(221, 6e-3), (2201, 2e-6)] {
        let lab = nm(350.0, 2550.0, num);
        let values: Vec<f64> =
            lab.values().iter().map(|nm| 0.4 + 0.3 * (nm / 37.0).sin()).collect();
        let config = ProjectionConfig::default();
        let found = Projection::new(&emit, &lab, &config).unwrap().apply(&values);
        for (band, found) in emit.bands().iter().zip(found) {
            let expected = exact(band.center_nm, band.fwhm_nm);
            assert!((found - expected).abs() < tolerance, "{num}: {found} for {expected}");
        }
    }
}

#[test]
fn pairs_keep_the_lab_grid_and_have_the_sensor_s_bands() {
    let lab = nm(350.0, 2550.0, 1024);
    let emit = Sensor::named("emit").unwrap();
    let projection = Projection::new(&emit, &lab, &ProjectionConfig::default()).unwrap();
    assert!(emit.centers_nm().is_sorted());
    assert_eq!((projection.n_bands(), emit.n_bands()), (285, 285));
    assert!(projection.is_valid().iter().all(|is_valid| *is_valid));
}

#[test]
fn weights_sum_to_one_and_flat_spectra_come_out_as_they_are() {
    for (name, start, stop) in [
        ("emit", 350.0, 2550.0),
        ("enmap", 350.0, 2550.0),
        ("hytes", 7400.0, 12_100.0),
        ("emit-placeholder", 350.0, 2550.0),
        ("aviris-ng-placeholder", 350.0, 2550.0),
        ("mako", 7500.0, 13_300.0),
    ] {
        let lab = nm(start, stop, 1500);
        for integration in [Integration::Finer, Integration::Band] {
            let config = ProjectionConfig { integration, ..ProjectionConfig::default() };
            let projection = Projection::new(&Sensor::named(name).unwrap(), &lab, &config).unwrap();
            for band in &projection.bands {
                assert!((band.weights.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{name}");
            }
            let seen = projection.apply(&[0.123_456_789; 1500]);
            assert!(seen.iter().all(|value| *value == 0.123_456_789), "{name}");
        }
    }
}

#[test]
fn random_sensors_have_weights_that_sum_to_one() {
    let lab = nm(400.0, 2500.0, 2101);
    let config = VirtualSensor { n_bands: 24, ..VirtualSensor::default() };
    let sensor = config.sensor(&mut Generator::new(5, "sensor")).unwrap();
    let projection = Projection::new(&sensor, &lab, &ProjectionConfig::default()).unwrap();
    for band in &projection.bands {
        assert!((band.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn bands_beyond_the_spectrum_say_how_much_of_them_is_known() {
    let sensor = Sensor::new(
        "three",
        Sensor::named("emit").unwrap().provenance().clone(),
        vec![Band::gaussian(480.0, 10.0), Band::gaussian(500.0, 10.0), Band::gaussian(600.0, 10.0)],
    )
    .unwrap();
    let lab = nm(500.0, 700.0, 201);
    let projection = Projection::new(&sensor, &lab, &ProjectionConfig::default()).unwrap();
    let coverage = projection.coverage();
    // Ends at two widths from the centre, half of the response, and all of it.
    assert!(coverage[0] < 1e-5 && (coverage[1] - 0.5).abs() < 1e-9 && coverage[2] == 1.0);
    assert_eq!(projection.is_valid(), [false, true, true]);
    let seen = projection.apply(&[0.7; 201]);
    assert!(seen[0].is_nan() && seen[1] == 0.7 && seen[2] == 0.7);
}

#[test]
fn gaps_count_as_not_known() {
    let lab = nm(500.0, 700.0, 201);
    let sensor = Sensor::new(
        "one",
        Sensor::named("emit").unwrap().provenance().clone(),
        vec![Band::gaussian(600.0, 10.0)],
    )
    .unwrap();
    let projection = Projection::new(&sensor, &lab, &ProjectionConfig::default()).unwrap();
    let mut values: Vec<f64> = lab.values().iter().map(|nm| nm / 1000.0).collect();
    // One sample of the ramp lost: the mean of the others is off by little.
    values[100] = f64::NAN;
    let seen = projection.apply(&values)[0];
    assert!((seen - 0.6).abs() < 1e-9, "{seen}");
    // Everything below the centre lost: a half is enough, more lost is too much.
    values[..100].fill(f64::NAN);
    assert!(projection.apply(&values)[0].is_nan());
    values[100] = 0.6;
    assert!(projection.apply(&values)[0] > 0.6);
}

#[test]
fn falling_axes_give_the_same_as_rising_ones() {
    let lab = nm(380.0, 2500.0, 700);
    let values: Vec<f64> = (0..700).map(|i| (f64::from(i) * 0.7).sin()).collect();
    let emit = Sensor::named("emit").unwrap();
    let project = |axis: &Axis, values: &[f64]| {
        Projection::new(&emit, axis, &ProjectionConfig::default()).unwrap().apply(values)
    };
    let falling = Axis::nm(lab.values().iter().rev().copied().collect()).unwrap();
    let reversed: Vec<f64> = values.iter().rev().copied().collect();
    for (a, b) in project(&lab, &values).iter().zip(project(&falling, &reversed)) {
        assert!((a - b).abs() < 1e-12);
    }
    let wavenumbers = lab.to(AxisUnit::Wavenumbers);
    assert_eq!(project(&wavenumbers, &values), project(&lab, &values));
}

#[test]
fn narrow_bands_between_samples_are_seen_by_interpolation() {
    let lab = nm(400.0, 800.0, 5);
    let values = [0.1, 0.2, 0.3, 0.4, 0.5];
    let sensor = VirtualSensor {
        n_bands: 3,
        start_nm: 440.0,
        stop_nm: 560.0,
        fwhm_nm: Some([2.0, 2.0]),
        ..VirtualSensor::default()
    };
    let sensor = sensor.sensor(&mut Generator::new(1, "sensor")).unwrap();
    let seen = Projection::new(&sensor, &lab, &ProjectionConfig::default()).unwrap().apply(&values);
    for (center, seen) in sensor.centers_nm().into_iter().zip(seen) {
        assert!((seen - linear(lab.values(), &values, center)).abs() < 1e-9);
    }
}

#[test]
fn a_sensor_that_sees_nothing_is_an_error() {
    let error = Projection::new(
        &Sensor::named("mako").unwrap(),
        &nm(380.0, 2500.0, 256),
        &ProjectionConfig::default(),
    )
    .unwrap_err();
    insta::assert_snapshot!(error.message, @"sensor `mako` sees nothing of the spectra: its bands lie from 7482 to 13248 nm, the spectra from 380 to 2500 nm");
}
