//! The stack as one operation on candle's tape.
//!
//! Its arguments are the input and something that stands for the parameters. While
//! [`crate::Workers`] runs, that is the first parameter, and gradients go where all of them go.
//! Otherwise it is all parameters in one tensor, whose gradient the tape hands on to each.
//!
//! A call's sequences fall into consecutive parts, one for each thread of the stack's own. The first
//! part adds to the gradients of the call, the others to buffers that are then added in their order.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use sdk_transformer::kernels::add_assign;
use sdk_transformer::product::{Precision, Products};
use sdk_transformer::stack::{GradientsMut, PackedWeights, Pass, Stack, Weights, Worker, offsets};
use sdk_transformer::threads::{Items, Threads};

use super::{Sequences, TransformerStack};
use crate::ops::{View, slice};
use crate::sink;

/// Memory of passes that are over, for those to come.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Vec<Kept>>);

/// What a pass needs from forward to backward.
#[derive(Debug, Default)]
struct Kept {
    packed: PackedWeights,
    parts: Vec<Part>,
}

/// What one thread needs.
#[derive(Debug)]
struct Part {
    worker: Worker,
    /// The gradients of all parameters, but for the first part: it has the call's own.
    gradients: Vec<f32>,
}

/// [`Kept`] that goes back to the memory at its end.
struct Lease {
    memory: Arc<Memory>,
    kept: Kept,
}

impl Lease {
    fn take(memory: &Arc<Memory>) -> Self {
        let idle = memory.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { memory: Arc::clone(memory), kept: idle.unwrap_or_default() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut idle = self.memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(std::mem::take(&mut self.kept));
    }
}

/// The operation.
pub(super) struct Fused {
    stack: Arc<Stack>,
    parameters: Arc<[Tensor]>,
    precision: Precision,
    threads: Threads,
    memory: Arc<Memory>,
    /// B, T and C.
    dims: (usize, usize, usize),
    lengths: Vec<usize>,
    seeds: Vec<u64>,
    /// Whether gradients go to the sink of this thread.
    has_sink: bool,
    /// The forward pass that the backward pass uses up.
    pass: Mutex<Option<Lease>>,
}

impl Fused {
    pub(super) fn new(
        stack: &TransformerStack,
        dims: (usize, usize, usize),
        sequences: Sequences<'_>,
    ) -> Self {
        Self {
            stack: Arc::clone(&stack.stack),
            parameters: Arc::clone(&stack.parameters),
            precision: stack.compute.precision(),
            threads: stack.threads.clone(),
            memory: Arc::clone(&stack.memory),
            dims,
            lengths: sequences.lengths.to_vec(),
            seeds: sequences.seeds.to_vec(),
            has_sink: sink::holds(&stack.parameters),
            pass: Mutex::new(None),
        }
    }

    /// The same in the parameters' own type.
    pub(super) fn in_own_type(self, memory: &Arc<Memory>) -> Self {
        Self { precision: Precision::F32, memory: Arc::clone(memory), ..self }
    }

    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        if self.has_sink {
            let first = self.parameters[0].clone();
            return x.apply_op2(&first, self);
        }
        let flat = self.parameters.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
        x.apply_op2(&Tensor::cat(&flat, 0)?, self)
    }

    /// The result alone.
    pub(super) fn infer(self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        let mut lease = Lease::take(&self.memory);
        let view = View::of_f32(&x)?;
        let y = self.up(&mut lease.kept, view.slice(), false)?;
        Tensor::from_vec(y, self.dims, x.device())
    }

    /// The sequences of each part.
    fn ranges(&self) -> Vec<Range<usize>> {
        let (b, ..) = self.dims;
        let n = self.threads.count().min(b);
        (0..n).map(|i| i * b / n..(i + 1) * b / n).collect()
    }

