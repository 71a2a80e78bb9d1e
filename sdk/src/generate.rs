//! Text from a trained model, and its weights in the formats of other tools: what the host asks and
//! what a trainer answers.

use serde::{Deserialize, Serialize};

use crate::context::PhaseContext;
use crate::error::Result;

/// A trained model that makes text.
///
/// It lives as long as the command that opened it, and is asked again and again: keep what loading made.
pub trait TextGenerator: Send {
    /// Continues a text or answers a message. Pieces go out through [`PhaseContext::text`] as they
    /// come, whole characters only; together they are the reply's text.
    ///
    /// When [`PhaseContext::is_cancelled`] turns true it ends with what there is so far and
    /// [`StopReason::Cancelled`]: that is no error.
    ///
    /// # Errors
    /// When the request makes no sense or doesn't fit the model; with a code that begins with
    /// [`BAD_REQUEST`], for a mistake of the user's.
    fn generate(&mut self, request: &GenerateRequest, cx: &PhaseContext) -> Result<GenerateReply>;
}

/// Codes of errors about a request, which the user can mend, begin with this: `generate::empty`.
pub const BAD_REQUEST: &str = "generate::";

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Instructions that hold for the whole conversation.
    System,
    /// Who asks.
    User,
    /// Who answers: the model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

/// What text is wanted. Of what is left out (`None`), the phase's section says what it is.
///
/// ```
/// let request = sdk::GenerateRequest::new("Once upon a time");
/// assert_eq!((request.temperature, request.seed), (None, 42));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerateRequest {
    /// The text to continue, or the user's message to answer.
    pub prompt: String,
    /// Whether the prompt is a user's message to be answered (true) or text to be continued
    /// (false); none leaves it to what the model was trained for.
    pub chat: Option<bool>,
    /// What was said before the prompt: a system message first, when there is one. Only for
    /// messages to be answered. What doesn't fit the context is left out, the oldest first, and
    /// counted in [`GenerateReply::dropped_messages`].
    pub history: Vec<ChatMessage>,
    /// Tokens at most, at least 1.
    pub max_new_tokens: Option<usize>,
    /// Divides the logits, at least 0; 0 takes the likeliest token each time.
    pub temperature: Option<f64>,
    /// Draw from so many likeliest tokens only; 0 from all.
    pub top_k: Option<usize>,
    /// Draw from the smallest set of likeliest tokens whose probabilities sum to this, in (0, 1].
    pub top_p: Option<f64>,
    /// Makes tokens that are there already less likely: above 0, 1 changes nothing (Keskar et al.
    /// 2019, CTRL).
    pub repetition_penalty: Option<f64>,
    /// Tokens that are never chosen.
    pub banned_tokens: Option<Vec<u32>>,
    /// Tokens that end the text and are no part of it.
    pub stop_tokens: Option<Vec<u32>>,
    /// Seed of the draws.
    pub seed: u64,
    /// Whether keys and values of earlier tokens are kept; without, each token runs the whole
    /// context anew. The text is the same.
    pub use_cache: bool,
    /// Report each token's attention in this layer, counted from 0.
    pub trace_layer: Option<usize>,
}

impl Default for GenerateRequest {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            chat: None,
            history: Vec::new(),
            max_new_tokens: None,
            temperature: None,
            top_k: None,
            top_p: None,
            repetition_penalty: None,
            banned_tokens: None,
            stop_tokens: None,
            seed: 42,
            use_cache: true,
            trace_layer: None,
        }
    }
}

impl GenerateRequest {
    /// A request for what follows `prompt`, all else as the phase's section says.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateReply {
    /// The text, without the prompt.
    pub text: String,
    /// Tokens generated, the stop token not counted.
    pub tokens: usize,
    /// Tokens of the prompt as the model saw it.
    pub prompt_tokens: usize,
    /// How many messages of the history were left out to fit the context.
    pub dropped_messages: usize,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Each generated token; only when [`GenerateRequest::trace_layer`] asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<GeneratedToken>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// The model chose a stop token.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The user asked to stop.
    Cancelled,
}

/// One generated token and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratedToken {
    /// Its id.
    pub id: u32,
    /// Its text; U+FFFD for a part of a character.
    pub text: String,
    /// Natural logarithm of its probability by the model, before temperature and selection.
    pub logprob: f64,
    /// Attention probabilities of the query that chose it, `[head][position]`, without dropout.
    pub attention: Vec<Vec<f32>>,
}

/// Which format is wanted, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Name of the format, as the trainer declares it after `export/`.
    pub format: String,
    /// An empty directory for the files.
    pub directory: String,
}
