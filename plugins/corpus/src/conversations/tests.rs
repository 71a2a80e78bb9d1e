//! Every form's mapping, and what is said of records that fit none.

use serde_json::json;

use super::oasst::{Forest, forest};
use super::*;

fn told(record: &Value, form: ChatForm) -> Result<Vec<(&'static str, String)>, String> {
    match parse(record, form)? {
        Parsed::Conversation(messages) => {
            Ok(messages.into_iter().map(|m| (m.role.name(), m.content)).collect())
        }
        Parsed::Node(_) => panic!("a message of a tree"),
    }
}

fn of(turns: &[(&'static str, &str)]) -> Result<Vec<(&'static str, String)>, String> {
    Ok(turns.iter().map(|(role, content)| (*role, (*content).to_owned())).collect())
}

fn fault(record: &Value) -> String {
    parse(record, ChatForm::Auto).unwrap_err()
}

#[test]
fn messages_have_roles_and_contents() {
    let record = json!({"id": 1, "messages": [
        {"role": "System", "content": "S"},
        {"role": "USER", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]},
        {"role": "assistant", "content": "A", "weight": 1},
    ]});
    let expected = of(&[("system", "S"), ("user", "Q?"), ("assistant", "A")]);
    for form in [ChatForm::Auto, ChatForm::Messages] {
        assert_eq!(told(&record, form), expected);
    }
}

#[test]
fn sharegpt_has_speakers_and_values() {
    let record = json!({"conversations": [
        {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"},
    ]});
    for form in [ChatForm::Auto, ChatForm::ShareGpt] {
        assert_eq!(told(&record, form), of(&[("user", "Q"), ("assistant", "A")]));
    }
}

#[test]
fn alpaca_has_its_input_below_the_instruction() {
    let with = json!({"instruction": "Add.", "input": "1 + 1", "output": "2"});
    let without = json!({"instruction": "Add.", "input": " ", "output": "2", "text": "…"});
    for form in [ChatForm::Auto, ChatForm::Alpaca] {
        assert_eq!(told(&with, form), of(&[("user", "Add.\n\n1 + 1"), ("assistant", "2")]));
        assert_eq!(told(&without, form), of(&[("user", "Add."), ("assistant", "2")]));
    }
}

#[test]
fn dolly_has_its_context_unstripped_below_the_instruction() {
    let record = |context| json!({"instruction": "Why?", "context": context, "response": "So."});
    let with = of(&[("user", "Why?\n\ncontext:\n a fact\n"), ("assistant", "So.")]);
    for form in [ChatForm::Auto, ChatForm::Dolly] {
        assert_eq!(told(&record(json!(" a fact\n")), form), with);
        for blank in [json!(""), json!(" \n"), json!(null)] {
            assert_eq!(told(&record(blank), form), of(&[("user", "Why?"), ("assistant", "So.")]));
        }
    }
}

#[test]
fn faults_name_what_is_wrong() {
    let messages = |messages: Value| fault(&json!({"messages": messages}));
    assert_eq!(fault(&json!(7)), "not a JSON object");
    assert_eq!(fault(&json!({})), "no known form of a conversation, with no keys");
    assert_eq!(
        fault(&json!({"prompt": "Q", "completion": "A"})),
        "no known form of a conversation, with the keys `prompt`, `completion`"
    );
    assert_eq!(messages(json!("Q")), "`messages` is not a list");
    assert_eq!(messages(json!([])), "a conversation must be non-empty");
    assert_eq!(
        messages(json!([{"role": "user", "content": "Q"}])),
        "a conversation needs at least one assistant message"
    );
    assert_eq!(
        messages(json!([{"role": "bot", "content": "A"}])),
        "message 0 has invalid role `bot`"
    );
    assert_eq!(messages(json!([{"content": "A"}])), "message 0 has no `role`");
    assert_eq!(messages(json!([{"role": "user"}])), "message 0 has no text in `content`");
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]);
    assert_eq!(messages(image), "message 0 has a part of type `image_url`, not `text`");
    assert_eq!(fault(&json!({"instruction": "I", "output": ""})), "`output` is blank");
    assert_eq!(
        parse(&json!({"text": "x"}), ChatForm::Messages).unwrap_err(),
        "no `messages`, but the keys `text`"
    );
    assert_eq!(fault(&json!({"instruction": "I", "response": 3})), "`response` is not a string");
}

/// A message of a tree: id, parent or nothing, `p` or `a`, text.
fn row(id: &str, parent: &str, role: &str, text: &str) -> Value {
    let role = match role {
        "p" => "prompter",
        "a" => "assistant",
        other => other,
    };
    let parent = Some(parent).filter(|parent| !parent.is_empty());
    json!({"message_id": id, "parent_id": parent, "message_tree_id": "t", "role": role,
        "text": text, "lang": "en"})
}

