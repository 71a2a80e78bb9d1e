//! Data-parallel gradients on the CPU.
//!
//! Each thread takes a fixed, consecutive run of shards, with a gradient buffer of its own, and the
//! buffers are added in the order of the threads: the bits of the result depend on the number of
//! threads and shards, and on nothing else. Threads are plain ones, not rayon's, so that no shard
//! is ever run inside of another's product.
//!
//! candle has a pool of its own for element-wise passes over 64 Ki elements, on which the threads
//! here would wait for each other: a process that trains on several threads should set
//! `CANDLE_NUM_THREADS=1` before the first operation, as the host does (1.4 times the speed).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{DType, Tensor};
use sdk::{Error, Result};

use crate::gradients::{Gradients, add_store};
use crate::params::Params;
use crate::sink::{self, Buffers};

/// The threads that compute gradients.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    threads: usize,
}

impl Workers {
    /// At most `threads` at a time, usually [`sdk::DeviceContext::threads`]; 0 counts as 1.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
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
        if shards.is_empty() {
            return Ok(0.0);
        }
        let ids = into.ids.clone();
        self.on_threads(deal(shards, self.threads), params, into, |run, buffers| {
            sink::install(ids.clone(), buffers);
            let done = catch_unwind(AssertUnwindSafe(|| run_shards(params, run, &loss)));
            let buffers = sink::take().unwrap_or_default();
            (buffers, done.unwrap_or_else(|payload| Err(from_panic(payload))))
        })
    }

    /// As [`Workers::gradients`], for passes that are written out instead of taped: `pass` takes a
    /// shard through the model, adds to the gradients (one buffer for each parameter, in their
    /// order) and returns its part of the loss. Each thread has one of `workers` to itself, with
    /// the memory that it keeps from pass to pass.
    ///
    /// # Errors
    /// What `pass` returns, and a panic of it.
    pub fn passes<W, S, F>(
        &self,
        params: &Params,
        workers: &mut [W],
        shards: Vec<S>,
        into: &mut Gradients,
        pass: F,
    ) -> Result<f64>
    where
        W: Send,
        S: Send,
        F: Fn(&mut W, S, &mut [Vec<f32>]) -> Result<f64> + Sync,
    {
        if shards.is_empty() {
            return Ok(0.0);
        }
        let runs = deal(shards, self.threads.min(workers.len()));
        let jobs = runs.into_iter().zip(workers).collect();
        self.on_threads(jobs, params, into, |(run, worker): (Vec<S>, &mut W), mut buffers| {
            let done = catch_unwind(AssertUnwindSafe(|| {
                run.into_iter().map(|shard| pass(worker, shard, &mut buffers.values)).sum()
            }));
            buffers.seen.fill(true);
            (buffers, done.unwrap_or_else(|payload| Err(from_panic(payload))))
        })
    }

    /// Runs each job on a thread of its own with buffers of its own, and adds those up in the order
    /// of the jobs.
    fn on_threads<J: Send>(
        &self,
        jobs: Vec<J>,
        params: &Params,
        into: &mut Gradients,
        work: impl Fn(J, Buffers) -> (Buffers, Result<f64>) + Sync,
    ) -> Result<f64> {
        let mut buffers = vec![std::mem::take(&mut into.buffers)];
        for _ in 1..jobs.len() {
            buffers.push(into.spare.pop().map_or_else(
                || Buffers::new(params.iter().map(|(_, _, var)| var.elem_count())),
                |mut spare| {
                    spare.reset();
                    spare
                },
            ));
        }
        let mut jobs = jobs.into_iter().zip(buffers);
        let done: Vec<(Buffers, Result<f64>)> = std::thread::scope(|scope| {
            let first = jobs.next();
            let others: Vec<_> = jobs
                .map(|(job, buffers)| {
                    let work = &work;
                    scope.spawn(move || work(job, buffers))
                })
                .collect();
            let first = first.map(|(job, buffers)| work(job, buffers));
            let others = others.into_iter().map(|handle| {
                // `work` catches the panics of the loss; only its own would arrive here.
                handle.join().unwrap_or_else(|p| (Buffers::default(), Err(from_panic(p))))
            });
            first.into_iter().chain(others).collect()
        });

        let (mut buffers, losses): (Vec<Buffers>, Vec<Result<f64>>) = done.into_iter().unzip();
        into.buffers = buffers.remove(0);
        let total = losses.into_iter().sum::<Result<f64>>();
        if total.is_ok() && !buffers.is_empty() {
            into.merge(&buffers);
        }
        into.spare.append(&mut buffers);
        let total = total?;
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
            sink::with_buffers(|buffers| add_store(buffers, params, &store))
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
