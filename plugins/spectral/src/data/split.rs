//! Which materials are for training and which are held back.
//!
//! A side follows from the material's name and the split's seed alone. So all spectra of a material
//! stand on one side, whichever library they come from, and adding spectra moves no other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest part that may be held back, as the schema has it too.
pub(super) const VAL_FRACTION_MAX: f64 = 0.9;

/// Which materials are held back.
///
/// ```
/// let rule = spectral::data::SplitRule::default();
/// assert_eq!(rule.holds_back("talc"), rule.holds_back("Talc"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitRule {
    /// About this part of the materials is held back, with all of their spectra.
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which materials that are. It is apart from the run's seed, so that runs with other seeds
    /// hold back the same.
    pub val_seed: u64,
}

impl Default for SplitRule {
    fn default() -> Self {
        Self { val_fraction: 0.2, val_seed: 0 }
    }
}

impl SplitRule {
    /// Whether the spectra of this material are held back. Upper and lower case are the same.
    pub fn holds_back(&self, material: &str) -> bool {
        let hash = stable_hash(self.val_seed, material.to_lowercase().as_bytes());
        // 53 bits are an f64 in [0, 1).
        let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        place < self.val_fraction
    }
}

/// A hash that never changes: FNV-1a of the seed and the bytes, then the finaliser of `splitmix64`.
fn stable_hash(seed: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = seed.to_le_bytes().iter().chain(bytes).fold(0xcbf2_9ce4_8422_2325_u64, step);
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_wanted_part_is_held_back_and_another_part_with_another_seed() {
        let materials: Vec<String> = (0..4000).map(|i| format!("material {i}")).collect();
        let held = |rule: SplitRule| -> Vec<bool> {
            materials.iter().map(|material| rule.holds_back(material)).collect()
        };
        let count = |held: &[bool]| held.iter().filter(|held| **held).count();
        let first = held(SplitRule::default());
        // Four standard deviations of 4000 draws at 0.2 are 101.
        assert!(count(&first).abs_diff(800) < 101, "{}", count(&first));
        let second = held(SplitRule { val_seed: 1, ..SplitRule::default() });
        let both = first.iter().zip(&second).filter(|(a, b)| **a && **b).count();
        assert!(both.abs_diff(160) < 50, "{both}");
        assert_eq!(count(&held(SplitRule { val_fraction: 0.0, val_seed: 7 })), 0);
    }

    #[test]
    fn a_larger_part_holds_back_what_a_smaller_one_did() {
        let rule = |val_fraction| SplitRule { val_fraction, val_seed: 3 };
        let nested = |name: &str| rule(0.4).holds_back(name) || !rule(0.2).holds_back(name);
        assert!((0..1000).all(|i| nested(&format!("{i}"))));
    }

    #[test]
    fn sides_stay_what_they_are_from_version_to_version() {
        // FNV-1a and splitmix64's finaliser in Python, of eight zero bytes and `talc`.
        assert_eq!(stable_hash(0, b"talc"), 245_953_308_724_691_915);
        let held = ["actinolite", "talc", "beryl", "vermiculite", "marsh", "rangeland", "oil"]
            .map(|material| SplitRule::default().holds_back(material));
        assert_eq!(held, [false, true, false, false, true, false, false]);
    }
}
