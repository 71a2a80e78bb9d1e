//! `environment.json`: what the run was made with.

use std::env;

use sdk::DeviceContext;
use serde_json::{Value, json};

use crate::registry::Registry;

/// Versions, machine, device, threads, plugins with hashes, command line.
pub(super) fn describe(registry: &Registry, device: &DeviceContext) -> Value {
    let plugins: Vec<Value> = registry
        .plugins
        .iter()
        .map(|plugin| {
            json!({
                "name": plugin.name,
                "version": plugin.version,
                "path": plugin.source.path().map(|path| path.display().to_string()),
                "blake3": plugin.source.blake3(),
                "sdk_version": plugin.library.sdk_version,
                "rustc": plugin.library.rustc,
                "build": plugin.phases.first().map(|phase| &phase.build),
            })
        })
        .collect();
    json!({
        "schema": 1,
        "host_version": env!("CARGO_PKG_VERSION"),
        "os": env::consts::OS,
        "arch": env::consts::ARCH,
        "cpus": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "device": device,
        "plugins": plugins,
        "command": env::args().collect::<Vec<_>>(),
        "directory": env::current_dir().ok(),
    })
}
