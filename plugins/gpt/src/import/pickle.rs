//! Pickles as data: candle's reader, which runs nothing, with bounds on what a hostile file can ask.
//!
//! A pickle is a little program, and Python's reader runs whatever function it names. Candle's turns
//! such a call into a value instead; here every name is then checked against the few that a file of
//! weights needs. The bounds keep a small file from growing into values without end.

use std::io::BufRead;

use candle_core::pickle::{Object, Stack};
use sdk::{Error, Result};

/// Levels of nested values; a checkpoint has about 8.
const MAX_DEPTH: usize = 64;
/// Values in all; a checkpoint of 100 layers has about 50,000.
const MAX_VALUES: usize = 1 << 20;
/// Values that are looked at in all while the bounds are checked. A checkpoint's containers grow by
/// a thousand values at a time; one that grows by single values takes quadratic time to check.
const MAX_LOOKS: usize = 1 << 25;

/// Instructions after which the stack's top may be deeper or larger than before.
const GROWING: &[u8] = b"QtRbsuae\x81\x85\x86\x87";
/// Instructions that copy the stack's top to the memo or from it.
const COPYING: &[u8] = b"qrhj";
/// The instruction for a long integer; its length in bytes follows.
const LONG: u8 = 0x8a;

/// The value of a pickle.
///
/// # Errors
/// When it is no pickle, uses an instruction that checkpoints don't, is out of bounds, or names
/// something that weights don't need.
pub(super) fn read(mut pickle: &[u8]) -> Result<Object> {
    let mut stack = Stack::empty();
    let mut rest_to_copy = MAX_VALUES;
    let mut rest_to_look = MAX_LOOKS;
    loop {
        let instruction = match pickle {
            [] => return Err(bad("it ends too early")),
            [LONG, n, ..] if *n > 8 => return Err(bad("an integer has more than 64 bits")),
            [instruction, ..] => *instruction,
        };
        if read_one(&mut stack, &mut pickle)? {
            break;
        }
        if stack.stack().len() > MAX_VALUES {
            return Err(out_of_bounds());
        }
        let Some(top) = stack.stack().last() else { continue };
        if COPYING.contains(&instruction) {
            check_bounds(top, &mut rest_to_copy)?;
        } else if GROWING.contains(&instruction) {
            let before = rest_to_look.min(MAX_VALUES);
            let mut rest = before;
            check_bounds(top, &mut rest)?;
            rest_to_look -= before - rest;
        }
    }
    let value = stack.finalize().map_err(|e| bad(&first_line(&e)))?;
    match foreign_name(&value) {
        None => Ok(value),
        Some(name) => {
            let message = format!("it names `{name}`, which weights don't need; nothing was run");
            Err(bad(&message).help("don't open it with PyTorch unless you trust who made it"))
        }
    }
}

fn read_one<R: BufRead>(stack: &mut Stack, pickle: &mut R) -> Result<bool> {
    stack.read(pickle).map_err(|e| bad(&first_line(&e)))
}

fn bad(why: &str) -> Error {
    Error::new("gpt::pickle", format!("not the pickle of a checkpoint: {why}"))
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn check_bounds(value: &Object, rest: &mut usize) -> Result<()> {
    if is_within(value, MAX_DEPTH, rest) {
        return Ok(());
    }
    Err(out_of_bounds())
}

fn out_of_bounds() -> Error {
    bad("its values are nested too deeply or too many")
}

/// Whether a value has at most `depth` levels and `rest` parts.
fn is_within(value: &Object, depth: usize, rest: &mut usize) -> bool {
    if depth == 0 || *rest == 0 {
        return false;
    }
    *rest -= 1;
    parts(value).into_iter().all(|part| is_within(part, depth - 1, rest))
}

/// The values that a value is made of.
fn parts(value: &Object) -> Vec<&Object> {
    match value {
        Object::Tuple(items) | Object::List(items) => items.iter().collect(),
        Object::Dict(items) => items.iter().flat_map(|(key, value)| [key, value]).collect(),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            vec![callable, args]
        }
        Object::PersistentLoad(id) => vec![id],
        _ => Vec::new(),
    }
}

/// The first name in a value that a file of weights has no use for.
fn foreign_name(value: &Object) -> Option<String> {
    if let Object::Class { module_name, class_name } = value {
        let is_known = match module_name.as_str() {
            "torch" | "torch._utils" | "torch.storage" | "pathlib" | "numpy" | "_codecs" => true,
            "collections" => matches!(class_name.as_str(), "OrderedDict" | "defaultdict"),
            other => other.starts_with("numpy."),
        };
        return (!is_known).then(|| format!("{module_name}.{class_name}"));
    }
    parts(value).into_iter().find_map(foreign_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pickle: &[u8]) -> String {
        read(pickle).unwrap_err().message
    }

    #[test]
    fn plain_values_are_read() {
        // pickle.dumps({"step": 3, "best": 2.5}, protocol=2)
        let pickle = b"\x80\x02}q\x00(X\x04\x00\x00\x00stepq\x01K\x03X\x04\x00\x00\x00bestq\x02\
                       G@\x04\x00\x00\x00\x00\x00\x00u.";
        let Object::Dict(items) = read(pickle).unwrap() else { panic!("a dict") };
        // candle keeps them in reverse.
        assert_eq!(items[1], (Object::Unicode("step".into()), Object::Int(3)));
        assert_eq!(items[0].1, Object::Float(2.5));
    }

    #[test]
    fn a_call_is_named_and_not_made() {
        // What `__reduce__` returning (os.system, ("touch /tmp/x",)) makes at protocol 2.
        let pickle =
            b"\x80\x02cposix\nsystem\nq\x00X\x0c\x00\x00\x00touch /tmp/xq\x01\x85q\x02Rq\x03.";
        assert_eq!(
            message(pickle),
            "not the pickle of a checkpoint: it names `posix.system`, which weights don't need; \
             nothing was run"
        );
    }

    #[test]
    fn hostile_pickles_end_in_an_error() {
        let nested = [b"\x80\x02)".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat();
        assert!(message(&nested).ends_with("nested too deeply or too many"));
        // Doubles a tuple 40 times through the memo.
        let mut doubling = b"\x80\x02)q\x00".to_vec();
        for _ in 0..40 {
            doubling.extend(b"h\x00h\x00\x86q\x00");
        }
        doubling.push(b'.');
        assert!(message(&doubling).ends_with("nested too deeply or too many"));
        // A dictionary that grows by single values, and a stack that only grows.
        let growing =
            [b"\x80\x02}".to_vec(), b"K\x01K\x01s".repeat(100_000), b".".to_vec()].concat();
        assert!(message(&growing).ends_with("nested too deeply or too many"));
        let pushed = [b"\x80\x02(".to_vec(), vec![b'N'; 2 << 20], b"t.".to_vec()].concat();
        assert!(message(&pushed).ends_with("nested too deeply or too many"));
        assert!(message(b"\x80\x02\x8a\xff").ends_with("more than 64 bits"));
        assert!(message(b"\x80\x02}").ends_with("it ends too early"));
        assert!(message(b"hello").contains("missing object in memo"));
        assert!(message(b"\x80\x02X\xff\xff\xff\x7fab").starts_with("not the pickle"));
    }
}
