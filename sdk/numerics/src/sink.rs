//! Where the fused operations put parameter gradients while [`crate::Workers`] runs a shard.
//!
//! candle's own tape allocates zeros for every gradient and adds to them out of place: three
//! passes over memory as large as the model, per shard. An operation whose weight is a declared
//! parameter adds its gradient here instead, in place, and hands candle none. Outside of
//! [`crate::Workers`] no sink is installed, and the gradient goes through the tape as usual.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId, bail};

use sdk_transformer::stack::GradientsMut;

use crate::gradients::add_tensor;

/// Positions of the parameters by the id of their tensor.
pub(crate) type Ids = Arc<HashMap<TensorId, usize>>;

/// The f32 gradients of all parameters, one behind the other in the order of the parameters.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) values: Vec<f32>,
    /// Where each parameter begins, and the end.
    offsets: Arc<[usize]>,
    /// Whether anything was added to a parameter since the last reset.
    pub(crate) seen: Vec<bool>,
}

impl Buffer {
    pub(crate) fn new(offsets: &Arc<[usize]>) -> Self {
        let n = offsets.len().saturating_sub(1);
        let values = vec![0.0; offsets.last().copied().unwrap_or(0)];
        Self { values, offsets: Arc::clone(offsets), seen: vec![false; n] }
    }

    pub(crate) fn reset(&mut self) {
        self.values.fill(0.0);
        self.seen.fill(false);
    }

    /// Those of parameter `i`.
    pub(crate) fn of(&self, i: usize) -> &[f32] {
        &self.values[self.offsets[i]..self.offsets[i + 1]]
    }

    /// Those of parameter `i`, to add to.
    pub(crate) fn add_to(&mut self, i: usize) -> &mut [f32] {
        self.seen[i] = true;
        &mut self.values[self.offsets[i]..self.offsets[i + 1]]
    }

    /// Those of `n` parameters from `first` on, to add to.
    fn add_to_run(&mut self, first: usize, n: usize) -> GradientsMut<'_> {
        self.seen[first..first + n].fill(true);
        GradientsMut::new(&mut self.values, &self.offsets[first..=first + n])
    }

    /// All of them, to add to.
    pub(crate) fn add_to_all(&mut self) -> GradientsMut<'_> {
        self.seen.fill(true);
        GradientsMut::new(&mut self.values, &self.offsets)
    }
}

struct Sink {
    ids: Ids,
    buffer: Buffer,
}

impl Sink {
    /// The position of the first of `params`, when all are here one behind the other.
    fn first(&self, params: &[Tensor]) -> Option<usize> {
        let first = *self.ids.get(&params.first()?.id())?;
        let mut places = params.iter().map(|param| self.ids.get(&param.id())).zip(first..);
        places.all(|(place, want)| place == Some(&want)).then_some(first)
    }
}

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Runs `f` with `buffer` as the sink of this thread; afterwards, and after a panic, the buffer is
/// back in its place.
pub(crate) fn with_sink<R>(ids: &Ids, buffer: &mut Buffer, f: impl FnOnce() -> R) -> R {
    struct Back<'a>(&'a mut Buffer);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            if let Some(sink) = SINK.with_borrow_mut(Option::take) {
                *self.0 = sink.buffer;
            }
        }
    }
    let sink = Sink { ids: Arc::clone(ids), buffer: std::mem::take(buffer) };
    SINK.with_borrow_mut(|place| *place = Some(sink));
    let _back = Back(buffer);
    f()
}

/// Lets `add` add to the gradient of `param`. Without a place for it here, `add` gets zeros, which
/// are returned for candle's tape.
pub(crate) fn accumulate(param: &Tensor, add: impl FnOnce(&mut [f32])) -> Result<Option<Tensor>> {
    // `add` may only compute: it runs while the sink is borrowed.
    let left = SINK.with_borrow_mut(|sink| match sink {
        Some(sink) => match sink.ids.get(&param.id()) {
            Some(&i) => {
                add(sink.buffer.add_to(i));
                None
            }
            None => Some(add),
        },
        None => Some(add),
    });
    let Some(add) = left else { return Ok(None) };
    let mut gradient = vec![0.0; param.elem_count()];
    add(&mut gradient);
    Tensor::from_vec(gradient, param.shape(), param.device()).map(Some)
}

/// Whether this thread's sink has places for all of `params`, one behind the other.
pub(crate) fn holds(params: &[Tensor]) -> bool {
    SINK.with_borrow(|sink| sink.as_ref().is_some_and(|sink| sink.first(params).is_some()))
}

/// Lets `add` add to the gradients of all of `params`, which this thread [`holds`].
///
/// # Errors
/// What `add` returns; and when the sink is not that of a thread that holds them.
pub(crate) fn accumulate_all(
    params: &[Tensor],
    add: impl FnOnce(&mut GradientsMut<'_>) -> Result<()>,
) -> Result<()> {
    SINK.with_borrow_mut(|sink| {
        let place = sink.as_mut().and_then(|sink| Some((sink.first(params)?, &mut sink.buffer)));
        match place {
            Some((first, buffer)) => add(&mut buffer.add_to_run(first, params.len())),
            None => bail!("a pass that began inside of `Workers` must end there"),
        }
    })
}

/// Adds the gradients of parameters that a tape inside of an operation found.
///
/// # Errors
/// When it found one and no sink is installed, so that it would be lost.
pub(crate) fn accumulate_store(store: &GradStore) -> Result<()> {
    SINK.with_borrow_mut(|sink| {
        let Some(sink) = sink else {
            bail!("recomputed gradients need `Workers`: this thread has no place for them");
        };
        for (id, i) in sink.ids.iter() {
            if let Some(gradient) = store.get_id(*id) {
                add_tensor(sink.buffer.add_to(*i), gradient)?;
            }
        }
        Ok(())
    })
}

/// Runs `f` on the buffer of this thread's sink.
///
/// # Panics
/// When no sink is installed: the caller installed one.
pub(crate) fn with_buffer<R>(f: impl FnOnce(&mut Buffer) -> R) -> R {
    SINK.with_borrow_mut(|sink| match sink {
        Some(sink) => f(&mut sink.buffer),
        None => panic!("no gradient sink is installed on this thread"),
    })
}
