//! Whether the files of a split are those of one configuration.
//!
//! The hub's list has no configurations, only paths. They show in folders, or in the names of files
//! where a folder has a file for each.

use std::collections::BTreeSet;

use sdk::{Error, Result};

use super::select::{SPLITS, stem, words};
use super::store::Entry;

/// Folders that are no configuration.
const NEUTRAL_FOLDERS: [&str; 1] = ["data"];
/// Words in a file's name that only say which part of something it is.
const NEUTRAL_WORDS: [&str; 6] = ["of", "part", "shard", "chunk", "file", "data"];
/// So many configurations are listed.
const TOLD: usize = 20;

/// Refuses the files of several configurations, which would be mixed in silence.
///
/// # Errors
/// With the configurations that there are.
pub(super) fn check_one_config(found: &[Entry], dataset: &str) -> Result<()> {
    let names = configurations(found);
    if names.len() < 2 {
        return Ok(());
    }
    let named: Vec<String> = names.iter().flatten().map(|name| format!("`{name}`")).collect();
    let mut told = named[..named.len().min(TOLD)].join(", ");
    if named.len() > TOLD {
        told += &format!(" and {} more", named.len() - TOLD);
    }
    if names.contains(&None) {
        told += " and files beside them";
    }
    let message = format!("data set `{dataset}` has several configurations: {told}");
    Err(Error::new("data::hub_configs", message)
        .help("name one with `config`; `files` with a glob such as `**` reads several as one"))
}

/// The names of the configurations that paths show; `None` is that of files without one.
fn configurations(found: &[Entry]) -> BTreeSet<Option<String>> {
    let folders: Vec<Vec<&str>> = found.iter().map(|entry| folders(&entry.path)).collect();
    let n_shared = n_shared(&folders);
    let names: BTreeSet<Option<String>> = folders
        .iter()
        .map(|folders| folders.get(n_shared).map(|folder| (*folder).to_owned()))
        .collect();
    if names.len() > 1 { names } else { found.iter().map(|e| own_name(stem(&e.path))).collect() }
}

/// The folders of a path that could be a configuration's.
fn folders(path: &str) -> Vec<&str> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let is_neutral = |folder: &str| {
        let folder = folder.to_ascii_lowercase();
        NEUTRAL_FOLDERS.contains(&folder.as_str()) || is_split(&folder)
    };
    folders.split('/').filter(|folder| !folder.is_empty() && !is_neutral(folder)).collect()
}

/// How many folders all paths begin with.
fn n_shared(paths: &[Vec<&str>]) -> usize {
    let Some(first) = paths.first() else { return 0 };
    let is_shared = |depth: &usize| paths.iter().all(|path| path.get(*depth) == first.get(*depth));
    (0..first.len()).take_while(is_shared).count()
}

/// What a file's name says besides the split and the number of the part.
fn own_name(stem: &str) -> Option<String> {
    let own: Vec<&str> = words(stem).filter(|word| is_own(&word.to_ascii_lowercase())).collect();
    let at = |word: &str| word.as_ptr().addr() - stem.as_ptr().addr();
    let (first, last) = (own.first()?, own.last()?);
    Some(stem[at(first)..at(last) + last.len()].to_owned())
}

/// Numbers and hashes tell parts apart, versions such as `v2` do not.
fn is_own(word: &str) -> bool {
    let is_version = word.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
    let is_part = word.len() == 1 || word.contains(|c: char| c.is_ascii_digit());
    is_version || !(is_part || is_split(word) || NEUTRAL_WORDS.contains(&word))
}

fn is_split(word: &str) -> bool {
    SPLITS.iter().any(|(_, names)| names.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Vec<String> {
        let entry = |path: &&str| Entry { path: (*path).to_owned(), oid: "0".to_owned(), size: 1 };
        let found: Vec<Entry> = paths.iter().map(entry).collect();
        let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
        configurations(&found).into_iter().map(name).collect()
    }

    #[test]
    fn configurations_show_in_folders_and_in_names() {
        let fineweb =
            ["data/CC-MAIN-2024-10/train-0.parquet", "data/CC-MAIN-2024-18/train-0.parquet"];
        assert_eq!(names(&fineweb), ["CC-MAIN-2024-10", "CC-MAIN-2024-18"]);
        assert_eq!(names(&["all/en/main/train.jsonl", "all/de/main/train.jsonl"]), ["de", "en"]);
        assert_eq!(
            names(&["main/train/0.parquet", "socratic/train/0.parquet"]),
            ["main", "socratic"]
        );
        assert_eq!(names(&["train.jsonl", "extra/train.jsonl"]), ["-", "extra"]);
        assert_eq!(names(&["de-train.jsonl", "en_us-train.jsonl"]), ["de", "en_us"]);
        assert_eq!(names(&["train-v1.1.json", "train-v2.0.json"]), ["v1", "v2"]);
    }

    #[test]
    fn parts_of_one_configuration_are_one() {
        for paths in [
            [
                "data/train-00000-of-00002-b42a775f407cee45.parquet",
                "data/train-00001-of-00002-00ff.parquet",
            ],
            ["default/train/0000.parquet", "default/train/0001.parquet"],
            ["train/part-a.jsonl", "training/part-b.jsonl"],
            ["en/shard_1.jsonl", "en/shard_2.jsonl"],
            ["my_set.train.0.txt", "my_set.train.1.txt"],
        ] {
            assert_eq!(names(&paths).len(), 1, "{paths:?}");
        }
    }

    #[test]
    fn what_would_be_mixed_is_refused_and_listed() {
        let entry = |path: String| Entry { path, oid: "0".to_owned(), size: 1 };
        let found: Vec<Entry> = ('a'..='w').map(|c| entry(format!("{c}{c}/train.jsonl"))).collect();
        let error = check_one_config(&found[..2], "a/b").unwrap_err();
        assert_eq!(error.message, "data set `a/b` has several configurations: `aa`, `bb`");
        let error = check_one_config(&found, "a/b").unwrap_err();
        assert!(error.message.ends_with("`ss`, `tt` and 3 more"), "{}", error.message);
        let beside = [found, vec![entry("train.jsonl".to_owned())]].concat();
        let error = check_one_config(&beside[22..], "a/b").unwrap_err();
        assert!(error.message.ends_with("`ww` and files beside them"), "{}", error.message);
    }
}
