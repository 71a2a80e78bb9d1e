//! Asks the hub, and fetches files from it.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sdk::{Error, PhaseContext, Result};
use serde_json::Value;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;

use super::store::{Entry, Store, cant, is_inside, temp_name};
use crate::progress::Progress;

const ENDPOINT: &str = "https://huggingface.co";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How often something that may be a passing fault is tried.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A hub that asks for a longer pause is not waited for.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How often it is looked in a pause whether the run was asked to stop.
const PAUSE_STEP: Duration = Duration::from_millis(100);
/// A longer answer about a data set is none.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// What the environment says about the hub.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    pub(super) is_offline: bool,
    /// Where the hub's own libraries keep what they fetch.
    pub(super) hub_cache: PathBuf,
}

impl Settings {
    /// From `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, and `HF_HUB_CACHE` or `HF_HOME`.
    pub(super) fn from_env() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let cache = || {
            let home = || PathBuf::from(set("HOME").unwrap_or_default()).join(".cache");
            set("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("huggingface")
        };
        let home = || set("HF_HOME").map_or_else(cache, PathBuf::from).join("hub");
        let yes = |value: String| {
            ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
        };
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
            token: set("HF_TOKEN").map(|token| token.trim().to_owned()),
            is_offline: set("HF_HUB_OFFLINE").is_some_and(yes),
            hub_cache: set("HF_HUB_CACHE").map_or_else(home, PathBuf::from),
        }
    }
}

/// One data set, seen through the hub's interface.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    dataset: String,
    cx: PhaseContext,
}

/// Why an answer is none.
enum Refusal {
    /// The hub can't be reached, or stopped in the middle.
    Network(String),
    /// A status, and how long the hub asks to wait.
    Status(u16, Option<Duration>),
    /// Our own fault, or a request to stop.
    Ours(Error),
}

