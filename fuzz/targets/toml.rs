//! Any text, read as TOML.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzz::check(text, "toml", &[]);
});
