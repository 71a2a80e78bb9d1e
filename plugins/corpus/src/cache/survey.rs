//! Reads a source's documents once, where its split follows from all of them.

use sdk::{PhaseContext, Result};

use crate::progress::Progress;
use crate::source::{Part, TextInput};
use crate::split::{SplitRule, Survey, stable_hash};

/// The rule that takes a source's training files apart.
///
/// # Errors
/// When a file can't be read, or the run was asked to stop.
pub(crate) fn survey(name: &str, input: &TextInput, cx: &PhaseContext) -> Result<SplitRule> {
    let held_back = input.held_back;
    if held_back.is_given || held_back.val_fraction == 0.0 {
        return Ok(SplitRule::AllTrain);
    }
    if input.max_tokens.is_some() {
        return Ok(SplitRule::by_fraction(held_back.val_fraction));
    }
    let mut survey = Survey::new(held_back);
    let mut documents = input.train.documents(&input.rule);
    let mut progress = Progress::new(format!("scanning {name}"), input.train.size(), cx);
    while let Some(part) = documents.next_part()? {
        // Nor is the next file opened: it may not be there yet.
        let is_next = !matches!(&part, Part::Piece(piece) if !piece.is_first);
        if is_next && input.max_documents.is_some_and(|max| survey.n_documents() >= max) {
            break;
        }
        if let Part::Piece(piece) = part {
            if piece.is_first {
                survey.begin(stable_hash(piece.text.as_bytes()));
            }
            survey.grow(piece.text.len() as u64);
        }
        progress.at(documents.bytes_read())?;
    }
    progress.end()?;
    Ok(survey.rule())
}
