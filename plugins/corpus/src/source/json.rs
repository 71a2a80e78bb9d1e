//! Records of a JSON file, which has one object per line or is one list of objects.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use serde_json::Value;

/// A longer record is a bad one: it would not fit into memory beside others.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// A record, or what is wrong with it, and its place from 1.
pub(super) type Item = (usize, Result<Value, String>);

/// Reads records one at a time.
pub(super) struct JsonRecords<R> {
    from: R,
    form: Form,
    bytes_read: u64,
    line: usize,
    n_replaced: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Unknown,
    Lines,
    List,
    /// Behind the list: nothing may follow.
    ListEnd,
    Ended,
}

impl<R: BufRead> JsonRecords<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, form: Form::Unknown, bytes_read: 0, line: 0, n_replaced: 0 }
    }

    /// How many bytes of the file are read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// How many sequences of bytes were no UTF-8 so far.
    pub(super) fn n_replaced(&self) -> usize {
        self.n_replaced
    }

    /// The next record; `None` at the end of the file.
    pub(super) fn next_record(&mut self) -> io::Result<Option<Item>> {
        if self.form == Form::Unknown {
            self.form = self.find_form()?;
        }
        match self.form {
            Form::List => self.next_element(),
            Form::ListEnd => self.behind_list(),
            Form::Ended => Ok(None),
            Form::Lines | Form::Unknown => self.next_line(),
        }
    }

    /// A file that begins with a bracket is a list.
    fn find_form(&mut self) -> io::Result<Form> {
        loop {
            let buffer = self.from.fill_buf()?;
            match buffer.first() {
                None => return Ok(Form::Ended),
                Some(b'[') => {
                    self.skip(1);
                    self.line = 0;
                    return Ok(Form::List);
                }
                // The three bytes of a byte order mark count as blank.
                Some(byte) if byte.is_ascii_whitespace() || b"\xEF\xBB\xBF".contains(byte) => {
                    self.line += usize::from(*byte == b'\n');
                    self.skip(1);
                }
                Some(_) => return Ok(Form::Lines),
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Item>> {
        loop {
            let mut bytes = Vec::new();
            let limit = RECORD_BYTES_MAX as u64;
            let n = (&mut self.from).take(limit).read_until(b'\n', &mut bytes)?;
            self.bytes_read += n as u64;
            self.line += 1;
            if n == 0 {
                return Ok(None);
            }
            if n == RECORD_BYTES_MAX && bytes.last() != Some(&b'\n') {
                self.bytes_read += self.from.skip_until(b'\n')? as u64;
                return Ok(Some((self.line, Err(too_long()))));
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some((self.line, self.parse(&bytes))));
            }
        }
    }

    /// The next element of the list; `self.line` counts them.
    fn next_element(&mut self) -> io::Result<Option<Item>> {
        let mut element = Vec::new();
        let mut scan = Scan::default();
        loop {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                self.form = Form::Ended;
                self.line += 1;
                return Ok(Some((self.line, Err("the list doesn't end".to_owned()))));
            }
            let end = buffer.iter().position(|byte| scan.ends_element(*byte));
            let taken = end.unwrap_or(buffer.len());
            // An element that is too long is read on to its end, but not kept.
            if element.len() <= RECORD_BYTES_MAX {
                element.extend_from_slice(&buffer[..taken]);
            }
            let Some(end) = end else {
                self.skip(taken);
                continue;
            };
            let is_last = buffer[end] == b']';
            self.skip(end + 1);
            if is_last && element.trim_ascii().is_empty() {
                self.form = Form::ListEnd;
                return self.behind_list();
            }
            return Ok(Some(self.element(&element, is_last)));
        }
    }

    /// What follows a list, such as a second one, would otherwise be lost in silence.
    fn behind_list(&mut self) -> io::Result<Option<Item>> {
        self.form = Form::Ended;
        loop {
            let buffer = self.from.fill_buf()?;
            let (n, is_blank) = (buffer.len(), buffer.trim_ascii().is_empty());
            if n == 0 {
                return Ok(None);
            }
            if !is_blank {
                self.line += 1;
                return Ok(Some((self.line, Err("text behind the end of the list".to_owned()))));
            }
            self.skip(n);
        }
    }

    fn element(&mut self, bytes: &[u8], is_last: bool) -> Item {
        if is_last {
            self.form = Form::ListEnd;
        }
        self.line += 1;
        let value =
            if bytes.len() > RECORD_BYTES_MAX { Err(too_long()) } else { self.parse(bytes) };
        (self.line, value)
    }

    /// Lines with bytes that are no text are read like text files: they are worth more than nothing.
    fn parse(&mut self, bytes: &[u8]) -> Result<Value, String> {
        let text = String::from_utf8_lossy(bytes.trim_ascii());
        if matches!(text, Cow::Owned(_)) {
            let chunks = bytes.utf8_chunks();
            self.n_replaced += chunks.filter(|chunk| !chunk.invalid().is_empty()).count();
        }
        serde_json::from_str(&text).map_err(|error| format!("invalid JSON: {error}"))
    }

    fn skip(&mut self, n_bytes: usize) {
        self.from.consume(n_bytes);
        self.bytes_read += n_bytes as u64;
    }
}

