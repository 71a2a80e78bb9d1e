//! A seeded random generator whose position can be saved.
//!
//! A run has one seed. Every use of randomness has a *named stream* of its own (`model init`,
//! `dropout`, `data/train`, …), so that drawing more from one never shifts another. A generator
//! is `ChaCha8` keyed by the seed, with the stream's name hashed to the cipher's stream number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// A random stream that is a function of (seed, name) and a position.
///
/// ```
/// use sdk::Generator;
///
/// let mut dropout = Generator::new(42, "dropout");
/// let first = dropout.next_u64();
/// let saved = dropout.position();
/// let second = dropout.next_u64();
///
/// let mut again = Generator::at(&saved);
/// assert_eq!(again.next_u64(), second);
/// assert_ne!(Generator::new(42, "data").next_u64(), first);
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    stream: String,
    rng: ChaCha8Rng,
}

/// Where a [`Generator`] stands: all that is needed to continue it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The run's seed.
    pub seed: u64,
    /// The stream's name.
    pub stream: String,
    /// 32-bit words drawn so far.
    pub words: u64,
}

impl Generator {
    /// The stream `name` of `seed`, at its start.
    pub fn new(seed: u64, name: impl Into<String>) -> Self {
        let stream = name.into();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a(stream.as_bytes()));
        Self { seed, stream, rng }
    }

    /// The generator that stands at `position`.
    pub fn at(position: &Position) -> Self {
        let mut generator = Self::new(position.seed, position.stream.clone());
        generator.rng.set_word_pos(u128::from(position.words));
        generator
    }

    /// Where this generator stands.
    pub fn position(&self) -> Position {
        let words = u64::try_from(self.rng.get_word_pos()).unwrap_or(u64::MAX);
        Position { seed: self.seed, stream: self.stream.clone(), words }
    }

    /// Uniform over all 64-bit values.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in `[0, 1)`, with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..n`, without modulo bias (Lemire 2019, "Fast random integer generation in an
    /// interval").
    ///
    /// # Panics
    /// When `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below(0): an empty range has no element to draw");
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        let threshold = n.wrapping_neg() % n;
        while (product as u64) < threshold {
            product = u128::from(self.next_u64()) * u128::from(n);
        }
        (product >> 64) as u64
    }

    /// A standard normal value (Box and Muller 1958); always two draws.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// One element of `items`, each equally likely; `None` when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let n = u64::try_from(items.len()).ok().filter(|n| *n > 0)?;
        items.get(self.below(n) as usize)
    }

    /// Puts `items` in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// FNV-1a, 64 bits: the stream number of a name. Fixed for ever, since checkpoints rest on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, name: &str| {
            let mut g = Generator::new(seed, name);
            [g.next_u64(), g.next_u64(), g.next_u64()]
        };
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn continues_from_any_position() {
        let mut whole = Generator::new(7, "data");
        for _ in 0..1000 {
            let mut resumed = Generator::at(&whole.position());
            assert_eq!(resumed.next_u64(), whole.next_u64());
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut g = Generator::new(3, "moments");
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = g.normal();
            sum += x;
            squares += x * x;
        }
        assert!((sum / f64::from(n)).abs() < 0.01);
        assert!((squares / f64::from(n) - 1.0).abs() < 0.02);
        let mut counts = [0u32; 5];
        for _ in 0..n {
            counts[g.below(5) as usize] += 1;
        }
        assert!(counts.iter().all(|c| c.abs_diff(n as u32 / 5) < 800), "{counts:?}");
    }

    #[test]
    fn shuffle_keeps_every_element() {
        let mut items: Vec<u32> = (0..100).collect();
        Generator::new(0, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
