//! Which token comes next: pure functions on the logits of one position.
//!
//! They are applied in this order: banned tokens, repetition penalty, temperature, the k likeliest,
//! the likeliest that sum to p, softmax, a draw.

use std::cmp::Ordering;

use sdk::Generator;

/// How a token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits, at least 0; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Draw from so many likeliest tokens only, at least 1.
    pub top_k: Option<usize>,
    /// Draw from the smallest set of likeliest tokens whose probabilities sum to this, in (0, 1].
    pub top_p: Option<f64>,
    /// Makes tokens that are there already less likely; above 0, 1 changes nothing.
    pub repetition_penalty: Option<f64>,
    /// Tokens that are never chosen.
    pub banned: Vec<u32>,
}

impl Sampling {
    /// The likeliest token each time, but never one of `banned`.
    pub fn greedy(banned: Vec<u32>) -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None, repetition_penalty: None, banned }
    }

    /// The next token behind `seen`; `None` when every token is banned.
    ///
    /// # Panics
    /// When the temperature is below 0: settings are checked before.
    pub fn choose(&self, logits: &[f32], seen: &[u32], generator: &mut Generator) -> Option<u32> {
        assert!(self.temperature >= 0.0, "a temperature below 0 reached the draw");
        // Nothing is drawn on account of a number that is none.
        let wide = |logit: &f32| if logit.is_nan() { f64::NEG_INFINITY } else { f64::from(*logit) };
        let mut logits: Vec<f64> = logits.iter().map(wide).collect();
        ban(&mut logits, &self.banned);
        if let Some(penalty) = self.repetition_penalty {
            penalize(&mut logits, seen, penalty);
        }
        if self.temperature == 0.0 {
            return argmax(&logits);
        }
        for logit in &mut logits {
            *logit /= self.temperature;
        }
        if let Some(k) = self.top_k {
            keep_top_k(&mut logits, k);
        }
        if let Some(p) = self.top_p {
            keep_top_p(&mut logits, p);
        }
        draw(&logits, generator)
    }
}

/// Takes every chance from some tokens; ids beyond the logits are passed over.
pub fn ban(logits: &mut [f64], banned: &[u32]) {
    for id in banned {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = f64::NEG_INFINITY;
        }
    }
}

/// Makes tokens that were seen less likely, each once however often it was seen: a positive logit
/// is divided by `penalty`, a negative one multiplied with it (Keskar et al. 2019, CTRL).
pub fn penalize(logits: &mut [f64], seen: &[u32], penalty: f64) {
    let mut is_done = vec![false; logits.len()];
    for id in seen {
        let id = *id as usize;
        if let (Some(logit), Some(false)) = (logits.get_mut(id), is_done.get(id)) {
            is_done[id] = true;
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
}

/// Leaves the `k` largest logits; of equal ones those with the lower ids.
pub fn keep_top_k(logits: &mut [f64], k: usize) {
    let (mut ids, k) = (possible(logits), k.max(1));
    if k >= ids.len() {
        return;
    }
    ids.select_nth_unstable_by(k, |a, b| likelier(logits, *a, *b));
    for id in ids.split_off(k) {
        logits[id] = f64::NEG_INFINITY;
    }
}

/// Leaves the smallest set of likeliest tokens whose probabilities sum to at least `p`: the token
/// that reaches it is in, and one always is.
pub fn keep_top_p(logits: &mut [f64], p: f64) {
    let weights = weights(logits);
    let total: f64 = weights.iter().sum();
    let mut ranked = possible(logits);
    ranked.sort_unstable_by(|a, b| likelier(logits, *a, *b));
    let mut sum = 0.0;
    let reached = ranked.iter().position(|id| {
        sum += weights[*id];
        sum >= p * total
    });
    for id in ranked.split_off(reached.map_or(ranked.len(), |last| last + 1)) {
        logits[id] = f64::NEG_INFINITY;
    }
}

/// The id of the largest logit, the lowest of equal ones; `None` when all are −∞ or NaN.
pub fn argmax(logits: &[f64]) -> Option<u32> {
    let mut best: Option<usize> = None;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > best.map_or(f64::NEG_INFINITY, |best| logits[best]) {
            best = Some(id);
        }
    }
    best.map(|id| id as u32)
}

/// Draws an id with the probabilities of the logits' softmax.
pub fn draw(logits: &[f64], generator: &mut Generator) -> Option<u32> {
    let likeliest = argmax(logits)?;
    let weights = weights(logits);
    let mut rest = generator.uniform() * weights.iter().sum::<f64>();
    for (id, weight) in weights.iter().enumerate() {
        rest -= weight;
        if rest < 0.0 {
            return Some(id as u32);
        }
    }
    // Rounding left a crumb behind the last weight.
    Some(likeliest)
}

/// log softmax of one logit.
pub fn log_prob(logits: &[f32], id: u32) -> f64 {
    let wide: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = wide.iter().map(|logit| (logit - max).exp()).sum();
    wide.get(id as usize).map_or(f64::NEG_INFINITY, |logit| logit - max - total.ln())
}

/// Probabilities up to a factor: the largest is 1.
fn weights(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return vec![0.0; logits.len()];
    }
    logits.iter().map(|logit| (logit - max).exp()).collect()
}

/// The ids that have any chance.
fn possible(logits: &[f64]) -> Vec<usize> {
    (0..logits.len()).filter(|id| logits[*id] > f64::NEG_INFINITY).collect()
}

