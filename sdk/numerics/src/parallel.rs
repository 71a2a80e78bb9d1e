//! Data-parallel gradients on the CPU.
//!
//! The shards fall into fixed, consecutive runs, one for each thread and with a gradient buffer of
//! its own, and the buffers are added in the order of the runs: the bits of the result depend on the
//! number of threads and shards, and on nothing else. Threads are our own ones, not rayon's, so that
//! no shard is ever run inside of another's product.
//!
//! candle has a pool of its own for element-wise passes over 64 Ki elements, on which the threads
//! here would wait for each other: a process that trains on several threads should set
//! `CANDLE_NUM_THREADS=1` before the first operation, as the host does (1.4 times the speed).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{DType, Tensor};
use sdk::{Error, Result};
use sdk_transformer::stack::GradientsMut;
use sdk_transformer::threads::{Items, Parts, Threads};

use crate::gradients::{Gradients, Share, add_store};
use crate::params::Params;
use crate::sink::{self, Buffer};

/// The threads that compute gradients, and then add, clip and update. They are made at the first
/// use and stay, asleep between uses; a clone is a handle of the same ones.
#[derive(Clone, Debug)]
pub struct Workers {
    pub(crate) threads: Threads,
}

impl Workers {
    /// At most `threads` at a time, usually [`sdk::DeviceContext::threads`]; 0 counts as 1.
    pub fn new(threads: usize) -> Self {
        Self { threads: Threads::new(threads) }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// The threads themselves, for work of another kind.
    pub fn pool(&self) -> &Threads {
        &self.threads
    }

    /// Runs `work` on every part with its index, as [`Threads::each`].
    ///
    /// # Errors
    /// A panic of `work`, with its text.
    pub fn each<P: Parts>(&self, parts: P, work: impl Fn(usize, P::Part) + Sync) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.threads.each(parts, work))).map_err(from_panic)
    }

    /// Adds the gradients of all shards' losses to `into` and returns the sum of the losses.
    ///
    /// `loss` makes the scalar loss of one shard, already divided by the valid tokens of the whole
    /// step. It runs on any of the threads; with one thread or one shard on the caller's.
    ///
    /// # Errors
    /// What `loss` or the backward pass returns, a panic of `loss` (with its text), and a
    /// parameter that has no gradient since [`Gradients::zero`]. Then `into` holds nothing of
    /// use; [`Gradients::zero`] makes it good again.
    pub fn gradients<S, F>(
        &self,
        params: &Params,
        shards: Vec<S>,
        into: &mut Gradients,
        loss: F,
    ) -> Result<f64>
    where
        S: Send,
        F: Fn(S) -> Result<Tensor> + Sync,
    {
        let ids = into.ids.clone();
        let mut runs = deal(shards, self.threads());
        self.add_up(&mut runs, into, |_, run, buffer| {
            let run = std::mem::take(run);
            sink::with_sink(&ids, buffer, || run_shards(params, run, &loss))
        })
    }

    /// As [`Workers::gradients`], for passes that are written out instead of taped: `pass` is called
    /// with each index of `workers` and what stands there, takes its part of the batch through the
    /// model, adds to the gradients and returns its part of the loss. Memory that `workers` keep
    /// from pass to pass is theirs alone; nothing is allocated here but the gradients of further
    /// workers, at their first use.
    ///
    /// # Errors
    /// What `pass` returns, and a panic of it.
    pub fn passes<W, F>(&self, workers: &mut [W], into: &mut Gradients, pass: F) -> Result<f64>
    where
        W: Send,
        F: Fn(usize, &mut W, &mut GradientsMut<'_>) -> Result<f64> + Sync,
    {
        self.add_up(workers, into, |i, worker, buffer| pass(i, worker, &mut buffer.add_to_all()))
    }

    /// Runs each job with a buffer of its own, and adds those up in the order of the jobs.
    fn add_up<J: Send>(
        &self,
        jobs: &mut [J],
        into: &mut Gradients,
        work: impl Fn(usize, &mut J, &mut Buffer) -> Result<f64> + Sync,
    ) -> Result<f64> {
        if jobs.is_empty() {
            return Ok(0.0);
        }
        let n = jobs.len();
        let shares = (Items::new(jobs), Items::new(into.shares(n)));
        self.each(shares, |i, (job, Share { buffer, loss })| {
            if i > 0 {
                buffer.reset();
            }
            *loss = work(i, job, buffer);
        })?;
        let losses = into.shares(n).iter_mut();
        let losses = losses.map(|share| std::mem::replace(&mut share.loss, Ok(0.0)));
        let total = losses.sum::<Result<f64>>()?;
        into.merge(n, &self.threads);
        into.check()?;
        Ok(total)
    }
}

