//! A temporary working directory and a host in it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::c_library::c_library;
use crate::installation::{Installation, third_party};
use crate::output::Output;

/// Nothing here takes longer than this unless it hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A working directory, a home and a plugin path of its own, all removed at the end.
#[derive(Debug)]
pub struct Project {
    root: tempfile::TempDir,
    installation: &'static Installation,
}

impl Project {
    /// A project with a host that has no plugins.
    pub fn new() -> Self {
        Self::with(Installation::bare())
    }

    /// A project with the host of an installation.
    pub fn with(installation: &'static Installation) -> Self {
        let root = tempfile::Builder::new().prefix("host-test-").tempdir();
        let root = root.expect("the system has room for temporary files");
        for directory in ["work", "home", "tmp", "plugins"] {
            fs::create_dir(root.path().join(directory)).expect("a new directory is empty");
        }
        Self { root, installation }
    }

    /// Puts plugins of `tests/plugins` on the plugin path.
    #[must_use]
    pub fn plugins(self, names: &[&str]) -> Self {
        for name in names {
            let library = third_party(name);
            let file = library.file_name().unwrap_or_default();
            copy(&library, &self.plugin_path().join(file));
        }
        self
    }

    /// As on a machine with `n` NVIDIA GPUs, as far as counting them goes.
    #[must_use]
    pub fn gpus(self, n: u32) -> Self {
        // The driver's own error for a machine without any.
        let code = if n == 0 { 100 } else { 0 };
        self.driver(code, n)
    }

    /// As on a machine whose NVIDIA driver fails to start with error `code`.
    #[must_use]
    pub fn broken_driver(self, code: u32) -> Self {
        self.driver(code, 0)
    }

    fn driver(self, code: u32, n: u32) -> Self {
        fs::create_dir(self.driver_path()).expect("a project has one driver");
        let source = format!(
            "int cuInit(unsigned flags) {{ return flags ? 1 : {code}; }}
             int cuDeviceGetCount(int *n) {{ *n = {n}; return 0; }}"
        );
        c_library(&self.driver_path().join("libcuda.so.1"), &source, &[]);
        self
    }

    fn driver_path(&self) -> PathBuf {
        self.root.path().join("driver")
    }

    /// The directory that `HOST_PLUGIN_PATH` names.
    pub fn plugin_path(&self) -> PathBuf {
        self.root.path().join("plugins")
    }

    /// A path in the working directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("work").join(relative)
    }

    /// A path in the home directory.
    pub fn home(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("home").join(relative)
    }

    /// Writes a file of the working directory.
    #[must_use]
    pub fn file(self, relative: &str, text: &str) -> Self {
        self.write(relative, text);
        self
    }

    /// Writes a file of the working directory.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a directory");
        fs::write(&path, text).expect("a temporary file can be written");
    }

    /// Names of what lies in the working directory, sorted.
    pub fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }

    /// Names of what lies in the directory for temporary files.
    pub fn temporary_files(&self) -> Vec<String> {
        names(&self.root.path().join("tmp"))
    }

    /// The directory of the newest run.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn last_run(&self) -> PathBuf {
        let name = fs::read_to_string(self.path("runs/last")).expect("a run has been started");
        self.path("runs").join(name.trim())
    }

    /// The host in this project, with an environment that holds nothing of the caller's.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let root = self.root.path();
        let mut command = Command::new(self.installation.host());
        command.args(args).current_dir(self.path("")).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("NO_COLOR", "1");
        command.env("HOME", self.home("")).env("XDG_CONFIG_HOME", self.home("config"));
        command.env("HOST_CACHE_DIR", root.join("cache"));
        command.env("TMPDIR", root.join("tmp")).env("HOST_PLUGIN_PATH", self.plugin_path());
        if self.driver_path().exists() {
            command.env("LD_LIBRARY_PATH", self.driver_path());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the host to its end.
    ///
    /// # Panics
    /// When it does not come to one in four minutes.
    #[track_caller]
    pub fn host(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.start(args).finish()
    }

    /// Starts the host.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Running {
        self.spawn(self.command(args))
    }

    /// Runs the host with `input` on its standard input.
    ///
    /// # Panics
    /// When it does not come to an end in four minutes.
    #[track_caller]
    pub fn host_told(
        &self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: impl AsRef<[u8]>,
    ) -> Output {
        let mut command = self.command(args);
        let (reader, mut writer) = std::io::pipe().expect("the system has pipes");
        command.stdin(reader);
        let running = self.spawn(command);
        // A host that ends early closes its end: what it didn't read is of no interest.
        let _ = writer.write_all(input.as_ref());
        drop(writer);
        running.finish()
    }

    /// Runs the host with a standard output that nobody reads: every write to it fails.
    ///
    /// # Panics
    /// When it does not come to an end in four minutes.
    #[track_caller]
    pub fn host_unread(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        let mut command = self.command(args);
        let (reader, writer) = std::io::pipe().expect("the system has pipes");
        drop(reader);
        command.stdout(writer);
        self.spawn(command).finish()
    }

    /// Starts a command made by [`Project::command`].
    ///
    /// # Panics
    /// When it can't be started.
    pub fn spawn(&self, mut command: Command) -> Running {
        let mut child = command.spawn().expect("the host can be started");
        let mut places = vec![
            (self.root.path().join("work").display().to_string(), "[DIR]"),
            (self.root.path().display().to_string(), "[ROOT]"),
            (self.installation.directory().display().to_string(), "[INSTALL]"),
        ];
        places.sort_by_key(|(place, _)| std::cmp::Reverse(place.len()));
        Running {
            stdout: child.stdout.take().map(Collected::start),
            stderr: child.stderr.take().map(Collected::start),
            child,
            places,
        }
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

/// A host that is running; ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
    places: Vec<(String, &'static str)>,
}

impl Running {
    /// Waits until the host has written `text` to standard error.
    ///
    /// # Panics
    /// When it ends, or four minutes pass, without it.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let begin = Instant::now();
        let said = |this: &Self| this.stderr.as_ref().map(Collected::text).unwrap_or_default();
        while !said(self).contains(text) {
            let has_ended = self.child.try_wait().expect("a child can be asked").is_some();
            let is_late = begin.elapsed() > PATIENCE;
            // What it wrote last may still be on its way.
            if has_ended && !said(self).contains(text) {
                sleep(Duration::from_millis(200));
            }
            let is_lost = (has_ended || is_late) && !said(self).contains(text);
            assert!(!is_lost, "the host never said `{text}`:\n{}", said(self));
            sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal by its name: `INT`, `TERM`, `KILL`.
    ///
    /// # Panics
    /// When the host is gone.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell can be run").success(), "`{kill}` failed");
    }

    /// Whether the host is still running.
    ///
    /// # Panics
    /// When the system won't say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come in four minutes.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let status = self.wait();
        let text = |collected: Option<Collected>| collected.map(Collected::finish);
        let stdout = text(self.stdout.take()).unwrap_or_default();
        let stderr = text(self.stderr.take()).unwrap_or_default();
        Output::new(status, stdout, stderr, std::mem::take(&mut self.places))
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the host hangs");
            sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream of a child, read in the background so that the child never waits for us.
#[derive(Debug)]
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn start(mut stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                let mut text = sink.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(&buffer[..n]);
            }
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        let bytes = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn finish(self) -> String {
        let _ = self.reader.join();
        let bytes = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory of the project is there");
    let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a plugin can be copied");
}
