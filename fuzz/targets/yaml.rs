//! Any text, read as YAML.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzz::check(text, "yaml", &[]);
});
