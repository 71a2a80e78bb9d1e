//! The plugins that are linked into the host with its feature `bundled`.
//!
//! A plugin that stands here is part of the single-file install; one that doesn't is still found
//! as a library.

// Without a use, the linker drops a crate and its registrations with it.
use alignment as _;
use mae as _;
use pretrain as _;
use sft as _;