/// Consecutive runs of the shards, one for each thread that gets any.
fn deal<S>(shards: Vec<S>, threads: usize) -> Vec<Vec<S>> {
    let (n, runs) = (shards.len(), threads.min(shards.len()));
    let mut shards = shards.into_iter();
    (0..runs).map(|i| shards.by_ref().take((i + 1) * n / runs - i * n / runs).collect()).collect()
}

fn run_shards<S>(
    params: &Params,
    shards: Vec<S>,
    loss: impl Fn(S) -> Result<Tensor>,
) -> Result<f64> {
    let mut total = 0.0;
    for shard in shards {
        let loss = loss(shard)?;
        let mut backward = || {
            total += loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            let store = loss.backward()?;
            sink::with_buffer(|buffer| add_store(buffer, params, &store))
        };
        backward().map_err(crate::error)?;
    }
    Ok(total)
}

/// The text of a panic as an error.
fn from_panic(payload: Box<dyn Any + Send>) -> Error {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    let error = Error::new("panic", format!("a worker panicked: {text}"));
    // Dropping a payload may panic again.
    std::mem::forget(payload);
    error
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use sdk::Generator;

    use super::*;
    use crate::ops;
    use crate::params::{Init, ParamKind};

    fn setup() -> Params {
        let mut g = Generator::new(1, "model init");
        let mut params = Params::new(&Device::Cpu, DType::F32);
        let normal = Init::Normal { std: 0.5 };
        params.declare("w", ParamKind::Weight, &[5, 7], normal, &mut g).unwrap();
        params.declare("gain", ParamKind::Norm, &[7], Init::Ones, &mut g).unwrap();
        params
    }

    fn loss(params: &Params, x: &Tensor) -> Result<Tensor> {
        ops::rms_norm(x, params.get("gain"), 1e-5)
            .and_then(|x| ops::linear(&x, params.get("w"), None)?.sqr()?.sum_all())
            .map_err(crate::error)
    }

    fn batch(i: usize) -> Tensor {
        Tensor::arange(0f32, 21.0, &Device::Cpu)
            .and_then(|t| (t + i as f64)?.sin()?.reshape((3, 7)))
            .unwrap()
    }

    fn run(params: &Params, threads: usize, shards: usize) -> (f64, Gradients) {
        let mut gradients = Gradients::new(params);
        let shards = (0..shards).map(batch).collect();
        let total = Workers::new(threads)
            .gradients(params, shards, &mut gradients, |x| loss(params, &x))
            .unwrap();
        (total, gradients)
    }

    #[test]
    fn threads_agree_with_the_tape_and_repeat_bit_for_bit() {
        let params = setup();
        let mut tape = Gradients::new(&params);
        for i in 0..5 {
            tape.add(&params, &loss(&params, &batch(i)).unwrap().backward().unwrap()).unwrap();
        }
        for threads in [1, 2, 3, 8] {
            let (total, gradients) = run(&params, threads, 5);
            let (again, repeated) = run(&params, threads, 5);
            assert_eq!(total, again);
            for name in ["w", "gain"] {
                let (a, b) = (gradients.get(name).unwrap(), tape.get(name).unwrap());
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)));
                assert_eq!(a, repeated.get(name).unwrap());
            }
        }
    }

    #[test]
    fn buffers_are_reused_and_add_up() {
        let params = setup();
        let (_, mut gradients) = run(&params, 2, 4);
        let once = gradients.get("w").unwrap();
        Workers::new(2)
            .gradients(&params, (0..4).map(batch).collect(), &mut gradients, |x| loss(&params, &x))
            .unwrap();
        let twice = gradients.get("w").unwrap();
        assert!(once.iter().zip(&twice).all(|(a, b)| (2.0 * a - b).abs() < 1e-3));
    }

    #[test]
    fn panics_and_errors_come_back() {
        let params = setup();
        let mut gradients = Gradients::new(&params);
        let shards: Vec<usize> = (0..4).collect();
        let error = Workers::new(2)
            .gradients(&params, shards.clone(), &mut gradients, |i| {
                assert!(i != 3, "shard {i} is bad");
                loss(&params, &batch(i))
            })
            .unwrap_err();
        assert_eq!(error.message, "a worker panicked: shard 3 is bad");
        let error = Workers::new(1)
            .gradients(&params, shards, &mut gradients, |_| Err(Error::new("x", "no")))
            .unwrap_err();
        assert_eq!(error.message, "no");
        gradients.zero();
        let error = Workers::new(2)
            .gradients(&params, vec![0, 1], &mut gradients, |_| {
                params.get("w").sum_all().map_err(crate::error)
            })
            .unwrap_err();
        assert_eq!(error.message, "the loss gives no gradient to `gain`");
        assert_eq!(gradients.get("w").unwrap(), vec![2.0; 35]);
    }

    #[test]
    fn shards_are_dealt_in_order() {
        assert_eq!(deal((0..5).collect(), 2), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(deal(vec![1], 4), [vec![1]]);
    }
}
