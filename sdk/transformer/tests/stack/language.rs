//! The language model: loss, noise, and what may and may not change a result.

use sdk_transformer::language::{IGNORE, LanguageModel, Tokens};
use sdk_transformer::product::Precision;
use sdk_transformer::stack::{GradientsMut, PackedWeights, StackConfig, Weights, offsets};
use sdk_transformer::threads::Threads;

use crate::{by_parameter, gpt, parameters, wave};

const V: usize = 23;

struct Setup {
    model: LanguageModel,
    values: Vec<Vec<f32>>,
}

impl Setup {
    fn new(dropout: f64) -> Self {
        let stack = StackConfig { dropout, ..gpt(16, 2, 12, 2) };
        let mut values = vec![wave(V * 16, 3.0).iter().map(|x| x * 0.3).collect()];
        values.extend(parameters(&stack));
        Self { model: LanguageModel::new(&stack, V, 10), values }
    }

    /// Loss and gradients, `group` sequences to a pass.
    fn learn(&self, tokens: &Tokens<'_>, group: usize) -> (f64, Vec<Vec<f32>>) {
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        let mut packed = PackedWeights::default();
        self.model.pack(&values, &mut packed, Precision::F32, &Threads::new(1));
        let w = Weights { values: &values, packed: &packed };
        let mut worker = self.model.worker(Precision::F32, false);
        let offsets = offsets(values.iter().map(|v| v.len()));
        let mut gradients = vec![0.0; offsets[values.len()]];
        let rows = group * tokens.length;
        let mut loss = 0.0;
        for (i, ids) in tokens.ids.chunks(rows).enumerate() {
            let targets = &tokens.targets[i * rows..i * rows + ids.len()];
            let seeds = match tokens.seeds {
                [] => &[],
                seeds => &seeds[i * group..i * group + ids.len() / tokens.length],
            };
            let part = Tokens { ids, targets, seeds, ..*tokens };
            let scale = 1.0 / tokens.ids.len() as f32;
            let mut to = GradientsMut::new(&mut gradients, &offsets);
            loss += worker.learn(&self.model, w, &part, scale, &mut to);
        }
        (loss, by_parameter(&gradients, &offsets))
    }

    fn loss(&self, tokens: &Tokens<'_>) -> f64 {
        let values: Vec<&[f32]> = self.values.iter().map(Vec::as_slice).collect();
        let mut packed = PackedWeights::default();
        self.model.pack(&values, &mut packed, Precision::F32, &Threads::new(1));
        let w = Weights { values: &values, packed: &packed };
        let mut worker = self.model.worker(Precision::F32, false);
        worker.loss(&self.model, w, tokens)
    }
}

fn ids(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 7 + i * i) % V as u32).collect()
}

fn close(a: &[f32], b: &[f32], bound: f32) {
    let largest = b.iter().fold(0f32, |m, x| m.max(x.abs()));
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound * largest));
}

#[test]
fn a_model_that_knows_nothing_has_the_loss_of_chance() {
    let mut setup = Setup::new(0.0);
    setup.values[0].fill(0.0);
    let (ids, targets) = (ids(20), ids(20));
    let tokens = Tokens { ids: &ids, targets: &targets, length: 10, seeds: &[] };
    let loss = setup.learn(&tokens, 2).0 / 20.0;
    assert!((loss - (V as f64).ln()).abs() < 1e-6, "{loss}");
}

#[test]
fn gradients_of_the_table_are_those_of_differences() {
    let mut setup = Setup::new(0.0);
    let (ids, targets) = (ids(20), ids(21)[1..].to_vec());
    let tokens = Tokens { ids: &ids, targets: &targets, length: 10, seeds: &[] };
    let gradient = setup.learn(&tokens, 2).1[0].clone();
    for i in [0, 5, 100, 200, V * 16 - 1] {
        let before = setup.values[0][i];
        let mut at = |delta: f32| {
            setup.values[0][i] = before + delta;
            setup.loss(&tokens) / 20.0
        };
        let want = (at(0.01) - at(-0.01)) / 0.02;
        setup.values[0][i] = before;
        assert!((f64::from(gradient[i]) - want).abs() < 2e-4, "{i}: {} {want}", gradient[i]);
    }
}

#[test]
fn what_is_ignored_gives_no_gradient_and_no_loss() {
    let setup = Setup::new(0.0);
    let ids = ids(20);
    let mut targets = ids.clone();
    targets[..10].fill(IGNORE);
    let tokens = Tokens { ids: &ids, targets: &targets, length: 10, seeds: &[] };
    let all = setup.learn(&tokens, 2);
    let second = Tokens { ids: &ids[10..], targets: &targets[10..], ..tokens };
    assert!((all.0 - setup.loss(&second)).abs() < 1e-5);
    let none = vec![IGNORE; 20];
    let (loss, gradients) = setup.learn(&Tokens { targets: &none, ..tokens }, 2);
    assert_eq!(loss, 0.0);
    assert!(gradients.iter().flatten().all(|g| *g == 0.0));
}

#[test]
fn noise_depends_on_the_sequence_and_not_on_its_neighbours() {
    let setup = Setup::new(0.3);
    let (ids, targets) = (ids(40), ids(41)[1..].to_vec());
    let seeds = [11, 12, 13, 14];
    let tokens = Tokens { ids: &ids, targets: &targets, length: 10, seeds: &seeds };
    let (together, first) = setup.learn(&tokens, 4);
    let (apart, second) = setup.learn(&tokens, 1);
    assert!((together - apart).abs() < 1e-4 * together);
    for (a, b) in first.iter().zip(&second) {
        close(a, b, 1e-5);
    }
    let other = setup.learn(&Tokens { seeds: &[11, 12, 13, 15], ..tokens }, 4);
    assert!((together - other.0).abs() > 1e-3);
    let again = setup.learn(&tokens, 4);
    assert_eq!(again.1, first);
}

#[test]
fn dropout_keeps_the_mean() {
    let setup = Setup::new(0.1);
    let (ids, targets) = (ids(10), ids(11)[1..].to_vec());
    let mean: f64 = (0..2000)
        .map(|seed| {
            let seeds = [seed];
            setup.learn(&Tokens { ids: &ids, targets: &targets, length: 10, seeds: &seeds }, 1).0
        })
        .sum::<f64>()
        / 2000.0;
    let without = setup.loss(&Tokens { ids: &ids, targets: &targets, length: 10, seeds: &[] });
    // The loss is not linear, so its mean moves a little; without the scale of what is kept it
    // would move by more than a tenth.
    assert!((mean / without - 1.0).abs() < 0.03, "{mean} {without}");
}
