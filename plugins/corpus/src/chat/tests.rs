//! What a conversation is in tokens, what of it is learnt, and that no content can forge a token.

use sdk::Generator;
use tokenizer::Tokenizer;

use super::*;

const SYS: u32 = 248;
const USR: u32 = 249;
const ASST: u32 = 250;
const EOT: u32 = 251;
const S: u32 = b'S' as u32;
const Q: u32 = b'Q' as u32;
const A: u32 = b'A' as u32;
const NOT: u32 = IGNORE;

/// As `ChatML`, with words of its own and the end-of-turn token.
const WORDY: &str = "{% for message in messages %}[{{ message.role }}]
{{ message.content | trim }}{{ eot_token }}
{% endfor %}{% if add_generation_prompt %}[assistant]
{% endif %}";

fn system(content: &str) -> Message {
    Message::new(Role::System, content)
}

fn user(content: &str) -> Message {
    Message::new(Role::User, content)
}

fn assistant(content: &str) -> Message {
    Message::new(Role::Assistant, content)
}

fn template(template: Option<&str>) -> ChatTemplate {
    ChatTemplate::new(template, &Tokenizer::byte()).unwrap()
}

fn fault(source: &str) -> sdk::Error {
    let fault = ChatTemplate::new(Some(source), &Tokenizer::byte()).unwrap_err();
    assert_eq!(fault.path.as_deref(), Some("data.chat_template"));
    fault
}

#[test]
fn a_message_is_its_role_its_content_and_an_end() {
    let messages = [system("S"), user("Q"), assistant("A")];
    let rendered = template(None).render(&messages).unwrap();
    assert_eq!(rendered.ids, [SYS, S, EOT, USR, Q, EOT, ASST, A, EOT]);
    assert_eq!(rendered.ids.iter().filter(|id| **id == EOT).count(), 3);
    let text = template(None).text(&messages, false).unwrap();
    assert_eq!(text, "<|sys|>S<|eot|><|usr|>Q<|eot|><|asst|>A<|eot|>");
}

#[test]
fn the_answer_and_its_end_are_learnt_and_nothing_else() {
    let rendered = template(None).render(&[user("Q"), assistant("A")]).unwrap();
    assert_eq!(rendered.ids, [USR, Q, EOT, ASST, A, EOT]);
    assert_eq!(rendered.labels(Learnt::default()), [NOT, NOT, NOT, NOT, A, EOT]);
}

#[test]
fn an_answer_without_a_question_is_learnt() {
    let rendered = template(None).render(&[assistant("A")]).unwrap();
    assert_eq!(rendered.ids.last(), Some(&EOT));
    assert_eq!(rendered.labels(Learnt::default()), [NOT, A, EOT]);
}

#[test]
fn every_answer_is_learnt_also_an_empty_one() {
    let messages = [system("S"), assistant("A"), user("Q"), assistant("")];
    let labels = template(None).render(&messages).unwrap().labels(Learnt::default());
    let learnt: Vec<u32> = labels.into_iter().filter(|label| *label != IGNORE).collect();
    assert_eq!(learnt, [A, EOT, EOT]);
}

/// The reference leaves the end of an answer out by default; then a model never learns to stop.
#[test]
fn what_is_learnt_can_be_chosen() {
    let rendered = template(None).render(&[user("Q"), assistant("A")]).unwrap();
    let labels =
        |assistant_only, include_eot| rendered.labels(Learnt { assistant_only, include_eot });
    assert_eq!(labels(true, false), [NOT, NOT, NOT, NOT, A, NOT]);
    assert_eq!(labels(false, true), [NOT, Q, EOT, ASST, A, EOT]);
    assert_eq!(labels(false, false), [NOT, Q, NOT, ASST, A, NOT]);
}

