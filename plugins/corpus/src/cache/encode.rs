//! Encodes pieces of text on several threads, in their order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokenizer::Tokenizer;

/// The tokens of each text. Threads take the next text that nobody has; the result doesn't depend on
/// how many there are.
pub(super) fn encode_all(texts: &[&str], tokenizer: &Tokenizer, n_threads: usize) -> Vec<Vec<u32>> {
    let n_threads = n_threads.min(texts.len());
    if n_threads <= 1 {
        return texts.iter().map(|text| tokenizer.encode(text)).collect();
    }
    let next = AtomicUsize::new(0);
    let encoded: Vec<Mutex<Vec<u32>>> = texts.iter().map(|_| Mutex::default()).collect();
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let Some(idx) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let (Some(text), Some(place)) = (texts.get(idx), encoded.get(idx))
                {
                    let tokens = tokenizer.encode(text);
                    *place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = tokens;
                }
            });
        }
    });
    let inner = |place: Mutex<Vec<u32>>| {
        place.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    encoded.into_iter().map(inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_texts_on_any_number_of_threads() {
        let texts: Vec<String> = (0..500).map(|idx| format!("text {idx}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let alone = encode_all(&texts, &Tokenizer::byte(), 1);
        assert_eq!(alone[499], Tokenizer::byte().encode("text 499"));
        for n_threads in [2, 3, 16] {
            assert_eq!(encode_all(&texts, &Tokenizer::byte(), n_threads), alone);
        }
    }
}
