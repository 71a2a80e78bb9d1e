//! What a library file says of itself, read without loading it, and whether this host takes it.

use std::borrow::Cow;

use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{Object, ObjectSection, ReadRef};
use object::{Endianness, FileKind};
use sdk::metadata::{self, PluginRecord, SECTION_BYTES_MAX, SECTIONS};

/// Phases that a configuration has no room for.
const RESERVED_PHASES: [&str; 5] = ["global", "phases", "profile", "extends", "schema_version"];

/// The records in the file: of a library for this machine or for another one.
///
/// # Errors
/// A one-line reason when it holds none, or damaged ones.
pub(super) fn read<'data>(bytes: impl ReadRef<'data>) -> Result<Vec<PluginRecord>, String> {
    let section = match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => of_elf(bytes)?,
        _ => of_any(bytes)?,
    };
    PluginRecord::read_all(&section).map_err(|e| unreadable(&e.to_string()))
}

fn unreadable(what: &str) -> String {
    format!("its metadata can't be read: {what}")
}

/// The section of an ELF file, without a look at its symbols, which are most of it.
fn of_elf<'data>(bytes: impl ReadRef<'data>) -> Result<Cow<'data, [u8]>, String> {
    let cut = |_| "cut short, or its tables are damaged".to_owned();
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(cut)?;
    let endian = header.endian().map_err(cut)?;
    let sections = header.sections(endian, bytes).map_err(cut)?;
    let found = SECTIONS.iter().find_map(|name| sections.section_by_name(endian, name.as_bytes()));
    let Some((_, section)) = found else { return Err(none()) };
    check_size(section.sh_size(endian))?;
    section.data(endian, bytes).map(Cow::Borrowed).map_err(|_| unreadable("cut short"))
}

fn of_any<'data>(bytes: impl ReadRef<'data>) -> Result<Cow<'data, [u8]>, String> {
    let file = object::File::parse(bytes)
        .map_err(|_| "not a shared library: neither ELF, Mach-O nor PE".to_owned())?;
    let found = SECTIONS.iter().find_map(|name| file.section_by_name(name));
    let Some(section) = found else { return Err(none()) };
    check_size(section.size())?;
    section.data().map(|data| Cow::Owned(data.to_vec())).map_err(|_| unreadable("cut short"))
}

fn none() -> String {
    "not a trainer plugin: it carries no metadata of one".to_owned()
}

fn check_size(bytes: u64) -> Result<(), String> {
    if bytes <= SECTION_BYTES_MAX as u64 {
        return Ok(());
    }
    Err(unreadable(&format!("{bytes} bytes, more than {SECTION_BYTES_MAX}")))
}

/// Why this host can't load a library with these records; none of its code has run to find out.
///
/// # Errors
/// A one-line reason.
pub(super) fn check(records: &[PluginRecord]) -> Result<(), String> {
    for record in records {
        if record.abi != metadata::ABI {
            return Err(format!(
                "built for the boundary `{}`, this host has `{}`; rebuild it with SDK {}",
                record.abi,
                metadata::ABI,
                metadata::SDK_VERSION
            ));
        }
        if !same_minor(&record.sdk_version, metadata::SDK_VERSION) {
            return Err(sdk_differs(&record.sdk_version));
        }
        if record.target != metadata::TARGET {
            return Err(format!(
                "built for {}, this host runs on {}",
                record.target,
                metadata::TARGET
            ));
        }
        if record.panic != "unwind" {
            return Err(format!(
                "built with panic = \"{}\": a panic would end the host; build it with \"unwind\"",
                record.panic
            ));
        }
        if RESERVED_PHASES.contains(&record.phase.as_str()) {
            return Err(format!(
                "plugin `{}` registers a phase `{}`, a name that configurations have for something else",
                record.plugin, record.phase
            ));
        }
    }
    Ok(())
}

/// What is said of a plugin of another SDK.
pub(super) fn sdk_differs(version: &str) -> String {
    format!("built with SDK {version}, this host needs SDK {}", metadata::SDK_VERSION)
}

/// Whether two versions have the same `major.minor`.
pub(super) fn same_minor(a: &str, b: &str) -> bool {
    let minor = |version: &str| {
        let mut parts = version.splitn(3, '.');
        (parts.next().map(str::to_owned), parts.next().map(str::to_owned))
    };
    minor(a) == minor(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_by_major_and_minor() {
        assert!(same_minor("0.1.7", "0.1.0"));
        assert!(!same_minor("0.2.0", "0.1.0"));
        assert!(!same_minor("1.1.0", "0.1.0"));
    }

    /// A section with one record.
    fn section() -> Vec<u8> {
        let mut section = metadata::MAGIC.to_vec();
        for (name, value) in [
            ("phase", "line"),
            ("plugin", "line"),
            ("version", "1.0.0"),
            ("sdk", "0.1.0"),
            ("abi", metadata::ABI),
            ("target", "another-machine"),
            ("panic", "unwind"),
        ] {
            section.extend(format!("{name}\0{value}\0").bytes());
        }
        section.push(0);
        section
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn name(name: &str, length: usize) -> Vec<u8> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn a_library_of_a_mac_can_be_looked_at() {
        let data = section();
        let length = data.len() as u32;
        // Header: magic, arm64, a dynamic library, one command; the command: a segment of one section.
        let mut file = words(&[0xfeed_facf, 0x0100_000c, 0, 6, 1, 72 + 80, 0, 0]);
        file.extend(words(&[0x19, 72 + 80]));
        file.extend(name("__DATA", 16));
        let offset = 32 + 72 + 80;
        file.extend(words(&[0, 0, length, 0, offset, 0, length, 0, 3, 3, 1, 0]));
        file.extend(name("__host_plugin", 16));
        file.extend(name("__DATA", 16));
        file.extend(words(&[0, 0, length, 0, offset, 0, 0, 0, 0, 0, 0, 0]));
        file.extend(&data);
        let records = read(file.as_slice()).unwrap();
        assert_eq!((records[0].phase.as_str(), records[0].version.as_str()), ("line", "1.0.0"));
        let refused = check(&records).unwrap_err();
        assert!(refused.starts_with("built for another-machine, this host runs on "), "{refused}");
    }

    #[test]
    fn a_library_of_windows_can_be_looked_at() {
        let data = section();
        let length = data.len() as u32;
        let mut file = name("MZ", 60);
        file.extend(words(&[64])); // where the other headers begin
        file.extend(b"PE\0\0");
        // x86-64, one section, an optional header of 240 bytes, a dynamic library.
        file.extend([0x64, 0x86, 1, 0]);
        file.extend(words(&[0, 0, 0]));
        file.extend([240, 0, 0x22, 0x20]);
        let mut optional = vec![0x0b, 0x02];
        optional.resize(108, 0);
        optional.extend(words(&[16]));
        optional.resize(240, 0);
        file.extend(optional);
        let offset = 64 + 24 + 240 + 40;
        file.extend(name(".hostplg", 8));
        file.extend(words(&[length, 0x1000, length, offset, 0, 0, 0, 0x4000_0040]));
        file.extend(&data);
        assert_eq!(read(file.as_slice()).unwrap()[0].plugin, "line");
    }
}