#[test]
fn conversations_without_an_answer_are_refused() {
    let template = template(None);
    let error = template.render(&[]).unwrap_err();
    assert_eq!((error.code.as_str(), error.message.contains("non-empty")), ("chat::empty", true));
    let error = template.render(&[user("Q")]).unwrap_err();
    assert_eq!(error.message, "a conversation needs at least one assistant message");
}

#[test]
fn a_prompt_ends_with_the_assistants_token() {
    let ids = template(None).prompt(&[user("Q")]).unwrap();
    assert_eq!(ids, [USR, Q, EOT, ASST]);
    let ids = template(None).prompt(&[system("S"), user("Q"), assistant("A"), user("Q")]).unwrap();
    assert_eq!(ids, [SYS, S, EOT, USR, Q, EOT, ASST, A, EOT, USR, Q, EOT, ASST]);
}

/// The reference's text transcript (`user: …` lines) and the replies cut out of it by their tags
/// are gone: here the one template is the only way, and an empty answer at the end gives the prompt
/// and its end.
#[test]
fn a_prompt_is_the_beginning_of_the_answered_conversation() {
    for source in [None, Some(WORDY)] {
        let template = template(source);
        for messages in [vec![user("Q")], vec![system("S"), user("Q"), assistant("A"), user("Q")]] {
            let prompt = template.prompt(&messages).unwrap();
            let answered = [messages, vec![assistant("")]].concat();
            let whole = template.render(&answered).unwrap().ids;
            let rest = whole.strip_prefix(prompt.as_slice()).unwrap();
            assert_eq!(rest[0], EOT);
        }
    }
}

#[test]
fn a_reply_is_what_the_last_assistant_said() {
    let special = Tokenizer::byte().special();
    assert_eq!(reply(&[USR, Q, EOT, ASST, A, A, EOT, USR], &special), [A, A]);
    assert_eq!(reply(&[ASST, Q, EOT, ASST, A], &special), [A]);
    assert!(reply(&[USR, Q, EOT], &special).is_empty());
    assert!(reply(&[USR, Q, EOT, ASST, EOT, USR, Q], &special).is_empty());
    assert!(reply(&[ASST], &special).is_empty());
    // Text that looks like a tag is text.
    let spelled: Vec<u32> = b"<|eot|>user: x".map(u32::from).to_vec();
    assert_eq!(reply(&[&[ASST], &spelled[..], &[EOT]].concat(), &special), spelled);
}

#[test]
fn a_template_of_ones_own_is_masked_alike() {
    let rendered = template(Some(WORDY)).render(&[user(" Q "), assistant("A")]).unwrap();
    let tokenizer = Tokenizer::byte();
    assert_eq!(tokenizer.decode(&rendered.ids), "[user]\nQ\n[assistant]\nA\n");
    let labels = rendered.labels(Learnt::default());
    let learnt: Vec<(usize, u32)> =
        (0..).zip(labels).filter(|(_, label)| *label != IGNORE).collect();
    assert_eq!(learnt, [(22, A), (23, EOT)]);
}

#[test]
fn what_a_template_says_between_an_answer_and_its_end_is_learnt_with_the_end() {
    let source = WORDY.replace("| trim }}", "}};");
    let rendered = template(Some(&source)).render(&[user("Q"), assistant("A ")]).unwrap();
    let learnt = |include_eot| {
        let labels = rendered.labels(Learnt { assistant_only: true, include_eot });
        labels.into_iter().filter(|label| *label != IGNORE).collect::<Vec<u32>>()
    };
    assert_eq!(learnt(true), [A, u32::from(b' '), u32::from(b';'), EOT]);
    assert_eq!(learnt(false), [A, u32::from(b' ')]);
}

#[test]
fn the_template_that_travels_needs_no_variables_of_ours() {
    let own = template(None);
    assert!(own.source().ends_with(DEFAULT_TEMPLATE));
    assert!(own.source().starts_with("{%- set sys_token = \"<|sys|>\" %}\n"), "{}", own.source());
    let travelled = template(Some(own.source()));
    assert_eq!(travelled.source(), own.source());
    let messages = [user("Q\n"), assistant(" A")];
    assert_eq!(travelled.render(&messages).unwrap(), own.render(&messages).unwrap());
}

