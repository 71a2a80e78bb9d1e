//! A hub on this machine: it speaks the paths that data sets are listed and fetched by, sends large
//! files through a redirect as the real one does, and can be told to fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The only commit there is.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files of at least this size come through a redirect.
const LARGE_BYTES: usize = 256;
/// Entries on one page of a list.
const PAGE_ENTRIES: usize = 2;

/// A hub with one data set.
pub(crate) struct HubServer {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

struct State {
    dataset: String,
    endpoint: String,
    files: BTreeMap<String, Vec<u8>>,
    requests: Mutex<Vec<String>>,
    /// How many of the next downloads stop half-way.
    n_torn: Mutex<usize>,
    /// The token without which nothing is told.
    token: Option<String>,
}

impl HubServer {
    /// Serves a data set until the test ends.
    pub(crate) fn start(
        dataset: &str,
        files: BTreeMap<String, Vec<u8>>,
        token: Option<&str>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            dataset: dataset.to_owned(),
            endpoint: endpoint.clone(),
            files,
            requests: Mutex::default(),
            n_torn: Mutex::default(),
            token: token.map(str::to_owned),
        });
        let served = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                served.serve(stream);
            }
        });
        Self { endpoint, state }
    }

    /// The paths that were asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Lets the next `n` downloads stop half-way.
    pub(crate) fn tear(&self, n: usize) {
        *self.state.n_torn.lock().unwrap() = n;
    }
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn ok(body: Vec<u8>) -> Self {
        Self { status: "200 OK", headers: String::new(), body }
    }

    fn none(status: &'static str) -> Self {
        Self { status, headers: String::new(), body: b"nothing here".to_vec() }
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let is_known = self.token.as_ref().is_none_or(|token| {
            path.starts_with("/cdn/")
                || head
                    .iter()
                    .any(|line| line.to_lowercase() == format!("authorization: bearer {token}"))
        });
        self.requests.lock().unwrap().push(path.clone());
        let answer = if is_known { self.answer(&path) } else { Answer::none("401 Unauthorized") };
        let mut n_sent = answer.body.len();
        if path.contains("/resolve/") && answer.status == "200 OK" || path.starts_with("/cdn/") {
            let mut n_torn = self.n_torn.lock().unwrap();
            if *n_torn > 0 {
                *n_torn -= 1;
                n_sent /= 2;
            }
        }
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-length: {}\r\nconnection: close\r\n{}\r\n",
            answer.status,
            answer.body.len(),
            answer.headers
        );
        let sent = stream.write_all(head.as_bytes());
        drop(sent.and_then(|()| stream.write_all(&answer.body[..n_sent])));
    }

    fn answer(&self, path: &str) -> Answer {
        let dataset = &self.dataset;
        if path == format!("/api/datasets/{dataset}/revision/main") {
            return Answer::ok(format!(r#"{{"id": "{dataset}", "sha": "{COMMIT}"}}"#).into_bytes());
        }
        if let Some(query) = path.strip_prefix(&format!("/api/datasets/{dataset}/tree/{COMMIT}?")) {
            return self.list(query);
        }
        if let Some(name) = path.strip_prefix(&format!("/datasets/{dataset}/resolve/{COMMIT}/")) {
            return match self.files.get(name) {
                None => Answer::none("404 Not Found"),
                Some(body) if body.len() < LARGE_BYTES => Answer::ok(body.clone()),
                Some(_) => Answer {
                    status: "302 Found",
                    headers: format!("location: /cdn/{name}\r\n"),
                    body: Vec::new(),
                },
            };
        }
        let of_cdn = path.strip_prefix("/cdn/").and_then(|name| self.files.get(name));
        of_cdn.map_or_else(|| Answer::none("404 Not Found"), |body| Answer::ok(body.clone()))
    }

    /// A page of the list, with the folders that the real one lists too.
    fn list(&self, query: &str) -> Answer {
        let from: usize = query.split("cursor=").nth(1).map_or(0, |from| from.parse().unwrap());
        let page = self.files.iter().skip(from).take(PAGE_ENTRIES);
        let mut items: Vec<String> = page.map(|(path, body)| entry(path, body)).collect();
        items.push(r#"{"type": "directory", "oid": "d", "size": 0, "path": "data"}"#.to_owned());
        let mut answer = Answer::ok(format!("[{}]", items.join(", ")).into_bytes());
        let next = from + PAGE_ENTRIES;
        if next < self.files.len() {
            let (endpoint, dataset) = (&self.endpoint, &self.dataset);
            answer.headers = format!(
                "link: <{endpoint}/api/datasets/{dataset}/tree/{COMMIT}?recursive=true&cursor={next}>; \
                 rel=\"next\"\r\n"
            );
        }
        answer
    }
}

fn entry(path: &str, body: &[u8]) -> String {
    let oid = blake3::hash(body).to_hex();
    let size = body.len();
    if size < LARGE_BYTES {
        return format!(
            r#"{{"type": "file", "oid": "{}", "size": {size}, "path": "{path}"}}"#,
            &oid[..40]
        );
    }
    format!(
        r#"{{"type": "file", "oid": "pointer", "size": {size}, "path": "{path}", "lfs": {{"oid": "{oid}", "size": {size}, "pointerSize": 134}}}}"#
    )
}
