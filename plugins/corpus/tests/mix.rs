//! Sources of every kind side by side in one mix, from outside.
//!
//! The hub is chosen by the environment, which belongs to a whole process: so the mix is read in
//! processes of its own, once with the hub there and once offline with what was fetched.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use corpus::{Batch, PretrainData, PretrainDataConfig};
use sdk::{DeviceContext, PhaseContext, StateDict};
use serde_json::json;
use support::hub_server::HubServer;
use support::parquet_file;
use tokenizer::Tokenizer;

/// Where the inner process finds the files. Its test does nothing without.
const FOLDER: &str = "CORPUS_TEST_FOLDER";
const CACHE: &str = "CORPUS_TEST_CACHE";
const T: usize = 32;

/// Documents of four letters, no two alike: a window shows which source it is from.
fn documents(from: char, n: usize) -> Vec<String> {
    let letter = |idx: usize| char::from_u32(from as u32 + (idx % 4) as u32).unwrap();
    let at = |doc: usize, idx: usize| if idx < 4 { doc >> (2 * idx) } else { doc + idx };
    (0..n).map(|doc| (0..60).map(|idx| letter(at(doc, idx))).collect()).collect()
}

fn jsonl(documents: &[String]) -> Vec<u8> {
    documents
        .iter()
        .map(|text| json!({ "text": text }).to_string() + "\n")
        .collect::<String>()
        .into()
}

fn config(folder: &Path, cache: &Path) -> PretrainDataConfig {
    serde_json::from_value(json!({
        "sources": {
            "lines": {"kind": "jsonl", "path": folder.join("lines.jsonl")},
            "notes": {
                "kind": "text", "path": folder.join("notes/**/*.md"), "documents": "files",
                "val_fraction": 0.2,
            },
            "table": {"kind": "parquet", "path": folder.join("table.parquet"), "field": "body"},
            "web": {
                "kind": "hub", "dataset": "owner/set", "val_split": "validation",
                "max_tokens": 1000,
            },
        },
        "mix": {"lines": 0.25, "notes": 0.25, "table": 0.25, "web": 0.25},
        "cache_dir": cache,
    }))
    .unwrap()
}

fn context() -> PhaseContext {
    PhaseContext::detached("pretrain", 3, DeviceContext { threads: 2, ..DeviceContext::default() })
}

fn open(config: &PretrainDataConfig) -> PretrainData {
    PretrainData::open(config, &Tokenizer::byte(), T, &context()).unwrap()
}

/// How many windows of a batch are from each source.
fn counts(batch: &Batch) -> [usize; 4] {
    ['a', 'h', 'p', 'w'].map(|from| {
        let is_own = |id: &u32| (from as u32..from as u32 + 4).contains(id);
        batch.ids.chunks(T).filter(|window| window.iter().any(is_own)).count()
    })
}

#[test]
fn inside_a_process_of_its_own() {
    let (Ok(folder), Ok(cache)) = (env::var(FOLDER), env::var(CACHE)) else { return };
    let config = config(Path::new(&folder), Path::new(&cache));
    let mut whole = open(&config);
    let numbers =
        |report: &corpus::SourceReport| (report.n_train, report.n_val, report.train_tokens);
    let reports: Vec<_> = whole.reports().into_iter().map(numbers).collect();
    // The first file of the hub has 20 documents of 61 tokens: the 17th goes over 1,000.
    assert_eq!(reports, [(45, 5, 45 * 61), (8, 2, 8 * 61), (27, 3, 27 * 61), (17, 10, 17 * 61)]);
    let first = whole.next_batch(400);
    let counts = counts(&first);
    assert_eq!(counts.iter().sum::<usize>(), 400);
    assert!(counts.iter().all(|count| count.abs_diff(100) < 40), "{counts:?}");

    let saved = StateDict::save(&mut whole).unwrap();
    let mut resumed = open(&config);
    saved.restore(&mut resumed).unwrap();
    let mut digest = blake3::Hasher::new();
    for n in [1, 7, 40] {
        let batch = whole.next_batch(n);
        assert_eq!(batch, resumed.next_batch(n));
        digest.update(format!("{batch:?}").as_bytes());
    }
    digest.update(format!("{:?}", whole.eval_batches(2, 20)).as_bytes());
    fs::write(Path::new(&cache).join("digest"), digest.finalize().to_hex().as_str()).unwrap();
}

/// Runs the test above in a process with this environment; the digest of the batches that it drew.
fn in_a_process(folder: &Path, cache: &str, environment: &[(&str, &str)]) -> String {
    let cache: PathBuf = folder.join(cache);
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "inside_a_process_of_its_own"])
        .envs([(FOLDER, folder), (CACHE, cache.as_path())])
        .env("HF_HOME", folder.join("hf"))
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    fs::read_to_string(cache.join("digest")).unwrap()
}

#[test]
fn four_kinds_of_sources_mix_and_continue_exactly_and_again_offline() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("lines.jsonl"), jsonl(&documents('a', 50))).unwrap();
    fs::create_dir_all(folder.join("notes/deep")).unwrap();
    for (idx, text) in documents('h', 10).iter().enumerate() {
        let place = if idx % 2 == 0 { "notes" } else { "notes/deep" };
        fs::write(folder.join(place).join(format!("{idx}.md")), text).unwrap();
    }
    let ids: Vec<String> = (0..30).map(|idx| idx.to_string()).collect();
    let columns = [("id", ids), ("body", documents('p', 30))];
    parquet_file::write(&folder.join("table.parquet"), &columns, 7);
    let web = documents('w', 40);
    let hub = HubServer::start(
        "owner/set",
        BTreeMap::from([
            ("README.md".to_owned(), b"# a set".to_vec()),
            ("data/train-00000.jsonl".to_owned(), jsonl(&web[..20])),
            ("data/train-00001.jsonl".to_owned(), jsonl(&web[20..])),
            ("data/validation-00000.jsonl".to_owned(), jsonl(&documents('w', 10))),
        ]),
        None,
    );
    let online =
        in_a_process(folder, "cache", &[("HF_ENDPOINT", &hub.endpoint), ("HF_HUB_OFFLINE", "0")]);
    let requests = hub.requests();
    // Files behind `max_tokens` are not fetched.
    assert!(requests.iter().any(|path| path.contains("train-00000")), "{requests:?}");
    assert!(!requests.iter().any(|path| path.contains("train-00001")), "{requests:?}");

    let offline = [("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_OFFLINE", "1")];
    assert_eq!(in_a_process(folder, "cold", &offline), online);
    assert_eq!(in_a_process(folder, "cache", &offline), online);
    assert_eq!(hub.requests().len(), requests.len());
}
