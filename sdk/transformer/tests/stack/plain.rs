//! The forward pass of a stack in f64, one loop a formula.

use sdk_transformer::stack::{Activation, Layout, Norm, Placement, StackConfig};

/// Parameters by name.
pub(crate) struct Plain<'a> {
    pub(crate) config: &'a StackConfig,
    pub(crate) layout: &'a Layout,
    pub(crate) values: &'a [Vec<f64>],
}

impl Plain<'_> {
    fn get(&self, name: &str) -> Option<&[f64]> {
        let at = self.layout.parameters.iter().position(|p| p.name == name)?;
        Some(&self.values[at])
    }

    fn linear(&self, name: &str, x: &[f64], outputs: usize) -> Vec<f64> {
        let w = self.get(&format!("{name}.weight")).expect("every layer has one");
        let bias = self.get(&format!("{name}.bias"));
        let inputs = w.len() / outputs;
        let rows = x.chunks_exact(inputs).flat_map(|x| {
            (0..outputs).map(move |o| {
                let sum: f64 = x.iter().zip(&w[o * inputs..]).map(|(x, w)| x * w).sum();
                sum + bias.map_or(0.0, |bias| bias[o])
            })
        });
        rows.collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let gain = self.get(&format!("{name}.gain")).expect("every norm has one");
        let offset = self.get(&format!("{name}.offset"));
        let c = gain.len();
        let normed = x.chunks_exact(c).flat_map(|x| {
            let mean = match self.config.norm {
                Norm::Rms => 0.0,
                Norm::Layer => x.iter().sum::<f64>() / c as f64,
            };
            let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / c as f64;
            let r = 1.0 / (var + self.config.norm_eps).sqrt();
            (0..c).map(move |i| (x[i] - mean) * r * gain[i] + offset.map_or(0.0, |o| o[i]))
        });
        normed.collect()
    }

    fn rotate(&self, head: &mut [f64], position: usize) {
        let Some(theta) = self.config.rope_theta else { return };
        let d = head.len();
        for i in 0..d / 2 {
            let angle = position as f64 * theta.powf(-2.0 * i as f64 / d as f64);
            let (a, b) = (head[2 * i], head[2 * i + 1]);
            head[2 * i] = a * angle.cos() - b * angle.sin();
            head[2 * i + 1] = a * angle.sin() + b * angle.cos();
        }
    }

    fn attention(&self, mut qkv: Vec<f64>, t: usize, lengths: &[usize]) -> Vec<f64> {
        let (c, d) = (self.config.width, self.config.head_width());
        for (i, row) in qkv.chunks_exact_mut(3 * c).enumerate() {
            row[..2 * c].chunks_exact_mut(d).for_each(|head| self.rotate(head, i % t));
        }
        let n = qkv.len() / (3 * c);
        let mut y = vec![0.0; n * c];
        for i in 0..n {
            let (first, valid) = (i / t * t, lengths.get(i / t).copied().unwrap_or(t));
            let seen = if self.config.is_causal { (i - first + 1).min(valid) } else { valid };
            for h in (0..c).step_by(d) {
                let part = |row: usize, which: usize| &qkv[row * 3 * c + which * c + h..][..d];
                let scores: Vec<f64> = (0..seen)
                    .map(|j| {
                        let dot = part(i, 0).iter().zip(part(first + j, 1)).map(|(q, k)| q * k);
                        (dot.sum::<f64>() / (d as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                for (j, score) in scores.iter().enumerate() {
                    for (k, v) in part(first + j, 2).iter().enumerate() {
                        y[i * c + h + k] += score / sum * v;
                    }
                }
            }
        }
        y
    }

    fn feed_forward(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let f = self.config.feed_forward;
        let up = self.linear(&format!("{name}.up"), x, f);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let active: Vec<f64> = match self.config.activation {
            Activation::SwiGlu => {
                let gate = self.linear(&format!("{name}.gate"), x, f);
                up.iter().zip(&gate).map(|(a, g)| a * g * sigmoid(*g)).collect()
            }
            Activation::Gelu => up
                .iter()
                .map(|x| {
                    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                    0.5 * x * (1.0 + u.tanh())
                })
                .collect(),
            Activation::Relu => up.iter().map(|x| x.max(0.0)).collect(),
        };
        self.linear(&format!("{name}.down"), &active, self.config.width)
    }

    /// R × C to the same.
    pub(crate) fn forward(&self, x: &[f64], t: usize, lengths: &[usize]) -> Vec<f64> {
        let c = self.config.width;
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
        let mut x = x.to_vec();
        for layer in 0..self.config.layers {
            let name = |part: &str| format!("layers.{layer}.{part}");
            let attend = |x: &[f64]| {
                let qkv = self.linear(&name("qkv"), x, 3 * c);
                self.linear(&name("proj"), &self.attention(qkv, t, lengths), c)
            };
            let feed = |x: &[f64]| self.feed_forward(&format!("layers.{layer}"), x);
            x = match self.config.placement {
                Placement::Before => {
                    let middle = sum(&x, &attend(&self.norm(&name("norm1"), &x)));
                    sum(&middle, &feed(&self.norm(&name("norm2"), &middle)))
                }
                Placement::After => {
                    let middle = self.norm(&name("norm1"), &sum(&x, &attend(&x)));
                    self.norm(&name("norm2"), &sum(&middle, &feed(&middle)))
                }
            };
        }
        match self.config.placement {
            Placement::Before => self.norm("last_norm", &x),
            Placement::After => x,
        }
    }
}
