//! From the `global` settings to the device context, checked against what plugins can do.

use std::num::NonZero;
use std::thread::available_parallelism;

use sdk::{DType, DeviceContext, DeviceKind, PhaseDescription};

use super::gpus;
use crate::config::{ConfigError, Global, Plan};

/// The device context of a run whose phases are `phases`, and what a user should hear of it.
///
/// `auto` is the first GPU when there is one and every phase's plugin can use it, and the CPU
/// otherwise. The driver is asked only where some plugin could use a GPU.
pub(super) fn context(
    global: &Global,
    phases: &[&PhaseDescription],
) -> (DeviceContext, Option<String>) {
    let (kind, ordinal, note) = match global.device.split_once(':') {
        Some(("cuda", ordinal)) => (DeviceKind::Cuda, ordinal.parse().unwrap_or(0), None),
        None if global.device == "cuda" => (DeviceKind::Cuda, 0, None),
        None if global.device == "auto" => {
            let (kind, note) = automatic(phases, gpus::count);
            (kind, 0, note)
        }
        _ => (DeviceKind::Cpu, 0, None),
    };
    let context = DeviceContext {
        kind,
        ordinal,
        dtype: DType::from_name(&global.dtype).unwrap_or(DType::F32),
        amp_dtype: global.amp_dtype.as_deref().and_then(DType::from_name),
        deterministic: global.deterministic,
        threads: global.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
    };
    (context, note)
}

/// The kind of device that `auto` stands for, and why, where that isn't plain.
fn automatic(
    phases: &[&PhaseDescription],
    count: impl Fn() -> Result<u32, String>,
) -> (DeviceKind, Option<String>) {
    let on_cpu = |why: String| (DeviceKind::Cpu, Some(format!("computing on the CPU: {why}")));
    let can = |phase: &&&PhaseDescription| phase.devices.contains(&DeviceKind::Cuda);
    if !phases.iter().any(|phase| can(&phase)) {
        return (DeviceKind::Cpu, None);
    }
    match (count(), phases.iter().find(|phase| !can(phase))) {
        (Err(why), _) => on_cpu(why),
        (Ok(0), _) => on_cpu("no GPU is there".to_owned()),
        (Ok(_), Some(phase)) => {
            on_cpu(format!("plugin `{}` was built without support for GPUs", phase.plugin))
        }
        (Ok(1), None) => (DeviceKind::Cuda, Some("computing on `cuda:0`".to_owned())),
        (Ok(n), None) => {
            let note = format!("computing on `cuda:0`, the first of {n} GPUs");
            (DeviceKind::Cuda, Some(note))
        }
    }
}

/// Why the run can't have the device that it asks for, on this machine.
pub(super) fn absence(plan: &Plan, context: &DeviceContext) -> Option<ConfigError> {
    if context.kind == DeviceKind::Cpu {
        return None;
    }
    let (message, help) = absent(context.ordinal, gpus::count())?;
    Some(plan.section_error("global", "device", &message, Some(&help)))
}

/// What is wrong with `cuda:ORDINAL` where `count` GPUs are, and the way out.
fn absent(ordinal: u32, count: Result<u32, String>) -> Option<(String, String)> {
    let cpu = "say `device: cpu`";
    match count {
        Ok(count) if ordinal < count => None,
        Err(why) => {
            let message = format!("there is no `cuda:{ordinal}`: {why}");
            Some((message, format!("{cpu}, or install the driver of the GPU")))
        }
        Ok(0) => Some((format!("there is no `cuda:{ordinal}`: no GPU is there"), cpu.to_owned())),
        Ok(1) => {
            let message = format!("there is no `cuda:{ordinal}`: one GPU is there");
            Some((message, "say `device: cuda:0`".to_owned()))
        }
        Ok(n) => {
            let message = format!("there is no `cuda:{ordinal}`: {n} GPUs are there");
            Some((message, format!("say one of `cuda:0` to `cuda:{}`", n - 1)))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(plugin: &str, devices: &[DeviceKind]) -> PhaseDescription {
        let text = serde_json::json!({
            "phase": plugin, "plugin": plugin, "version": "0.1.0", "description": "",
            "schema": {}, "defaults": {}, "section_version": 1, "changes": [],
            "capabilities": [], "devices": devices, "dtypes": [], "amp_dtypes": [],
            "state_version": 1, "build": {}, "profiles": [],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn automatic_takes_a_gpu_that_is_there_and_that_every_plugin_can_use() {
        let one = phase("one", &[DeviceKind::Cpu]);
        let both = phase("both", &[DeviceKind::Cpu, DeviceKind::Cuda]);
        let said = |phases: &[&PhaseDescription], count: Result<u32, &str>| {
            let (kind, note) = automatic(phases, || count.map_err(str::to_owned));
            (kind == DeviceKind::Cuda, note.unwrap_or_default())
        };
        let gpu = |note: &str| (true, note.to_owned());
        let cpu = |note: &str| (false, note.to_owned());
        assert_eq!(said(&[&both, &both], Ok(1)), gpu("computing on `cuda:0`"));
        assert_eq!(said(&[&both], Ok(3)), gpu("computing on `cuda:0`, the first of 3 GPUs"));
        assert_eq!(said(&[&both], Ok(0)), cpu("computing on the CPU: no GPU is there"));
        assert_eq!(said(&[&both], Err("why")), cpu("computing on the CPU: why"));
        let mixed = "computing on the CPU: plugin `one` was built without support for GPUs";
        assert_eq!(said(&[&both, &one], Ok(1)), cpu(mixed));
    }

    #[test]
    fn the_driver_is_not_asked_where_no_plugin_can_use_a_gpu() {
        let one = phase("one", &[DeviceKind::Cpu]);
        let (kind, note) = automatic(&[&one], || panic!("asked"));
        assert_eq!((kind, note), (DeviceKind::Cpu, None));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_told_with_those_that_are() {
        let said = |ordinal, count| absent(ordinal, count).map(|(message, _)| message);
        assert_eq!(said(0, Ok(1)), None);
        assert_eq!(said(1, Ok(2)), None);
        assert_eq!(said(1, Ok(1)).unwrap(), "there is no `cuda:1`: one GPU is there");
        assert_eq!(said(7, Ok(2)).unwrap(), "there is no `cuda:7`: 2 GPUs are there");
        assert_eq!(said(0, Ok(0)).unwrap(), "there is no `cuda:0`: no GPU is there");
        assert_eq!(absent(7, Ok(2)).unwrap().1, "say one of `cuda:0` to `cuda:1`");
    }
}
