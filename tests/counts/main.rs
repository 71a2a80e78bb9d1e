//! Instructions of a step's kernels and of the host's own share, against stored figures.
//!
//! ```sh
//! cargo test --test counts -- --nocapture      # compares with bench/counts.json
//! WRITE_COUNTS=1 cargo test --test counts      # writes it anew
//! ```
//!
//! Callgrind counts, so neither the machine's speed nor what runs beside it matters. Its machine has
//! no AVX-512: guarded are the paths of AVX2. The kernels are counted in a release build, as they are
//! used. The host is counted in the build that the tests have: a release build of it would take
//! longer than everything else here, and what a change adds is seen in either.

#![expect(clippy::print_stderr, reason = "the table of counts is for who runs this")]

mod callgrind;
mod figures;
mod programs;

use figures::{Figures, PATH};

#[test]
fn no_count_is_above_its_figure() {
    let counted = Figures::of_here(programs::count());
    if std::env::var_os("WRITE_COUNTS").is_some() {
        return counted.write();
    }
    let stored = Figures::read();
    if stored.arch != counted.arch {
        eprintln!("{PATH} holds figures of {}, this is {}", stored.arch, counted.arch);
        return;
    }
    let rewrite = "write new figures with `WRITE_COUNTS=1 cargo test --test counts`";
    assert_eq!(stored.rustc, counted.rustc, "another compiler counts otherwise; {rewrite}");
    let findings = figures::compare(&stored.instructions, &counted.instructions);
    for finding in &findings {
        eprintln!("{finding}");
    }
    let faults: Vec<String> =
        findings.iter().filter(|finding| finding.is_fault()).map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}\nwhere that is meant: {rewrite}", faults.join("\n"));
}
