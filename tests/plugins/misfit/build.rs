//! Tells the target, which the library says of itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=MISFIT_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
