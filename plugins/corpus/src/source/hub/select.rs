//! Which files of a repository hold a configuration's split.
//!
//! The rules are those of the hub's own loader as far as names go: files lie in a folder of the
//! configuration's name, and a split shows in the name of a file or folder. Where no name shows a
//! split, every file is for training.

use sdk::{Error, Result};

use super::Query;
use super::configs::check_one_config;
use super::store::Entry;
use crate::source::Format;

/// Names that a split goes by.
pub(super) const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];
/// Files beside the data that have a data file's extension.
const NO_DATA: [&str; 6] = [
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "requirements.txt",
    "license.txt",
];

/// The format of a data file; `None` for other files.
pub(super) fn format(path: &str) -> Option<Format> {
    let name = path.rsplit('/').next()?.to_ascii_lowercase();
    if path.split('/').any(|part| part.starts_with('.')) || NO_DATA.contains(&name.as_str()) {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "parquet" => Some(Format::Parquet),
        "jsonl" | "json" | "ndjson" => Some(Format::Json),
        "txt" => Some(Format::Text),
        _ => None,
    }
}

/// The files of a split, in the order of their paths.
///
/// # Errors
/// When there is none, with what there is instead.
pub(super) fn select(entries: &[Entry], query: &Query, split: &str) -> Result<Vec<Entry>> {
    let all: Vec<&Entry> = entries.iter().filter(|entry| format(&entry.path).is_some()).collect();
    if let Some(pattern) = &query.files {
        return matching(&all, query, pattern);
    }
    let of_config = of_config(&all, query)?;
    let found = of_split(&of_config, split);
    if found.is_empty() {
        let message = format!("data set `{}` has no split `{split}`", query.dataset);
        return Err(Error::new("data::hub_split", message).help(splits_told(&of_config)));
    }
    let found = of_one_format(&found);
    if query.config.is_none() {
        check_one_config(&found, &query.dataset)?;
    }
    Ok(found)
}

fn matching(all: &[&Entry], query: &Query, pattern: &str) -> Result<Vec<Entry>> {
    let glob = glob::Pattern::new(pattern).map_err(|error| {
        Error::new("data::glob", format!("malformed glob `{pattern}`: {}", error.msg))
    })?;
    let found: Vec<Entry> = all
        .iter()
        .filter(|entry| glob.matches(&entry.path))
        .map(|entry| (*entry).clone())
        .collect();
    if found.is_empty() {
        let message = format!("no data file of `{}` matches `{pattern}`", query.dataset);
        return Err(Error::new("data::hub_files", message).help(examples(all)));
    }
    Ok(sorted(found))
}

fn of_config<'a>(all: &[&'a Entry], query: &Query) -> Result<Vec<&'a Entry>> {
    let Some(config) = &query.config else { return Ok(all.to_vec()) };
    let in_folder = |entry: &&&Entry| {
        let folders = entry.path.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders.split('/').any(|folder| folder == config)
    };
    let found: Vec<&Entry> = all.iter().filter(in_folder).copied().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    // Small data sets have a file for each configuration.
    let is_named = |entry: &&&Entry| has_words(stem(&entry.path), config);
    let found: Vec<&Entry> = all.iter().filter(is_named).copied().collect();
    // The only configuration of many data sets has a name that stands in no path.
    if found.is_empty() && config != "default" {
        let message = format!("data set `{}` has no configuration `{config}`", query.dataset);
        return Err(Error::new("data::hub_config", message).help(examples(all)));
    }
    Ok(if found.is_empty() { all.to_vec() } else { found })
}

fn of_split<'a>(entries: &[&'a Entry], split: &str) -> Vec<&'a Entry> {
    let is_told = entries.iter().any(|entry| split_of(&entry.path).is_some());
    let is_train = keywords(split).contains(&"train");
    let is_wanted = |entry: &&&Entry| match split_of(&entry.path) {
        Some(found) => keywords(split).contains(&found),
        None => (!is_told && is_train) || words(&entry.path).any(|word| word == split),
    };
    entries.iter().filter(is_wanted).copied().collect()
}

/// The first name of the split that a path shows: the file's name counts before its folders'.
fn split_of(path: &str) -> Option<&'static str> {
    let of_part = |part: &str| {
        let known = |word: &str| SPLITS.iter().find(|(_, names)| names.contains(&word));
        words(part).find_map(|word| known(&word.to_ascii_lowercase()).map(|(split, _)| *split))
    };
    path.rsplit('/').find_map(of_part)
}

