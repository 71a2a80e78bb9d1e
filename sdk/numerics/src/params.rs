//! A model's parameters: named, ordered, each of a kind.
//!
//! The order is that of declaration, so sums over parameters come out the same in every process,
//! and the optimizer decides on weight decay by kind, not by guessing from names.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor, Var};
use sdk::{Error, Generator, Result, StateVisitor, Stateful, TensorHandle};
use sdk_transformer::stack::offsets;

use crate::device::from_candle_dtype;
use crate::error;
use crate::handle::{export_copy, import};
use crate::in_place;

/// What a parameter is for; decides whether it decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Matrix of a linear layer, and anything else that always decays.
    Weight,
    /// Offset of a linear layer.
    Bias,
    /// Gain or offset of a normalisation.
    Norm,
    /// Table of embeddings, also when it serves as the output head.
    Embedding,
}

/// Values that a parameter starts with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with mean 0.
    Normal {
        /// Standard deviation, at least 0.
        std: f64,
    },
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width, at least 0.
        bound: f64,
    },
    /// All 0; draws nothing.
    Zeros,
    /// All 1; draws nothing.
    Ones,
}

#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) kind: ParamKind,
    pub(crate) var: Var,
    /// See [`in_place::corner`].
    pub(crate) corner: Tensor,
}

/// The ordered parameters of one model, all of one dtype on one device.
///
/// ```
/// use candle_core::{DType, Device};
/// use sdk_numerics::{Init, ParamKind, Params};
///
/// let mut init = sdk::Generator::new(42, "model init");
/// let mut params = Params::new(&Device::Cpu, DType::F32);
/// let normal = Init::Normal { std: 0.02 };
/// let weight = params.declare("head.weight", ParamKind::Weight, &[2, 3], normal, &mut init)?;
/// params.declare("head.bias", ParamKind::Bias, &[2], Init::Zeros, &mut init)?;
/// assert_eq!(weight.dims(), [2, 3]);
/// assert_eq!((params.len(), params.count()), (2, 8));
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Debug)]
pub struct Params {
    device: Device,
    dtype: DType,
    list: Vec<Param>,
    index: BTreeMap<String, usize>,
}

impl Params {
    /// No parameters yet; those to come live on `device` as `dtype`.
    pub fn new(device: &Device, dtype: DType) -> Self {
        Self { device: device.clone(), dtype, list: Vec::new(), index: BTreeMap::new() }
    }

    /// Adds a parameter and returns its tensor, which follows every later update of it.
    ///
    /// Values are drawn in f64 from `init`, in row-major order, so they don't depend on device or
    /// dtype (other than by rounding).
    ///
    /// # Errors
    /// When the name is taken or the device has no memory left.
    pub fn declare(
        &mut self,
        name: impl Into<String>,
        kind: ParamKind,
        shape: &[usize],
        init: Init,
        generator: &mut Generator,
    ) -> Result<Tensor> {
        let name = name.into();
        if self.index.contains_key(&name) {
            let message = format!("parameter `{name}` is declared twice");
            return Err(Error::new("params::twice", message));
        }
        let n = shape.iter().product();
        let values: Vec<f64> = match init {
            Init::Normal { std } => (0..n).map(|_| std * generator.normal()).collect(),
            Init::Uniform { bound } => {
                (0..n).map(|_| bound * (2.0 * generator.uniform() - 1.0)).collect()
            }
            Init::Zeros => vec![0.0; n],
            Init::Ones => vec![1.0; n],
        };
        let var = Tensor::from_vec(values, shape, &Device::Cpu)
            .and_then(|t| t.to_dtype(self.dtype)?.to_device(&self.device))
            .and_then(|t| Var::from_tensor(&t))
            .map_err(|e| error(e).context(format!("making parameter `{name}`")))?;
        let tensor = var.as_tensor().clone();
        let corner = in_place::corner(&var).map_err(error)?;
        self.index.insert(name.clone(), self.list.len());
        self.list.push(Param { name, kind, var, corner });
        Ok(tensor)
    }

    /// The tensor of parameter `name`.
    ///
    /// # Panics
    /// When no such parameter was declared.
    pub fn get(&self, name: &str) -> &Tensor {
        match self.index.get(name) {
            Some(i) => self.list[*i].var.as_tensor(),
            None => panic!("no parameter `{name}` was declared"),
        }
    }

