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

use crate::gradients::add_tensor;

/// Positions of the parameters by the id of their tensor.
pub(crate) type Ids = Arc<HashMap<TensorId, usize>>;

/// One f32 gradient per parameter, in the order of the parameters.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) values: Vec<Vec<f32>>,
    /// Whether anything was added since the last reset.
    pub(crate) seen: Vec<bool>,
}

impl Buffers {
    pub(crate) fn new(sizes: impl Iterator<Item = usize>) -> Self {
        let values: Vec<Vec<f32>> = sizes.map(|n| vec![0.0; n]).collect();
        Self { seen: vec![false; values.len()], values }
    }

    pub(crate) fn reset(&mut self) {
        self.values.iter_mut().for_each(|v| v.fill(0.0));
        self.seen.fill(false);
    }
}

struct Sink {
    ids: Ids,
    buffers: Buffers,
}

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Makes `buffers` the sink of this thread.
pub(crate) fn install(ids: Ids, buffers: Buffers) {
    SINK.with_borrow_mut(|sink| *sink = Some(Sink { ids, buffers }));
}

/// Takes this thread's sink away; `None` when there is none.
pub(crate) fn take() -> Option<Buffers> {
    SINK.with_borrow_mut(Option::take).map(|sink| sink.buffers)
}

/// Lets `add` add to the gradient of `param`. Without a place for it here, `add` gets zeros, which
/// are returned for candle's tape.
pub(crate) fn accumulate(param: &Tensor, add: impl FnOnce(&mut [f32])) -> Result<Option<Tensor>> {
    // `add` may only compute: it runs while the sink is borrowed.
    let left = SINK.with_borrow_mut(|sink| match sink {
        Some(sink) => match sink.ids.get(&param.id()) {
            Some(&i) => {
                add(&mut sink.buffers.values[i]);
                sink.buffers.seen[i] = true;
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
                add_tensor(&mut sink.buffers.values[*i], gradient)?;
                sink.buffers.seen[*i] = true;
            }
        }
        Ok(())
    })
}

/// Runs `f` on the buffers of this thread's sink.
///
/// # Panics
/// When no sink is installed: the caller installed one.
pub(crate) fn with_buffers<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    SINK.with_borrow_mut(|sink| match sink {
        Some(sink) => f(&mut sink.buffers),
        None => panic!("no gradient sink is installed on this thread"),
    })
}
