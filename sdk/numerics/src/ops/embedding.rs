//! Rows of a table by id.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};

use super::{View, fill, fused, kernels, slice};
use crate::sink;

/// The rows of `table` that `ids` name.
///
/// # Shapes
/// - `table`: `(V, C)`
/// - `ids`: `(…)`, u32
/// - returns: `(…, C)`
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let table = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let ids = Tensor::new(&[1u32, 1, 0], &Device::Cpu)?;
/// let rows = sdk_numerics::ops::embedding(&table, &ids)?;
/// assert_eq!(rows.to_vec2::<f32>()?, [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When an id is not below V, or `ids` are not u32.
pub fn embedding(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let (v, c) = table.dims2()?;
    if ids.dtype() != DType::U32 {
        bail!("ids must be u32, not {}", ids.dtype().as_str());
    }
    let mut shape = ids.dims().to_vec();
    shape.push(c);
    let flat = ids.flatten_all()?;
    // Elsewhere too: a GPU would read whatever lies there.
    let ids = flat.to_vec1::<u32>()?;
    if let Some(id) = ids.iter().find(|id| **id as usize >= v) {
        bail!("id {id} is not in the vocabulary of {v}");
    }
    if !fused(&[table]) {
        return table.index_select(&flat, 0)?.reshape(shape);
    }
    table.contiguous()?.apply_op1(Embedding { ids, shape: shape.into() })
}

struct Embedding {
    ids: Vec<u32>,
    shape: Shape,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, c) = layout.shape().dims2()?;
        let table = slice(table, layout)?;
        let y = fill(self.ids.len() * c, |y| {
            for (id, y) in self.ids.iter().zip(y.chunks_exact_mut(c)) {
                let start = *id as usize * c;
                y.write_copy_of_slice(&table[start..start + c]);
            }
        });
        Ok((CpuStorage::F32(y), self.shape.clone()))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, c) = table.dims2()?;
        let dy = dy.contiguous()?;
        let dys = View::of_f32(&dy)?;
        sink::accumulate(table, |to| {
            for (id, dy) in self.ids.iter().zip(dys.slice().chunks_exact(c)) {
                let start = *id as usize * c;
                kernels::add_assign(&mut to[start..start + c], dy);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::check::{agree, wave};

    #[test]
    fn fused_agrees_with_composed() {
        let ids = Tensor::new(&[[4u32, 0, 4], [1, 2, 2]], &Device::Cpu).unwrap();
        agree(&[wave(&[5, 7], 1)], |x| embedding(&x[0], &ids));
    }

    #[test]
    fn ids_are_checked() {
        let table = wave(&[5, 7], 1).to_dtype(DType::F32).unwrap();
        let ids = Tensor::new(&[0u32, 5], &Device::Cpu).unwrap();
        let error = embedding(&table, &ids).unwrap_err();
        assert!(error.to_string().starts_with("id 5 is not in the vocabulary of 5"), "{error}");
        assert!(embedding(&table, &Tensor::new(&[0i64], &Device::Cpu).unwrap()).is_err());
    }
}
