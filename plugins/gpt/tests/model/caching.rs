//! The cache of keys and values against whole forward passes.

use gpt::config::ModelConfig;
use gpt::model::{KvCache, Mode, Queries};

use crate::{IDS, assert_close, golden, ids, logits, seeded, small};

/// Whatever follows, the logits after each new token are those of the whole sequence.
#[test]
fn logits_after_each_new_token_are_those_of_the_whole_sequence() {
    let gpt = golden();
    for n_prompt in 1..8 {
        let mut cache = KvCache::new(&gpt, 1, 8).unwrap();
        let prompt = gpt.prefill(&ids(&[&IDS[..n_prompt]]), &mut cache).unwrap();
        assert_eq!((prompt.dims(), cache.len()), (&[1, n_prompt, 11][..], n_prompt));
        let want = logits(&gpt, &IDS[..n_prompt]);
        assert_close(&prompt.flatten_all().unwrap().to_vec1().unwrap(), &want.concat(), 1e-5);
        for n in n_prompt + 1..=8 {
            let got = gpt.decode(&ids(&[&IDS[n - 1..n]]), &mut cache).unwrap();
            assert_eq!((got.dims(), cache.len()), (&[1, 1, 11][..], n));
            let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
            assert_close(&got, &logits(&gpt, &IDS[..n])[n - 1], 1e-5);
        }
    }
}

#[test]
fn the_last_logits_of_a_prompt_choose_the_first_new_token() {
    let gpt = golden();
    let mut cache = KvCache::new(&gpt, 1, 8).unwrap();
    let last = gpt.prefill_last(&ids(&[&IDS[..5]]), &mut cache).unwrap();
    assert_eq!((last.dims(), cache.len()), (&[1, 1, 11][..], 5));
    let last: Vec<f32> = last.flatten_all().unwrap().to_vec1().unwrap();
    assert_close(&last, &logits(&gpt, &IDS[..5])[4], 1e-6);
}

#[test]
fn sizes_and_counts() {
    let config =
        ModelConfig { context: 256, width: 256, n_layers: 4, n_heads: 8, d_ff: 64, ..small() };
    let gpt = seeded(&config, 1);
    let mut cache = KvCache::new(&gpt, 2, 256).unwrap();
    assert_eq!((cache.dims(), cache.len()), ([4, 2, 8, 256, 32], 0));
    let prompt = gpt.prefill(&ids(&[&[1, 2, 3], &[4, 5, 6]]), &mut cache).unwrap();
    assert_eq!((prompt.dims(), cache.len()), (&[2, 3, 11][..], 3));
    let next = gpt.decode(&ids(&[&[7], &[8]]), &mut cache).unwrap();
    assert_eq!((next.dims(), cache.len()), (&[2, 1, 11][..], 4));
    let row: Vec<f32> = next.get(1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_close(&row, &logits(&gpt, &[4, 5, 6, 8])[3], 1e-5);
    cache.clear();
    assert!(cache.is_empty() && !cache.is_full());
}

#[test]
fn a_traced_layer_shows_the_last_query_of_the_whole_sequence() {
    let gpt = golden();
    let mut cache = KvCache::new(&gpt, 1, 8).unwrap();
    cache.trace(Some(1));
    gpt.prefill(&ids(&[&IDS[..4]]), &mut cache).unwrap();
    for n in 4..=8 {
        if n > 4 {
            gpt.decode(&ids(&[&IDS[n - 1..n]]), &mut cache).unwrap();
        }
        let whole = ids(&[&IDS[..n]]);
        let (_, trace) =
            gpt.forward_with_attention(&whole, 1, Queries::Last, &mut Mode::Eval).unwrap();
        let row = cache.attention().unwrap();
        assert_eq!(row.dims(), [1, 2, n]);
        let flat = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_close(&flat(row), &flat(&trace.row), 1e-6);
    }
}

#[test]
fn misuse_is_refused_in_words() {
    let gpt = golden();
    let text = |error| sdk_numerics::error(error).message;
    let error = text(KvCache::new(&gpt, 1, 9).unwrap_err());
    assert_eq!(error, "a cache of 9 tokens does not fit the context of 8");
    let mut cache = KvCache::new(&gpt, 1, 4).unwrap();
    let error = text(gpt.prefill(&ids(&[&IDS[..5]]), &mut cache).unwrap_err());
    assert_eq!(error, "5 tokens do not fit a cache of 4");
    gpt.prefill(&ids(&[&IDS[..3]]), &mut cache).unwrap();
    let error = text(gpt.prefill(&ids(&[&IDS[..1]]), &mut cache).unwrap_err());
    assert_eq!(error, "a prompt wants an empty cache, this one holds 3 tokens");
    let error = text(gpt.decode(&ids(&[&IDS[..2]]), &mut cache).unwrap_err());
    assert_eq!(error, "a cache takes one token at a time, not 2");
    let error = text(gpt.decode(&ids(&[&[1], &[2]]), &mut cache).unwrap_err());
    assert_eq!(error, "2 sequences do not fit a cache of 1");
    gpt.decode(&ids(&[&IDS[3..4]]), &mut cache).unwrap();
    assert!(cache.is_full());
    let error = text(gpt.decode(&ids(&[&IDS[4..5]]), &mut cache).unwrap_err());
    assert_eq!(error, "5 tokens do not fit a cache of 4");
    cache.clear();
    cache.trace(Some(2));
    let error = text(gpt.prefill(&ids(&[&IDS[..1]]), &mut cache).unwrap_err());
    assert_eq!(error, "layer 2 is not in [0, 2)");
}
