//! Data sets of the Hugging Face hub.
//!
//! What is fetched lies where the hub's own libraries keep it, in their layout, so that they and this
//! share one copy. A revision is first pinned to a commit; the list of a commit's files never
//! changes, so it is asked for once and kept. `HF_HUB_OFFLINE` reads what is there and asks nobody.

#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod configs;
#[cfg(feature = "hub")]
mod remote;
#[cfg(feature = "hub")]
mod select;
#[cfg(feature = "hub")]
mod store;
#[cfg(not(feature = "hub"))]
mod without;

use crate::config::{HubChats, HubTexts};

#[cfg(feature = "hub")]
pub(super) use remote::{Remote, files};
#[cfg(not(feature = "hub"))]
pub(super) use without::{Remote, files};

/// Which files of which data set.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "hub"),
    expect(dead_code, reason = "nothing reads it without the feature")
)]
pub(super) struct Query {
    dataset: String,
    config: Option<String>,
    split: String,
    val_split: Option<String>,
    revision: String,
    files: Option<String>,
}

impl From<&HubTexts> for Query {
    fn from(hub: &HubTexts) -> Self {
        Self {
            dataset: hub.dataset.clone(),
            config: hub.config.clone(),
            split: hub.split.clone(),
            val_split: hub.val_split.clone(),
            revision: hub.revision.clone(),
            files: hub.files.clone(),
        }
    }
}

impl From<&HubChats> for Query {
    fn from(hub: &HubChats) -> Self {
        Self {
            dataset: hub.dataset.clone(),
            config: hub.config.clone(),
            split: hub.split.clone(),
            val_split: hub.val_split.clone(),
            revision: hub.revision.clone(),
            files: hub.files.clone(),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "hub")]
impl Query {
    /// The training split of a data set that has nothing special.
    fn named(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            config: None,
            split: "train".to_owned(),
            val_split: None,
            revision: "main".to_owned(),
            files: None,
        }
    }
}

#[cfg(test)]
#[cfg(feature = "hub")]
mod tests;
