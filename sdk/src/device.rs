//! The device context that the host gives to every phase, as plain data.
//!
//! Nothing of candle or CUDA crosses the boundary: each plugin library builds its own device
//! object from this (see `sdk-numerics`), one per ordinal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which kind of device a phase runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// An NVIDIA device, by ordinal.
    Cuda,
}

impl DeviceKind {
    /// The name used in configuration files: `cpu` or `cuda`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// Element type of a tensor.
///
/// The numbers cross the boundary and lie in no file; they never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum DType {
    /// 32-bit float.
    F32 = 0,
    /// 64-bit float.
    F64 = 1,
    /// Brain float, 16 bits.
    Bf16 = 2,
    /// IEEE half, 16 bits.
    F16 = 3,
    /// Unsigned 32-bit integer.
    U32 = 4,
    /// Signed 64-bit integer.
    I64 = 5,
    /// Unsigned byte.
    U8 = 6,
}

impl DType {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::F32, Self::F64, Self::Bf16, Self::F16, Self::U32, Self::I64, Self::U8];

    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::U32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::U8 => 1,
        }
    }

    /// The type with this boundary number.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| *dtype as u32 == code)
    }

    /// The name used in configuration files: `float32`, `bfloat16`, ….
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
        }
    }

    /// The type with this configuration name, as [`DType::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where and how a phase computes; the same for all phases of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceContext {
    /// Kind of the device.
    pub kind: DeviceKind,
    /// Which of the devices of that kind; 0 on the CPU.
    pub ordinal: u32,
    /// Type of weights and of optimizer state.
    pub dtype: DType,
    /// Type of mixed-precision compute; `None` computes in `dtype`.
    pub amp_dtype: Option<DType>,
    /// Only algorithms that give the same bits every time.
    pub deterministic: bool,
    /// Threads that the phase may keep busy, at least 1.
    pub threads: usize,
}

impl Default for DeviceContext {
    fn default() -> Self {
        Self {
            kind: DeviceKind::Cpu,
            ordinal: 0,
            dtype: DType::F32,
            amp_dtype: None,
            deterministic: false,
            threads: 1,
        }
    }
}