pub(super) fn words(path: &str) -> impl Iterator<Item = &str> {
    path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

fn keywords(split: &str) -> Vec<&str> {
    let of_it = SPLITS.iter().find(|(_, names)| names.contains(&split));
    of_it.map_or_else(|| vec![split], |(name, _)| vec![*name])
}

/// Where a split comes in several formats, the one with the most files.
fn of_one_format(found: &[&Entry]) -> Vec<Entry> {
    let count = |wanted| found.iter().filter(|e| format(&e.path) == Some(wanted)).count();
    let most = [Format::Text, Format::Json, Format::Parquet].into_iter().max_by_key(|f| count(*f));
    let chosen = found.iter().filter(|entry| format(&entry.path) == most);
    sorted(chosen.map(|entry| (*entry).clone()).collect())
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Whether a name has some words in it, and not just as parts of other words.
fn has_words(name: &str, words: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    name.match_indices(words).any(|(at, _)| {
        let (before, after) = (&name[..at], &name[at + words.len()..]);
        is_edge(before.chars().next_back()) && is_edge(after.chars().next())
    })
}

fn splits_told(entries: &[&Entry]) -> String {
    let mut splits: Vec<&str> = entries.iter().filter_map(|entry| split_of(&entry.path)).collect();
    splits.sort_unstable();
    splits.dedup();
    if splits.is_empty() {
        return "its files name no split: read them as `train`".to_owned();
    }
    let splits: Vec<String> = splits.iter().map(|split| format!("`{split}`")).collect();
    format!("its splits: {}", splits.join(", "))
}

fn examples(entries: &[&Entry]) -> String {
    let paths: Vec<String> = entries.iter().take(5).map(|e| format!("`{}`", e.path)).collect();
    if paths.is_empty() {
        return "it has no parquet, JSON or text file".to_owned();
    }
    format!("it has {} data files, such as {}", entries.len(), paths.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], config: Option<&str>, split: &str) -> Result<Vec<String>> {
        let entry = |path: &&str| Entry { path: (*path).to_owned(), oid: "0".to_owned(), size: 1 };
        let entries: Vec<Entry> = paths.iter().map(entry).collect();
        let query = Query { config: config.map(str::to_owned), ..Query::named("a/b") };
        let found = select(&entries, &query, split)?;
        Ok(found.into_iter().map(|entry| entry.path).collect())
    }

    #[test]
    fn the_layouts_of_the_presets_are_understood() {
        let wikitext = [
            "README.md",
            "wikitext-103-raw-v1/test-00000-of-00001.parquet",
            "wikitext-103-raw-v1/train-00000-of-00002.parquet",
            "wikitext-103-raw-v1/train-00001-of-00002.parquet",
            "wikitext-103-raw-v1/validation-00000-of-00001.parquet",
            "wikitext-103-v1/train-00000-of-00002.parquet",
        ];
        let of = |split| chosen(&wikitext, Some("wikitext-103-raw-v1"), split).unwrap();
        assert_eq!(of("train"), wikitext[2..4]);
        assert_eq!(of("validation"), wikitext[4..5]);
        let error = chosen(&wikitext, None, "train").unwrap_err();
        let told = "data set `a/b` has several configurations: `wikitext-103-raw-v1`, \
                    `wikitext-103-v1`";
        assert_eq!((error.code.as_str(), error.message.as_str()), ("data::hub_configs", told));

        let fineweb = [
            "data/CC-MAIN-2024-10/train-00000-of-00020.parquet",
            "data/CC-MAIN-2024-18/train-0.parquet",
        ];
        assert_eq!(chosen(&fineweb, Some("CC-MAIN-2024-10"), "train").unwrap(), fineweb[..1]);

        let dolly = ["README.md", "databricks-dolly-15k.jsonl"];
        assert_eq!(chosen(&dolly, None, "train").unwrap(), dolly[1..]);

        let oasst = [
            "2023-04-12_oasst_all.messages.jsonl.gz",
            "data/train-00000-of-00001-b42a.parquet",
            "data/validation-00000-of-00001-134b.parquet",
        ];
        assert_eq!(chosen(&oasst, None, "train").unwrap(), oasst[1..2]);
        assert_eq!(chosen(&oasst, None, "valid").unwrap(), oasst[2..]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let paths = ["en/train.jsonl", "en/dev.jsonl"];
        let error = chosen(&paths, Some("en"), "test").unwrap_err();
        assert_eq!(error.message, "data set `a/b` has no split `test`");
        assert_eq!(error.help.unwrap(), "its splits: `train`, `validation`");
        let error = chosen(&paths, Some("de"), "train").unwrap_err();
        assert_eq!(error.message, "data set `a/b` has no configuration `de`");
        assert_eq!(
            error.help.unwrap(),
            "it has 2 data files, such as `en/train.jsonl`, `en/dev.jsonl`"
        );
        assert_eq!(
            chosen(&["de-train.jsonl", "en-train.jsonl"], Some("de"), "train").unwrap().len(),
            1
        );
        let error = chosen(&["notes.txt"], None, "validation").unwrap_err();
        assert_eq!(error.help.unwrap(), "its files name no split: read them as `train`");
    }

    #[test]
    fn a_split_in_several_formats_is_read_once() {
        let paths = ["train-0.parquet", "train-1.parquet", "train.jsonl", "dataset_infos.json"];
        assert_eq!(chosen(&paths, None, "train").unwrap(), paths[..2]);
    }
}
