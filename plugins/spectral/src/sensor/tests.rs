//! Sensors: what is built in, what is made up, and what is blurred.

use std::sync::Arc;

use sdk::Generator;

use super::*;
use crate::sampling::trapezoid;

fn generator(seed: u64) -> Generator {
    Generator::new(seed, "sensor")
}

/// Mean step of the centres within a range.
fn mean_spacing(sensor: &Sensor, from: f64, to: f64) -> f64 {
    let centers: Vec<f64> =
        sensor.centers_nm().into_iter().filter(|nm| (from..=to).contains(nm)).collect();
    (centers[centers.len() - 1] - centers[0]) / (centers.len() - 1) as f64
}

#[test]
fn built_in_sensors_are_what_they_say() {
    let known: Vec<String> = Sensor::names()
        .iter()
        .map(|name| {
            let sensor = Sensor::named(name).unwrap();
            let (first, last) = (sensor.bands[0].center_nm, sensor.bands.last().unwrap().center_nm);
            let (kind, n_bands) = (sensor.provenance.kind, sensor.n_bands());
            format!("{}: {kind:?}, {n_bands}, {first:.1} to {last:.1} nm", sensor.name)
        })
        .collect();
    insta::assert_snapshot!(known.join("\n"), @"
    emit: Nominal, 285, 381.0 to 2492.9 nm
    enmap: Nominal, 224, 418.4 to 2445.3 nm
    aviris-ng: Assumed, 425, 380.0 to 2500.0 nm
    hytes: Assumed, 256, 7500.0 to 12000.0 nm
    mako: Assumed, 128, 7570.0 to 13160.0 nm
    emit-placeholder: Placeholder, 10, 400.0 to 2400.0 nm
    enmap-placeholder: Placeholder, 226, 420.0 to 2450.0 nm
    aviris-ng-placeholder: Placeholder, 425, 380.0 to 2510.0 nm
    hytes-placeholder: Placeholder, 256, 7500.0 to 12000.0 nm
    mako-placeholder: Placeholder, 128, 7600.0 to 13200.0 nm
    ");
}

#[test]
fn no_built_in_sensor_claims_to_be_official() {
    // The earlier system's files called themselves official, which they were not.
    for name in Sensor::names() {
        let sensor = Sensor::named(name).unwrap();
        assert_ne!(sensor.provenance().kind, ProvenanceKind::Official, "{name}");
        let note = &sensor.provenance().note;
        assert!(note.contains("not the official response") || note.contains("no instrument's"));
    }
}

#[test]
fn names_are_found_in_any_spelling_and_wrong_ones_get_help() {
    for name in ["aviris-ng", "AVIRIS_NG", "avirisng", "Aviris NG"] {
        assert_eq!(Sensor::named(name).unwrap().n_bands(), 425, "{name}");
    }
    let error = Sensor::named("emmit").unwrap_err();
    assert_eq!(error.code, "spectral::unknown_sensor");
    insta::assert_snapshot!(error.help.unwrap(), @"did you mean `emit`? There are: emit, enmap, aviris-ng, hytes, mako, emit-placeholder, enmap-placeholder, aviris-ng-placeholder, hytes-placeholder, mako-placeholder");
    // No fallback: the earlier system took ten bands of another sensor without a word.
    let help = Sensor::open("landsat").unwrap_err().help.unwrap();
    insta::assert_snapshot!(help, @"take one of emit, enmap, aviris-ng, hytes, mako, emit-placeholder, enmap-placeholder, aviris-ng-placeholder, hytes-placeholder, mako-placeholder, or give a `.csv` or `.json` file of its bands");
}

#[test]
fn enmap_has_the_mission_s_bands_and_the_placeholder_the_reference_s_spacing() {
    // The reference's test asks `enmap` for 226 bands with these spacings; they are invented. Ours
    // has the mission's 224, and the placeholder keeps the numbers.
    let placeholder = Sensor::named("enmap-placeholder").unwrap();
    assert_eq!(placeholder.n_bands(), 226);
    let short = mean_spacing(&placeholder, 400.0, 1000.0);
    let long = mean_spacing(&placeholder, 1000.0, 2500.0);
    assert!((short - 6.16).abs() < 0.15 && (long - 11.15).abs() < 0.2, "{short} {long}");

    let enmap = Sensor::named("enmap").unwrap();
    assert_eq!(enmap.n_bands(), 224);
    assert_eq!(enmap.fwhm_nm().iter().filter(|width| **width == 8.1).count(), 91);
}

#[test]
fn water_bands_of_the_aviris_placeholder_are_not_usable() {
    let sensor = Sensor::named("aviris-ng-placeholder").unwrap();
    let unusable = sensor.is_usable().iter().filter(|is_usable| !**is_usable).count();
    // 120 nm and 170 nm at steps of 5.0236 nm.
    assert_eq!(unusable, 23 + 34);
}

#[test]
fn jitter_that_is_off_changes_nothing() {
    let emit = Sensor::named("emit").unwrap();
    let mut draws = generator(1);
    assert_eq!(SensorJitter::default().apply(&emit, &mut draws), emit);
    assert_eq!(draws.position().words, 0);
}

#[test]
fn jitter_moves_widens_and_reshapes_by_its_seed() {
    let emit = Sensor::named("emit").unwrap();
    let jitter =
        SensorJitter { center_shift_std_nm: 0.5, width_scale_std: 0.1, shape_jitter_std: 0.05 };
    let blurred = jitter.apply(&emit, &mut generator(1));
    assert_eq!(blurred, jitter.apply(&emit, &mut generator(1)));
    assert_ne!(blurred, jitter.apply(&emit, &mut generator(2)));

    let moved: Vec<f64> =
        blurred.centers_nm().iter().zip(emit.centers_nm()).map(|(a, b)| a - b).collect();
    let deviation = (moved.iter().map(|nm| nm * nm).sum::<f64>() / 285.0).sqrt();
    assert!((deviation - 0.5).abs() < 0.07, "{deviation}");
    let scales = blurred.fwhm_nm().into_iter().map(|width| (width / 8.5).ln());
    let deviation = (scales.map(|scale| scale * scale).sum::<f64>() / 285.0).sqrt();
    assert!((deviation - 0.1).abs() < 0.014, "{deviation}");
    assert_eq!(blurred.provenance().kind, ProvenanceKind::Virtual);
}

#[test]
fn centres_stay_in_order_and_apart_however_far_they_move() {
    let emit = Sensor::named("emit").unwrap();
    let jitter = SensorJitter { center_shift_std_nm: 50.0, ..SensorJitter::default() };
    let centers = jitter.apply(&emit, &mut generator(1)).centers_nm();
    let least = centers.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    // A fifth of EMIT's smallest step, 7.3853 nm.
    assert!((least - 1.477_06).abs() < 1e-3, "{least}");
    let faults = SensorJitter { width_scale_std: -1.0, ..SensorJitter::default() }.check();
    assert_eq!(faults[0].path.as_deref(), Some("width_scale_std"));
}

#[test]
fn random_sensors_repeat_by_seed_and_are_shared_as_asked() {
    let config = VirtualSensor {
        n_bands: 24,
        fwhm_nm: Some([5.0, 40.0]),
        center_jitter_nm: 10.0,
        ..VirtualSensor::default()
    };
    let batches = |sharing, seed| {
        let mut sensors = RandomSensors::new(config.clone(), sharing, generator(seed));
        [sensors.batch(3).unwrap(), sensors.batch(3).unwrap()]
    };
    let [first, second] = batches(Sharing::PerBatch, 1);
    assert!(Arc::ptr_eq(&first[0], &first[2]) && first[0] != second[0]);
    assert_eq!(batches(Sharing::PerBatch, 1), [first, second]);
    let [first, second] = batches(Sharing::Fixed, 1);
    assert!(Arc::ptr_eq(&first[0], &second[2]));
    let [first, _] = batches(Sharing::PerSample, 1);
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_ne!(batches(Sharing::Fixed, 1), batches(Sharing::Fixed, 2));
    assert!(first.iter().all(|sensor| sensor.n_bands() == 24));
}

#[test]
fn virtual_sensors_keep_to_their_range_and_widths() {
    let config = VirtualSensor {
        n_bands: 50,
        start_nm: 1000.0,
        stop_nm: 1600.0,
        placement: Placement::Random,
        ..VirtualSensor::default()
    };
    let sensor = config.sensor(&mut generator(3)).unwrap();
    let centers = sensor.centers_nm();
    assert!(centers.is_sorted() && centers[0] >= 1000.0 && centers[49] <= 1600.0);
    assert!(sensor.fwhm_nm().iter().all(|width| *width == 8.0), "600 / (1.5 · 50)");
    let faults = VirtualSensor { n_bands: 0, stop_nm: 1.0, ..config }.check();
    let paths: Vec<_> = faults.iter().filter_map(|fault| fault.path.as_deref()).collect();
    assert_eq!(paths, ["n_bands", "stop_nm"]);
}

#[test]
fn shapes_of_random_sensors_have_an_area_and_no_negative_part() {
    for shape in [Shape::Gaussian, Shape::Box, Shape::Hamming] {
        let config = VirtualSensor { n_bands: 24, shape, ..VirtualSensor::default() };
        for band in config.sensor(&mut generator(1)).unwrap().bands() {
            let samples = band.samples_nm();
            let values: Vec<f64> = samples.iter().map(|nm| band.at(*nm)).collect();
            assert!(values.iter().all(|value| *value >= 0.0));
            let expected = match shape {
                Shape::Gaussian => 1.064_467,
                Shape::Box => 1.0,
                Shape::Hamming => 0.54,
            };
            let area = trapezoid(&samples, &values) / band.fwhm_nm;
            assert!((area - expected).abs() < 1e-5, "{shape:?}: {area}");
        }
    }
}

#[test]
fn a_configuration_names_a_sensor_or_makes_one_up() {
    let named: SensorConfig = serde_json::from_str("\"enmap\"").unwrap();
    assert_eq!(named.open(&mut generator(1)).unwrap().n_bands(), 224);
    let made: SensorConfig = serde_json::from_str(r#"{"n_bands": 7}"#).unwrap();
    assert_eq!(made.open(&mut generator(1)).unwrap().n_bands(), 7);
    assert!(serde_json::from_str::<SensorConfig>(r#"{"n_band": 7}"#).is_err());
}
