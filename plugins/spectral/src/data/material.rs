//! The material of a spectrum, from its name.
//!
//! Names such as `Actinolite HS116.1B` say what was measured and which sample of it. Spectra of one
//! material must not stand on both sides of a split, so what counts as one is better taken too wide
//! than too narrow.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// How names of the USGS library splib07 begin: perhaps with the library's own name, then perhaps
/// with a position in a molecule (`2-4-`, `L-`), then with the material. It ends where a digit, a
/// sign, a blank or another word begins (`Calcite.33+Epidote.67`, `MarshWater`). Plants go by the
/// genus' letter and three of the species (`S.altern.`, `S.alterniflora`).
const SPLIB07: &str = r"^(?:s(?:plib)?07[a-z]?_(?:[A-Z0-9]+_)?)?[^A-Za-z]*(?:[A-Za-z]-)?([A-Za-z]\.[a-z]{3}|[A-Za-z][a-z]+|[A-Z]+)";

/// What splib07 writes in short in the names of mixtures.
const SPLIB07_ALIASES: [(&str, &str); 7] = [
    ("alun", "alunite"),
    ("chl", "chlorite"),
    ("chlor", "chlorite"),
    ("chlorit", "chlorite"),
    ("dolomit", "dolomite"),
    ("gyp", "gypsum"),
    ("kalun", "alunite"),
];

/// How a spectrum's name tells its material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaterialRule {
    /// A regular expression: the part of the name that its first group matches is the material,
    /// without a group the whole match. `^[^_]+` is all up to the first `_`. What doesn't match is
    /// a material of its own. The default is for names of the USGS library splib07.
    pub pattern: String,
    /// Other names of materials, in lower case, each with the one to use.
    #[schemars(extend("x-replace" = true))]
    pub aliases: BTreeMap<String, String>,
}

impl Default for MaterialRule {
    fn default() -> Self {
        let aliases = SPLIB07_ALIASES.map(|(short, long)| (short.to_owned(), long.to_owned()));
        Self { pattern: SPLIB07.to_owned(), aliases: aliases.into() }
    }
}

impl MaterialRule {
    /// Makes the rule ready for use.
    ///
    /// # Errors
    /// When the pattern is no regular expression, at the key `pattern`.
    pub fn compiled(&self) -> Result<Materials> {
        let pattern = Regex::new(&self.pattern).map_err(|error| {
            let message =
                format!("`{}` is no regular expression: {}", self.pattern, reason(&error));
            Error::new("spectral::material_pattern", message).at("pattern")
        })?;
        Ok(Materials { pattern, aliases: self.aliases.clone() })
    }
}

/// The last line of what is said about an expression; those before it draw it.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Tells materials from names.
///
/// ```
/// let materials = spectral::data::MaterialRule::default().compiled()?;
/// assert_eq!(materials.of("Actinolite HS116.1B"), "actinolite");
/// assert_eq!(materials.of("S.alterniflora CRMS322 NPV"), materials.of("S.altern. DWV1-0511 NPV.a"));
/// # Ok::<(), sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Materials {
    pattern: Regex,
    aliases: BTreeMap<String, String>,
}

impl Materials {
    /// The material of the spectrum `name`, in lower case.
    pub fn of(&self, name: &str) -> String {
        let found = self.pattern.captures(name);
        let found = found.as_ref().and_then(|found| found.get(1).or_else(|| found.get(0)));
        let part = found.map_or(name, |found| found.as_str()).trim();
        self.called(if part.is_empty() { name } else { part })
    }

    /// A material that is called so: in lower case, and by the name to use where it has several.
    pub fn called(&self, material: &str) -> String {
        let material = material.trim().to_lowercase();
        self.aliases.get(&material).cloned().unwrap_or(material)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_splib07_tell_their_material() {
        let materials = MaterialRule::default().compiled().unwrap();
        for (name, material) in [
            ("Actinolite HS116.1B", "actinolite"),
            ("splib07a_Actinolite_HS116.1B_ASDFRb_AREF", "actinolite"),
            ("s07_ASD_Acmite_NMNH133746_Pyroxene_BECKa_AREF", "acmite"),
            ("Alunite-K CU91-217G1 HiTemp", "alunite"),
            ("Alunite+Dickite MV99-6-26b", "alunite"),
            ("Alun Na+Kaol+Hemat MV00-11a", "alunite"),
            ("Kalun+kaol+gth mv2-ar3", "alunite"),
            ("Calcite.33+Epidote.67 GDS311", "calcite"),
            ("Chl.33+Epid.33+Cal.33 GDS319", "chlorite"),
            ("Chlorite.67+Calcit.33 GDS316", "chlorite"),
            ("Oil01 Water99 DWH10-3 28mm", "oil"),
            ("Oil92 Water08 DWH10-3 0.5 mm", "oil"),
            ("Marsh water CRMS121v69-glint", "marsh"),
            ("MarshWater CRMS121v69-NoGlnt", "marsh"),
            ("Oiled marsh dry DWO-3-BAT-09", "oiled"),
            ("OiledMarshPlant DWO-2-BAT-08", "oiled"),
            ("Vermiculite+0wt%amph. GDS327", "vermiculite"),
            ("Iron oxide #4820 GDS782", "iron"),
            ("Iron Oxide SA-480665 gamma", "iron"),
            ("5-Aminoorotic SA-191213 85K", "aminoorotic"),
            ("5-Phenyl-1H-Tetrz 347744 85K", "phenyl"),
            ("4-3H-Pyrimidin SA-858064 85K", "pyrimidin"),
            ("9Anthronitrile SA-152765 75K", "anthronitrile"),
            ("L-Lysine SA-L5501 85K", "lysine"),
            ("P.aus. DWO-3-DEL-2d dryNPV.a", "p.aus"),
            ("P.australis CRMS-0153 dryNPV", "p.aus"),
            ("WTC Dust Debris WTC01-28", "wtc"),
            ("Xylene(s) ice 77K", "xylene"),
            ("", ""),
            ("217", "217"),
        ] {
            assert_eq!(materials.of(name), material, "{name}");
        }
    }

    #[test]
    fn a_pattern_of_ones_own_takes_a_group_a_match_or_the_whole_name() {
        let of = |pattern: &str, name: &str| {
            let rule = MaterialRule { pattern: pattern.to_owned(), aliases: BTreeMap::new() };
            rule.compiled().unwrap().of(name)
        };
        assert_eq!(of("^[^_]+", "Oak_leaf_3"), "oak");
        assert_eq!(of(r"^\d+ (\w+)", "12 Oak leaf"), "oak");
        assert_eq!(of(r"^\d+ (\w+)", "Oak leaf"), "oak leaf");
        assert_eq!(of(".*", "Oak leaf"), "oak leaf");
        let rule = MaterialRule { pattern: "(".to_owned(), ..MaterialRule::default() };
        let error = rule.compiled().unwrap_err();
        assert_eq!(error.message, "`(` is no regular expression: unclosed group");
        assert_eq!(error.path.unwrap(), "pattern");
    }
}