impl Client {
    pub(super) fn new(settings: &Settings, dataset: &str, cx: &PhaseContext) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build()
            .new_agent();
        Self {
            agent,
            endpoint: settings.endpoint.trim_end_matches('/').to_owned(),
            token: settings.token.clone(),
            dataset: dataset.to_owned(),
            cx: cx.clone(),
        }
    }

    /// The commit that a revision is now.
    pub(super) fn commit(&self, revision: &str) -> Result<String> {
        let what = format!("revision `{revision}` of data set `{}`", self.dataset);
        let dataset = encoded(&self.dataset, "/");
        let url =
            format!("{}/api/datasets/{dataset}/revision/{}", self.endpoint, encoded(revision, ""));
        let (info, _) = self.json(&url, &what)?;
        let commit = info.get("sha").and_then(Value::as_str).unwrap_or_default();
        if commit.is_empty() || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(self.garbled(&what));
        }
        Ok(commit.to_owned())
    }

    /// All files of a commit.
    pub(super) fn list(&self, commit: &str) -> Result<Vec<Entry>> {
        let what = format!("the files of data set `{}`", self.dataset);
        let dataset = encoded(&self.dataset, "/");
        let mut entries = Vec::new();
        let mut next =
            Some(format!("{}/api/datasets/{dataset}/tree/{commit}?recursive=true", self.endpoint));
        let mut asked = HashSet::new();
        while let Some(url) = next {
            self.cx.check_cancelled()?;
            if !asked.insert(url.clone()) {
                // Its pages lead in a circle.
                return Err(self.garbled(&what));
            }
            let (page, link) = self.json(&url, &what)?;
            let items = page.as_array().ok_or_else(|| self.garbled(&what))?;
            let files = items.iter().filter(|item| item["type"] == "file");
            let listed: Option<Vec<Entry>> = files.map(entry).collect();
            entries.extend(listed.ok_or_else(|| self.garbled(&what))?);
            next = link;
        }
        Ok(entries)
    }

    /// Fetches a file of a commit into the store. What is cut off leaves nothing behind that could
    /// be taken for the whole.
    pub(super) fn fetch(&self, store: &Store, commit: &str, entry: &Entry) -> Result<PathBuf> {
        let blob = store.blob(entry);
        let is_there = fs::metadata(&blob).is_ok_and(|blob| blob.len() == entry.size);
        if !is_there {
            let folder = store.repo().join("blobs");
            fs::create_dir_all(&folder).map_err(|e| cant("making", &folder, &e))?;
            let temp = folder.join(temp_name(&entry.oid));
            let fetched = self.tried(&entry.path, || self.download(commit, entry, &temp));
            let placed = fetched
                .and_then(|()| fs::rename(&temp, &blob).map_err(|e| cant("placing", &blob, &e)));
            if placed.is_err() {
                // Whether this succeeds changes nothing: the name is never read.
                drop(fs::remove_file(&temp));
            }
            placed?;
        }
        store.link(commit, entry)
    }

    fn download(&self, commit: &str, entry: &Entry, temp: &Path) -> Result<(), Refusal> {
        let (dataset, path) = (encoded(&self.dataset, "/"), encoded(&entry.path, "/"));
        let url = format!("{}/datasets/{dataset}/resolve/{commit}/{path}", self.endpoint);
        let response = self.get(&url)?;
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let ours = |error: std::io::Error| Refusal::Ours(cant("writing", temp, &error));
        let mut file = File::create(temp).map_err(ours)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut progress = Progress::new(format!("fetching {}", entry.path), entry.size, &self.cx);
        let mut n_done = 0;
        loop {
            let n = body.read(&mut buffer).map_err(|e| Refusal::Network(e.to_string()))?;
            if n == 0 {
                break;
            }
            n_done += n as u64;
            if n_done > entry.size {
                break;
            }
            file.write_all(&buffer[..n]).map_err(ours)?;
            // A slow line may take minutes for what is told at once.
            self.cx.check_cancelled().and_then(|()| progress.at(n_done)).map_err(Refusal::Ours)?;
        }
        if n_done != entry.size {
            let told = format!("{n_done} bytes came, but it has {}", entry.size);
            return Err(Refusal::Network(told));
        }
        file.sync_all().map_err(ours)
    }

    /// A JSON answer, and the address of the next page of it.
    fn json(&self, url: &str, what: &str) -> Result<(Value, Option<String>)> {
        self.tried(what, || {
            let response = self.get(url)?;
            let link = response.headers().get("link").and_then(|link| link.to_str().ok());
            let next = link.and_then(next_page);
            let body = response.into_body().into_with_config().limit(ANSWER_BYTES_MAX).reader();
            match serde_json::from_reader(body) {
                Ok(value) => Ok((value, next)),
                Err(error) if error.is_io() => Err(Refusal::Network(error.to_string())),
                Err(_) => Err(Refusal::Network("the answer is not JSON".to_owned())),
            }
        })
    }

    fn get(&self, url: &str) -> Result<Response<ureq::Body>, Refusal> {
        let mut request = self.agent.get(url);
        // Another host's name may begin like ours, so the path must follow.
        let path = url.strip_prefix(&self.endpoint);
        let is_own = path.is_some_and(|path| path.starts_with('/'));
        if let Some(token) = self.token.as_ref().filter(|_| is_own) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| Refusal::Network(error.to_string()))?;
        match response.status().as_u16() {
            200 => Ok(response),
            status => Err(Refusal::Status(status, retry_after(&response))),
        }
    }

    /// Tries again what may be a passing fault.
    fn tried<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T> {
        let mut n_tries = 1;
        loop {
            let refusal = match attempt() {
                Ok(value) => return Ok(value),
                Err(Refusal::Ours(error)) => return Err(error),
                Err(refusal) => refusal,
            };
            let (is_passing, asked) = match refusal {
                Refusal::Status(status, asked) => (status == 429 || status >= 500, asked),
                Refusal::Network(_) | Refusal::Ours(_) => (true, None),
            };
            let pause = asked.unwrap_or(PAUSE * n_tries);
            if !is_passing || n_tries == TRIES || pause > PAUSE_MAX {
                return Err(self.refused(what, refusal));
            }
            self.pause(pause)?;
            n_tries += 1;
        }
    }

    fn pause(&self, mut left: Duration) -> Result<()> {
        while !left.is_zero() {
            self.cx.check_cancelled()?;
            let step = left.min(PAUSE_STEP);
            thread::sleep(step);
            left -= step;
        }
        Ok(())
    }

    fn refused(&self, what: &str, refusal: Refusal) -> Error {
        let endpoint = &self.endpoint;
        match refusal {
            Refusal::Ours(error) => error,
            Refusal::Network(told) => {
                Error::new(UNREACHABLE, format!("fetching {what} from `{endpoint}`: {told}")).help(
                    "check the connection and `HF_ENDPOINT`, or set `HF_HUB_OFFLINE=1` to use what \
                     is there",
                )
            }
            Refusal::Status(401 | 403 | 404, _) => {
                Error::new("data::hub_missing", format!("`{endpoint}` doesn't know {what}"))
                    .help("check the name; one that is private or gated needs `HF_TOKEN`")
            }
            Refusal::Status(status, asked) => {
                let told = format!("fetching {what}: `{endpoint}` answers with status {status}");
                let help = asked.map_or_else(
                    || "try again later".to_owned(),
                    |pause| format!("try again in {} seconds", pause.as_secs()),
                );
                Error::new(UNREACHABLE, told).help(help)
            }
        }
    }

    fn garbled(&self, what: &str) -> Error {
        let told = format!("`{}` gives no sensible answer about {what}", self.endpoint);
        Error::new("data::hub_answer", told).help("check `HF_ENDPOINT`")
    }
}

/// Code of the error that says that the hub can't be asked now.
pub(super) const UNREACHABLE: &str = "data::hub_unreachable";

/// A file as the hub lists it. Large files have a hash of their own.
fn entry(item: &Value) -> Option<Entry> {
    let oid = item.pointer("/lfs/oid").or_else(|| item.get("oid"))?.as_str()?;
    let entry = Entry {
        path: item.get("path")?.as_str()?.to_owned(),
        oid: oid.trim_start_matches("sha256:").to_owned(),
        size: item.get("size")?.as_u64()?,
    };
    entry.is_safe().then_some(entry)
}

/// How many seconds a busy hub asks to wait; a date, which it may name instead, is passed over.
fn retry_after(response: &Response<ureq::Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The address in `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let is_next = |part: &&str| part.contains("rel=\"next\"");
    let part = link.split(',').find(is_next)?;
    Some(part.split_once('<')?.1.split_once('>')?.0.to_owned())
}

/// A text as part of an address.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Whether a revision can be a path below `refs`.
pub(super) fn is_revision(revision: &str) -> bool {
    is_inside(revision)
}
