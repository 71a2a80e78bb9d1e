//! Pictures and tables that a phase leaves behind, and how they become files.

use std::fs;
use std::path::Path;

use sdk::{Artifact, Artifacts, Error, ExportRequest, Result};
use serde_json::{Value, json};

/// Kind of artifacts that are pictures: their settings hold the SVG's text as `svg`, and what it
/// shows as `of`.
pub const PLOT: &str = "plot";

/// A picture as an artifact.
///
/// ```
/// let plot = towers::picture("reconstruction-1", "<svg/>", "olivine");
/// assert_eq!((plot.kind.as_str(), &plot.settings["of"]), (towers::PLOT, &"olivine".into()));
/// ```
pub fn picture(name: impl Into<String>, svg: &str, of: &str) -> Artifact {
    Artifact::new(name, PLOT, json!({ "svg": svg, "of": of }))
}

/// Writes pictures as `NAME.svg`, and of artifacts of the `tables` kinds the settings as `NAME.json`.
///
/// # Errors
/// When there is neither, or a file can't be written.
pub fn write_files(given: &Artifacts, request: &ExportRequest, tables: &[&str]) -> Result<()> {
    let mut n_files = 0;
    for (_, artifact) in given.iter() {
        let (extension, text) = match (artifact.kind.as_str(), &artifact.settings["svg"]) {
            (PLOT, Value::String(svg)) => ("svg", svg.clone()),
            (kind, _) if tables.contains(&kind) => ("json", format!("{:#}\n", artifact.settings)),
            _ => continue,
        };
        let path = Path::new(&request.directory).join(format!("{}.{extension}", artifact.name));
        fs::write(&path, text).map_err(|e| {
            Error::new("towers::export", format!("writing `{}` failed: {e}", path.display()))
        })?;
        n_files += 1;
    }
    if n_files > 0 {
        return Ok(());
    }
    let message = "the phase left no pictures";
    Err(Error::new("towers::export", message).help("export a finished phase"))
}
