//! From the `global` settings to the device context, checked against what plugins can do.

use std::num::NonZero;
use std::thread::available_parallelism;

use sdk::{DType, DeviceContext, DeviceKind, PhaseDescription};

use crate::config::{ConfigError, Global, Plan};

/// The device context of a run.
pub(super) fn context(global: &Global) -> DeviceContext {
    let (kind, ordinal) = match global.device.split_once(':') {
        Some(("cuda", ordinal)) => (DeviceKind::Cuda, ordinal.parse().unwrap_or(0)),
        None if global.device == "cuda" => (DeviceKind::Cuda, 0),
        // `auto` takes a GPU once a plugin that can use one is there; none can so far.
        _ => (DeviceKind::Cpu, 0),
    };
    DeviceContext {
        kind,
        ordinal,
        dtype: DType::from_name(&global.dtype).unwrap_or(DType::F32),
        amp_dtype: global.amp_dtype.as_deref().and_then(DType::from_name),
        deterministic: global.deterministic,
        threads: global.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
    }
}

/// What the phase's plugin can't do of what the run asks for.
pub(super) fn refusals(
    plan: &Plan,
    context: &DeviceContext,
    phase: &PhaseDescription,
) -> Vec<ConfigError> {
    let plugin = &phase.plugin;
    let refuse = |key: &str, message: String, help: &str| {
        plan.section_error("global", key, &message, Some(help))
    };
    let mut errors = Vec::new();
    if !phase.devices.contains(&context.kind) {
        let message = format!("plugin `{plugin}` was built without support for this device");
        let help = "say `device: cpu`, or install a build of the plugin for this device";
        errors.push(refuse("device", message, help));
    }
    if !phase.dtypes.contains(&context.dtype) {
        let message = format!("plugin `{plugin}` can't train in `{}`", context.dtype);
        errors.push(refuse("dtype", message, &format!("it can train in {}", names(&phase.dtypes))));
    }
    if let Some(amp) = context.amp_dtype.filter(|amp| !phase.amp_dtypes.contains(amp)) {
        let message = format!("plugin `{plugin}` can't compute in mixed precision `{amp}`");
        let help = match phase.amp_dtypes.as_slice() {
            [] => "leave `amp_dtype` out, or say null, to compute in `dtype`".to_owned(),
            some => format!("it can compute in {}; null switches mixed precision off", names(some)),
        };
        errors.push(refuse("amp_dtype", message, &help));
    }
    errors
}

fn names(dtypes: &[DType]) -> String {
    dtypes.iter().map(|dtype| format!("`{dtype}`")).collect::<Vec<_>>().join(", ")
}
