//! Rotary positions (Su et al. 2021): pairs of channels turned by angles that grow with the position.

use super::StackConfig;
use crate::kernels;

/// Cosines and sines of the rotary positions, D / 2 to a position.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
}

impl Rotation {
    /// Angles are position · theta^(−2i / D), computed in f64.
    pub(super) fn new(positions: usize, head_width: usize, theta: f64) -> Self {
        let half = head_width / 2;
        let angle = |k: usize| {
            let (position, i) = (k / half, k % half);
            position as f64 * theta.powf(-2.0 * i as f64 / head_width as f64)
        };
        let n = positions * half;
        Self {
            cos: (0..n).map(|k| angle(k).cos() as f32).collect(),
            sin: (0..n).map(|k| angle(k).sin() as f32).collect(),
        }
    }

    /// Rotates the queries and keys of all rows in place; backwards with sign −1.
    pub(super) fn apply(&self, config: &StackConfig, qkv: &mut [f32], length: usize, sign: f32) {
        let (c, d) = (config.width, config.head_width());
        let half = d / 2;
        for (i, row) in qkv.chunks_exact_mut(3 * c).enumerate() {
            let angles = i % length * half..(i % length + 1) * half;
            let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
            for head in row[..2 * c].chunks_exact_mut(d) {
                kernels::rope_in_place(head, cos, sin, sign);
            }
        }
    }
}