fn grown(rows: &[Value]) -> Forest {
    let node = |row: &Value| match parse(row, ChatForm::Auto).unwrap() {
        Parsed::Node(node) => node,
        Parsed::Conversation(_) => panic!("a conversation"),
    };
    forest(&rows.iter().map(node).collect::<Vec<_>>())
}

/// Threads as one line each, speakers left out.
fn threads(rows: &[Value]) -> Vec<String> {
    let line = |messages: &[Message]| {
        messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("|")
    };
    grown(rows).threads.iter().map(|thread| line(&thread.messages)).collect()
}

#[test]
fn a_tree_without_branches_is_one_thread() {
    let grown = grown(&[row("1", "", "p", " Q "), row("2", "1", "a", "A\n")]);
    assert_eq!(grown.threads.len(), 1);
    let messages = &grown.threads[0].messages;
    assert_eq!(messages[..], [Message::new(Role::User, "Q"), Message::new(Role::Assistant, "A")]);
}

#[test]
fn roles_alternate_over_four_messages_with_texts_stripped() {
    let rows = [
        row("1", "", "p", " one"),
        row("2", "1", "a", "two "),
        row("3", "2", "p", "\nthree"),
        row("4", "3", "a", "four\t"),
    ];
    let grown = grown(&rows);
    let roles: Vec<Role> = grown.threads[0].messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    assert_eq!(threads(&rows), ["one|two|three|four"]);
}

#[test]
fn branches_are_threads_of_the_same_root_in_record_order() {
    let rows = [
        row("1", "", "p", "Q"),
        row("3", "1", "a", "second"),
        row("2", "1", "a", "third"),
        row("4", "3", "p", "more"),
    ];
    assert_eq!(threads(&rows), ["Q|second|more", "Q|third"]);
    assert!(grown(&rows).threads.iter().all(|thread| thread.root == 0));
}

#[test]
fn parents_may_come_after_their_children() {
    let rows = [row("2", "1", "a", "A"), row("9", "", "p", "other"), row("1", "", "p", "Q")];
    assert_eq!(threads(&rows), ["other", "Q|A"]);
    assert_eq!(grown(&rows).bad, []);
}

#[test]
fn blank_messages_are_skipped_and_two_turns_of_one_role_drop_the_thread() {
    let rows = [
        row("1", "", "p", "Q"),
        row("2", "1", "a", "  "),
        row("3", "2", "a", "A"),
        row("4", "2", "p", "again"),
        row("5", "1", "moderator", "no"),
    ];
    assert_eq!(threads(&rows), ["Q|A"]);
    assert_eq!(grown(&rows).n_dropped_threads, 2);
}

#[test]
fn other_languages_and_what_answers_them_are_left_out() {
    let mut rows = vec![
        row("1", "", "p", "Q"),
        row("2", "1", "a", "Antwort"),
        row("3", "2", "p", "and then?"),
        row("4", "1", "a", "A"),
    ];
    rows[1]["lang"] = json!("de");
    let grown = grown(&rows);
    assert_eq!(threads(&rows), ["Q|A"]);
    assert_eq!((grown.n_foreign, grown.n_dropped_threads, grown.bad), (1, 0, vec![]));
}

#[test]
fn a_path_ends_at_32_messages() {
    let rows: Vec<Value> = (0..40)
        .map(|idx: usize| {
            let parent = idx.checked_sub(1).map(|p| p.to_string()).unwrap_or_default();
            row(
                &idx.to_string(),
                &parent,
                if idx.is_multiple_of(2) { "p" } else { "a" },
                &format!("m{idx}"),
            )
        })
        .collect();
    let grown = grown(&rows);
    assert_eq!(grown.threads.len(), 1);
    assert_eq!(grown.threads[0].messages.len(), oasst::MAX_MESSAGES);
    assert_eq!(grown.bad, []);
}

#[test]
fn messages_that_hang_on_nothing_are_named() {
    let rows = [
        row("1", "", "p", "Q"),
        row("2", "1", "a", "A"),
        row("3", "0", "a", "lost"),
        row("4", "5", "p", "ring"),
        row("5", "4", "a", "ring"),
        row("2", "1", "a", "copy"),
    ];
    assert_eq!(threads(&rows), ["Q|A"]);
    let bad = grown(&rows).bad;
    let bad: Vec<(usize, &str)> = bad.iter().map(|(idx, why)| (*idx, why.as_str())).collect();
    assert_eq!(
        bad,
        [
            (2, "`parent_id` 0 is nowhere"),
            (3, "`parent_id` 5 leads to no root"),
            (4, "`parent_id` 4 leads to no root"),
            (5, "`message_id` 2 stands twice"),
        ]
    );
}
