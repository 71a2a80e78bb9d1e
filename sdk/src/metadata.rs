//! What a plugin library says of itself in a section of its file, to be read without loading it.
//!
//! Each registered trainer leaves one record, made while the plugin is compiled: nothing of the
//! plugin runs to make it or to read it. A record is text: [`MAGIC`], then pairs of a name and a
//! value, each ended by a zero byte, then an empty name. A name may come more than once; a reader
//! passes over names that it doesn't know. It holds no lengths, offsets or pointers that could lie.
//!
//! The section is called `.host_plugin` in ELF files, `__host_plugin` in the segment `__DATA` of
//! Mach-O files and `.hostplg` in PE files. It is read in whatever object file: a plugin for another
//! machine can be looked at too.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::{DType, DeviceKind};
use crate::trainer::Trainer;

/// How each record begins.
pub const MAGIC: &[u8; 16] = b"host-plugin-v1\n\0";

/// Names of the section: in ELF, Mach-O and PE files.
pub const SECTIONS: [&str; 3] = [".host_plugin", "__host_plugin", ".hostplg"];

/// Name and version of the boundary: what two sides must agree on besides the SDK's `major.minor`.
pub const ABI: &str = crate::abi::NAME;

/// Longest section that is read: a plugin with many trainers has a few thousand bytes.
pub const SECTION_BYTES_MAX: usize = 256 * 1024;
/// Most records that are read of one library.
pub const RECORDS_MAX: usize = 256;
/// Longest name of a plugin or a phase.
pub const NAME_LEN_MAX: usize = 64;

/// One trainer of a plugin library, as its record says.
///
/// ```
/// use sdk::metadata::{ABI, MAGIC, PluginRecord};
///
/// let mut section = MAGIC.to_vec();
/// for (name, value) in [
///     ("phase", "line"),
///     ("plugin", "line"),
///     ("version", "0.1.0"),
///     ("sdk", "0.1.0"),
///     ("abi", ABI),
///     ("target", "x86_64-unknown-linux-gnu"),
///     ("panic", "unwind"),
///     ("capability", "generate"),
/// ] {
///     section.extend(format!("{name}\0{value}\0").bytes());
/// }
/// section.push(0); // an empty name
/// let records = PluginRecord::read_all(&section)?;
/// assert_eq!(records[0].phase, "line");
/// assert_eq!(records[0].capabilities, ["generate"]);
/// # Ok::<(), sdk::metadata::BadMetadata>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Name of the phase and of its section.
    pub phase: String,
    /// The crate that registers it.
    pub plugin: String,
    /// That crate's version.
    pub version: String,
    /// That crate's description.
    pub description: String,
    /// Version of the SDK that it was built with.
    pub sdk_version: String,
    /// Version of the boundary: [`ABI`].
    pub abi: String,
    /// Target triple.
    pub target: String,
    /// The compiler, as `rustc --version` prints it.
    pub rustc: String,
    /// Panic strategy; `abort` is refused.
    pub panic: String,
    /// Version of the section's schema.
    pub section_version: u32,
    /// Version of the saved state.
    pub state_version: u32,
    /// Names from [`crate::capability`].
    pub capabilities: Vec<String>,
    /// Kinds of device it runs on: `cpu`, `cuda`.
    pub devices: Vec<String>,
    /// Types of weights that it trains in, by their names in configurations.
    pub dtypes: Vec<String>,
    /// Types of mixed precision that it can compute in.
    pub amp_dtypes: Vec<String>,
    /// Facts about the build, as `name=value`: the version of the tensor library and the like.
    pub build: Vec<String>,
}

/// What is wrong with a section of metadata, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMetadata(String);

impl fmt::Display for BadMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadMetadata {}

