//! Well-known data sets that a mix may name without an entry in `sources`.
//!
//! One table each for texts and conversations: a name, and what one would have written for it.
//! Files of a person's own (`roam`, `primer`) lie where they always do; where they are missing,
//! the check says so.

use crate::config::{
    ChatForm, ChatRecords, ChatSource, HubChats, HubDocuments, HubTexts, TextDocuments, TextFiles,
    TextSource, ValSplitBy,
};

/// The presets for texts.
pub(crate) const TEXT_NAMES: [&str; 4] = ["fineweb_edu", "gutenberg", "roam", "wikitext"];
/// The presets for conversations.
pub(crate) const CHAT_NAMES: [&str; 3] = ["dolly15k", "oasst1", "primer"];

const VAL_FRACTION: f64 = 0.1;
/// Of `fineweb_edu` this much is trained on,
const FINEWEB_TOKENS: u64 = 200_000_000;
/// and 5 million tokens for every 200 million are held back.
const FINEWEB_VAL_FRACTION: f64 = 5.0 / 205.0;

/// The texts that a preset names.
pub(crate) fn text(name: &str) -> Option<TextSource> {
    Some(match name {
        "fineweb_edu" => TextSource::Hub(HubTexts {
            config: Some("CC-MAIN-2024-10".to_owned()),
            max_tokens: Some(FINEWEB_TOKENS),
            val_fraction: FINEWEB_VAL_FRACTION,
            ..hub_texts("HuggingFaceFW/fineweb-edu")
        }),
        "gutenberg" => TextSource::Hub(hub_texts("nikolina-p/gutenberg_clean_en_splits")),
        // A row is a line of an article, with its line feed; rows without text don't count.
        "wikitext" => TextSource::Hub(HubTexts {
            config: Some("wikitext-103-raw-v1".to_owned()),
            val_split: Some("validation".to_owned()),
            field: Some("text".to_owned()),
            ..hub_texts("Salesforce/wikitext")
        }),
        "roam" => TextSource::Text(TextFiles {
            path: ".roam-data/**/*.md".into(),
            documents: TextDocuments::Files,
            val_fraction: VAL_FRACTION,
            val_split_by: ValSplitBy::Documents,
            val_path: None,
        }),
        _ => return None,
    })
}

/// The conversations that a preset names.
pub(crate) fn chat(name: &str) -> Option<ChatSource> {
    Some(match name {
        "dolly15k" => {
            ChatSource::Hub(hub_chats("databricks/databricks-dolly-15k", ChatForm::Dolly))
        }
        "oasst1" => ChatSource::Hub(hub_chats("OpenAssistant/oasst1", ChatForm::Oasst)),
        "primer" => ChatSource::Jsonl(ChatRecords {
            path: "data/primer.jsonl".into(),
            form: ChatForm::Messages,
            val_fraction: VAL_FRACTION,
            val_split_by: ValSplitBy::Documents,
            val_path: None,
        }),
        _ => return None,
    })
}

fn hub_texts(dataset: &str) -> HubTexts {
    HubTexts {
        dataset: dataset.to_owned(),
        config: None,
        split: "train".to_owned(),
        val_split: None,
        revision: "main".to_owned(),
        files: None,
        field: None,
        documents: HubDocuments::Record,
        max_documents: None,
        max_tokens: None,
        val_fraction: VAL_FRACTION,
        val_split_by: ValSplitBy::Documents,
    }
}

fn hub_chats(dataset: &str, form: ChatForm) -> HubChats {
    HubChats {
        dataset: dataset.to_owned(),
        config: None,
        split: "train".to_owned(),
        val_split: None,
        revision: "main".to_owned(),
        files: None,
        form,
        max_documents: None,
        val_fraction: VAL_FRACTION,
        val_split_by: ValSplitBy::Documents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_source_and_no_other_name_has_one() {
        assert!(TEXT_NAMES.iter().all(|name| text(name).is_some() && chat(name).is_none()));
        assert!(CHAT_NAMES.iter().all(|name| chat(name).is_some() && text(name).is_none()));
        assert!(
            ["wiki", "dolly", "world"]
                .iter()
                .all(|name| text(name).is_none() && chat(name).is_none())
        );
    }

    #[test]
    fn validation_of_wikitext_is_its_own_split() {
        let Some(TextSource::Hub(hub)) = text("wikitext") else { panic!() };
        assert_eq!((hub.split.as_str(), hub.val_split.as_deref()), ("train", Some("validation")));
    }
}
