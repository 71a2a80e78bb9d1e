//! The template language, set up as Hugging Face's `apply_chat_template` sets up Jinja.
//!
//! A template sees `messages` (each with `role` and `content`), `add_generation_prompt`, and the
//! texts of the special tokens as `sys_token`, `usr_token`, `asst_token` and `eot_token`. Other
//! tools don't pass those four, so every template is given lines in front that set them: what
//! travels with a model stands on its own.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use sdk::{Error, Result};
use tokenizer::SpecialTexts;

use super::{Message, Role};

/// Role token, content, end-of-turn; no newline, no begin token; a prompt ends with the
/// assistant's token.
pub const DEFAULT_TEMPLATE: &str = "\
{%- set opening = {'system': sys_token, 'user': usr_token, 'assistant': asst_token} -%}
{%- for message in messages -%}
    {{- opening[message['role']] + message['content'] + eot_token -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- asst_token -}}
{%- endif -%}
";

const NAME: &str = "chat_template";
const PATH: &str = "data.chat_template";

/// A template that is parsed and known to work on an exchange.
#[derive(Clone, Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
    source: String,
}

/// Checks a template without a tokenizer at hand: that it can be read, ends an answer and opens
/// one where it should. Without a template, checks the default one.
///
/// # Errors
/// At `data.chat_template`, with the line where it is known.
pub fn check_template(template: Option<&str>, texts: &SpecialTexts) -> Result<()> {
    Jinja::new(template, texts).map(drop)
}

impl Jinja {
    pub(super) fn new(template: Option<&str>, texts: &SpecialTexts) -> Result<Self> {
        let source = self_contained(template.unwrap_or(DEFAULT_TEMPLATE), texts);
        let mut environment = Environment::new();
        environment.set_syntax(syntax()?);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_global("eos_token", texts.eot.clone());
        environment.add_template_owned(NAME, source.clone()).map_err(|error| broken(&error))?;
        let jinja = Self { environment, source };
        jinja.check_exchange(texts)?;
        Ok(jinja)
    }

    /// The template with the lines that set the special texts.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation, or with `is_prompt` of what an answer follows.
    pub(super) fn render<'a>(
        &self,
        messages: impl Iterator<Item = (Role, &'a str)>,
        is_prompt: bool,
    ) -> Result<String> {
        let message = |(role, content): (Role, &str)| context! { role => role.name(), content };
        let messages: Vec<Value> = messages.map(message).collect();
        let variables = context! {
            messages,
            add_generation_prompt => is_prompt,
            tools => (),
            documents => (),
        };
        let template = self.environment.get_template(NAME).map_err(|error| broken(&error))?;
        template.render(variables).map_err(|error| broken(&error))
    }

    /// Answers must be opened in a prompt as in training, and must end.
    fn check_exchange(&self, texts: &SpecialTexts) -> Result<()> {
        let exchange =
            [Message::new(Role::User, "question"), Message::new(Role::Assistant, "answer")];
        let text = |messages: &[Message], is_prompt| {
            let parts = messages.iter().map(|message| (message.role, message.content.as_str()));
            self.render(parts, is_prompt)
        };
        let (whole, prompt) = (text(&exchange, false)?, text(&exchange[..1], true)?);
        let Some(answered) = whole.strip_prefix(&prompt).and_then(|t| t.strip_prefix("answer"))
        else {
            let message =
                "the chat template opens an answer in a prompt otherwise than in a conversation";
            return Err(fault("chat::prompt", message)
                .help("print what comes before an answer where `add_generation_prompt` is true"));
        };
        if !answered.contains(&texts.eot) {
            let message = "the chat template ends no answer, so that a model would never stop";
            return Err(fault("chat::no_end", message)
                .help("print `eot_token` after the content of an assistant's message"));
        }
        Ok(())
    }
}

/// A template behind the lines that set the special texts. Where they are there already, as in a
/// template that came with a model, nothing is added.
fn self_contained(template: &str, texts: &SpecialTexts) -> String {
    let set = |(name, text): (&str, &str)| {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{{%- set {name}_token = \"{quoted}\" %}}\n")
    };
    let names = ["sys", "usr", "asst", "eot"];
    let head: String = names.into_iter().zip(texts.all()).map(set).collect();
    if template.starts_with(&head) { template.to_owned() } else { head + template }
}

/// Blocks eat the newline behind them and the blanks before them, as they do in Hugging Face's.
fn syntax() -> Result<SyntaxConfig> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    syntax.map_err(|error| broken(&error))
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

fn broken(error: &minijinja::Error) -> Error {
    fault("chat::template", format!("the chat template fails: {error}"))
}

pub(super) fn fault(code: &str, message: impl Into<String>) -> Error {
    Error::new(code, message).at(PATH)
}
