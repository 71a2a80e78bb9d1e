//! Vocabularies made from texts.

use sdk::Error;
use tokenizer::{PieceKind, SpecialTexts, Tokenizer, TrainConfig, TrainModel};

/// Sentences of made-up words, the same each time.
fn texts(n: usize) -> Vec<String> {
    let syllables = ["mi", "ra", "ot", "to", "le", "na", "zoë", "lan", "tern", "ki", "te", "日本"];
    let word = |i: usize| [i % 12, i / 12 % 7, i / 84 % 11].map(|at| syllables[at]).concat();
    let sentence = |i: usize| {
        let i = i % 150;
        format!("{} hid a {}.\n  It was {i}, don't you see?\t", word(i * i), word(i * 7 + 1))
    };
    (0..n).map(sentence).collect()
}

fn config(model: TrainModel, vocab_size: usize) -> TrainConfig {
    TrainConfig { model, vocab_size, min_frequency: 2 }
}

fn train(config: &TrainConfig, texts: Vec<String>) -> Result<Tokenizer, Error> {
    Tokenizer::train(config, &mut texts.into_iter(), &mut |_| Ok(()))
}

const BPE: TrainModel = TrainModel::Bpe;
const UNIGRAM: TrainModel = TrainModel::Unigram;

#[test]
fn a_trained_vocabulary_has_the_size_asked_for_and_the_special_tokens_first() {
    for model in [BPE, UNIGRAM] {
        let tokenizer = train(&config(model, 400), texts(500)).unwrap();
        assert_eq!(tokenizer.vocab_size(), 400, "{model:?}");
        assert_eq!(tokenizer.special().all(), [0, 1, 2, 3]);
        let texts = ["<|sys|>", "<|usr|>", "<|asst|>", "<|eot|>"];
        assert_eq!(tokenizer.special_texts().all(), texts);
        let pieces = tokenizer.vocabulary().unwrap();
        assert_eq!(pieces.len(), 400);
        assert_eq!((pieces[3].text.as_str(), pieces[3].kind), ("<|eot|>", PieceKind::Control));
    }
}

#[test]
fn a_trained_vocabulary_shortens_text_like_its_own() {
    // Unigram spends more than 50 of its 139 pieces on characters, BPE none of its 140.
    for (model, ids_max) in [(BPE, 26), (UNIGRAM, 45)] {
        let tokenizer = train(&config(model, 400), texts(500)).unwrap();
        let text = "Mira hid a lantern.\n  It was 17, don't you see?\t"; // 50 bytes
        let n_ids = tokenizer.encode(text).len();
        assert!((10..=ids_max).contains(&n_ids), "{model:?}: {n_ids}");
        let unseen = tokenizer.encode("Ωμέγα");
        assert_eq!(unseen.len(), 10, "{model:?}: bytes, of which each letter has two");
    }
}

#[test]
fn any_text_comes_back() {
    let texts_back = [
        "",
        " ",
        "  a  b ",
        "Mira hid a kite.",
        "Ωμέγα 日本語 🦊👩‍👩‍👧",
        "\r\n\t\0\u{7f}",
        "<|eot|> <unk> <0x41>",
        "\u{10FFFF}\u{FEFF}e\u{301}",
        "x = [1,\n     2]",
    ];
    for model in [BPE, UNIGRAM] {
        let tokenizer = train(&config(model, 400), texts(500)).unwrap();
        for text in texts_back {
            let ids = tokenizer.encode(text);
            assert_eq!(tokenizer.decode(&ids), text, "{model:?}");
            assert!(ids.iter().all(|id| *id > 3), "{model:?}: {text}");
        }
    }
    let bpe = train(&config(BPE, 400), texts(500)).unwrap();
    assert_eq!(bpe.decode(&bpe.encode("a\u{2581}b")), "a\u{2581}b");
    let unigram = train(&config(UNIGRAM, 400), texts(500)).unwrap();
    assert_eq!(unigram.decode(&unigram.encode("a\u{2581}b")), "a b");
}

