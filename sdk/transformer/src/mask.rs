//! Dropout whose mask is a function of a key and the element's index.

/// The elements that survive, for probability `p` of being dropped: those whose hash of
/// (key, index) is not below `p · 2³²`, scaled by `1 / (1 − p)`.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    key: [u32; 2],
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// The mask of a key.
    pub fn new(p: f64, key: u64) -> Self {
        // Two words of splitmix64, so that neighbouring keys have nothing in common.
        let key = splitmix64(key);
        let threshold = (p * 4_294_967_296.0) as u32;
        Self { key: [key as u32, (key >> 32) as u32], threshold, scale: (1.0 / (1.0 - p)) as f32 }
    }

    /// 0, or the scale, of element `start + i`. Indexes wrap at 2³²; tensors here are smaller.
    ///
    /// The hash is `lowbias32` (Wellons 2018) with one word of the key before and one inside.
    #[inline(always)]
    pub fn factor(self, start: u64, i: u32) -> f32 {
        let mut h = (start as u32).wrapping_add(i) ^ self.key[0];
        h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
        h = (h ^ (h >> 15)).wrapping_add(self.key[1]).wrapping_mul(0x846c_a68b);
        h ^= h >> 16;
        if h >= self.threshold { self.scale } else { 0.0 }
    }
}

/// The `n`-th key, from 1, of a seed.
pub fn key(seed: u64, n: u64) -> u64 {
    splitmix64(splitmix64(seed) ^ n.wrapping_mul(0xd134_2543_de82_ef95))
}

fn splitmix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