/// Where in a list's text the scanner is.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Scan {
    /// Whether this byte, a comma or a closing bracket of the list itself, ends the element.
    fn ends_element(&mut self, byte: u8) -> bool {
        if self.in_string {
            self.in_string = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => return self.depth == 0,
            _ => {}
        }
        false
    }
}

fn too_long() -> String {
    format!("longer than {} MiB", RECORD_BYTES_MAX >> 20)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(text: &str) -> Vec<Item> {
        let mut records = JsonRecords::new(io::BufReader::with_capacity(5, text.as_bytes()));
        let mut items = Vec::new();
        while let Some(item) = records.next_record().unwrap() {
            items.push(item);
        }
        items
    }

    #[test]
    fn lines_keep_their_numbers() {
        let items = all("\u{FEFF}\n{\"a\": 1}\n\n \r\n{\"a\":\n[2]\n7");
        let told: Vec<usize> = items.iter().map(|(line, _)| *line).collect();
        assert_eq!(told, [2, 5, 6, 7]);
        assert_eq!(items[0].1, Ok(json!({"a": 1})));
        assert_eq!(
            items[1].1.as_ref().unwrap_err(),
            "invalid JSON: EOF while parsing a value at line 1 column 5"
        );
        assert_eq!((&items[2].1, &items[3].1), (&Ok(json!([2])), &Ok(json!(7))));
    }

    #[test]
    fn a_list_is_read_element_by_element() {
        let items = all("  [\n{\"a\": \"],}\\\"\"}, [1, [2]],\n {\"b\": {\"c\": []}}, nul ]\n");
        let values: Vec<Option<&Value>> =
            items.iter().map(|(_, value)| value.as_ref().ok()).collect();
        assert_eq!(
            values,
            [
                Some(&json!({"a": "],}\""})),
                Some(&json!([1, [2]])),
                Some(&json!({"b": {"c": []}})),
                None
            ]
        );
        assert_eq!(items.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn lists_that_are_empty_or_torn_are_told_apart() {
        assert_eq!(all("[ ]"), []);
        assert_eq!(all(" \n"), []);
        assert_eq!(all("[{}"), [(1, Err("the list doesn't end".to_owned()))]);
        assert_eq!(all("[{},] \n"), [(1, Ok(json!({})))]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_counted() {
        let mut records = JsonRecords::new(&b"{\"a\": \"b\xFFc\xC3\"}\n{\"a\": \"fine\"}\n"[..]);
        let (line, value) = records.next_record().unwrap().unwrap();
        assert_eq!((line, value.unwrap()), (1, json!({"a": "b\u{FFFD}c\u{FFFD}"})));
        records.next_record().unwrap().unwrap().1.unwrap();
        assert_eq!(records.n_replaced(), 2);
    }

    #[test]
    fn what_stands_behind_a_list_is_told() {
        let behind = || Err("text behind the end of the list".to_owned());
        assert_eq!(all("[{}]\n  [{}]\n"), [(1, Ok(json!({}))), (2, behind())]);
        assert_eq!(all("[]{\"text\": \"lost\"}"), [(1, behind())]);
    }
}