#[test]
fn the_same_texts_give_the_same_bytes_on_any_number_of_threads() {
    for model in [BPE, UNIGRAM] {
        let once = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let trained = pool.install(|| train(&config(model, 380), texts(300)));
            trained.unwrap().model().unwrap().to_vec()
        };
        let first = once(1);
        for n_threads in [1, 2, 3, 8] {
            assert!(once(n_threads) == first, "{model:?} on {n_threads} threads");
        }
    }
}

#[test]
fn too_little_text_is_told_with_the_number_of_tokens_it_gives() {
    for (model, fixed) in [(BPE, 260), (UNIGRAM, 280)] {
        let error = train(&config(model, 50_000), texts(20)).unwrap_err();
        assert_eq!(error.code, "tokenizer::too_few", "{model:?}");
        let n: usize = error.message.split(' ').nth(3).unwrap().parse().unwrap();
        assert!(n > fixed && n < 1000, "{}", error.message);
        // That many are there to be had.
        assert_eq!(train(&config(model, n), texts(20)).unwrap().vocab_size(), n);

        let error = train(&config(model, 300), Vec::new()).unwrap_err();
        assert_eq!(error.message, format!("the data gives {fixed} tokens, `vocab_size` is 300"));
        let error = train(&config(model, 259), texts(20)).unwrap_err();
        assert_eq!(error.code, "tokenizer::vocab_size");
    }
}

#[test]
fn progress_counts_bytes_and_can_end_the_training() {
    let megabyte = "kite lantern ".repeat(80_000);
    let mut told = Vec::new();
    let mut once = |model| {
        let mut texts = std::iter::repeat_n(megabyte.clone(), 4);
        Tokenizer::train(&config(model, 264), &mut texts, &mut |n_bytes| {
            told.push(n_bytes);
            if n_bytes > 3_000_000 { Err(Error::new("cancelled", "cancelled")) } else { Ok(()) }
        })
    };
    assert_eq!(once(BPE).unwrap_err().code, "cancelled");
    assert_eq!(told, [2_080_000, 4_160_000]);
}

#[test]
fn a_trained_tokenizer_travels_as_description_and_model() {
    for model in [BPE, UNIGRAM] {
        let tokenizer = train(&config(model, 380), texts(300)).unwrap();
        let description = tokenizer.description();
        assert_eq!(description["kind"], "train");
        let bytes = tokenizer.model().unwrap();
        let again = Tokenizer::from_parts(&description, Some(bytes)).unwrap();
        assert_eq!(again, tokenizer);
        assert_eq!(again.encode("Otto hid"), tokenizer.encode("Otto hid"));

        let other = train(&config(model, 380), texts(299)).unwrap();
        let error = Tokenizer::from_parts(&description, other.model()).unwrap_err();
        assert_eq!(error.code, "tokenizer::mismatch");
        assert!(error.message.starts_with("tokenizer mismatch"), "{}", error.message);
        let error = Tokenizer::from_parts(&description, None).unwrap_err();
        assert_eq!(error.code, "tokenizer::model");
    }
}

#[test]
fn special_texts_in_the_data_become_no_tokens() {
    let mut texts = texts(300);
    let SpecialTexts { eot, .. } =
        train(&config(BPE, 300), texts.clone()).unwrap().special_texts().clone();
    texts.extend(std::iter::repeat_n(eot.clone(), 500));
    for model in [BPE, UNIGRAM] {
        let tokenizer = train(&config(model, 380), texts.clone()).unwrap();
        assert_eq!(tokenizer.special().eot, 3);
        let ids = tokenizer.encode(&eot);
        assert!(!ids.contains(&3), "{model:?}: {ids:?}");
        assert_eq!(tokenizer.decode(&ids), eot, "{model:?}");
    }
}
