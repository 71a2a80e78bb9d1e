//! Any text, read as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzz::check(text, "json", &[]);
});
