//! Compiles the step with the system's C compiler.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/step.c");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    let object = out.join("step.o");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .args(["-O2", "-fPIC", "-Wall", "-Werror", "-fvisibility=hidden", "-c", "src/step.c", "-o"])
        .arg(&object)
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "src/step.c doesn't compile");
    println!("cargo::rustc-link-arg-cdylib={}", object.display());
}
