//! Any command line of overrides, one a line, on a file that resolves.
#![no_main]

const FILE: &str = "[try.training]\ntotal_steps = 5\n[practise]\n";

libfuzzer_sys::fuzz_target!(|text: &str| {
    let overrides: Vec<String> = text.lines().map(str::to_owned).collect();
    fuzz::check(FILE, "toml", &overrides);
});
