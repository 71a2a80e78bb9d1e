//! `host config resolve`: every setting, resolved, as a file that resolves to the same.

use crate::cli::{Selection, SettingsFormat};
use crate::commands::selection::discover;
use crate::commands::{note, print};
use crate::config::{Request, to_json, to_toml, to_yaml, unsayable};
use crate::run::{Composed, Interrupt, RunError, compose};

pub(super) fn exec(selection: &Selection, format: SettingsFormat) -> Result<u8, RunError> {
    show(&selection.request(), format)
}

/// Prints the settings of a request.
pub(in crate::commands) fn show(request: &Request, format: SettingsFormat) -> Result<u8, RunError> {
    let registry = discover();
    let composed = compose(request, &registry, &Interrupt::default())?;
    for warning in &composed.plan.warnings {
        note(&format!("warning: {warning}"));
    }
    let settings = composed.settings();
    let text = match format {
        SettingsFormat::Json => to_json(&settings.into()),
        SettingsFormat::Yaml => to_yaml(&settings.into()),
        SettingsFormat::Toml => {
            warn_of_nulls(&composed);
            to_toml(&settings)
        }
    };
    print(&text)?;
    Ok(0)
}

/// TOML has no null: where leaving a key out means another value, the text says something else.
fn warn_of_nulls(composed: &Composed) {
    for phase in &composed.phases {
        for (key, default) in unsayable(&phase.section, &phase.description.defaults) {
            let key = format!("{}.{key}", phase.name);
            note(&format!("warning: `{key}` is null, which TOML can't say: it reads as {default}"));
            note("help: print it with `--format yaml` or `--format json`");
        }
    }
}
