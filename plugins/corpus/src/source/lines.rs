//! Lines of a text file in bounded memory: CRLF becomes LF, what is not UTF-8 becomes U+FFFD.

use std::io::{self, BufRead, Read};

/// Longer lines come in several parts.
const PART_BYTES: usize = 1 << 20;
const BOM: &[u8] = "\u{FEFF}".as_bytes();

/// A line, or a part of a long one, without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Whether the line ends here, with a line feed or with the file.
    pub(super) is_end: bool,
    /// Whether a line feed ends it.
    pub(super) has_feed: bool,
}

/// Reads [`Line`]s.
pub(super) struct Lines<R> {
    from: R,
    /// Bytes of the line that was cut in the middle of a character.
    rest: Vec<u8>,
    bytes_read: u64,
    n_replaced: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, rest: Vec::new(), bytes_read: 0, n_replaced: 0 }
    }

    /// How many bytes of the file are read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// How many sequences of bytes were no UTF-8 so far.
    pub(super) fn n_replaced(&self) -> usize {
        self.n_replaced
    }

    /// The next line or part of one; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let limit = (PART_BYTES - bytes.len()) as u64;
        let is_first = self.bytes_read == 0;
        let n = (&mut self.from).take(limit).read_until(b'\n', &mut bytes)?;
        self.bytes_read += n as u64;
        if is_first && bytes.starts_with(BOM) {
            bytes.drain(..BOM.len());
        }
        if bytes.is_empty() && n == 0 {
            return Ok(None);
        }
        let has_feed = bytes.last() == Some(&b'\n');
        // A short read without a line feed is the end of the file.
        let is_end = has_feed || (n as u64) < limit;
        if has_feed {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        } else if !is_end {
            let cut = cut(&bytes);
            self.rest = bytes.split_off(cut);
        }
        let text = self.decode(bytes);
        Ok(Some(Line { text, is_end, has_feed }))
    }

    fn decode(&mut self, bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap_or_else(|error| {
            let chunks = error.as_bytes().utf8_chunks();
            self.n_replaced += chunks.filter(|chunk| !chunk.invalid().is_empty()).count();
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })
    }
}

/// Where to cut so that neither a character nor a CRLF is torn.
fn cut(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return bytes.len() - 1;
    }
    let from = bytes.len().saturating_sub(4);
    let starts = |byte: &u8| !(0x80..0xC0).contains(byte);
    let last = bytes[from..].iter().rposition(starts).map_or(bytes.len(), |idx| from + idx);
    if std::str::from_utf8(&bytes[last..]).is_ok() { bytes.len() } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> (Vec<Line>, usize) {
        let mut lines = Lines::new(bytes);
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            read.push(line);
        }
        assert_eq!(lines.bytes_read(), bytes.len() as u64);
        (read, lines.n_replaced())
    }

    #[test]
    fn line_ends_become_one_and_the_last_may_have_none() {
        let (lines, n_replaced) = all(b"\xEF\xBB\xBFone\r\n\ntwo\rthree");
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["one", "", "two\rthree"]);
        assert_eq!(n_replaced, 0);
        assert!(lines.iter().all(|line| line.is_end));
        assert_eq!(lines.iter().map(|line| line.has_feed).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_counted() {
        let (lines, n_replaced) = all(b"a\xFFb\xC3\nfine \xE2\x82\n");
        assert_eq!(lines[0].text, "a\u{FFFD}b\u{FFFD}");
        assert_eq!(lines[1].text, "fine \u{FFFD}");
        assert_eq!(n_replaced, 3);
    }

    #[test]
    fn long_lines_come_in_parts_that_tear_nothing() {
        for shift in 0..4 {
            let text = format!("{}{}\r\nend", "x".repeat(shift), "€".repeat(PART_BYTES));
            let (lines, n_replaced) = all(text.as_bytes());
            assert_eq!(n_replaced, 0);
            assert!(lines.iter().all(|line| line.text.len() <= PART_BYTES));
            let is_end: Vec<bool> = lines.iter().map(|line| line.is_end).collect();
            assert_eq!(is_end, [false, false, false, true, true]);
            let joined: String = lines[..4].iter().map(|line| line.text.as_str()).collect();
            assert_eq!(joined, text.strip_suffix("\r\nend").unwrap());
        }
    }

    #[test]
    fn a_line_as_long_as_a_part_is_whole() {
        let text = format!("{}\r\nb", "x".repeat(PART_BYTES - 1));
        let (lines, _) = all(text.as_bytes());
        let joined: String = lines[..2].iter().map(|line| line.text.as_str()).collect();
        assert_eq!((joined.len(), lines[2].text.as_str()), (PART_BYTES - 1, "b"));
    }
}
