//! The four tokens that frame a conversation: their ids, their texts, and where a text must not
//! have them.

use schemars::JsonSchema;
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

/// The names of the four, in the order of every list of them.
pub(crate) const NAMES: [&str; 4] = ["sys", "usr", "asst", "eot"];

/// The special pieces of this project's own SentencePiece models, made so that no text has them.
pub(crate) const REFERENCE: [&str; 4] = [
    "<|ngpt_sys_84a5023f67d74cf29cc4001becde983c|>",
    "<|ngpt_usr_84a5023f67d74cf29cc4001becde983c|>",
    "<|ngpt_asst_84a5023f67d74cf29cc4001becde983c|>",
    "<|ngpt_eot_84a5023f67d74cf29cc4001becde983c|>",
];

/// The ids that mark who speaks and where a message or document ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// Opens a system message.
    pub sys: u32,
    /// Opens a user's message.
    pub usr: u32,
    /// Opens an assistant's message.
    pub asst: u32,
    /// Ends a message of a conversation or a document.
    pub eot: u32,
}

impl SpecialTokens {
    /// All of them, in the order of the fields.
    pub fn all(&self) -> [u32; 4] {
        [self.sys, self.usr, self.asst, self.eot]
    }

    /// The three that open a message; a reply must contain none of them.
    pub fn roles(&self) -> [u32; 3] {
        [self.sys, self.usr, self.asst]
    }
}

impl From<[u32; 4]> for SpecialTokens {
    fn from([sys, usr, asst, eot]: [u32; 4]) -> Self {
        Self { sys, usr, asst, eot }
    }
}

/// How the four special tokens are written: in templates, in a vocabulary and in exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecialTexts {
    /// Opens a system message.
    pub sys: String,
    /// Opens a user's message.
    pub usr: String,
    /// Opens an assistant's message.
    pub asst: String,
    /// Ends a message of a conversation or a document.
    pub eot: String,
}

impl SpecialTexts {
    /// All of them, in the order of the fields.
    pub fn all(&self) -> [&str; 4] {
        [&self.sys, &self.usr, &self.asst, &self.eot]
    }

    pub(crate) fn new([sys, usr, asst, eot]: [&str; 4]) -> Self {
        let [sys, usr, asst, eot] = [sys, usr, asst, eot].map(str::to_owned);
        Self { sys, usr, asst, eot }
    }

    /// Those of the kinds whose vocabulary has none of its own.
    pub(crate) fn plain() -> Self {
        Self::new(["<|sys|>", "<|usr|>", "<|asst|>", "<|eot|>"])
    }

    /// The first special text that occurs in `text`, by name and byte offset.
    pub(crate) fn find_in(&self, text: &str) -> Option<(&'static str, usize)> {
        let found = |(name, special): (&'static str, &str)| Some((name, text.find(special)?));
        let found = NAMES.into_iter().zip(self.all()).filter_map(found);
        found.min_by_key(|(_, offset)| *offset)
    }
}

/// What a vocabulary says of the special tokens, to be checked.
pub(crate) trait Vocabulary {
    /// The id of the token with exactly this text; none for the token of unknown text.
    fn id(&self, text: &str) -> Option<u32>;
    /// The text of a token.
    fn text(&self, id: u32) -> Option<String>;
    /// The ids of a text in which special tokens count.
    fn pieces(&self, text: &str) -> Vec<u32>;
    /// How many ids there are.
    fn size(&self) -> usize;
}

/// The ids of the four special tokens, once each is present, in range, one piece, leads back to
/// its text, differs from the others, and is the expected one where ids are expected.
pub(crate) fn resolve(
    vocabulary: &dyn Vocabulary,
    texts: &SpecialTexts,
    expected: Option<SpecialTokens>,
) -> Result<SpecialTokens> {
    let mut ids = [0; 4];
    for (idx, (name, text)) in NAMES.into_iter().zip(texts.all()).enumerate() {
        ids[idx] = resolve_one(vocabulary, name, text)?;
        let same = ids[..idx].iter().position(|id| *id == ids[idx]);
        if let Some(other) = same {
            let message =
                format!("`{}` and `{name}` are the same token: {}", NAMES[other], ids[idx]);
            return Err(Error::new("tokenizer::special_same", message).at("tokenizer.special"));
        }
        let wanted = expected.map(|expected| expected.all()[idx]);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != ids[idx]) {
            let message = format!("`{name}` has id {}, expected: {wanted}", ids[idx]);
            return Err(Error::new("tokenizer::special_id", message).at("tokenizer.expected"));
        }
    }
    Ok(ids.into())
}

