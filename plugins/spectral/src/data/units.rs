//! The names that files have for the units of an axis.

use sdk::{Error, Result};

use crate::axis::AxisUnit;

/// The unit of a file's axis, from what the file says (`found`) and what the settings say (`set`).
///
/// # Errors
/// When neither says it, or both say another. No unit is ever guessed from the numbers.
pub(super) fn agreed(file: &str, found: Option<&str>, set: Option<AxisUnit>) -> Result<AxisUnit> {
    match (found.and_then(unit_in), set) {
        (Some(found), Some(set)) if found != set => {
            let message = format!("`{file}` is in {found}, but `unit` is {set}");
            Err(Error::new("spectral::unit", message).at("unit").help("leave `unit` out"))
        }
        (Some(unit), _) | (None, Some(unit)) => Ok(unit),
        (None, None) => Err(unsaid(file, found)),
    }
}

fn unsaid(file: &str, found: Option<&str>) -> Error {
    let message = match found {
        Some(found) => format!("`{file}` has an axis of unknown unit: `{}`", found.trim()),
        None => format!("`{file}` doesn't say the unit of its axis"),
    };
    Error::new("spectral::unit", message).at("unit").help("set `unit` to `nm`, `um` or `cm-1`")
}

/// The unit that a file's word for it stands for; `None` for `Unknown`, `Index` and all that isn't
/// known here.
pub(super) fn unit_named(word: &str) -> Option<AxisUnit> {
    AxisUnit::named(word)
}

/// The unit in a title such as `Wavelength (nm)`, `wavelength_um` or `Wavenumber [1/cm]`.
pub(super) fn unit_in(title: &str) -> Option<AxisUnit> {
    let is_between = |c: char| c.is_whitespace() || "()[]{}_,:;\"".contains(c);
    title.split(is_between).find_map(unit_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_known_by_the_names_that_files_have_for_them() {
        use AxisUnit::{Micrometers, Nanometers, Wavenumbers};
        for (title, unit) in [
            ("Wavelength (nm)", Some(Nanometers)),
            ("wavelength_um", Some(Micrometers)),
            ("Wavelength [µm]", Some(Micrometers)),
            ("microns", Some(Micrometers)),
            ("Wavenumber [1/cm]", Some(Wavenumbers)),
            ("cm⁻¹", Some(Wavenumbers)),
            ("Nanometers", Some(Nanometers)),
            ("Index", None),
            ("enm", None),
            ("", None),
        ] {
            assert_eq!(unit_in(title), unit, "{title}");
        }
    }
}
