//! The band tokenizer: golden values of the reference, widths, gaps, and what is refused.

use super::*;

const AXIS: [f64; 5] = [400.0, 500.0, 600.0, 700.0, 900.0];
const VALUES: [f64; 5] = [0.2, 0.5, f64::NAN, 0.8, 0.4];
const WIDTHS: [f64; 5] = [5.0, 6.0, 7.0, 8.0, 9.0];

fn config(value_norm: ValueNorm, n_frequencies: usize) -> TokenizerConfig {
    TokenizerConfig { value_norm, n_frequencies, ..TokenizerConfig::default() }
}

fn tokens(config: TokenizerConfig) -> Tokens {
    let tokenizer = BandTokenizer::new(config).unwrap();
    let widths = Some(Widths::Each(&WIDTHS));
    let bands = tokenizer.bands(&AXIS, AxisUnit::Nanometers, widths, None).unwrap();
    bands.encode(&VALUES).unwrap()
}

#[track_caller]
fn near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (idx, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error < 2e-6, "feature {idx}: {found} for {expected}");
    }
}

fn column(tokens: &Tokens, feature: usize) -> Vec<f32> {
    (0..tokens.n_bands()).map(|band| tokens.token(band)[feature]).collect()
}

// Golden values of the reference system, computed by it for these inputs.

#[test]
fn robust_tokens_of_the_reference() {
    let found = tokens(config(ValueNorm::Robust, 1));
    let first = [-1.111_111_2, -1.278_724_1, 0.767_951_9, -0.640_507_5, -1.504_536_4];
    near(found.token(0), &first);
    near(found.token(2), &[0.0, -0.116_247_6, -0.357_138_7, 0.934_051_4, 0.088_942_2]);
    near(found.token(4), &[-0.222_222_2, 1.627_466_9, -0.920_886_0, 0.389_832_0, 1.324_940_2]);
    assert_eq!(found.is_valid, [true, true, false, true, true]);
}

#[test]
fn zscores_of_the_reference() {
    let found = column(&tokens(config(ValueNorm::PerSpectrumZscore, 1)), 0);
    near(&[found[0], found[2], found[4]], &[-1.270_170_6, 0.0, -0.346_410_2]);
}

#[test]
fn default_widths_of_the_reference() {
    let tokenizer = BandTokenizer::new(config(ValueNorm::None, 0)).unwrap();
    let bands = tokenizer.bands(&[100.0, 200.0, 400.0], AxisUnit::Nanometers, None, None).unwrap();
    let found = bands.encode(&[0.1, 0.2, 0.3]).unwrap();
    near(&column(&found, 2), &[-1.287_542_0, 0.137_138_1, 1.150_403_7]);
    near(&column(&found, 0), &[0.1, 0.2, 0.3]);
    assert!(found.used_default_width);
}

#[test]
fn feature_counts_of_the_reference() {
    assert_eq!(config(ValueNorm::Robust, 8).width(), 19);
    assert_eq!(TokenizerConfig::default().width(), 15);
    let all = TokenizerConfig {
        include_srf_embed: true,
        include_srf_provenance: true,
        ..TokenizerConfig::default()
    };
    assert_eq!(all.width(), 15 + 8 + 3);
    let widths: Vec<usize> = ["emit", "enmap", "aviris-ng", "hytes", "mako"]
        .iter()
        .map(|sensor| TokenizerConfig::preset(sensor).width())
        .collect();
    assert_eq!(widths, [96, 96, 96, 80, 72]);
}