#[test]
fn broken_templates_are_told_with_their_line() {
    let error = fault("{% for message in messages %}\n{{ message.content");
    assert_eq!(error.code, "chat::template");
    assert!(error.message.starts_with("the chat template fails: syntax error"), "{error}");
    let error = fault("{{ bos_token }}");
    assert!(error.message.contains("undefined value"), "{error}");
    let error = fault("{{ raise_exception('no system messages') }}");
    assert!(error.message.contains("no system messages"), "{error}");
}

#[test]
fn templates_that_cannot_teach_are_refused() {
    let endless = "{% for m in messages %}{{ asst_token + m.content }}{% endfor %}{% if add_generation_prompt %}{{ asst_token }}{% endif %}";
    assert_eq!(fault(endless).code, "chat::no_end");
    let unopened = "{% for m in messages %}{{ asst_token + m.content + eot_token }}{% endfor %}";
    assert_eq!(fault(unopened).code, "chat::prompt");
    assert_eq!(fault("").code, "chat::prompt");
}

#[test]
fn a_template_that_cuts_contents_is_refused_when_it_does() {
    let source = WORDY.replace("| trim", "[:20]");
    let template = template(Some(&source));
    let error = template.render(&[user("Q"), assistant(&"A".repeat(21))]).unwrap_err();
    assert_eq!(error.code, "chat::content");
}

/// Pieces that could make up a special token, the template's words or the marks around contents.
const PIECES: [&str; 24] = [
    "<|sys|>",
    "<|usr|>",
    "<|asst|>",
    "<|eot|>",
    "<|",
    "|>",
    "eot",
    "asst",
    " ",
    "\n",
    "",
    "[assistant]",
    "{{ eot_token }}",
    "{%",
    "%}",
    "\u{FDD0}",
    "\u{FDD1}",
    "\u{FDD2}",
    "\u{FDEF}",
    "\u{F0000}",
    "naïve",
    "🦊",
    "\0",
    "1",
];

fn hostile(rng: &mut Generator) -> String {
    (0..rng.below(8)).filter_map(|_| rng.pick(&PIECES).copied()).collect()
}

#[test]
fn no_content_can_forge_a_special_token() {
    let mut rng = Generator::new(42, "hostile contents");
    let tokenizer = Tokenizer::byte();
    let roles = [Role::System, Role::User, Role::Assistant];
    for (source, n_per_message) in [(None, 2), (Some(WORDY), 1)] {
        let template = template(source);
        for _ in 0..2000 {
            let message = |role| Message::new(role, hostile(&mut rng));
            let messages = roles.map(message);
            let rendered = template.render(&messages).unwrap();
            let special = tokenizer.special().all();
            let n_special = rendered.ids.iter().filter(|id| special.contains(id)).count();
            assert_eq!(n_special, messages.len() * n_per_message, "{messages:?}");

            let labels = rendered.labels(Learnt { include_eot: false, assistant_only: true });
            let learnt: Vec<u32> = labels.into_iter().filter(|label| *label != IGNORE).collect();
            let answer = &messages[2].content;
            let answer = if source.is_some() { answer.trim() } else { answer };
            assert_eq!(learnt, tokenizer.encode(answer), "{messages:?}");
        }
    }
}

#[test]
fn spelled_out_special_tokens_are_noticed() {
    let template = template(None);
    assert!(template.spells_special(&[user("what is <|eot|>?"), assistant("an end")]));
    assert!(!template.spells_special(&[user("what is <|end|>?"), assistant("nothing")]));
    let rendered = template.render(&[user("<|eot|>"), assistant("A")]).unwrap();
    assert_eq!(rendered.ids[1..8], b"<|eot|>".map(u32::from));
}
