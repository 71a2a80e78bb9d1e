//! What a host said, with everything taken out that differs from run to run.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::LazyLock;

use regex::Regex;

/// How a host ended and what it said. Shown, it is stable enough for a snapshot.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output, as it came.
    pub stdout: String,
    /// Standard error, as it came.
    pub stderr: String,
    /// Paths and the words that stand for them, longest path first.
    places: Vec<(String, &'static str)>,
}

impl Output {
    pub(crate) fn new(
        status: ExitStatus,
        stdout: String,
        stderr: String,
        places: Vec<(String, &'static str)>,
    ) -> Self {
        Self { code: status.code(), signal: status.signal(), stdout, stderr, places }
    }

    /// The same, when the exit code is the one expected.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "often only the code is of interest")]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "another exit code than expected:\n{self}");
        self
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(e) => panic!("standard output is not JSON: {e}\n{self}"),
        }
    }

    /// A text with paths, names, times and hashes replaced by words.
    pub fn stable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, word) in &self.places {
            text = text.replace(place, word);
        }
        for (pattern, word) in &*FILTERS {
            text = pattern.replace_all(&text, *word).into_owned();
        }
        text
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => writeln!(f, "exit: {code}")?,
            (None, signal) => writeln!(f, "signal: {}", signal.unwrap_or_default())?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = self.stable(text);
            if !text.is_empty() {
                writeln!(f, "----- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

static FILTERS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\d{8}-\d{6}-[0-9a-f]{8}", "[RUN]"),
        (r"\b[0-9a-f]{64}\b", "[HASH]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
        (r"rustc \d+\.\d+[^,\n]*", "rustc [VERSION]"),
        (r"\b(x86_64|aarch64)-[a-z0-9_]+-linux-[a-z]+", "[TARGET]"),
        (r"finished in [\d.]+ s", "finished in [TIME]"),
        (r#"("threads": )\d+"#, "$1[THREADS]"),
        (r"(train/[a-z]+_per_s) [\d,.e+-]+", "$1 [PACE]"),
        (r"(train/step_ms) [\d,.e+-]+", "$1 [MS]"),
        (r"(cut short: it has) \d+ bytes and needs \d+", "$1 [N] bytes and needs [N]"),
        (r"(host-resume-)\d+", "$1[PID]"),
        (r"([a-z]+/src/[a-z_/]+\.rs):\d+", "$1:[LINE]"),
    ]
    .into_iter()
    .map(|(pattern, word)| (Regex::new(pattern).expect("a filter is a pattern"), word))
    .collect()
});
