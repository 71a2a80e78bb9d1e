//! Parameters read and written where they lie, without taking memory.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var};
use sdk::{Error, Result};

use crate::ops::View;
use crate::params::{Param, Params};

/// Reads parameters where they lie, for passes that are written out. It keeps the memory of its
/// lists from use to use, and nothing else.
///
/// ```
/// # use candle_core::{DType, Device};
/// # use sdk_numerics::{Init, ParamKind, Params, Reader};
/// # let mut init = sdk::Generator::new(42, "model init");
/// let mut params = Params::new(&Device::Cpu, DType::F32);
/// params.declare("gain", ParamKind::Norm, &[3], Init::Ones, &mut init)?;
/// let sum = Reader::default().read(&params, |values| values[0].iter().sum::<f32>())?;
/// assert_eq!(sum, 3.0);
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Default)]
pub struct Reader {
    views: Vec<View<'static>>,
    slices: Vec<&'static [f32]>,
}

// SAFETY: a view may not go to another thread, but between uses there is none.
unsafe impl Send for Reader {}

impl Reader {
    /// Runs `f` on the values of all parameters, one slice for each in order of declaration. No
    /// update can happen meanwhile.
    ///
    /// # Errors
    /// When they are not f32 on the CPU.
    pub fn read<R>(&mut self, params: &Params, f: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
        let mut views = emptied(std::mem::take(&mut self.views));
        views.extend(params.iter().map_while(|(_, _, var)| View::of(var.as_tensor())));
        if views.len() < params.len() {
            let message = "only f32 parameters on the CPU can be read in place";
            return Err(Error::new("params::values", message));
        }
        let mut slices = emptied(std::mem::take(&mut self.slices));
        slices.extend(views.iter().map(View::slice));
        let result = f(&slices);
        self.slices = emptied(slices);
        self.views = emptied(views);
        Ok(result)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// The memory of a list for things of another lifetime: collecting in place keeps it.
fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map_while(|_| None).collect()
}

/// A view of a parameter's first value: a handle of all its memory for [`write`]. candle lists the
/// extents of what it is to write to, which takes memory; of a single value there are none to list.
pub(crate) fn corner(var: &Var) -> candle_core::Result<Tensor> {
    let values = var.as_detached_tensor().flatten_all()?;
    let n = values.elem_count().min(1);
    values.narrow(0, 0, n)
}

/// Runs `f` on the values of a parameter, which must be f32 on the CPU.
pub(crate) fn write(param: &Param, f: impl FnMut(&mut [f32])) -> candle_core::Result<()> {
    let n = param.var.elem_count();
    param.corner.inplace_op1(&Write { n, f: RefCell::new(f) })
}

/// Runs a function on the first `n` values of a storage.
struct Write<F> {
    n: usize,
    f: RefCell<F>,
}

impl<F: FnMut(&mut [f32])> InplaceOp1 for Write<F> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let start = layout.start_offset();
        let CpuStorage::F32(values) = storage else {
            candle_core::bail!("a parameter that is written in place must be f32")
        };
        let Some(values) = values.get_mut(start..start + self.n) else {
            candle_core::bail!("a parameter's values do not lie one behind the other")
        };
        (self.f.borrow_mut())(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use sdk::Generator;

    use super::*;
    use crate::params::{Init, ParamKind};

    fn params(dtype: DType) -> Params {
        let mut g = Generator::new(1, "model init");
        let mut params = Params::new(&Device::Cpu, dtype);
        params.declare("w", ParamKind::Weight, &[2, 3], Init::Ones, &mut g).unwrap();
        params.declare("b", ParamKind::Bias, &[1], Init::Zeros, &mut g).unwrap();
        params
    }

    #[test]
    fn what_is_written_is_seen_by_everybody_and_read_back() {
        let params = params(DType::F32);
        let held = params.get("w").clone();
        for i in 0..2 {
            write(params.at(i), |values| values.iter_mut().for_each(|x| *x += 2.0)).unwrap();
        }
        assert_eq!(held.to_vec2::<f32>().unwrap(), [[3.0; 3]; 2]);
        params.at(0).var.set(&(held * 2.0).unwrap()).unwrap();
        let mut reader = Reader::default();
        for _ in 0..2 {
            let read = reader.read(&params, |values| [values[0].to_vec(), values[1].to_vec()]);
            assert_eq!(read.unwrap(), [vec![6.0; 6], vec![2.0]]);
        }
    }

    #[test]
    fn other_types_are_refused() {
        let params = params(DType::F64);
        let error = Reader::default().read(&params, |values| values.len()).unwrap_err();
        assert_eq!(error.message, "only f32 parameters on the CPU can be read in place");
        let error = write(params.at(0), |_| {}).unwrap_err();
        assert_eq!(crate::error(error).message, "a parameter that is written in place must be f32");
    }
}
