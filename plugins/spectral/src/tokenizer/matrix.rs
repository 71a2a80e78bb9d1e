//! Fixed random matrices.

use sdk::Generator;

/// A matrix of `rows` by `columns`, row by row, whose columns have length 1.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Standard normal values of a seed and a name, columns scaled to length 1.
    pub(super) fn random(rows: usize, columns: usize, seed: u64, name: &str) -> Self {
        let mut generator = Generator::new(seed, format!("tokenizer/{name}"));
        let mut values: Vec<f64> = (0..rows * columns).map(|_| generator.normal()).collect();
        for column in 0..columns {
            let squares = values.iter().skip(column).step_by(columns).map(|value| value * value);
            let length = squares.sum::<f64>().sqrt();
            values.iter_mut().skip(column).step_by(columns).for_each(|value| *value /= length);
        }
        Self { columns, values }
    }

    /// Row `idx`.
    pub(super) fn row(&self, idx: usize) -> &[f64] {
        &self.values[idx * self.columns..][..self.columns]
    }

    /// `row` times this matrix.
    pub(super) fn project(&self, row: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.columns];
        for (factor, weights) in row.iter().zip(self.values.chunks_exact(self.columns)) {
            for (sum, weight) in sum.iter_mut().zip(weights) {
                *sum += factor * weight;
            }
        }
        sum
    }
}