impl PluginRecord {
    /// Reads every record of a section, sorted by phase and plugin.
    ///
    /// # Errors
    /// When the section holds none, or one that is damaged, incomplete or too large.
    pub fn read_all(section: &[u8]) -> Result<Vec<Self>, BadMetadata> {
        if section.len() > SECTION_BYTES_MAX {
            return Err(bad(format!("{} bytes, more than {SECTION_BYTES_MAX}", section.len())));
        }
        let mut records = Vec::new();
        let mut rest = section;
        while let Some(start) = find(rest, MAGIC) {
            if records.len() == RECORDS_MAX {
                return Err(bad(format!("more than {RECORDS_MAX} records")));
            }
            let (record, behind) = Self::read(&rest[start + MAGIC.len()..])?;
            records.push(record);
            rest = behind;
        }
        if records.is_empty() {
            return Err(bad("no record is in it"));
        }
        records.sort_by(|a, b| (&a.phase, &a.plugin).cmp(&(&b.phase, &b.plugin)));
        Ok(records)
    }

    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), BadMetadata> {
        let mut record = Self::default();
        let mut rest = bytes;
        loop {
            let name;
            (name, rest) = text(rest)?;
            if name.is_empty() {
                break;
            }
            let value;
            (value, rest) = text(rest)?;
            record.take(name, value)?;
        }
        record.check()?;
        Ok((record, rest))
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), BadMetadata> {
        let number = || value.parse().map_err(|_| bad(format!("`{name}` is not a number")));
        let single = match name {
            "phase" => &mut self.phase,
            "plugin" => &mut self.plugin,
            "version" => &mut self.version,
            "description" => &mut self.description,
            "sdk" => &mut self.sdk_version,
            "abi" => &mut self.abi,
            "target" => &mut self.target,
            "rustc" => &mut self.rustc,
            "panic" => &mut self.panic,
            "section_version" => {
                self.section_version = number()?;
                return Ok(());
            }
            "state_version" => {
                self.state_version = number()?;
                return Ok(());
            }
            "capability" => return push(&mut self.capabilities, value),
            "device" => return push(&mut self.devices, value),
            "dtype" => return push(&mut self.dtypes, value),
            "amp_dtype" => return push(&mut self.amp_dtypes, value),
            "build" => return push(&mut self.build, value),
            _ => return Ok(()),
        };
        if !single.is_empty() {
            return Err(bad(format!("`{name}` is there twice")));
        }
        value.clone_into(single);
        Ok(())
    }

    fn check(&self) -> Result<(), BadMetadata> {
        let needed = [
            ("phase", &self.phase),
            ("plugin", &self.plugin),
            ("version", &self.version),
            ("sdk", &self.sdk_version),
            ("abi", &self.abi),
            ("target", &self.target),
            ("panic", &self.panic),
        ];
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
            return Err(bad(format!("`{name}` is missing")));
        }
        let lists =
            [&self.capabilities, &self.devices, &self.dtypes, &self.amp_dtypes, &self.build];
        let values = needed.iter().map(|(_, value)| *value).chain([&self.description, &self.rustc]);
        let mut values = values.chain(lists.into_iter().flatten());
        // Terminals obey them, and a line break would begin another line of a listing.
        if values.any(|value| value.chars().any(char::is_control)) {
            return Err(bad("control characters"));
        }
        for (what, name) in [("phase", &self.phase), ("plugin", &self.plugin)] {
            if !is_name(name) {
                let shown: String = name.chars().take(NAME_LEN_MAX).collect();
                return Err(bad(format!("`{}` is no name for a {what}", shown.escape_debug())));
            }
        }
        Ok(())
    }
}

/// Whether a phase or a plugin may be called that: letters, digits, `-` and `_`, as a crate or a
/// table of a configuration is. No path, no control character, and not too long for a file's name.
pub fn is_name(name: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.len() <= NAME_LEN_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(is_fit)
}

fn bad(what: impl Into<String>) -> BadMetadata {
    BadMetadata(what.into())
}

fn push(list: &mut Vec<String>, value: &str) -> Result<(), BadMetadata> {
    if list.len() == RECORDS_MAX {
        return Err(bad(format!("a list of more than {RECORDS_MAX} values")));
    }
    list.push(value.to_owned());
    Ok(())
}