    /// What a part's pass is about.
    fn pass(&self, range: &Range<usize>, keeps: bool) -> Pass<'_> {
        let (_, length, _) = self.dims;
        let lengths = self.lengths.get(range.clone()).unwrap_or_default();
        let seeds = self.seeds.get(range.clone()).unwrap_or_default();
        Pass { sequences: range.len(), length, lengths, seeds, keeps }
    }

    /// The numbers of each part, one behind the other.
    fn cut<'a>(&self, mut rows: &'a mut [f32], ranges: &[Range<usize>]) -> Vec<&'a mut [f32]> {
        let (_, t, c) = self.dims;
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (part, rest) = rows.split_at_mut(range.len() * t * c);
            parts.push(part);
            rows = rest;
        }
        parts
    }

    /// The way up, with the weights packed anew: they may have changed since the last.
    fn up(&self, kept: &mut Kept, x: &[f32], keeps: bool) -> Result<Vec<f32>> {
        let ranges = self.ranges();
        let Kept { packed, parts } = kept;
        parts.truncate(ranges.len());
        parts.resize_with(ranges.len(), || self.part());
        let mut y = vec![0.0; x.len()];
        self.with_values(|values| {
            let products = Products::new(self.precision);
            packed.update(values, &self.stack.layout, &products, &self.threads);
            let weights = Weights { values, packed };
            let mut jobs: Vec<_> = parts.iter_mut().zip(self.cut(&mut y, &ranges)).collect();
            let row = self.dims.1 * self.dims.2;
            self.threads.each(Items::new(&mut jobs), |i, (part, y)| {
                let pass = self.pass(&ranges[i], keeps);
                let from = &x[ranges[i].start * row..ranges[i].end * row];
                part.worker.input(&pass).copy_from_slice(from);
                y.copy_from_slice(part.worker.forward(weights, &pass));
            });
        })?;
        Ok(y)
    }

    fn part(&self) -> Part {
        let worker = Worker::new(&self.stack, self.precision, false);
        Part { worker, gradients: Vec::new() }
    }

    /// The way back: the gradient of the input in `d`, those of the parameters added to `to`.
    fn back(&self, kept: &mut Kept, d: &mut [f32], to: &mut GradientsMut<'_>) -> Result<()> {
        let (ranges, offsets) = (self.ranges(), self.offsets());
        let Kept { packed, parts } = kept;
        for part in parts.iter_mut().skip(1) {
            part.gradients.clear();
            part.gradients.resize(offsets[offsets.len() - 1], 0.0);
        }
        self.with_values(|values| {
            let weights = Weights { values, packed };
            let mut own = Some(to.reborrow());
            let jobs = parts.iter_mut().zip(self.cut(d, &ranges));
            let jobs = jobs.map(|(Part { worker, gradients }, d)| match own.take() {
                Some(own) => (worker, d, own),
                None => (worker, d, GradientsMut::new(gradients, &offsets)),
            });
            let mut jobs: Vec<_> = jobs.collect();
            self.threads.each(Items::new(&mut jobs), |i, (worker, d, to)| {
                worker.backward(weights, &self.pass(&ranges[i], true), d, to);
            });
        })?;
        for part in &parts[1..] {
            for i in 0..self.parameters.len() {
                add_assign(&mut to[i], &part.gradients[offsets[i]..offsets[i + 1]]);
            }
        }
        Ok(())
    }

    /// Where each parameter begins when all lie one behind the other, and the end.
    fn offsets(&self) -> Vec<usize> {
        offsets(self.parameters.iter().map(Tensor::elem_count))
    }

    fn with_values<R>(&self, run: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
        let views = self.parameters.iter().map(View::of_f32).collect::<Result<Vec<_>>>()?;
        let values: Vec<&[f32]> = views.iter().map(View::slice).collect();
        Ok(run(&values))
    }

    /// The way back of the forward pass that is kept; of another one, where that was used up.
    fn backward(&self, x: &Tensor, d: &mut [f32], to: &mut GradientsMut<'_>) -> Result<()> {
        let taken = self.pass.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut lease = match taken {
            Some(lease) => lease,
            None => {
                let mut lease = Lease::take(&self.memory);
                self.up(&mut lease.kept, View::of_f32(x)?.slice(), true)?;
                lease
            }
        };
        self.back(&mut lease.kept, d, to)
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "transformer-stack"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let mut lease = Lease::take(&self.memory);
        let y = self.up(&mut lease.kept, x, true)?;
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut d = dy.flatten_all()?.to_vec1::<f32>()?;
        let of_parameters = if self.has_sink {
            sink::accumulate_all(&self.parameters, |to| self.backward(x, &mut d, to))?;
            None
        } else {
            let offsets = self.offsets();
            let mut flat = vec![0.0; parameters.elem_count()];
            self.backward(x, &mut d, &mut GradientsMut::new(&mut flat, &offsets))?;
            Some(Tensor::from_vec(flat, parameters.shape(), parameters.device())?)
        };
        let of_x = Tensor::from_vec(d, x.shape(), x.device())?;
        Ok((x.track_op().then_some(of_x), of_parameters))
    }
}
