//! `host chat`: a conversation with a trained model.
//!
//! Ctrl-C ends the answer, not the chat; Ctrl-D, `/exit` or the end of the input ends the chat. What
//! no longer fits the model's context is forgotten, the oldest first, and said.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use rustyline::error::ReadlineError;
use sdk::{ChatMessage, ChatRole, GenerateReply, GenerateRequest, StopReason};

use super::selection::discover;
use super::streaming::{Streaming, can_generate};
use super::trained::Trained;
use super::{STOPPED_BY_READER, note, print};
use crate::cli::Chat;
use crate::registry::PhaseClient;
use crate::run::{Interrupt, RunError};

const HELP: &str = "\
/reset  forget what was said
/exit   end the chat (so does Ctrl-D)
/help   this list
Ctrl-C  end the answer";

pub(super) fn exec(args: &Chat) -> Result<u8, RunError> {
    let system = args.system.read()?;
    let registry = discover();
    let trained = Trained::find(&args.trained, &registry, can_generate, "chat")?;
    let interrupt = Interrupt::install()?;
    let services = Arc::new(Streaming::new(interrupt.clone(), true));
    let mut conversation = Conversation {
        client: trained.open(&registry, Arc::<Streaming>::clone(&services))?,
        defaults: args.sampling.request(),
        history: system.into_iter().collect(),
        is_opened: false,
        trained: &trained,
    };
    let mut lines = Lines::open()?;
    if lines.is_terminal() {
        let run = trained.run.display();
        note(&format!("{} of {run}; /help lists the commands", trained.name));
    }
    while let Some(line) = lines.next()? {
        match line.trim() {
            "" => {}
            "/exit" | "/quit" => break,
            "/help" => note(HELP),
            "/reset" => conversation.reset(),
            message => {
                conversation.answer(message)?;
                interrupt.clear();
            }
        }
        if services.is_reader_gone() {
            return Ok(STOPPED_BY_READER);
        }
    }
    Ok(0)
}

/// The conversation so far, and who answers.
struct Conversation<'a> {
    client: PhaseClient,
    trained: &'a Trained,
    defaults: GenerateRequest,
    history: Vec<ChatMessage>,
    is_opened: bool,
}

impl Conversation<'_> {
    /// Forgets everything but the system message.
    fn reset(&mut self) {
        self.history.retain(|message| message.role == ChatRole::System);
    }

    /// Answers a message. One that the model can't take is told and forgotten; the chat goes on.
    fn answer(&mut self, message: &str) -> Result<(), RunError> {
        let request = GenerateRequest {
            prompt: message.to_owned(),
            chat: Some(true),
            history: self.history.clone(),
            ..self.defaults.clone()
        };
        // The model stays loaded: only the first request brings the artifacts.
        let artifacts = if self.is_opened { &[][..] } else { &self.trained.artifacts };
        match self.client.generate(artifacts, &request) {
            Ok(reply) => {
                self.is_opened = true;
                print("\n")?;
                self.remember(message, &reply);
            }
            Err(error) if !self.is_opened && !error.code.starts_with(sdk::BAD_REQUEST) => {
                return Err(self.trained.failed("while generating", error));
            }
            Err(error) => {
                note(&format!("error: {error}"));
                if let Some(help) = &error.help {
                    note(&format!("help: {help}"));
                }
            }
        }
        Ok(())
    }

    fn remember(&mut self, message: &str, reply: &GenerateReply) {
        if reply.dropped_messages > 0 {
            let has_system = self.history.first().is_some_and(|m| m.role == ChatRole::System);
            let first = usize::from(has_system);
            let end = (first + reply.dropped_messages).min(self.history.len());
            self.history.drain(first..end);
            note(&format!("note: {} earlier messages no longer fit", reply.dropped_messages));
        }
        if reply.stop_reason == StopReason::Length {
            note("note: the answer was cut off at the most tokens; `--max-new-tokens` raises that");
        }
        let say = |role, content: &str| ChatMessage { role, content: content.to_owned() };
        self.history.push(say(ChatRole::User, message));
        self.history.push(say(ChatRole::Assistant, &reply.text));
    }
}

/// What the user says, line by line: with an editor on a terminal, as it comes otherwise.
enum Lines {
    Terminal(Box<rustyline::DefaultEditor>),
    Pipe(std::io::Lines<std::io::StdinLock<'static>>),
}

impl Lines {
    fn open() -> Result<Self, RunError> {
        if !std::io::stdin().is_terminal() {
            return Ok(Self::Pipe(std::io::stdin().lock().lines()));
        }
        let editor = rustyline::DefaultEditor::new().map_err(std::io::Error::other)?;
        Ok(Self::Terminal(Box::new(editor)))
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<String>, RunError> {
        let editor = match self {
            Self::Pipe(lines) => return Ok(lines.next().transpose()?),
            Self::Terminal(editor) => editor,
        };
        loop {
            match editor.readline("> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    return Ok(Some(line));
                }
                Err(ReadlineError::Interrupted) => note("Ctrl-D or /exit ends the chat"),
                Err(ReadlineError::Eof) => return Ok(None),
                Err(e) => return Err(std::io::Error::other(e).into()),
            }
        }
    }
}
