//! Small data of every kind that a section may name, for the tests that try every setting. The test
//! of conversations shares it.

#[path = "../../../corpus/tests/support/parquet_file.rs"]
mod parquet_file;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sdk::Trainer;
use sdk::testing::{Findings, Settings};
use serde_json::{Value, json};
use tokenizer::{SpecialTexts, Tokenizer, TokenizerConfig, TrainConfig, TrainModel};

/// The folder of the inner process. Its test does nothing without.
const FOLDER: &str = "SETTINGS_TEST_FOLDER";
const NAMES: [&str; 6] = ["Mira", "Otto", "Lena", "Jonas", "Ada", "Noor"];
const THINGS: [&str; 7] = ["kite", "lantern", "basket", "drum", "umbrella", "telescope", "boat"];
/// So many records has every file.
const N: usize = 20;

/// A folder with data.
pub(crate) struct Data(PathBuf);

impl Data {
    /// The folder of this process, where it is the inner one.
    pub(crate) fn of_process() -> Option<Self> {
        env::var_os(FOLDER).map(|folder| Self(folder.into()))
    }

    /// Runs one test in a process of its own, with data and offline with a hub on disk: which hub
    /// there is belongs to a whole process.
    pub(crate) fn in_a_process(test: &str) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HUB_CACHE", folder.path().join("hub"))
            .env("HOST_CACHE_DIR", folder.path().join("cache"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{stderr}");
    }

    /// A file or folder of this name, there or not.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A source of files.
    pub(crate) fn files(&self, kind: &str, name: &str) -> Value {
        json!({"kind": kind, "path": self.path(name), "val_fraction": 0.3})
    }
}

/// Other values for the keys of texts below `data`.
pub(crate) fn other_texts<T: Trainer>(settings: Settings<T>, data: &Data, at: &str) -> Settings<T> {
    let kinds = [("text", "two.txt"), ("jsonl", "two.jsonl"), ("parquet", "two.parquet")];
    let settings = kinds.iter().fold(settings, |settings, (kind, file)| {
        let key = |name: &str| format!("{at}.sources.*[{kind}].{name}");
        let settings = settings.alternatives(&key("path"), [data.path(file)]);
        let settings = settings.alternatives(&key("val_path"), [data.path(file)]);
        if *kind == "text" { settings } else { settings.alternatives(&key("field"), ["body"]) }
    });
    let settings = other_hubs(settings, at);
    let key = |name: &str| format!("{at}.sources.*[hub].{name}");
    settings.alternatives(&key("field"), ["body"]).alternatives(&key("max_tokens"), [600])
}

/// Other values for the keys of the hub that texts and conversations share.
pub(crate) fn other_hubs<T: Trainer>(settings: Settings<T>, at: &str) -> Settings<T> {
    let others = [
        ("dataset", "owner/other"),
        ("config", "large"),
        ("split", "test"),
        ("val_split", "validation"),
        ("revision", "v2"),
        ("files", "data/t*.jsonl"),
    ];
    others.iter().fold(settings, |settings, (name, value)| {
        settings.alternatives(&format!("{at}.sources.*[hub].{name}"), [*value])
    })
}

/// Sections with tokenizers that come as files, and other values for their keys.
pub(crate) fn other_tokenizers<T: Trainer>(
    settings: Settings<T>,
    data: &Data,
    with: impl Fn(&Value) -> Value,
) -> Settings<T> {
    let of = |texts: SpecialTexts| serde_json::to_value(texts).unwrap();
    let [pieces, tokens] = ["unigram.model", "tokenizer.json"].map(|name| data.path(name));
    let kinds = [
        ("sentencepiece", &pieces, "bpe.model", "<s>", [3, 4, 5, 6]),
        ("huggingface", &tokens, "turned.json", "z", [0, 1, 2, 3]),
    ];
    kinds.into_iter().fold(settings, |settings, (kind, path, other, token, ids)| {
        let config = json!({"kind": kind, "path": path});
        let tokenizer: TokenizerConfig = serde_json::from_value(config).unwrap();
        let special = of(Tokenizer::open(&tokenizer).unwrap().special_texts().clone());
        let [sys, usr, asst, eot] = ids;
        let expected = json!({"sys": sys, "usr": usr, "asst": asst, "eot": eot});
        let settings = settings
            .also(with(&json!({"kind": kind, "path": path, "special": special})))
            .also(with(&json!({"kind": kind, "path": path, "expected": expected})))
            .alternatives(&format!("tokenizer[{kind}].path"), [data.path(other)]);
        ["sys", "usr", "asst", "eot"].into_iter().fold(settings, |settings, name| {
            settings
                .alternatives(&format!("tokenizer[{kind}].special.{name}"), [token])
                .only_refuses(&format!("tokenizer[{kind}].expected.{name}"))
        })
    })
}

/// Another folder for token caches, of which only the folder itself can show that it is used.
pub(crate) fn other_token_cache<T: Trainer>(
    settings: Settings<T>,
    data: &Data,
    key: &str,
) -> Settings<T> {
    let folder = data.path("elsewhere");
    let settings = settings.alternatives(key, [folder.clone()]);
    // It is removed, so that it shows in the trial alone that made it.
    settings.watch("token cache", move |_| fs::remove_dir_all(&folder).is_ok().into())
}

/// That how text is drawn shows in the text, and not only in an export that copies it.
pub(crate) fn assert_drawn(found: &Findings) {
    let of_generation = found.used.iter().filter(|(key, _)| key.starts_with("generation."));
    for (key, shown_by) in of_generation {
        assert!(shown_by.starts_with("text "), "{key}: {shown_by}");
    }
}

/// Ten letters to draw from, so that each of them comes up and nothing ends early.
pub(crate) fn generation() -> Value {
    json!({"max_new_tokens": 40, "top_k": 5, "banned_token_ids": all_but(65..75)})
}

/// Other values for the keys of such a generation.
pub(crate) fn other_generations<T: Trainer>(settings: Settings<T>) -> Settings<T> {
    settings
        .alternatives("generation.temperature", [0.0])
        .alternatives("generation.stop_token_id", 65..75)
        .alternatives("generation.banned_token_ids", [all_but(75..85)])
}

/// The ids of bytes but some, and but those that open a message.
fn all_but(drawn: Range<u32>) -> Value {
    let roles = Tokenizer::byte().special().roles();
    (0..256).filter(|id| !roles.contains(id) && !drawn.contains(id)).collect()
}

fn sentence(i: usize, salt: usize) -> String {
    let pick = |list: &[&str], i: usize| list[i % list.len()].to_owned();
    let (name, thing) = (pick(&NAMES, i + salt), pick(&THINGS, i * i + salt));
    format!("{name} hid the {thing} number {} under the old bridge", i * 37 % 50)
}

fn write(folder: &Path) {
    for (name, salt) in [("one", 0), ("two", 3)] {
        let texts: Vec<String> = (0..N).map(|i| sentence(i, salt)).collect();
        let bodies: Vec<String> = (0..N).map(|i| sentence(i, salt + 1)).collect();
        let paragraphs: Vec<String> =
            texts.iter().zip(&bodies).map(|(text, body)| format!("{text}\n{body}")).collect();
        fs::write(folder.join(format!("{name}.txt")), paragraphs.join("\n\n")).unwrap();
        let record = |i: usize| json!({"text": texts[i], "body": bodies[i]});
        write_lines(&folder.join(format!("{name}.jsonl")), record);
        let columns = [("text", texts.clone()), ("body", bodies.clone())];
        parquet_file::write(&folder.join(format!("{name}.parquet")), &columns, 7);

        // Records that can be read in two forms.
        let chat = |i: usize| {
            json!({
                "instruction": format!("what is {i}?"), "output": texts[i].as_str()[..9],
                "response": bodies[i].as_str()[..12],
            })
        };
        write_lines(&folder.join(format!("{name}-chat.jsonl")), chat);
        let cut = |texts: &[String], n: usize| texts.iter().map(|t| t[..n].to_owned()).collect();
        let asked = (0..N).map(|i| format!("what is {i}?")).collect();
        let columns =
            [("instruction", asked), ("output", cut(&texts, 9)), ("response", cut(&bodies, 12))];
        parquet_file::write(&folder.join(format!("{name}-chat.parquet")), &columns, 7);
    }
    write_hub(&folder.join("hub"));
    write_list(folder);
    write_tokenizers(folder);
}

fn write_lines(path: &Path, record: impl Fn(usize) -> Value) {
    let lines: String = (0..N).map(|i| format!("{}\n", record(i))).collect();
    fs::write(path, lines).unwrap();
}

/// Data sets as the hub's own libraries leave them: two of one configuration and several splits, of
/// which one has two revisions, and one of two configurations.
fn write_hub(hub: &Path) {
    let splits = ["data/train.jsonl", "data/validation.jsonl", "data/test.jsonl"];
    write_set(hub, "set", &[("main", 0), ("v2", 10)], &splits);
    write_set(hub, "other", &[("main", 20)], &splits);
    write_set(hub, "several", &[("main", 30)], &["large/train.jsonl", "small/train.jsonl"]);
}

fn write_set(hub: &Path, name: &str, revisions: &[(&str, usize)], files: &[&str]) {
    let repo = hub.join(format!("datasets--owner--{name}"));
    fs::create_dir_all(repo.join("refs")).unwrap();
    for (revision, salt) in revisions {
        let commit = format!("{:040x}", salt + 1);
        fs::write(repo.join("refs").join(revision), &commit).unwrap();
        for (nth, file) in files.iter().enumerate() {
            let path = repo.join("snapshots").join(&commit).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Texts and conversations at once; each line of a text can be a document.
            write_lines(&path, |i| {
                let (text, body) = (sentence(i, salt + nth), sentence(i, salt + nth + 1));
                json!({
                    "text": format!("{text}\n{body}"), "body": body,
                    "instruction": format!("what is {i}?"), "output": &text[..9],
                    "response": &body[..12],
                })
            });
        }
    }
}

/// A cache that has the hub's list of files, without which the hub's own folder is looked through.
fn write_list(folder: &Path) {
    let commit = format!("{:040x}", 1);
    let path = "data/train.jsonl";
    let set = "datasets--owner--set";
    let size =
        fs::metadata(folder.join("hub").join(set).join("snapshots").join(&commit).join(path));
    let list = json!([{"path": path, "oid": "1", "size": size.unwrap().len()}]);
    let lists = folder.join("listed/hub").join(set);
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join(format!("{commit}.json")), list.to_string()).unwrap();
}

/// A `tokenizer.json` with the plain special tokens, and one with two of them the other way round.
fn write_tokenizers(folder: &Path) {
    let config = TrainConfig { model: TrainModel::Bpe, vocab_size: 280, min_frequency: 1 };
    let mut texts = (0..N).map(|i| sentence(i, 0));
    let tokenizer = Tokenizer::train(&config, &mut texts, &mut |_| Ok(())).unwrap();
    let SpecialTexts { sys, usr, .. } = tokenizer.special_texts().clone();
    let json = tokenizer.huggingface_json().unwrap().to_string();
    let turned = json.replace(&sys, "<|>").replace(&usr, &sys).replace("<|>", &usr);
    fs::write(folder.join("tokenizer.json"), json).unwrap();
    fs::write(folder.join("turned.json"), turned).unwrap();
    for name in ["unigram", "bpe"] {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tokenizer/tests/fixtures");
        let name = format!("{name}.model");
        fs::copy(fixtures.join(&name), folder.join(name)).unwrap();
    }
}