/// The text up to the next zero byte, and what is behind that.
fn text(bytes: &[u8]) -> Result<(&str, &[u8]), BadMetadata> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(|| bad("cut short"))?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("text that is not UTF-8"))?;
    Ok((text, &bytes[end + 1..]))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// What `register_trainer!` knows of a trainer while the plugin is compiled.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct RecordSource {
    phase: &'static str,
    plugin: &'static str,
    version: &'static str,
    description: &'static str,
    section_version: u32,
    state_version: u32,
    capabilities: &'static [&'static str],
    devices: &'static [DeviceKind],
    dtypes: &'static [DType],
    amp_dtypes: &'static [DType],
    build: &'static [(&'static str, &'static str)],
}

impl RecordSource {
    #[doc(hidden)]
    pub const fn of<T: Trainer>(
        phase: &'static str,
        plugin: &'static str,
        version: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            phase,
            plugin,
            version,
            description,
            section_version: T::SECTION_VERSION,
            state_version: T::STATE_VERSION,
            capabilities: T::CAPABILITIES,
            devices: T::DEVICES,
            dtypes: T::DTYPES,
            amp_dtypes: T::AMP_DTYPES,
            build: T::BUILD_FACTS,
        }
    }

    /// Bytes of the record.
    #[doc(hidden)]
    pub const fn size(&self) -> usize {
        self.write::<0>().at
    }

    /// The record; `N` is its [`size`](Self::size).
    #[doc(hidden)]
    pub const fn encode<const N: usize>(&self) -> [u8; N] {
        self.write::<N>().bytes
    }

    const fn write<const N: usize>(&self) -> Writer<N> {
        let mut out = Writer { bytes: [0; N], at: 0 };
        out.raw(MAGIC);
        out.pair("phase", self.phase);
        out.pair("plugin", self.plugin);
        out.pair("version", self.version);
        out.pair("description", self.description);
        out.pair("sdk", SDK_VERSION);
        out.pair("abi", ABI);
        out.pair("target", TARGET);
        out.pair("rustc", RUSTC);
        out.pair("panic", PANIC);
        out.number("section_version", self.section_version);
        out.number("state_version", self.state_version);
        let mut i = 0;
        while i < self.capabilities.len() {
            out.pair("capability", self.capabilities[i]);
            i += 1;
        }
        i = 0;
        while i < self.devices.len() {
            out.pair("device", self.devices[i].name());
            i += 1;
        }
        i = 0;
        while i < self.dtypes.len() {
            out.pair("dtype", self.dtypes[i].name());
            i += 1;
        }
        i = 0;
        while i < self.amp_dtypes.len() {
            out.pair("amp_dtype", self.amp_dtypes[i].name());
            i += 1;
        }
        i = 0;
        while i < self.build.len() {
            out.text("build");
            out.plain(self.build[i].0.as_bytes());
            out.raw(b"=");
            out.text(self.build[i].1);
            i += 1;
        }
        out.text("");
        out
    }
}

/// Version of the SDK.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The target that this was compiled for, as a triple.
pub const TARGET: &str = env!("SDK_TARGET");
pub(crate) const RUSTC: &str = env!("SDK_RUSTC");
pub(crate) const PANIC: &str = if cfg!(panic = "abort") { "abort" } else { "unwind" };

