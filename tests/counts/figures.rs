//! The stored figures, and what is said of a count beside its figure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tests::{read_json, repository};

/// Where the figures are.
pub(crate) const PATH: &str = "bench/counts.json";

/// What a count may be above its figure: a part of it, and a number for those that are small. Hash
/// seeds and the digits of times move the host's counts by less than a tenth of that.
const MORE: f64 = 0.03;
const MORE_OF_SMALL: f64 = 1000.0;

/// Instructions by name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Counts, and what made them.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) arch: String,
    pub(crate) rustc: String,
    pub(crate) instructions: Counts,
}

impl Figures {
    /// Counts that were made here.
    pub(crate) fn of_here(instructions: Counts) -> Self {
        Self { arch: std::env::consts::ARCH.to_owned(), rustc: rustc(), instructions }
    }

    /// The stored ones.
    pub(crate) fn read() -> Self {
        let stored = read_json(&repository().join(PATH));
        let text = |name: &str| stored[name].as_str().expect("figures say what made them").into();
        let counts = stored["instructions"].as_object().expect("figures have counts");
        let count = |value: &Value| value.as_u64().expect("a count is a number");
        let instructions = counts.iter().map(|(name, value)| (name.clone(), count(value)));
        let (arch, rustc) = (text("arch"), text("rustc"));
        Self { arch, rustc, instructions: instructions.collect() }
    }

    /// Stores them.
    pub(crate) fn write(&self) {
        let Self { arch, rustc, instructions } = self;
        let stored =
            json!({ "schema": 1, "arch": arch, "rustc": rustc, "instructions": instructions });
        let text = serde_json::to_string_pretty(&stored).expect("figures are JSON");
        fs::write(repository().join(PATH), text + "\n").expect("figures can be written");
    }
}

/// The compiler's version: major and minor.
fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").current_dir(repository()).output();
    let said = output.expect("rustc can be run").stdout;
    let version = String::from_utf8_lossy(&said).split(' ').nth(1).map(str::to_owned);
    version.iter().flat_map(|version| version.split('.').take(2)).collect::<Vec<_>>().join(".")
}

/// A count beside its figure; either may be missing.
#[derive(Debug)]
pub(crate) struct Finding {
    name: String,
    figure: Option<u64>,
    count: Option<u64>,
}

/// Every name of either side.
pub(crate) fn compare(figures: &Counts, counts: &Counts) -> Vec<Finding> {
    let names: BTreeSet<&String> = figures.keys().chain(counts.keys()).collect();
    let get = |from: &Counts, name: &String| from.get(name).copied();
    let finding = |name: &String| Finding {
        name: name.clone(),
        figure: get(figures, name),
        count: get(counts, name),
    };
    names.into_iter().map(finding).collect()
}

impl Finding {
    /// Whether the figures have to be looked at before this can go on.
    pub(crate) fn is_fault(&self) -> bool {
        let (Some(figure), Some(count)) = (self.figure, self.count) else { return true };
        count as f64 > figure as f64 * (1.0 + MORE) + MORE_OF_SMALL
    }

    /// Whether the figure lets more happen than it should.
    fn is_loose(&self) -> bool {
        let (Some(figure), Some(count)) = (self.figure, self.count) else { return false };
        count as f64 + MORE_OF_SMALL < figure as f64 * (1.0 - MORE)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (self.figure, self.count) {
            (None, _) => write!(f, "{name}: no figure is stored"),
            (_, None) => write!(f, "{name}: nothing of that name is counted any more"),
            (Some(figure), Some(count)) => {
                let change = 100.0 * (count as f64 / figure as f64 - 1.0);
                let note = match (self.is_fault(), self.is_loose()) {
                    (true, _) => ": too many",
                    (_, true) => ": lower the figure",
                    _ => "",
                };
                write!(f, "{name}: {count}, figure {figure} ({change:+.2} %){note}")
            }
        }
    }
}

#[test]
fn more_than_the_bound_and_what_has_no_figure_is_a_fault() {
    let counts = |of: &[(&str, u64)]| -> Counts {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let figures = counts(&[("gone", 1), ("less", 1_000_000), ("more", 1_000_000), ("small", 10)]);
    let counted = counts(&[("less", 960_000), ("more", 1_031_001), ("new", 5), ("small", 1000)]);
    let findings = compare(&figures, &counted);
    let said: Vec<String> =
        findings.iter().map(|finding| format!("{} {finding}", finding.is_fault())).collect();
    assert_eq!(
        said,
        [
            "true gone: nothing of that name is counted any more",
            "false less: 960000, figure 1000000 (-4.00 %): lower the figure",
            "true more: 1031001, figure 1000000 (+3.10 %): too many",
            "true new: no figure is stored",
            "false small: 1000, figure 10 (+9900.00 %)",
        ]
    );
    let edge = compare(&counts(&[("more", 1_000_000)]), &counts(&[("more", 1_031_000)]));
    assert!(!edge[0].is_fault());
}
