//! The weights of a step, and their packed copies.

use super::layout::{Layout, LinearAt};
use crate::product::{Mat, Panels, Products};

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

impl PackedWeights {
    /// Packs a stack's matrices anew, on `threads` threads.
    pub fn update(
        &mut self,
        values: &[&[f32]],
        layout: &Layout,
        products: &Products,
        threads: usize,
    ) {
        self.pack(values, &layout.linears(), products, threads);
    }

    /// Packs these layers' matrices.
    pub(crate) fn pack(
        &mut self,
        values: &[&[f32]],
        linears: &[LinearAt],
        products: &Products,
        threads: usize,
    ) {
        self.list.resize_with(values.len(), Packed::default);
        if !products.packs() {
            return;
        }
        let mut jobs: Vec<(&LinearAt, Packed)> =
            linears.iter().map(|at| (at, std::mem::take(&mut self.list[at.weight]))).collect();
        let pack = |(at, packed): &mut (&LinearAt, Packed)| {
            let (n, k) = (at.outputs, at.inputs);
            let w = Mat::rows(values[at.weight], k);
            products.pack((k, n), w.t(), &mut packed.forward);
            products.pack((n, k), w, &mut packed.input);
        };
        let total: usize = linears.iter().map(|at| at.outputs * at.inputs).sum();
        let share = total.div_ceil(threads.max(1));
        std::thread::scope(|scope| {
            let mut rest = jobs.as_mut_slice();
            while !rest.is_empty() {
                let mut size = 0;
                let mut n = 0;
                while n < rest.len() && (n == 0 || size < share) {
                    size += rest[n].0.outputs * rest[n].0.inputs;
                    n += 1;
                }
                let (mine, others) = rest.split_at_mut(n);
                rest = others;
                let pack = &pack;
                if rest.is_empty() {
                    mine.iter_mut().for_each(pack);
                } else {
                    scope.spawn(move || mine.iter_mut().for_each(pack));
                }
            }
        });
        for (at, packed) in jobs {
            self.list[at.weight] = packed;
        }
    }

    pub(crate) fn at(&self, i: usize) -> &Packed {
        &self.list[i]
    }
}
