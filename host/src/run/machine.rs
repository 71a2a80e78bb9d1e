//! What the machine has to give, and what this process holds of it. A number that the system does
//! not tell is left out.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use serde::Serialize;

/// What is there before a run starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Memory that can be had without swapping, within the limit of this process's group.
    pub memory_available_bytes: Option<u64>,
    /// Memory that this process holds already.
    pub memory_held_bytes: Option<u64>,
    /// Room on the file system that runs are written to.
    pub disk_free_bytes: Option<u64>,
    /// Processors that this process may use.
    pub processors: usize,
    /// Tasks that wanted a processor in the last minute, on average.
    pub load: Option<f64>,
    /// Whether runs can be written there at all.
    pub is_output_dir_writable: bool,
}

impl Machine {
    /// Looks, for runs below `output_dir`.
    pub fn look(output_dir: &Path) -> Self {
        let place = existing(output_dir);
        let held = status_bytes("VmRSS:");
        Self {
            memory_available_bytes: memory_available(held.unwrap_or(0)),
            memory_held_bytes: held,
            disk_free_bytes: disk_free(&place),
            processors: available_parallelism().map_or(1, NonZero::get),
            load: load(),
            is_output_dir_writable: is_writable(&place),
        }
    }
}

/// The directory itself, or the nearest one above that is there.
pub(super) fn existing(directory: &Path) -> PathBuf {
    let here = Path::new(".");
    let found = directory.ancestors().find(|path| path.is_dir()).unwrap_or(here);
    if found.as_os_str().is_empty() { here.to_owned() } else { found.to_owned() }
}

/// The most memory that this process held at one time since `forget_peak`.
pub fn memory_peak() -> Option<u64> {
    status_bytes("VmHWM:").or_else(memory_peak_by_usage)
}

/// The most memory that a process has held at one time, where the system shows it to others.
pub fn memory_peak_of(process: u32) -> Option<u64> {
    kib_in_bytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmHWM:")
}

/// The same for this process where there is no `/proc`.
#[cfg(unix)]
fn memory_peak_by_usage() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the structure is written to when 0 is returned.
    let usage = unsafe {
        let is_told = libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) == 0;
        is_told.then(|| usage.assume_init())
    }?;
    // Bytes on Apple's systems, KiB elsewhere.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|most| most * unit)
}

#[cfg(not(unix))]
fn memory_peak_by_usage() -> Option<u64> {
    None
}

/// Gives back what `malloc` keeps for later, as far as it can, and begins to watch for the peak anew.
pub(super) fn forget_peak() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes a plain integer and may be called at any time.
        unsafe { libc::malloc_trim(0) };
    }
    // Where the kernel won't, the peak is that of the process, which is no less.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn memory_available(held: u64) -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok();
    let available = info.and_then(|text| kib_in_bytes(&text, "MemAvailable:"));
    let limit = group_limit().map(|limit| limit.saturating_sub(held));
    available.into_iter().chain(limit).min()
}

/// The memory limit of the control group, of either version. What the group uses is not taken off:
/// most of it is file cache, which gives way.
fn group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        // In a container the path may be the one outside, where nothing of it is to be seen.
        let own = Path::new(root).join(path.trim_start_matches('/')).join(file);
        vec![own, Path::new(root).join(file)]
    });
    limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn status_bytes(name: &str) -> Option<u64> {
    kib_in_bytes(&fs::read_to_string("/proc/self/status").ok()?, name)
}

/// The value of a line such as `VmRSS:    1876 kB`.
fn kib_in_bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(unix)]
fn disk_free(directory: &Path) -> Option<u64> {
    let path = c_path(directory)?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero, and the structure is written to when 0 is returned.
    let found = unsafe {
        (libc::statvfs(path.as_ptr(), found.as_mut_ptr()) == 0).then(|| found.assume_init())
    }?;
    Some(found.f_bavail * found.f_frsize)
}

#[cfg(unix)]
fn is_writable(directory: &Path) -> bool {
    // SAFETY: the path ends with a zero.
    c_path(directory).is_none_or(|path| unsafe { libc::access(path.as_ptr(), libc::W_OK) } == 0)
}

#[cfg(unix)]
fn c_path(path: &Path) -> Option<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).ok()
}

#[cfg(not(unix))]
fn disk_free(_: &Path) -> Option<u64> {
    None
}

#[cfg(not(unix))]
fn is_writable(_: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let text = "VmPeak:\t    9 kB\nVmHWM:\t    1876 kB\n";
        assert_eq!(kib_in_bytes(text, "VmHWM:"), Some(1876 * 1024));
        assert_eq!(kib_in_bytes(text, "VmRSS:"), None);
    }

    #[test]
    fn a_place_that_is_not_there_yet_is_looked_at_from_above() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(existing(&directory.path().join("a/b")), directory.path());
        assert_eq!(existing(Path::new("not-there/at-all")), Path::new("."));
        let machine = Machine::look(&directory.path().join("runs"));
        assert!(machine.is_output_dir_writable && machine.disk_free_bytes > Some(0), "{machine:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_at_least_what_is_held() {
        forget_peak();
        let block = vec![1u8; 32 << 20];
        assert!(memory_peak() >= Some(32 << 20));
        assert!(memory_peak_of(std::process::id()) >= Some(32 << 20));
        // The other way can't forget, so it says no less.
        assert!(memory_peak_by_usage() >= Some(32 << 20));
        assert_eq!(std::hint::black_box(&block).len(), 32 << 20);
        assert!(Machine::look(Path::new("")).memory_available_bytes > Some(0));
    }
}
