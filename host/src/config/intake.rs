//! A file's bytes, and whether they are a text at all.
//!
//! What is no regular file is refused before it is opened: a device never ends, and a pipe may
//! wait forever. What is not UTF-8 is told by what it is instead, with the place of the first byte
//! that says so.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::Path;

use super::error::{ConfigError, Pointer};
use super::limits::FILE_BYTES_MAX;
use super::source::{Source, Span};
use crate::atomic_write::reason;

/// Bytes of a binary file's line that are of no use to anybody.
const SHOWN_AROUND: usize = 80;

/// The bytes of a configuration file.
///
/// # Errors
/// When it is missing, no file, unreadable or too large.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Box<ConfigError>> {
    let refused = |error: &io::Error| {
        Box::new(match error.kind() {
            io::ErrorKind::NotFound => missing(path),
            _ => unreadable(path, &reason(error)),
        })
    };
    let metadata = fs::metadata(path).map_err(|error| refused(&error))?;
    if !metadata.is_file() {
        return Err(unreadable(path, kind(metadata.file_type())).into());
    }
    if metadata.len() > FILE_BYTES_MAX as u64 {
        return Err(too_large(path, metadata.len()).into());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refused(&error))?;
    // The file may have grown since, and a file of the system has no length.
    let read = file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    match read.map_err(|error| refused(&error))? {
        length if length > FILE_BYTES_MAX => Err(too_large(path, length as u64).into()),
        _ => Ok(bytes),
    }
}

/// The bytes as a text.
///
/// # Errors
/// When they are none, with the place where that shows.
pub(super) fn text(name: &str, bytes: Vec<u8>) -> Result<String, Box<ConfigError>> {
    if let Some(encoding) = wide_encoding(&bytes) {
        let message = format!("`{name}` is {encoding}, not UTF-8");
        return Err(not_utf8(message).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| Box::new(invalid_byte(name, &error)))?;
    match text.find('\0') {
        Some(at) => Err(nul_byte(name, &text, at).into()),
        None => Ok(text),
    }
}

/// The encoding whose byte order mark a file begins with, if it is one of wider units.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    }
}

fn not_utf8(message: String) -> ConfigError {
    ConfigError::new("config::not_utf8", message).help("save the file as UTF-8")
}

fn invalid_byte(name: &str, error: &std::string::FromUtf8Error) -> ConfigError {
    let bytes = error.as_bytes();
    let at = error.utf8_error().valid_up_to();
    let byte = bytes.get(at).copied().unwrap_or_default();
    let message = format!("`{name}` is not UTF-8 text: it holds the byte 0x{byte:02x}");
    let end = bytes.len().min(at + SHOWN_AROUND);
    let shown = String::from_utf8_lossy(&bytes[..end]);
    not_utf8(message).at(place(name, &shown, at))
}

fn nul_byte(name: &str, text: &str, at: usize) -> ConfigError {
    let every_other = |first| text.bytes().skip(first).step_by(2).take(8).all(|byte| byte == 0);
    if text.len() > 2 && (every_other(0) || every_other(1)) {
        return not_utf8(format!("`{name}` is UTF-16, not UTF-8"));
    }
    ConfigError::new("config::not_text", format!("`{name}` is no text: it holds the byte 0x00"))
        .at(place(name, text, at))
        .help("check that this is a configuration file")
}

/// The place of a byte in what can be shown of a file.
fn place(name: &str, text: &str, at: usize) -> Pointer {
    let source = Source::new(name, text);
    // A byte order mark is no part of the text that a source holds.
    let at = at - (text.len() - source.text.len()).min(at);
    Pointer::File(source.locate(Span { start: at, end: at + 1 }))
}

fn missing(path: &Path) -> ConfigError {
    let message = format!("no configuration file `{}`", path.display());
    let mut error = ConfigError::new("config::missing_file", message);
    error.missing = Some(path.to_owned());
    error
}

fn unreadable(path: &Path, reason: &str) -> ConfigError {
    ConfigError::new(
        "config::unreadable_file",
        format!("cannot read configuration file `{}`: {reason}", path.display()),
    )
}

fn too_large(path: &Path, length: u64) -> ConfigError {
    let message = format!("`{}` is too large for a configuration", path.display());
    ConfigError::new("config::too_large", message)
        .found(format!("{length} bytes"))
        .expected(format!("at most {FILE_BYTES_MAX} bytes"))
        .help("check that this is the configuration you mean")
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        return "is a directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "is a pipe";
        }
        if file_type.is_socket() {
            return "is a socket";
        }
        if file_type.is_block_device() || file_type.is_char_device() {
            return "is a device";
        }
    }
    "is not a file"
}
