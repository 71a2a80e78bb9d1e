//! Comments whose key is not there any more, and what was left out: both go to the next key.

use std::collections::HashSet;

use super::gone::{Gone, keys_in};
use super::layout::Layout;
use super::value::json_value;
use crate::config::source::Span;

/// Gives comments whose key is not there any more to the next key, and what was left out with them.
pub(super) fn keep_orphans(
    layout: &mut Layout<'_>,
    present: &HashSet<usize>,
    targets: &HashSet<usize>,
    gone: &[Gone],
) {
    let is_kept = |start: usize| present.contains(&start);
    let is_gone = |start: usize| gone.iter().any(|gone| gone.start() == start);
    let lost = |layout: &Layout<'_>| -> Vec<usize> {
        layout.owners().map(|(start, _)| start).filter(|start| !is_kept(*start)).collect()
    };
    let dissolved: Vec<usize> = lost(layout).into_iter().filter(|start| !is_gone(*start)).collect();
    layout.reassign(&dissolved, &is_kept);
    let mut texts: Vec<(usize, Vec<String>)> = Vec::new();
    for start in lost(layout) {
        let mut lead = layout.take_lead(start);
        // What stands within something that was left out is left out with it.
        if gone.iter().any(|gone| below(gone).contains(&start)) {
            continue;
        }
        let of_key = match gone.iter().find(|gone| gone.start() == start) {
            Some(gone) => commented(layout, gone),
            None => {
                lead.retain(|line| !line.is_empty());
                layout.comments(start)
            }
        };
        texts.push((start, [lead, of_key].concat()));
    }
    let without_line = |gone: &&Gone| layout.owner(&gone.key).is_none();
    let more = gone.iter().filter(without_line).map(|gone| (gone.start(), commented(layout, gone)));
    texts.extend(more.collect::<Vec<_>>());
    texts.sort_by_key(|(start, _)| *start);
    for (start, lines) in texts.into_iter().rev() {
        layout.prepend(start, lines, &|start| targets.contains(&start));
    }
}

/// The places of the keys in something that was left out.
fn below(gone: &Gone) -> HashSet<usize> {
    let mut below = HashSet::new();
    keys_in(&gone.node, &mut below);
    below
}

/// What was written of an entry, line by line in comments, and why it is left out.
fn commented(layout: &Layout<'_>, gone: &Gone) -> Vec<String> {
    let why = format!("# left out by `host config migrate`: `{}`: {}", gone.path, gone.why);
    let owned = layout.owner(&gone.key).and_then(|owner| Some((owner, owner.whole?)));
    let Some((owner, whole)) = owned else {
        return vec![why, format!("# {}: {}", gone.path, json_value(&gone.node.to_value()))];
    };
    let below = below(gone);
    let parts = layout.owners().filter(|(start, _)| below.contains(start));
    let end =
        parts.filter_map(|(_, part)| part.whole).fold(whole.end, |end, part| end.max(part.end));
    let text = layout.slice(Span { start: whole.start, end });
    let lines = text.lines().map(|line| {
        let line = line.strip_prefix(owner.indent.as_str()).unwrap_or(line);
        format!("# {line}").trim_end().to_owned()
    });
    std::iter::once(why).chain(lines).collect()
}