/// Orders ids from the largest logit to the smallest, equal ones by id.
fn likelier(logits: &[f64], a: usize, b: usize) -> Ordering {
    logits[b].total_cmp(&logits[a]).then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(seed: u64) -> Generator {
        Generator::new(seed, "generate")
    }

    fn kept(logits: &[f64]) -> Vec<usize> {
        (0..logits.len()).filter(|id| logits[*id] > f64::NEG_INFINITY).collect()
    }

    fn logits_of(probabilities: &[f64]) -> Vec<f64> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    fn drawing() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::greedy(Vec::new()) }
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        let greedy = Sampling::greedy(Vec::new());
        let choose = |logits: &[f32]| greedy.choose(logits, &[], &mut generator(1));
        assert_eq!(choose(&[1.0, 2.0, 1.5, 5.0, 0.5]), Some(3));
        assert_eq!(choose(&[2.0, 7.0, 7.0]), Some(1));
        assert_eq!(choose(&[f32::NAN, -3.0]), Some(1));
    }

    #[test]
    fn top_k_of_one_takes_the_likeliest() {
        let one = Sampling { top_k: Some(1), ..drawing() };
        for seed in 0..10 {
            let chosen = one.choose(&[1.0, 2.0, 1.5, 5.0, 0.5], &[], &mut generator(seed));
            assert_eq!(chosen, Some(3));
        }
    }

    #[test]
    fn top_k_keeps_exactly_k() {
        let mut logits = [5.0, 2.0, 8.0, 1.0, 6.0, 3.0];
        keep_top_k(&mut logits, 3);
        assert_eq!(kept(&logits), [0, 2, 4]);
        let mut ties = [1.0, 4.0, 1.0, 1.0, 1.0];
        keep_top_k(&mut ties, 3);
        assert_eq!(kept(&ties), [0, 1, 2]);
        let mut few = [1.0, 2.0];
        keep_top_k(&mut few, 50);
        assert_eq!(kept(&few), [0, 1]);
    }

    #[test]
    fn top_p_keeps_the_token_that_reaches_it() {
        let keep = |p| {
            let mut logits = logits_of(&[0.3, 0.5, 0.2]);
            keep_top_p(&mut logits, p);
            kept(&logits)
        };
        assert_eq!(keep(0.75), [0, 1]);
        assert_eq!(keep(0.81), [0, 1, 2]);
        assert_eq!(keep(0.4), [1]);
        assert_eq!(keep(1e-9), [1]);
        assert_eq!(keep(1.0), [0, 1, 2]);
        let mut reference = logits_of(&[0.5, 0.3, 0.2]);
        keep_top_p(&mut reference, 0.75);
        assert_eq!(kept(&reference), [0, 1]);
    }

    #[test]
    fn the_penalty_divides_what_is_positive_and_multiplies_what_is_negative() {
        let mut logits = [2.0, -2.0, 0.0, 1.0];
        penalize(&mut logits, &[0, 1, 1, 0, 2, 9], 2.0);
        assert_eq!(logits, [1.0, -4.0, 0.0, 1.0]);
        let mut encouraged = [2.0, -2.0];
        penalize(&mut encouraged, &[0, 1], 0.5);
        assert_eq!(encouraged, [4.0, -1.0]);
        let penalized = Sampling { repetition_penalty: Some(3.0), ..Sampling::greedy(vec![]) };
        let chosen = penalized.choose(&[5.0, 2.0, -1.0], &[0, 2], &mut generator(0));
        assert_eq!(chosen, Some(1));
    }

    #[test]
    fn banned_tokens_are_never_chosen() {
        let banned = Sampling { banned: vec![3, 1, 77], ..drawing() };
        for seed in 0..50 {
            let chosen = banned.choose(&[1.0, 9.0, 1.5, 50.0], &[], &mut generator(seed));
            assert!(matches!(chosen, Some(0 | 2)), "{chosen:?}");
        }
        let all = Sampling { banned: vec![0, 1], ..drawing() };
        assert_eq!(all.choose(&[1.0, 2.0], &[], &mut generator(0)), None);
        assert_eq!(Sampling::greedy(vec![0]).choose(&[1.0], &[], &mut generator(0)), None);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let logits: Vec<f32> = (0..30).map(|i| (i as f32 * 0.7).sin()).collect();
        let draws = |seed| {
            let mut generator = generator(seed);
            let one = |_| drawing().choose(&logits, &[], &mut generator);
            (0..20).map(one).collect::<Vec<_>>()
        };
        assert_eq!(draws(4), draws(4));
        assert_ne!(draws(4), draws(5));
    }

    #[test]
    fn draws_follow_the_probabilities_at_every_temperature() {
        let probabilities = [0.1, 0.6, 0.3];
        let logits: Vec<f32> = logits_of(&probabilities).iter().map(|l| *l as f32).collect();
        for temperature in [0.5, 1.0, 2.0] {
            let sampling = Sampling { temperature, ..drawing() };
            let powers = probabilities.map(|p: f64| p.powf(1.0 / temperature));
            let mut generator = generator(7);
            let mut counts = [0.0; 3];
            for _ in 0..20_000 {
                let id = sampling.choose(&logits, &[], &mut generator).unwrap();
                counts[id as usize] += 1.0 / 20_000.0;
            }
            for (count, power) in counts.iter().zip(powers) {
                let want = power / powers.iter().sum::<f64>();
                // Three standard deviations of 20,000 draws are at most 0.0106.
                assert!((count - want).abs() < 0.0106, "{temperature}: {count} {want}");
            }
        }
    }

    #[test]
    fn a_logarithm_is_that_of_the_plain_softmax() {
        let logits: Vec<f32> =
            logits_of(&[0.1, 0.6, 0.3]).iter().map(|l| *l as f32 + 5.0).collect();
        assert!((log_prob(&logits, 1) - 0.6f64.ln()).abs() < 1e-6);
        assert_eq!(log_prob(&logits, 9), f64::NEG_INFINITY);
    }
}
