//! Work that falls into parts: slices cut in several ways, and several of them side by side.

use std::marker::PhantomData;

/// Parts that different threads may work on at the same time.
///
/// # Safety
/// The parts of two indices share no memory that either may write.
pub unsafe trait Parts: Sync {
    /// One part.
    type Part;

    /// How many there are.
    fn count(&self) -> usize;

    /// Part `i`.
    ///
    /// # Safety
    /// `i` is below [`Parts::count`] and is asked for once.
    unsafe fn part(&self, i: usize) -> Self::Part;
}

/// A slice that is lent out in parts.
struct Lent<'a, T> {
    values: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: what is lent out are disjoint `&mut`, which may go to other threads as `T` may.
unsafe impl<T: Send> Sync for Lent<'_, T> {}

impl<'a, T> Lent<'a, T> {
    fn new(values: &'a mut [T]) -> Self {
        Self { len: values.len(), values: values.as_mut_ptr(), slice: PhantomData }
    }

    /// Elements `begin..end`.
    ///
    /// # Safety
    /// They are inside, and no other borrow of any of them is there.
    unsafe fn part(&self, begin: usize, end: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(begin), end - begin) }
    }
}

/// The elements of a slice, one by one.
pub struct Items<'a, T>(Lent<'a, T>);

impl<'a, T> Items<'a, T> {
    /// Each of `items` is a part.
    pub fn new(items: &'a mut [T]) -> Self {
        Self(Lent::new(items))
    }
}

// SAFETY: each index has an element of its own.
unsafe impl<'a, T: Send> Parts for Items<'a, T> {
    type Part = &'a mut T;

    fn count(&self) -> usize {
        self.0.len
    }

    unsafe fn part(&self, i: usize) -> &'a mut T {
        // SAFETY: `i` is inside, and asked for once.
        unsafe { &mut *self.0.values.add(i) }
    }
}

/// Consecutive pieces of a slice, all of one size but the last.
pub struct Chunks<'a, T> {
    values: Lent<'a, T>,
    size: usize,
}

impl<'a, T> Chunks<'a, T> {
    /// Pieces of `size` elements; 0 counts as 1.
    pub fn new(values: &'a mut [T], size: usize) -> Self {
        Self { values: Lent::new(values), size: size.max(1) }
    }
}

// SAFETY: pieces do not overlap.
unsafe impl<'a, T: Send> Parts for Chunks<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.values.len.div_ceil(self.size)
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        let begin = i * self.size;
        // SAFETY: `i` is below the count, so it begins inside, and it is asked for once.
        unsafe { self.values.part(begin, self.values.len.min(begin + self.size)) }
    }
}

/// Consecutive pieces of a slice that end where a list says.
pub struct Ranges<'a, T> {
    values: Lent<'a, T>,
    offsets: &'a [usize],
}

impl<'a, T> Ranges<'a, T> {
    /// Piece `i` is `offsets[i]..offsets[i + 1]`.
    ///
    /// # Panics
    /// When the offsets go back, or beyond the slice.
    pub fn new(values: &'a mut [T], offsets: &'a [usize]) -> Self {
        assert!(offsets.is_sorted(), "offsets go back");
        assert!(offsets.last().is_none_or(|end| *end <= values.len()), "offsets go too far");
        Self { values: Lent::new(values), offsets }
    }
}

// SAFETY: the offsets do not go back, so pieces do not overlap.
unsafe impl<'a, T: Send> Parts for Ranges<'a, T> {
    type Part = &'a mut [T];

    fn count(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    unsafe fn part(&self, i: usize) -> &'a mut [T] {
        // SAFETY: `new` looked at the offsets, and `i` is asked for once.
        unsafe { self.values.part(self.offsets[i], self.offsets[i + 1]) }
    }
}

// SAFETY: each side gives an index memory of its own.
unsafe impl<A: Parts, B: Parts> Parts for (A, B) {
    type Part = (A::Part, B::Part);

    fn count(&self) -> usize {
        self.0.count().min(self.1.count())
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        // SAFETY: below both counts, and asked for once.
        unsafe { (self.0.part(i), self.1.part(i)) }
    }
}
