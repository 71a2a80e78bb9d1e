//! The kinds of sources, as a section writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where texts come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TextSource {
    /// The built-in stories.
    World {
        /// How many stories to train on; a tenth as many are held back.
        #[serde(default = "default_documents")]
        #[schemars(range(min = 10, max = 10_000_000), extend("x-unit" = "documents"))]
        documents: u64,
    },
    /// Text files, in UTF-8.
    Text(TextFiles),
    /// Files with one JSON object per line, or one JSON list of objects; each is a document.
    Jsonl(TextRecords),
    /// Parquet files; each row is a document.
    Parquet(TextRecords),
    /// A data set of the Hugging Face hub.
    Hub(HubTexts),
}

/// Where conversations come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ChatSource {
    /// Questions about the built-in stories, with answers.
    World {
        /// How many dialogues to train on; a tenth as many are held back.
        #[serde(default = "default_documents")]
        #[schemars(range(min = 10, max = 10_000_000), extend("x-unit" = "documents"))]
        documents: u64,
    },
    /// Files with one JSON object per line, or one JSON list of objects.
    Jsonl(ChatRecords),
    /// Parquet files; each row is a record.
    Parquet(ChatRecords),
    /// A data set of the Hugging Face hub.
    Hub(HubChats),
}

/// One path or several: files, globs such as `notes/**/*.md`, or directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// One path.
    One(String),
    /// Several paths.
    Many(Vec<String>),
}

impl Paths {
    /// The paths as they were written.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

impl From<&str> for Paths {
    fn from(path: &str) -> Self {
        Self::One(path.to_owned())
    }
}

/// What a document is in a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextDocuments {
    /// Blank lines separate the documents.
    #[default]
    Paragraphs,
    /// Every line that is not blank is a document, with the blanks at its ends.
    Lines,
    /// Every file is a document.
    Files,
}

/// What a document is in a data set of the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HubDocuments {
    /// Every record is a document; in a text file, blank lines separate the documents.
    #[default]
    Record,
    /// Every line that is not blank is a document, also inside a record.
    Lines,
}

/// Which documents are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValSplitBy {
    /// By a hash of each document's content, so that copies stay together.
    #[default]
    Documents,
    /// The last ones in their order; of a single document the last part of its text.
    Tail,
}

/// Which form the conversations of a file have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatForm {
    /// Told from the keys of each record.
    #[default]
    Auto,
    /// `{"messages": [{"role", "content"}, …]}`.
    Messages,
    /// `{"conversations": [{"from", "value"}, …]}`.
    #[serde(rename = "sharegpt")]
    ShareGpt,
    /// `{"instruction", "input", "output"}`.
    Alpaca,
    /// `{"instruction", "context", "response"}`.
    Dolly,
    /// Messages of trees: `{"message_id", "parent_id", "role", "text", "lang"}`.
    Oasst,
}

/// Text files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextFiles {
    /// Files, globs or directories (all `.txt` and `.md` files below), as paths from the working
    /// directory.
    pub path: Paths,
    /// What a document is.
    #[serde(default)]
    pub documents: TextDocuments,
    /// The part of the documents that is held back.
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which of the documents are held back.
    #[serde(default)]
    pub val_split_by: ValSplitBy,
    /// Files of their own to hold back, instead of a part of the documents.
    #[serde(default)]
    pub val_path: Option<Paths>,
}

/// Files with a record per text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextRecords {
    /// Files, globs or directories, as paths from the working directory.
    pub path: Paths,
    /// The key of the text in each record; without it the first of `text`, `content` and
    /// `document` that is a string.
    #[serde(default)]
    pub field: Option<String>,
    /// The part of the documents that is held back.
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which of the documents are held back.
    #[serde(default)]
    pub val_split_by: ValSplitBy,
    /// Files of their own to hold back, instead of a part of the documents.
    #[serde(default)]
    pub val_path: Option<Paths>,
}

/// Files with a record per conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatRecords {
    /// Files, globs or directories, as paths from the working directory.
    pub path: Paths,
    /// Which form the records have.
    #[serde(default)]
    pub form: ChatForm,
    /// The part of the conversations that is held back.
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which of the conversations are held back.
    #[serde(default)]
    pub val_split_by: ValSplitBy,
    /// Files of their own to hold back, instead of a part of the conversations.
    #[serde(default)]
    pub val_path: Option<Paths>,
}

