//! The weights of a step with their packed copies, and the place of their gradients.

use std::ops::{Index, IndexMut};

use super::layout::{Layout, LinearAt};
use crate::product::{Mat, Panels, Products};
use crate::threads::{Items, Threads};

/// Copies of a linear layer's matrix in the order in which products read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    /// For y = x Wᵀ.
    pub(crate) forward: Panels,
    /// For dx = dy W.
    pub(crate) input: Panels,
}

/// All packed matrices of a model, by the position of the parameter. Made once per update.
#[derive(Clone, Debug, Default)]
pub struct PackedWeights {
    list: Vec<Packed>,
}

/// What a pass reads: every parameter of the model, and the packed matrices.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The parameters, in the order of the model.
    pub values: &'a [&'a [f32]],
    /// Their packed copies.
    pub packed: &'a PackedWeights,
}

/// Where a pass adds the gradients of a model's parameters: one buffer for all of them, in which
/// each has its range. `gradients[i]` are those of parameter `i`.
///
/// ```
/// use sdk_transformer::stack::GradientsMut;
///
/// let mut values = [0.0; 5];
/// let mut gradients = GradientsMut::new(&mut values, &[0, 2, 5]);
/// gradients[1][0] = 1.0;
/// assert_eq!(gradients.len(), 2);
/// assert_eq!(values, [0.0, 0.0, 1.0, 0.0, 0.0]);
/// ```
#[derive(Debug)]
pub struct GradientsMut<'a> {
    values: &'a mut [f32],
    offsets: &'a [usize],
}

/// Where each of some things of these lengths begins when they lie one behind the other, and where
/// the last one ends.
///
/// ```
/// assert_eq!(sdk_transformer::stack::offsets([2, 3]), [0, 2, 5]);
/// ```
pub fn offsets(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut end = 0;
    let ends = lengths.into_iter().map(|length| {
        end += length;
        end
    });
    std::iter::once(0).chain(ends).collect()
}

impl<'a> GradientsMut<'a> {
    /// Parameter `i` at `offsets[i]..offsets[i + 1]` of `values`.
    pub fn new(values: &'a mut [f32], offsets: &'a [usize]) -> Self {
        Self { values, offsets }
    }

    /// The same place, lent for a shorter time.
    pub fn reborrow(&mut self) -> GradientsMut<'_> {
        GradientsMut { values: self.values, offsets: self.offsets }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of two parameters at once, of which `first` stands before `second`.
    ///
    /// # Panics
    /// When it does not.
    pub fn pair(&mut self, first: usize, second: usize) -> (&mut [f32], &mut [f32]) {
        assert!(first < second, "parameters {first} and {second} are not in order");
        let (begin, end) = (self.offsets[first], self.offsets[first + 1]);
        let (before, behind) = self.values.split_at_mut(self.offsets[second]);
        (&mut before[begin..end], &mut behind[..self.offsets[second + 1] - self.offsets[second]])
    }
}

impl Index<usize> for GradientsMut<'_> {
    type Output = [f32];

    fn index(&self, i: usize) -> &[f32] {
        &self.values[self.offsets[i]..self.offsets[i + 1]]
    }
}

impl IndexMut<usize> for GradientsMut<'_> {
    fn index_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.values[self.offsets[i]..self.offsets[i + 1]]
    }
}

impl PackedWeights {
    /// Packs a stack's matrices anew, on `threads`.
    pub fn update(
        &mut self,
        values: &[&[f32]],
        layout: &Layout,
        products: &Products,
        threads: &Threads,
    ) {
        self.pack(values, &layout.linears(), products, threads);
    }

    /// Packs these layers' matrices.
    pub(crate) fn pack(
        &mut self,
        values: &[&[f32]],
        linears: &[LinearAt],
        products: &Products,
        threads: &Threads,
    ) {
        self.list.resize_with(values.len(), Packed::default);
        if !products.packs() {
            return;
        }
        threads.each(Items::new(&mut self.list), |i, packed| {
            let Some(at) = linears.iter().find(|at| at.weight == i) else { return };
            let (n, k) = (at.outputs, at.inputs);
            let w = Mat::rows(values[i], k);
            products.pack((k, n), w.t(), &mut packed.forward);
            products.pack((n, k), w, &mut packed.input);
        });
    }

    pub(crate) fn at(&self, i: usize) -> &Packed {
        &self.list[i]
    }
}