    /// Name, kind and variable of each parameter, in order of declaration.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, ParamKind, &Var)> {
        self.list.iter().map(|p| (p.name.as_str(), p.kind, &p.var))
    }

    /// Number of parameters (tensors).
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing was declared.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of values in all parameters.
    pub fn count(&self) -> usize {
        self.list.iter().map(|p| p.var.elem_count()).sum()
    }

    /// Device of all parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Element type of all parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Parameter `i`, in order of declaration.
    pub(crate) fn at(&self, i: usize) -> &Param {
        &self.list[i]
    }

    /// Where each parameter begins when all values lie one behind the other, and the end.
    pub(crate) fn offsets(&self) -> Vec<usize> {
        offsets(self.list.iter().map(|param| param.var.elem_count()))
    }

    /// Copies of all parameters by name, for an artifact.
    ///
    /// # Errors
    /// When a copy from the device fails.
    pub fn to_tensors(&self) -> Result<BTreeMap<String, TensorHandle>> {
        self.list.iter().map(|p| Ok((p.name.clone(), export_copy(&p.var)?))).collect()
    }

    /// Overwrites all parameters from `tensors`, such as an artifact's. Checks everything first,
    /// so on an error nothing has changed.
    ///
    /// # Errors
    /// One error that lists every missing, unknown and ill-shaped tensor.
    pub fn load_tensors(&self, tensors: &BTreeMap<String, TensorHandle>) -> Result<()> {
        let mut faults = Vec::new();
        for param in &self.list {
            match tensors.get(&param.name) {
                None => faults.push(format!("`{}` is missing", param.name)),
                Some(handle) => faults.extend(mismatch(param, handle)),
            }
        }
        let known: BTreeSet<&String> = self.index.keys().collect();
        for name in tensors.keys().filter(|name| !known.contains(name)) {
            faults.push(format!("`{name}` is unknown"));
        }
        if !faults.is_empty() {
            let message = format!("the tensors do not fit this model: {}", faults.join("; "));
            return Err(Error::new("params::mismatch", message)
                .help("load weights that were trained with the same model settings"));
        }
        self.list.iter().try_for_each(|p| assign(p, &tensors[&p.name]))
    }
}

impl Stateful for Params {
    fn state(&mut self, visitor: &mut StateVisitor<'_>) -> Result<()> {
        for param in &self.list {
            if let Some(saved) = visitor.tensor(&param.name, || export_copy(&param.var))? {
                if let Some(fault) = mismatch(param, saved) {
                    let message = format!("restoring parameters: {fault}");
                    return Err(Error::new("params::mismatch", message));
                }
                assign(param, saved)?;
            }
        }
        Ok(())
    }
}

/// Why `handle` does not fit `param`, if it does not.
fn mismatch(param: &Param, handle: &TensorHandle) -> Option<String> {
    let dtype = from_candle_dtype(param.var.dtype()).ok();
    if param.var.dims() == handle.shape() && dtype == Some(handle.dtype()) {
        return None;
    }
    Some(format!(
        "`{}` has {} {:?}, wanted {} {:?}",
        param.name,
        handle.dtype(),
        handle.shape(),
        dtype.map_or("another type", sdk::DType::name),
        param.var.dims()
    ))
}

fn assign(param: &Param, handle: &TensorHandle) -> Result<()> {
    let value = import(handle, param.var.device())?;
    param.var.set(&value).map_err(error)
}

#[cfg(test)]
mod tests {
    use sdk::StateDict;

    use super::*;

    fn params(seed: u64, rows: usize) -> Params {
        let mut generator = Generator::new(seed, "model init");
        let mut params = Params::new(&Device::Cpu, DType::F32);
        let normal = Init::Normal { std: 0.02 };
        params.declare("w", ParamKind::Weight, &[rows, 50], normal, &mut generator).unwrap();
        params.declare("b", ParamKind::Bias, &[rows], Init::Zeros, &mut generator).unwrap();
        params
    }

    fn values(params: &Params, name: &str) -> Vec<f32> {
        params.get(name).flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn initial_values_follow_the_seed() {
        assert_eq!(values(&params(1, 100), "w"), values(&params(1, 100), "w"));
        assert_ne!(values(&params(1, 100), "w"), values(&params(2, 100), "w"));
        let w = values(&params(1, 100), "w");
        let std = (w.iter().map(|x| f64::from(x * x)).sum::<f64>() / w.len() as f64).sqrt();
        assert!((std / 0.02 - 1.0).abs() < 0.05, "{std}");
    }

    #[test]
    fn state_restores_into_the_same_tensors() {
        let mut a = params(1, 3);
        let saved = StateDict::save(&mut a).unwrap();
        let mut b = params(2, 3);
        let held = b.get("w").clone();
        saved.restore(&mut b).unwrap();
        assert_eq!(values(&a, "w"), values(&b, "w"));
        assert_eq!(held.flatten_all().unwrap().to_vec1::<f32>().unwrap(), values(&a, "w"));
        let error = saved.restore(&mut params(1, 4)).unwrap_err();
        assert_eq!(
            error.message,
            "restoring parameters: `w` has float32 [3, 50], wanted float32 [4, 50]"
        );
    }

    #[test]
    fn loading_lists_every_fault() {
        let a = params(1, 3);
        let mut tensors = params(2, 4).to_tensors().unwrap();
        let b = tensors.remove("b").unwrap();
        tensors.insert("c".to_owned(), b);
        let before = values(&a, "w");
        let error = a.load_tensors(&tensors).unwrap_err();
        assert_eq!(
            error.message,
            "the tensors do not fit this model: `w` has float32 [4, 50], wanted float32 [3, 50]; \
             `b` is missing; `c` is unknown"
        );
        assert_eq!(values(&a, "w"), before);
        a.load_tensors(&params(2, 3).to_tensors().unwrap()).unwrap();
        assert_eq!(values(&a, "w"), values(&params(2, 3), "w"));
    }

    #[test]
    fn names_stand_once() {
        let mut a = params(1, 3);
        let mut g = Generator::new(0, "x");
        assert!(a.declare("w", ParamKind::Weight, &[1], Init::Ones, &mut g).is_err());
    }
}