#[test]
fn projected_tokens_have_the_width_asked_for() {
    let config = TokenizerConfig { token_dim: 16, ..TokenizerConfig::default() };
    let tokenizer = BandTokenizer::new(config).unwrap();
    let axis = crate::axis::evenly(400.0, 2400.0, 10);
    let bands = tokenizer.bands(&axis, AxisUnit::Nanometers, None, None).unwrap();
    let found = bands.encode(&crate::axis::evenly(0.1, 0.9, 10)).unwrap();
    assert_eq!((found.n_bands(), found.width, found.pooled().len()), (10, 16, 16));
    let mean: f32 = (0..10).map(|band| found.token(band)[3]).sum::<f32>() / 10.0;
    assert!((found.pooled()[3] - mean).abs() < 1e-6 && found.pooled()[3].abs() > 1e-6);
}

#[test]
fn projected_tokens_are_the_features_times_a_matrix_with_columns_of_length_one() {
    let plain = tokens(config(ValueNorm::Robust, 1));
    let projected = tokens(TokenizerConfig { token_dim: 3, ..config(ValueNorm::Robust, 1) });
    let matrix = Matrix::random(5, 3, 7, "projection");
    for column in 0..3 {
        let length: f64 = (0..5).map(|row| matrix.row(row)[column].powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-12);
    }
    for band in 0..5 {
        let features: Vec<f64> = plain.token(band).iter().map(|x| f64::from(*x)).collect();
        near(projected.token(band), &matrix.project(&features));
    }
    let other =
        TokenizerConfig { token_dim: 3, projection_seed: 8, ..config(ValueNorm::Robust, 1) };
    assert_ne!(tokens(other).values, projected.values);
}