/// Texts of the Hugging Face hub. `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and
/// `HF_TOKEN` are honoured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HubTexts {
    /// The data set's name, such as `HuggingFaceFW/fineweb-edu`.
    pub dataset: String,
    /// Which configuration of the data set, where it has several.
    #[serde(default)]
    pub config: Option<String>,
    /// The split to train on.
    #[serde(default = "default_split")]
    pub split: String,
    /// The split to hold back, instead of a part of the documents.
    #[serde(default)]
    pub val_split: Option<String>,
    /// The branch, tag or commit to read.
    #[serde(default = "default_revision")]
    pub revision: String,
    /// A glob for the files to read, instead of those of the configuration and the split.
    #[serde(default)]
    pub files: Option<String>,
    /// The key of the text in each record; without it the first of `text`, `content` and
    /// `document` that is a string.
    #[serde(default)]
    pub field: Option<String>,
    /// What a document is.
    #[serde(default)]
    pub documents: HubDocuments,
    /// Read no more documents than this; files behind them are not fetched.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-unit" = "documents"))]
    pub max_documents: Option<u64>,
    /// Stop when the training split has this many tokens; files behind them are not fetched.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-unit" = "tokens"))]
    pub max_tokens: Option<u64>,
    /// The part of the documents that is held back.
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which of the documents are held back.
    #[serde(default)]
    pub val_split_by: ValSplitBy,
}

/// Conversations of the Hugging Face hub. `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`,
/// `HF_ENDPOINT` and `HF_TOKEN` are honoured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HubChats {
    /// The data set's name, such as `databricks/databricks-dolly-15k`.
    pub dataset: String,
    /// Which configuration of the data set, where it has several.
    #[serde(default)]
    pub config: Option<String>,
    /// The split to train on.
    #[serde(default = "default_split")]
    pub split: String,
    /// The split to hold back, instead of a part of the conversations.
    #[serde(default)]
    pub val_split: Option<String>,
    /// The branch, tag or commit to read.
    #[serde(default = "default_revision")]
    pub revision: String,
    /// A glob for the files to read, instead of those of the configuration and the split.
    #[serde(default)]
    pub files: Option<String>,
    /// Which form the records have.
    #[serde(default)]
    pub form: ChatForm,
    /// Read no more records than this; files behind them are not fetched.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-unit" = "documents"))]
    pub max_documents: Option<u64>,
    /// The part of the conversations that is held back.
    #[serde(default = "default_val_fraction")]
    #[schemars(range(min = 0.0, max = 0.9), extend("x-unit" = "part of 1"))]
    pub val_fraction: f64,
    /// Which of the conversations are held back.
    #[serde(default)]
    pub val_split_by: ValSplitBy,
}

impl TextSource {
    /// What is held back; `None` for the built-in stories, which have both splits.
    pub fn held_back(&self) -> Option<HeldBack> {
        match self {
            Self::World { .. } => None,
            Self::Text(files) => Some(HeldBack::new(
                files.val_fraction,
                files.val_split_by,
                files.val_path.is_some(),
            )),
            Self::Jsonl(files) | Self::Parquet(files) => Some(HeldBack::new(
                files.val_fraction,
                files.val_split_by,
                files.val_path.is_some(),
            )),
            Self::Hub(hub) => {
                Some(HeldBack::new(hub.val_fraction, hub.val_split_by, hub.val_split.is_some()))
            }
        }
    }
}

impl ChatSource {
    /// What is held back; `None` for the built-in dialogues, which have both splits.
    pub fn held_back(&self) -> Option<HeldBack> {
        match self {
            Self::World { .. } => None,
            Self::Jsonl(files) | Self::Parquet(files) => Some(HeldBack::new(
                files.val_fraction,
                files.val_split_by,
                files.val_path.is_some(),
            )),
            Self::Hub(hub) => {
                Some(HeldBack::new(hub.val_fraction, hub.val_split_by, hub.val_split.is_some()))
            }
        }
    }
}

/// How a source is taken apart, of whichever kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldBack {
    /// The part that is held back, where the source doesn't bring a validation split of its own.
    pub val_fraction: f64,
    /// Which part.
    pub val_split_by: ValSplitBy,
    /// Whether the source brings files or a split to hold back; then nothing is split off.
    pub is_given: bool,
}

impl HeldBack {
    fn new(val_fraction: f64, val_split_by: ValSplitBy, is_given: bool) -> Self {
        Self { val_fraction, val_split_by, is_given }
    }
}

pub(super) fn default_documents() -> u64 {
    20_000
}

pub(super) fn default_val_fraction() -> f64 {
    0.1
}

pub(super) fn default_split() -> String {
    "train".to_owned()
}

pub(super) fn default_revision() -> String {
    "main".to_owned()
}
