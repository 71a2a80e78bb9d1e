//! `host config migrate`: an old file in today's form.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::atomic_write::{self, at};
use crate::commands::selection::discover;
use crate::commands::{note, print};
use crate::config::{Migration, migrate};
use crate::run::{RunError, catalogue};

pub(super) fn exec(file: &Path, phase: Option<&str>, write: bool) -> Result<u8, RunError> {
    let registry = discover();
    let name = file.display();
    let Some(migration) = migrate(file, phase, &catalogue(&registry)).map_err(RunError::Config)?
    else {
        note(&format!("`{name}` has today's form; there is nothing to do"));
        return Ok(0);
    };
    print(&diff(&migration, file))?;
    tell(&migration, file);
    if write {
        let kept = replace(file, &migration)?;
        let beside = kept.file_name().filter(|_| !file.is_symlink());
        let kept = beside.map_or(kept.clone(), |kept| file.with_file_name(kept));
        note(&format!("wrote `{name}`; the old file is `{}`", kept.display()));
    } else {
        note(&format!("nothing was written; `{}` writes it", again(file, phase)));
    }
    Ok(0)
}

fn again(file: &Path, phase: Option<&str>) -> String {
    let phase = phase.map(|phase| format!(" --phase {phase}")).unwrap_or_default();
    format!("host config migrate {}{phase} --write", file.display())
}

fn diff(migration: &Migration, file: &Path) -> String {
    let name = file.display().to_string();
    let diff = TextDiff::from_lines(&migration.old, &migration.new);
    diff.unified_diff().context_radius(3).header(&name, &format!("{name} (migrated)")).to_string()
}

fn tell(migration: &Migration, file: &Path) {
    note(&format!("{}:", file.display()));
    migration.done.iter().for_each(|done| note(&format!("  {done}")));
    migration.gone.iter().for_each(|gone| note(&format!("  left out: {gone}")));
    migration.remarks.iter().for_each(|remark| note(&format!("note: {remark}")));
}

/// Writes the new text in the place of the old one, which is kept beside it.
fn replace(file: &Path, migration: &Migration) -> Result<PathBuf, RunError> {
    // Of a link, the file that it leads to is the one to replace.
    let file = fs::canonicalize(file).map_err(at("finding", file))?;
    let text = fs::read(&file).map_err(at("reading", &file))?;
    let kept = keep(&file, &text)?;
    atomic_write::write(&file, migration.new.as_bytes())?;
    let permissions = fs::metadata(&kept).map_err(at("reading", &kept))?.permissions();
    fs::set_permissions(&file, permissions).map_err(at("setting permissions of", &file))?;
    Ok(kept)
}

/// Copies a file to the first name of `FILE.bak`, `FILE.bak2`, … that is free.
fn keep(file: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let mut name = file.as_os_str().to_owned();
        name.push(if number == 1 { ".bak".to_owned() } else { format!(".bak{number}") });
        let path = PathBuf::from(name);
        match File::create_new(&path) {
            Ok(mut copy) => {
                copy.write_all(text)
                    .and_then(|()| copy.sync_all())
                    .map_err(at("writing", &path))?;
                let permissions = fs::metadata(file).map_err(at("reading", file))?.permissions();
                fs::set_permissions(&path, permissions).map_err(at("writing", &path))?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(at("writing", &path)(error)),
        }
    }
}
