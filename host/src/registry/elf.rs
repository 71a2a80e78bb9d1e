//! A look at a library file before anything of it runs.
//!
//! `dlopen` maps a file by its headers: one that was cut short passes its checks and then kills
//! the process with SIGBUS. So the extents that the headers claim are compared with the file.

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::ReadRef;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// Why the loader must not be given this file; `Ok` when it may.
///
/// # Errors
/// A one-line reason.
pub(super) fn check<'data>(bytes: impl ReadRef<'data>) -> Result<(), String> {
    if bytes.read_bytes_at(0, 4) != Ok(&elf::ELFMAG) {
        return Err("not a shared library: it does not start as an ELF file does".to_owned());
    }
    let header = FileHeader64::<Endianness>::parse(bytes)
        .map_err(|_| "not a 64-bit ELF file, or cut short in its header".to_owned())?;
    let endian = header.endian().map_err(|_| "unknown byte order in the ELF header".to_owned())?;
    let machine = header.e_machine(endian);
    if Some(machine) != expected_machine() {
        return Err(format!("built for another processor: ELF machine {}", machine.0));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err("not a shared library: another type of ELF file".to_owned());
    }
    check_extents(header, endian, bytes)
}

fn check_extents<'data>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    bytes: impl ReadRef<'data>,
) -> Result<(), String> {
    let have = bytes.len().map_err(|()| "its length can't be told".to_owned())?;
    let table = |offset: u64, entry_bytes: u64, n: u64| offset.saturating_add(entry_bytes * n);
    let mut need = table(
        header.e_phoff(endian),
        u64::from(header.e_phentsize(endian)),
        u64::from(header.e_phnum(endian)),
    )
    .max(table(
        header.e_shoff(endian),
        u64::from(header.e_shentsize(endian)),
        u64::from(header.e_shnum(endian)),
    ));
    if need <= have {
        let cut = |_| "cut short, or its tables are damaged".to_owned();
        for segment in header.program_headers(endian, bytes).map_err(cut)? {
            need = need.max(segment.p_offset(endian).saturating_add(segment.p_filesz(endian)));
        }
        for section in header.section_headers(endian, bytes).map_err(cut)? {
            if let Some((offset, size)) = section.file_range(endian) {
                need = need.max(offset.saturating_add(size));
            }
        }
    }
    if need > have {
        return Err(format!("cut short: it has {have} bytes and needs {need}"));
    }
    Ok(())
}

fn expected_machine() -> Option<elf::Machine> {
    match std::env::consts::ARCH {
        "x86_64" => Some(elf::EM_X86_64),
        "aarch64" => Some(elf::EM_AARCH64),
        "riscv64" => Some(elf::EM_RISCV),
        _ => None,
    }
}