#[test]
fn permuted_bands_are_permuted_tokens() {
    // The reference's sizes: 73 bands to tokens of 48, and 48 bands in wavenumbers to 40.
    for (n_bands, token_dim, unit) in
        [(73, 48, AxisUnit::Nanometers), (48, 40, AxisUnit::Wavenumbers)]
    {
        let config = TokenizerConfig { token_dim, axis_unit: unit, ..TokenizerConfig::default() };
        let tokenizer = BandTokenizer::new(config).unwrap();
        let axis = crate::axis::evenly(700.0, 2400.0, n_bands);
        let values: Vec<f64> = axis.iter().map(|x| (x / 100.0).sin()).collect();
        let widths: Vec<f64> = axis.iter().map(|x| x / 100.0).collect();
        let encode = |order: &[usize]| {
            let pick = |from: &[f64]| -> Vec<f64> { order.iter().map(|idx| from[*idx]).collect() };
            let (axis, widths) = (pick(&axis), pick(&widths));
            let bands = tokenizer.bands(&axis, unit, Some(Widths::Each(&widths)), None).unwrap();
            bands.encode(&pick(&values)).unwrap()
        };
        let order: Vec<usize> = (0..n_bands).collect();
        let turned: Vec<usize> = (0..n_bands).map(|idx| (idx * 5 + 3) % n_bands).collect();
        let (straight, permuted) = (encode(&order), encode(&turned));
        assert_ne!(straight.values, permuted.values);
        for (place, band) in turned.iter().enumerate() {
            for (a, b) in permuted.token(place).iter().zip(straight.token(*band)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}

#[test]
fn positions_in_wavenumbers_are_those_of_the_wavelengths() {
    let config = TokenizerConfig { axis_unit: AxisUnit::Wavenumbers, ..config(ValueNorm::None, 0) };
    let tokenizer = BandTokenizer::new(config).unwrap();
    let nm = [8000.0, 10_000.0, 12_500.0];
    let cm = [1250.0, 1000.0, 800.0];
    let places = |positions: &[f64], unit| {
        let bands = tokenizer.bands(positions, unit, Some(Widths::Same(10.0)), None).unwrap();
        column(&bands.encode(&[0.1; 3]).unwrap(), 1)
    };
    let found = places(&nm, AxisUnit::Nanometers);
    assert_eq!(found, places(&cm, AxisUnit::Wavenumbers));
    assert!(found[0] > 1.0 && found[2] < -0.9, "{found:?}");
    // 10 cm⁻¹ are 64 nm at 1250 cm⁻¹, 100 nm at 1000 and 156.25 nm at 800: log1p, standardised.
    let bands = tokenizer.bands(&cm, AxisUnit::Wavenumbers, Some(Widths::Same(10.0)), None);
    let found = column(&bands.unwrap().encode(&[0.1; 3]).unwrap(), 2);
    near(&found, &[-1.223_827_4, -0.001_832_8, 1.225_660_3]);
}

#[test]
fn equal_widths_are_no_feature() {
    let tokenizer = BandTokenizer::new(config(ValueNorm::None, 0)).unwrap();
    let bands = tokenizer.bands(&AXIS, AxisUnit::Nanometers, Some(Widths::Same(5.0)), None);
    assert_eq!(column(&bands.unwrap().encode(&VALUES).unwrap(), 2), [0.0; 5]);
}

#[test]
fn widths_of_a_known_sensor_are_its_own_and_others_are_guessed() {
    let emit = Sensor::named("emit").unwrap();
    let tokenizer = BandTokenizer::new(TokenizerConfig::default()).unwrap();
    let centers = emit.centers_nm();
    let guessed = |positions: &[f64], sensor| {
        let bands = tokenizer.bands(positions, AxisUnit::Nanometers, None, sensor).unwrap();
        bands.encode(&vec![0.1; positions.len()]).unwrap().used_default_width
    };
    assert!(!guessed(&centers, Some(&emit)));
    assert!(guessed(&centers, None));
    let moved: Vec<f64> = centers.iter().map(|nm| nm + 3.0).collect();
    assert!(guessed(&moved, Some(&emit)));
}

#[test]
fn widths_that_are_none_are_the_mean_of_the_others() {
    let widths = [5.0, f64::NAN, 7.0, -1.0, 9.0];
    let known = widths::widths((&AXIS, AxisUnit::Nanometers), Some(Widths::Each(&widths)), None);
    assert_eq!(known.unwrap().nm, [5.0, 7.0, 7.0, 7.0, 9.0]);
    // A single band has no neighbours.
    let single = widths::widths((&[500.0], AxisUnit::Nanometers), None, None).unwrap();
    assert!(single.nm == [7.0] && single.is_default);
}

#[test]
fn responses_and_provenance_tell_sensors_apart() {
    let config = TokenizerConfig {
        include_srf_embed: true,
        include_srf_provenance: true,
        ..config(ValueNorm::None, 0)
    };
    let tokenizer = BandTokenizer::new(config).unwrap();
    let token = |name: &str, band: usize| {
        let sensor = Sensor::named(name).unwrap();
        let centers = sensor.centers_nm();
        let bands = tokenizer.bands(&centers, AxisUnit::Nanometers, None, Some(&sensor)).unwrap();
        let n_bands = sensor.n_bands();
        bands.encode(&vec![0.1; n_bands]).unwrap().token(band)[3..].to_vec()
    };
    // EnMAP's two spectrometers differ in width; within one of them responses are alike.
    let (first, second, far) = (token("enmap", 0), token("enmap", 1), token("enmap", 220));
    assert_eq!(first.len(), 8 + 3);
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(first[..8].iter().zip(&far[..8]).any(|(a, b)| (a - b).abs() > 1e-3));
    assert_ne!(first[8..], token("mako", 0)[8..], "nominal and assumed");
}

#[test]
fn minmax_positions_are_zero_to_one() {
    let config = TokenizerConfig { lambda_norm: AxisNorm::Minmax, ..config(ValueNorm::None, 1) };
    let found = tokens(config);
    near(&column(&found, 1), &[0.0, 0.2, 0.4, 0.6, 1.0]);
    // sin(0.2 π) and cos(0.2 π).
    near(&found.token(1)[2..4], &[0.587_785_3, 0.809_017_0]);
}

#[test]
fn the_frequency_base_stretches_all_frequencies() {
    let base = |frequency_base| TokenizerConfig {
        frequency_base,
        n_frequencies: 2,
        ..config(ValueNorm::None, 2)
    };
    // The second frequency at base 1 is the first at base 2.
    assert_eq!(column(&tokens(base(1.0)), 3), column(&tokens(base(2.0)), 2));
}

#[test]
fn global_scores_need_and_use_the_training_values() {
    let plain = BandTokenizer::new(config(ValueNorm::GlobalZscore, 0)).unwrap();
    let bands = plain.bands(&AXIS, AxisUnit::Nanometers, None, None).unwrap();
    let error = bands.encode(&VALUES).unwrap_err();
    assert_eq!(error.code, "spectral::value_stats");
    assert!(error.message.contains("ValueStats"));
    let tokenizer = plain.with_stats(ValueStats { mean: 0.4, std: 0.1 });
    let bands = tokenizer.bands(&AXIS, AxisUnit::Nanometers, None, None).unwrap();
    near(&column(&bands.encode(&VALUES).unwrap(), 0), &[-2.0, 1.0, 0.0, 4.0, 0.0]);
}

#[test]
fn what_stands_for_the_spectrum_leaves_gaps_out() {
    let found = tokens(config(ValueNorm::None, 0));
    near(&found.pooled()[..1], &[0.475]);
    let tokenizer = BandTokenizer::new(TokenizerConfig::default()).unwrap();
    let bands = tokenizer.bands(&AXIS, AxisUnit::Nanometers, None, None).unwrap();
    let nothing = bands.encode(&[f64::NAN; 5]).unwrap();
    assert_eq!(nothing.is_valid, [false; 5]);
    assert!(nothing.pooled().iter().all(|value| *value == 0.0));
    assert_eq!(column(&nothing, 0), [0.0; 5]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let tokenizer = BandTokenizer::new(TokenizerConfig::default()).unwrap();
    let fault = |positions: &[f64], widths| {
        tokenizer.bands(positions, AxisUnit::Nanometers, widths, None).unwrap_err().message
    };
    let widths = fault(&AXIS, Some(Widths::Each(&[5.0, 6.0])));
    assert_eq!(widths, "the widths must align with the bands: 2 for 5");
    assert_eq!(fault(&[400.0, -1.0], None), "sample 2 of the axis must be above 0 nm: -1");
    assert_eq!(fault(&[], None), "the axis has no samples");
    let bands = tokenizer.bands(&AXIS, AxisUnit::Nanometers, None, None).unwrap();
    let lengths = bands.encode(&[0.1, 0.2]).unwrap_err().message;
    assert_eq!(lengths, "values and axis must have matching lengths: 2 and 5");

    let config = TokenizerConfig { include_srf_embed: true, ..TokenizerConfig::default() };
    let tokenizer = BandTokenizer::new(config).unwrap();
    let fault =
        |sensor| tokenizer.bands(&AXIS, AxisUnit::Nanometers, None, sensor).unwrap_err().message;
    assert_eq!(fault(None), "features of responses need spectra whose sensor is known");
    let emit = Sensor::named("emit").unwrap();
    let rows = "the responses of sensor `emit` must align with the bands: 285 for 5";
    assert_eq!(fault(Some(&emit)), rows);
}

#[test]
fn settings_of_the_reference_s_file_are_known() {
    let text = r#"{"axis_unit": "nm", "value_norm": "robust", "lambda_norm": "zscore",
        "n_frequencies": 8, "frequency_base": 1.0}"#;
    let found: TokenizerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(found, config(ValueNorm::Robust, 8));
    assert!(serde_json::from_str::<TokenizerConfig>(r#"{"n_frequency": 8}"#).is_err());
    let wrong = TokenizerConfig { epsilon: 0.0, frequency_base: -1.0, ..found };
    let paths: Vec<_> = wrong.check().into_iter().filter_map(|fault| fault.path).collect();
    assert_eq!(paths, ["frequency_base", "epsilon"]);
    assert!(BandTokenizer::new(wrong).is_err());
}
