//! Between the types that cross and the types that authors and host use.

use std::mem::ManuallyDrop;

use abi_stable::std_types::RVec;

use super::types::{
    Fault, RawArtifact, RawContext, RawMetric, RawNamedTensor, RawState, RawStep, RawTensor,
};
use crate::artifact::{Artifact, Artifacts};
use crate::device::{DType, DeviceContext, DeviceKind};
use crate::error::{Error, Result};
use crate::state::StateDict;
use crate::tensor::TensorHandle;
use crate::trainer::{Metrics, StepReport};

/// The number that stands for "no mixed precision".
const NO_DTYPE: u32 = u32::MAX;

pub(super) fn device_context(raw: &RawContext) -> Result<DeviceContext> {
    let dtype = |code| {
        DType::from_code(code)
            .ok_or_else(|| Error::new("abi::dtype", format!("unknown element type number: {code}")))
    };
    Ok(DeviceContext {
        kind: if raw.device_kind == 0 { DeviceKind::Cpu } else { DeviceKind::Cuda },
        ordinal: raw.ordinal,
        dtype: dtype(raw.dtype)?,
        amp_dtype: if raw.amp_dtype == NO_DTYPE { None } else { Some(dtype(raw.amp_dtype)?) },
        deterministic: raw.deterministic,
        threads: raw.threads.max(1) as usize,
    })
}

impl RawContext {
    /// The context of one phase.
    pub fn new(
        plugin: &str,
        name: &str,
        seed: u64,
        device: &DeviceContext,
        services: super::ServicesArc,
    ) -> Self {
        Self {
            plugin: plugin.into(),
            name: name.into(),
            seed,
            device_kind: match device.kind {
                DeviceKind::Cpu => 0,
                DeviceKind::Cuda => 1,
            },
            ordinal: device.ordinal,
            dtype: device.dtype as u32,
            amp_dtype: device.amp_dtype.map_or(NO_DTYPE, |dtype| dtype as u32),
            threads: u32::try_from(device.threads).unwrap_or(u32::MAX),
            deterministic: device.deterministic,
            services,
        }
    }
}

impl From<TensorHandle> for RawTensor {
    fn from(handle: TensorHandle) -> Self {
        // The owner moves on; only the small vectors are freed here.
        let mut handle = ManuallyDrop::new(handle);
        Self {
            dtype: handle.dtype as u32,
            shape: std::mem::take(&mut handle.shape).into_iter().map(|n| n as u64).collect(),
            strides: std::mem::take(&mut handle.strides).into_iter().map(|n| n as u64).collect(),
            data: handle.data,
            owner: handle.owner,
            deleter: handle.deleter,
        }
    }
}

impl TryFrom<RawTensor> for TensorHandle {
    type Error = Error;

    fn try_from(mut raw: RawTensor) -> Result<Self> {
        let dtype = DType::from_code(raw.dtype).ok_or_else(|| {
            Error::new("abi::dtype", format!("unknown element type number: {}", raw.dtype))
        })?;
        if raw.shape.len() != raw.strides.len() {
            return Err(Error::new("abi::shape", "shape and strides of a tensor differ in length"));
        }
        let elements = raw.shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
        if elements.is_none_or(|n| n > isize::MAX as u64 / 8) {
            return Err(Error::new(
                "abi::shape",
                format!("impossible tensor shape: {:?}", raw.shape),
            ));
        }
        if raw.data.is_null() && elements != Some(0) {
            return Err(Error::new("abi::null", "a tensor's data pointer is null"));
        }
        Ok(Self {
            dtype,
            shape: raw.shape.iter().map(|n| *n as usize).collect(),
            strides: raw.strides.iter().map(|n| *n as usize).collect(),
            data: raw.data,
            owner: raw.owner,
            deleter: raw.deleter.take(),
        })
    }
}

fn tensors_to_raw(
    tensors: impl IntoIterator<Item = (String, TensorHandle)>,
) -> RVec<RawNamedTensor> {
    tensors
        .into_iter()
        .map(|(name, tensor)| RawNamedTensor { name: name.into(), tensor: tensor.into() })
        .collect()
}

fn tensors_from_raw<C: FromIterator<(String, TensorHandle)>>(
    raw: RVec<RawNamedTensor>,
) -> Result<C> {
    raw.into_iter()
        .map(|named| {
            let name = named.name.into_string();
            let tensor = TensorHandle::try_from(named.tensor).map_err(|e| e.context(&name))?;
            Ok((name, tensor))
        })
        .collect()
}

impl RawArtifact {
    /// The artifact of `phase`, ready to cross.
    pub fn new(phase: &str, artifact: Artifact) -> Self {
        Self {
            phase: phase.into(),
            name: artifact.name.into(),
            kind: artifact.kind.into(),
            settings: artifact.settings.to_string().into(),
            tensors: tensors_to_raw(artifact.tensors),
        }
    }

    /// The phase that made it, and the artifact.
    ///
    /// # Errors
    /// When settings or tensors are malformed.
    pub fn into_artifact(self) -> Result<(String, Artifact)> {
        let artifact = Artifact {
            name: self.name.into_string(),
            kind: self.kind.into_string(),
            settings: serde_json::from_str(&self.settings)?,
            tensors: tensors_from_raw(self.tensors)?,
        };
        Ok((self.phase.into_string(), artifact))
    }
}

pub(super) fn artifacts_from_raw(raw: RVec<RawArtifact>) -> Result<Artifacts> {
    let mut artifacts = Artifacts::default();
    for item in raw {
        let (phase, artifact) = item.into_artifact()?;
        artifacts.push(phase, artifact);
    }
    Ok(artifacts)
}

pub(super) fn artifacts_to_raw(phase: &str, artifacts: Vec<Artifact>) -> RVec<RawArtifact> {
    artifacts.into_iter().map(|artifact| RawArtifact::new(phase, artifact)).collect()
}

impl TryFrom<StateDict> for RawState {
    type Error = Error;

    fn try_from(state: StateDict) -> Result<Self> {
        let values = serde_json::to_string(&state.values)?.into();
        Ok(Self { values, tensors: tensors_to_raw(state.tensors) })
    }
}

impl TryFrom<RawState> for StateDict {
    type Error = Error;

    fn try_from(raw: RawState) -> Result<Self> {
        let values = serde_json::from_str(&raw.values)?;
        Ok(Self { values, tensors: tensors_from_raw(raw.tensors)? })
    }
}

impl From<StepReport> for RawStep {
    fn from(report: StepReport) -> Self {
        let metrics = report.metrics.into_iter();
        Self {
            loss: report.loss,
            units: report.units,
            metrics: metrics.map(|(name, value)| RawMetric { name: name.into(), value }).collect(),
        }
    }
}

impl From<RawStep> for StepReport {
    fn from(raw: RawStep) -> Self {
        let metrics = raw.metrics.into_iter().map(|m| (m.name.into_string(), m.value)).collect();
        Self { loss: raw.loss, units: raw.units, metrics }
    }
}

pub(super) fn metrics_to_raw(metrics: Metrics) -> RVec<RawMetric> {
    metrics.into_iter().map(|(name, value)| RawMetric { name: name.into(), value }).collect()
}

impl Fault {
    /// The error behind the fault.
    pub fn into_error(self) -> Error {
        serde_json::from_str(&self.error)
            .unwrap_or_else(|_| Error::new("abi::fault", self.error.into_string()))
    }
}