/// Writes where there is room, and counts in any case.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn raw(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            if self.at < N {
                self.bytes[self.at] = bytes[i];
            }
            self.at += 1;
            i += 1;
        }
    }

    const fn text(&mut self, text: &str) {
        self.plain(text.as_bytes());
        self.raw(&[0]);
    }

    /// Text on one line: a description in a manifest may have several.
    const fn plain(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            let byte = bytes[i];
            self.raw(&[if byte < 0x20 || byte == 0x7f { b' ' } else { byte }]);
            i += 1;
        }
    }

    const fn pair(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    const fn number(&mut self, name: &str, value: u32) {
        self.text(name);
        let mut power = 1;
        while value / power >= 10 {
            power *= 10;
        }
        while power > 0 {
            self.raw(&[b'0' + (value / power % 10) as u8]);
            power /= 10;
        }
        self.raw(&[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: RecordSource = RecordSource {
        phase: "line",
        plugin: "my-trainer",
        version: "1.2.3",
        description: "fits \"lines\" — π",
        section_version: 3,
        state_version: u32::MAX,
        capabilities: &["generate", "export/hf"],
        devices: &[DeviceKind::Cpu, DeviceKind::Cuda],
        dtypes: &[DType::F32],
        amp_dtypes: &[DType::Bf16],
        build: &[("candle", "0.11.1")],
    };
    const BYTES: [u8; SOURCE.size()] = SOURCE.encode();

    #[test]
    fn what_is_written_is_read() {
        let mut section = vec![0; 5];
        section.extend(BYTES);
        section.extend([0; 3]);
        section.extend(BYTES);
        let records = PluginRecord::read_all(&section).unwrap();
        assert_eq!(records.len(), 2);
        let record = &records[1];
        assert_eq!(record.phase, "line");
        assert_eq!(record.plugin, "my-trainer");
        assert_eq!(record.description, "fits \"lines\" — π");
        assert_eq!((record.section_version, record.state_version), (3, u32::MAX));
        assert_eq!(record.capabilities, ["generate", "export/hf"]);
        assert_eq!(record.devices, ["cpu", "cuda"]);
        assert_eq!(record.dtypes, ["float32"]);
        assert_eq!(record.amp_dtypes, ["bfloat16"]);
        assert_eq!(record.build, ["candle=0.11.1"]);
        assert_eq!(record.abi, ABI);
        assert_eq!(record.panic, "unwind");
    }

    /// However a section is cut or changed, reading it ends, with records or with words.
    #[test]
    fn damaged_sections_are_read_to_an_end() {
        for length in 0..BYTES.len() {
            let read = PluginRecord::read_all(&BYTES[..length]);
            assert!(read.is_err(), "of {length} bytes: {read:?}");
        }
        for at in 0..BYTES.len() {
            for value in [0, 0xff, b'/', b'a'] {
                let mut changed = BYTES;
                changed[at] = value;
                if let Ok(records) = PluginRecord::read_all(&changed) {
                    assert!(is_name(&records[0].phase) && is_name(&records[0].plugin));
                }
            }
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let message = |section: &[u8]| PluginRecord::read_all(section).unwrap_err().to_string();
        assert_eq!(message(&vec![0; SECTION_BYTES_MAX + 1]), "262145 bytes, more than 262144");
        assert_eq!(message(b"nothing"), "no record is in it");
        assert_eq!(message(&BYTES.repeat(RECORDS_MAX + 1)), "more than 256 records");
        let with = |extra: &[u8]| {
            let mut section = BYTES[..BYTES.len() - 1].to_vec();
            section.extend(extra);
            section.push(0);
            message(&section)
        };
        assert_eq!(with(&b"device\0cpu\0".repeat(300)), "a list of more than 256 values");
        assert_eq!(with(b"phase\0other\0"), "`phase` is there twice");
        assert_eq!(with(b"state_version\0many\0"), "`state_version` is not a number");
        let named = |name: &str| {
            let mut section = MAGIC.to_vec();
            for text in ["phase", name, "plugin", "p", "version", "1", "sdk", "1", "abi", "a"] {
                section.extend(text.bytes().chain([0]));
            }
            section.extend(b"target\0t\0panic\0unwind\0\0");
            message(&section)
        };
        assert_eq!(named("../../etc"), "`../../etc` is no name for a phase");
        assert_eq!(named("-x"), "`-x` is no name for a phase");
        assert_eq!(named("a\u{1b}[31m"), "control characters");
        assert_eq!(named("a\u{301}"), "`a\u{301}` is no name for a phase");
    }
}
