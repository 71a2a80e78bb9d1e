//! Memory that begins on a cache line, so that no vector of 64 bytes lies across two.

use std::ops::{Deref, DerefMut};

/// A cache line of values.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line([f32; Line::LEN]);

impl Line {
    const LEN: usize = 16;
}

/// A slice of its own, like `Vec<f32>`, on whole cache lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// Sets the length; memory is taken once and kept. What was in use before keeps its values.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(Line::LEN);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line::default());
        }
        self.len = len;
    }

    /// Makes room for at least `len` values.
    pub(crate) fn at_least(&mut self, len: usize) {
        self.resize(len.max(self.len));
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is 16 values without padding, and `resize` keeps `len` within the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_on_a_cache_line_and_keeps_what_it_held() {
        let mut buffer = Buffer::default();
        assert!(buffer.is_empty());
        for len in [1, 15, 16, 17, 1000] {
            buffer.resize(len);
            buffer[len - 1] = len as f32;
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (len, 0));
        }
        buffer.resize(16);
        assert_eq!(buffer[14..], [15.0, 16.0]);
        buffer.at_least(4);
        assert_eq!(buffer.len(), 16);
    }
}
