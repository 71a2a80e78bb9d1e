//! The types that cross, and nothing else.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_trait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RArc, RBox, RResult, RStr, RString, RVec};

/// A failed call: `sdk::Error` as JSON, and whether it was a panic.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct Fault {
    /// Whether the plugin panicked; the phase is then poisoned.
    pub panicked: bool,
    /// The error as JSON.
    pub error: RString,
}

/// What a phase is created with, as plain data, and the way back to the host.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawContext {
    /// The plugin crate that registered the phase.
    pub plugin: RString,
    /// Name of this phase in the pipeline.
    pub name: RString,
    /// The run's seed.
    pub seed: u64,
    /// 0 CPU, 1 CUDA.
    pub device_kind: u32,
    /// Which device of its kind.
    pub ordinal: u32,
    /// `DType` by number.
    pub dtype: u32,
    /// `DType` by number; `u32::MAX` for none.
    pub amp_dtype: u32,
    /// Threads that the phase may keep busy.
    pub threads: u32,
    /// Only reproducible algorithms.
    pub deterministic: bool,
    /// The host.
    pub services: ServicesArc,
}

/// A tensor: see `TensorHandle`.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawTensor {
    /// `DType` by number.
    pub dtype: u32,
    /// Extents.
    pub shape: RVec<u64>,
    /// Strides in elements.
    pub strides: RVec<u64>,
    /// First element.
    pub data: *const c_void,
    /// What keeps the memory.
    pub owner: *mut c_void,
    /// Lets the owner go, in its own library.
    pub deleter: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: the owner behind a handle is `Send + Sync`: `TensorHandle`'s constructors ask for it.
unsafe impl Send for RawTensor {}
// SAFETY: as above, and nothing is written through it.
unsafe impl Sync for RawTensor {}

impl Drop for RawTensor {
    fn drop(&mut self) {
        if let Some(deleter) = self.deleter.take() {
            // SAFETY: owner and deleter belong together; `take` makes it once.
            unsafe { deleter(self.owner) };
        }
    }
}

/// A tensor with its name.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawNamedTensor {
    /// Name.
    pub name: RString,
    /// Tensor.
    pub tensor: RawTensor,
}

/// See `Artifact`.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawArtifact {
    /// The phase that made it.
    pub phase: RString,
    /// Name within the phase.
    pub name: RString,
    /// How to read it.
    pub kind: RString,
    /// JSON.
    pub settings: RString,
    /// Tensors.
    pub tensors: RVec<RawNamedTensor>,
}

/// See `StateDict`.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawState {
    /// JSON object of values by path.
    pub values: RString,
    /// Tensors by path.
    pub tensors: RVec<RawNamedTensor>,
}

/// A named number.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct RawMetric {
    /// Name.
    pub name: RString,
    /// Value.
    pub value: f64,
}

/// See `StepReport`.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct RawStep {
    /// Mean loss of the step.
    pub loss: f64,
    /// Tokens or samples.
    pub units: u64,
    /// Further numbers.
    pub metrics: RVec<RawMetric>,
}

/// The host, as a plugin sees it.
#[sabi_trait]
pub trait Services: Clone + Send + Sync + 'static {
    /// Something happened; `payload` is JSON.
    fn emit(&self, kind: RStr<'_>, payload: RStr<'_>);
    /// Whether the run was asked to stop.
    #[sabi(last_prefix_field)]
    fn is_cancelled(&self) -> bool;
}

/// Shared handle to the host.
pub type ServicesArc = Services_TO<RArc<()>>;

/// A phase, as the host sees it. The methods are those of `Trainer`.
#[sabi_trait]
pub trait Phase: Send + 'static {
    /// The section with all defaults filled in, JSON.
    fn resolved(&self) -> RResult<RString, Fault>;
    /// Findings as a JSON list of errors.
    fn check(&self, upstream: RVec<RawArtifact>) -> RResult<RString, Fault>;
    /// What it will hand on, without tensors.
    fn promises(&self, upstream: RVec<RawArtifact>) -> RResult<RVec<RawArtifact>, Fault>;
    /// Builds everything; returns schedule and facts as JSON.
    fn prepare(&mut self, given: RVec<RawArtifact>) -> RResult<RString, Fault>;
    /// One optimizer update.
    fn step(&mut self, step: u64) -> RResult<RawStep, Fault>;
    /// `when` is an `Evaluation` as JSON.
    fn evaluate(&mut self, when: RStr<'_>) -> RResult<RVec<RawMetric>, Fault>;
    /// The state to checkpoint.
    fn save(&mut self) -> RResult<RawState, Fault>;
    /// Puts a saved state in place.
    fn restore(&mut self, state: RawState) -> RResult<(), Fault>;
    /// What it hands on.
    fn artifacts(&mut self) -> RResult<RVec<RawArtifact>, Fault>;
    /// A capability by name, with JSON in and out.
    #[sabi(last_prefix_field)]
    fn call(
        &mut self,
        capability: RStr<'_>,
        request: RStr<'_>,
        given: RVec<RawArtifact>,
    ) -> RResult<RString, Fault>;
}

/// An owned phase.
pub type PhaseBox = Phase_TO<RBox<()>>;

/// What a plugin library exports: two functions, for ever.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// `PluginDescription` as JSON.
    pub describe: extern "C" fn() -> RResult<RString, Fault>,
    /// Makes a phase from its section (JSON).
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(RStr<'_>, RStr<'_>, &RawContext) -> RResult<PhaseBox, Fault>,
}

impl RootModule for PluginRoot_Ref {
    abi_stable::declare_root_module_statics! {PluginRoot_Ref}
    const BASE_NAME: &'static str = "trainer_plugin";
    const NAME: &'static str = "trainer_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}