fn resolve_one(vocabulary: &dyn Vocabulary, name: &str, text: &str) -> Result<u32> {
    let fault = |code: &str, message: String| {
        Err(Error::new(format!("tokenizer::{code}"), message)
            .at(format!("tokenizer.special.{name}")))
    };
    let Some(id) = vocabulary.id(text) else {
        let message = format!("`{name}` is no token of the vocabulary: `{text}`");
        return fault("special_missing", message);
    };
    let size = vocabulary.size();
    if id as usize >= size {
        return fault(
            "special_range",
            format!("`{name}` has id {id}, but there are {size} tokens"),
        );
    }
    let pieces = vocabulary.pieces(text);
    if pieces != [id] {
        let message = format!("`{name}` must be exactly one piece id: `{text}` is {pieces:?}");
        return fault("special_pieces", message);
    }
    match vocabulary.text(id) {
        Some(back) if back == text => Ok(id),
        back => {
            let back = back.unwrap_or_default();
            fault("special_text", format!("`{name}` is `{text}`, but its id {id} reads `{back}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary that can be wrong in every way.
    struct Fake {
        ids: [Option<u32>; 4],
        texts: SpecialTexts,
        pieces: Option<Vec<u32>>,
        reads: Option<&'static str>,
    }

    impl Fake {
        fn sound() -> Self {
            let ids = [Some(3), Some(4), Some(5), Some(6)];
            Self { ids, texts: SpecialTexts::plain(), pieces: None, reads: None }
        }

        fn resolve(&self, expected: Option<SpecialTokens>) -> Result<SpecialTokens> {
            resolve(self, &self.texts, expected)
        }
    }

    impl Vocabulary for Fake {
        fn id(&self, text: &str) -> Option<u32> {
            self.ids[self.texts.all().iter().position(|special| *special == text)?]
        }

        fn text(&self, id: u32) -> Option<String> {
            let idx = self.ids.iter().position(|own| *own == Some(id))?;
            Some(self.reads.unwrap_or(self.texts.all()[idx]).to_owned())
        }

        fn pieces(&self, text: &str) -> Vec<u32> {
            self.pieces.clone().unwrap_or_else(|| self.id(text).into_iter().collect())
        }

        fn size(&self) -> usize {
            10
        }
    }

    #[test]
    fn each_fault_of_a_special_token_has_its_own_error() {
        let expected = SpecialTokens { sys: 3, usr: 4, asst: 5, eot: 6 };
        assert_eq!(Fake::sound().resolve(Some(expected)).unwrap(), expected);

        let usr = |id| Fake { ids: [Some(3), id, Some(5), Some(6)], ..Fake::sound() };
        let code = |fake: Fake| fake.resolve(None).unwrap_err().code;
        assert_eq!(code(usr(None)), "tokenizer::special_missing");
        assert_eq!(code(usr(Some(10))), "tokenizer::special_range");
        let twice = SpecialTexts { usr: "<|sys|>".to_owned(), ..SpecialTexts::plain() };
        assert_eq!(code(Fake { texts: twice, ..Fake::sound() }), "tokenizer::special_same");
        assert_eq!(code(Fake { reads: Some("?"), ..Fake::sound() }), "tokenizer::special_text");

        let error = Fake { pieces: Some(vec![7, 8]), ..Fake::sound() }.resolve(None).unwrap_err();
        assert_eq!(error.message, "`sys` must be exactly one piece id: `<|sys|>` is [7, 8]");
        assert_eq!(error.path.as_deref(), Some("tokenizer.special.sys"));

        let other = SpecialTokens { eot: 7, ..expected };
        let error = Fake::sound().resolve(Some(other)).unwrap_err();
        assert_eq!(error.code, "tokenizer::special_id");
        assert_eq!(error.message, "`eot` has id 6, expected: 7");
    }

    #[test]
    fn the_first_special_text_in_a_text_is_found() {
        let texts = SpecialTexts::plain();
        assert_eq!(texts.find_in("no <|marker|> here"), None);
        assert_eq!(texts.find_in("é<|eot|> <|sys|>"), Some(("eot", 2)));
    }
}
