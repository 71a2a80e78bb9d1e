//! Fetching from a hub on this machine: what is asked, what is kept, what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use sdk::{DeviceContext, Error, PhaseContext, Result};
use tempfile::TempDir;

use super::Query;
use super::client::Settings;
use super::remote::files_with;
use crate::source::DataFile;

#[path = "../../../tests/support/hub_server.rs"]
mod hub_server;

mod hostile;

use hub_server::{COMMIT, HubServer};

fn repository() -> BTreeMap<String, Vec<u8>> {
    let text = |from: &str| from.repeat(200).into_bytes();
    BTreeMap::from([
        ("README.md".to_owned(), b"# data".to_vec()),
        ("data/train-00000.jsonl".to_owned(), text("{\"text\": \"a\"}\n")),
        ("data/train-00001.jsonl".to_owned(), b"{\"text\": \"b\"}\n".to_vec()),
        ("data/validation-00000.jsonl".to_owned(), text("{\"text\": \"c\"}\n")),
    ])
}

fn settings(server: &HubServer, dir: &TempDir) -> Settings {
    Settings {
        endpoint: server.endpoint.clone(),
        token: None,
        is_offline: false,
        hub_cache: dir.path().join("hub"),
    }
}

fn files(settings: &Settings, query: &Query, dir: &TempDir) -> Result<Vec<DataFile>> {
    let cx = PhaseContext::detached("test", 1, DeviceContext::default());
    files_with(settings, query, &dir.path().join("cache"), &cx).map(|(train, _)| train)
}

fn content(file: &DataFile) -> Result<String, Error> {
    let mut text = String::new();
    file.open("data.sources.web.dataset")?.read_to_string(&mut text)?;
    Ok(text)
}

fn leftovers(dir: &Path) -> Vec<String> {
    let names =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let blobs = dir.join("hub/datasets--owner--set/blobs");
    fs::read_dir(blobs).unwrap().map(names).filter(|name| name.contains("incomplete")).collect()
}

#[test]
fn files_are_fetched_when_they_are_opened_and_only_once() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let settings = settings(&server, &dir);
    let train = files(&settings, &Query::named("owner/set"), &dir).unwrap();
    let names: Vec<&str> = train.iter().map(|file| &**file.name()).collect();
    assert_eq!(names, ["owner/set/data/train-00000.jsonl", "owner/set/data/train-00001.jsonl"]);
    // The revision and two pages of the list.
    assert_eq!(server.requests().len(), 3);
    assert_eq!(content(&train[0]).unwrap().len(), 2800);
    // One redirect.
    assert_eq!(server.requests().len(), 5);
    assert_eq!(content(&train[0]).unwrap().len(), 2800);
    assert_eq!(server.requests().len(), 5);

    let snapshot = dir.path().join("hub/datasets--owner--set/snapshots").join(COMMIT);
    let link = fs::read_link(snapshot.join("data/train-00000.jsonl")).unwrap();
    assert!(link.starts_with("../../../blobs"), "{}", link.display());
    let reference = dir.path().join("hub/datasets--owner--set/refs/main");
    assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);

    // A second run asks what the revision is, and has the rest.
    let again = files(&settings, &Query::named("owner/set"), &dir).unwrap();
    assert_eq!(content(&again[0]).unwrap().len(), 2800);
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn what_is_there_is_read_offline_and_what_is_not_is_told() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let online = settings(&server, &dir);
    let offline = Settings { is_offline: true, ..online.clone() };
    let query = Query::named("owner/set");
    let cold = files(&offline, &query, &dir).unwrap_err();
    assert_eq!(cold.code, "data::hub_offline");
    assert!(cold.message.starts_with("data set `owner/set` isn't there: nothing fitting in `"));

    content(&files(&online, &query, &dir).unwrap()[0]).unwrap();
    let n_requests = server.requests().len();
    let warm = files(&offline, &query, &dir).unwrap();
    assert_eq!(content(&warm[0]).unwrap().len(), 2800);
    let missing = content(&warm[1]).unwrap_err();
    assert_eq!(missing.code, "data::hub_offline");
    assert_eq!(server.requests().len(), n_requests);

    // What another program fetched is found without our list.
    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    let scanned = files(&offline, &query, &dir).unwrap();
    let names: Vec<&str> = scanned.iter().map(|file| &**file.name()).collect();
    assert_eq!(names, ["owner/set/data/train-00000.jsonl"]);
    assert_eq!(content(&scanned[0]).unwrap().len(), 2800);
}

#[test]
fn a_hub_that_is_gone_is_no_fault_where_the_data_is_there() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let settings = settings(&server, &dir);
    let query = Query::named("owner/set");
    content(&files(&settings, &query, &dir).unwrap()[0]).unwrap();
    let gone = Settings { endpoint: "http://127.0.0.1:9".to_owned(), ..settings };
    assert_eq!(content(&files(&gone, &query, &dir).unwrap()[0]).unwrap().len(), 2800);
    let error = files(&gone, &Query::named("owner/other"), &dir).unwrap_err();
    assert_eq!(error.code, "data::hub_unreachable");
}

#[test]
fn a_torn_download_is_tried_again_and_never_used() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let settings = settings(&server, &dir);
    let train = files(&settings, &Query::named("owner/set"), &dir).unwrap();
    server.tear(3);
    let error = content(&train[0]).unwrap_err();
    assert_eq!(error.code, "data::hub_unreachable");
    assert_eq!(error.path.unwrap(), "data.sources.web.dataset");
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    server.tear(2);
    assert_eq!(content(&train[0]).unwrap().len(), 2800);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn unknown_names_and_missing_tokens_are_told() {
    let (dir, server) =
        (tempfile::tempdir().unwrap(), HubServer::start("owner/set", repository(), None));
    let open = settings(&server, &dir);
    let error = files(&open, &Query::named("owner/sets"), &dir).unwrap_err();
    assert_eq!(error.code, "data::hub_missing");
    let told = format!("`{}` doesn't know revision `main` of data set `owner/sets`", open.endpoint);
    assert_eq!(error.message, told);

    let closed = HubServer::start("owner/set", repository(), Some("secret"));
    let without = settings(&closed, &dir);
    let error = files(&without, &Query::named("owner/set"), &dir).unwrap_err();
    assert_eq!(error.code, "data::hub_missing");
    let with = Settings { token: Some("secret".to_owned()), ..without };
    let train = files(&with, &Query::named("owner/set"), &dir).unwrap();
    assert_eq!(content(&train[0]).unwrap().len(), 2800);
}

#[test]
fn names_that_lead_out_of_their_folder_are_refused() {
    let mut bad = repository();
    bad.insert("data/../../../train.jsonl".to_owned(), b"{}".to_vec());
    let (dir, server) = (tempfile::tempdir().unwrap(), HubServer::start("owner/set", bad, None));
    let error = files(&settings(&server, &dir), &Query::named("owner/set"), &dir).unwrap_err();
    assert_eq!(error.code, "data::hub_answer");
    let query = Query { revision: "../x".to_owned(), ..Query::named("owner/set") };
    let error = files(&settings(&server, &dir), &query, &dir).unwrap_err();
    assert_eq!(error.code, "data::hub_revision");
}
