//! Process-wide choices that have to be made before anything else runs.

/// Keeps freed memory in the process, for the host and every plugin, and keeps tensor libraries
/// from starting thread pools of their own beside the SDK's workers.
///
/// Training allocates and frees the same sizes each step; giving pages back and having the kernel
/// clear them anew costs more than the arithmetic of small models. Plugins share the process's
/// `malloc`, so this serves them all.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const NEVER: libc::c_int = libc::c_int::MAX;
        // SAFETY: called before any other thread exists; the options take plain integers.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
    }
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: called before any other thread exists.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}
