//! Hubs that are busy, broken or hostile.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// A server that gives the same answer to every request, and what it was asked.
struct Parrot {
    endpoint: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Parrot {
    /// `answer` makes a whole answer from the server's own address.
    fn start(answer: impl Fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (heads, answer) = (Arc::<Mutex<Vec<String>>>::default(), answer(&endpoint));
        let noted = heads.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
                noted.lock().unwrap().push(head.collect::<Vec<_>>().join("\n").to_lowercase());
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { endpoint, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// What comes of asking for a commit's files with a token.
    fn refusal(&self, revision: &str) -> Error {
        self.refusal_with(revision, || false)
    }

    fn refusal_with(
        &self,
        revision: &str,
        is_cancelled: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            endpoint: self.endpoint.clone(),
            token: Some("secret".to_owned()),
            is_offline: false,
            hub_cache: dir.path().join("hub"),
        };
        let query = Query { revision: revision.to_owned(), ..Query::named("owner/set") };
        let device = DeviceContext::default();
        let cx = PhaseContext::detached_with("test", 1, device, is_cancelled);
        files_with(&settings, &query, &dir.path().join("cache"), &cx).unwrap_err()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let n = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {n}\r\nconnection: close\r\n{headers}\r\n{body}")
}

#[test]
fn a_token_goes_to_no_other_host() {
    let other = Parrot::start(|_| answer("200 OK", "", "[]"));
    let elsewhere = other.endpoint.replace("127.0.0.1", "localhost");
    // By a redirect, and by the address of a next page.
    let redirect = format!("location: {elsewhere}/x\r\n");
    let hub = Parrot::start(|_| answer("302 Found", &redirect, ""));
    hub.refusal("main");
    let next = format!("link: <{elsewhere}/x>; rel=\"next\"\r\n");
    let hub = Parrot::start(|_| answer("200 OK", &next, "[]"));
    hub.refusal(COMMIT);
    assert!(hub.heads()[0].contains("authorization: bearer secret"));
    assert_eq!(other.heads().len(), 2);
    assert!(other.heads().iter().all(|head| !head.contains("secret")), "{:?}", other.heads());
}

#[test]
fn an_address_that_only_begins_like_the_hubs_gets_no_token() {
    let other = Parrot::start(|_| answer("200 OK", "", "[]"));
    let port = other.endpoint.rsplit(':').next().unwrap().to_owned();
    // The hub stands at `http://127.0.0.1:PORT`, the other at `http://127.0.0.1:PORT@…`.
    let hub = Parrot::start(|own| {
        let next = format!("link: <{own}@127.0.0.1:{port}/x>; rel=\"next\"\r\n");
        answer("200 OK", &next, "[]")
    });
    hub.refusal(COMMIT);
    assert_eq!(other.heads().len(), 1);
    assert!(other.heads().iter().all(|head| !head.contains("bearer")), "{:?}", other.heads());
}

#[test]
fn an_answer_that_is_no_json_is_told_as_that() {
    let hub = Parrot::start(|_| answer("200 OK", "", "<html>log in first</html>"));
    let error = hub.refusal("main");
    assert_eq!(error.code, "data::hub_unreachable");
    assert!(error.message.ends_with(": the answer is not JSON"), "{}", error.message);
}

#[test]
fn pages_that_lead_in_a_circle_end() {
    let hub = Parrot::start(|own| {
        answer("200 OK", &format!("link: <{own}/again>; rel=\"next\"\r\n"), "[]")
    });
    assert_eq!(hub.refusal(COMMIT).code, "data::hub_answer");
    assert_eq!(hub.heads().len(), 2);
}

#[test]
fn a_busy_hub_is_waited_for_as_long_as_it_asks_but_not_without_end() {
    let hub = Parrot::start(|_| answer("429 Too Many Requests", "retry-after: 1\r\n", ""));
    let begun = Instant::now();
    let error = hub.refusal("main");
    assert_eq!((error.code.as_str(), hub.heads().len()), ("data::hub_unreachable", 3));
    assert!(begun.elapsed() >= Duration::from_secs(2));

    let hub = Parrot::start(|_| answer("429 Too Many Requests", "retry-after: 900\r\n", ""));
    let error = hub.refusal("main");
    assert_eq!(error.help.as_deref(), Some("try again in 900 seconds"));
    assert_eq!(hub.heads().len(), 1);

    // A request to stop ends the wait.
    let hub = Parrot::start(|_| answer("503 Busy", "retry-after: 60\r\n", ""));
    let begun = Instant::now();
    let error = hub.refusal_with("main", move || begun.elapsed() > Duration::from_millis(300));
    assert_eq!(error.code, sdk::CANCELLED);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_torn_copy_of_a_file_is_replaced() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let settings = settings(&server, &dir);
    let snapshot = dir.path().join("hub/datasets--owner--set/snapshots").join(COMMIT);
    fs::create_dir_all(snapshot.join("data")).unwrap();
    fs::write(snapshot.join("data/train-00000.jsonl"), "{\"text\":").unwrap();
    let train = files(&settings, &Query::named("owner/set"), &dir).unwrap();
    assert_eq!(content(&train[0]).unwrap().len(), 2800);
}

#[test]
fn a_list_that_a_crash_left_empty_is_asked_for_again() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let settings = settings(&server, &dir);
    let query = Query::named("owner/set");
    content(&files(&settings, &query, &dir).unwrap()[0]).unwrap();
    let list = dir.path().join(format!("cache/hub/datasets--owner--set/{COMMIT}.json"));
    fs::write(list, "").unwrap();
    // Not only the file that was fetched.
    assert_eq!(files(&settings, &query, &dir).unwrap().len(), 2);
}
