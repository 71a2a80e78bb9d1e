//! The numbers of an ENVI file: how they are stored, and from bytes to values.

use std::iter::repeat_n;

use crate::data::missing::Markers;

/// How a number is stored, by the code that a header's `data type` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleType {
    /// Unsigned, 8 bits; code 1.
    U8,
    /// Signed, 16 bits; code 2.
    I16,
    /// Signed, 32 bits; code 3.
    I32,
    /// Floating point, 32 bits; code 4.
    F32,
    /// Floating point, 64 bits; code 5.
    F64,
    /// Unsigned, 16 bits; code 12.
    U16,
    /// Unsigned, 32 bits; code 13.
    U32,
    /// Signed, 64 bits; code 14. Beyond 2⁵³ it is read to the nearest f64.
    I64,
    /// Unsigned, 64 bits; code 15. Beyond 2⁵³ it is read to the nearest f64.
    U64,
}

impl SampleType {
    /// The codes that are read; 6 and 9 are complex numbers.
    pub(super) const CODES: &str = "1, 2, 3, 4, 5, 12, 13, 14 and 15";

    /// The type of a code.
    pub fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::U8,
            2 => Self::I16,
            3 => Self::I32,
            4 => Self::F32,
            5 => Self::F64,
            12 => Self::U16,
            13 => Self::U32,
            14 => Self::I64,
            15 => Self::U64,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub fn n_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::F32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The value that a number written in a header has in a file of this type.
    fn stored(self, value: f64) -> f64 {
        if self == Self::F32 { f64::from(value as f32) } else { value }
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant one: `byte order = 0`.
    Little,
    /// The most significant one: `byte order = 1`.
    Big,
}

/// What values are read as: f32 or f64.
pub trait Real: Copy + Send + Sync + 'static {
    /// The marker of a missing value.
    const MISSING: Self;
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
}

impl Real for f32 {
    const MISSING: Self = Self::NAN;
    fn of(value: f64) -> Self {
        value as Self
    }
}

impl Real for f64 {
    const MISSING: Self = Self::NAN;
    fn of(value: f64) -> Self {
        value
    }
}

/// From the bytes of a file to values: byte order, missing values, scale.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    sample_type: SampleType,
    byte_order: ByteOrder,
    missing: Markers,
    divisor: f64,
}

impl Decoder {
    /// Values are divided by `divisor`, those that `missing` marks in the file are missing.
    pub(super) fn new(
        sample_type: SampleType,
        byte_order: ByteOrder,
        missing: &Markers,
        divisor: f64,
    ) -> Self {
        let missing = missing.map(|marker| sample_type.stored(marker));
        Self { sample_type, byte_order, missing, divisor }
    }

    /// Reads `bytes` into `values`, every `step`-th of them from the first.
    ///
    /// # Panics
    /// When `values` is too short.
    pub(super) fn scatter<F: Real>(&self, bytes: &[u8], values: &mut [F], step: usize) {
        let targets = values.iter_mut().step_by(step);
        let big = self.byte_order == ByteOrder::Big;
        macro_rules! numbers {
            ($number:ty) => {{
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$number>() }>();
                let from = if big { <$number>::from_be_bytes } else { <$number>::from_le_bytes };
                for (value, chunk) in targets.zip(chunks) {
                    *value = self.value(from(*chunk) as f64);
                }
            }};
        }
        match self.sample_type {
            SampleType::U8 => numbers!(u8),
            SampleType::I16 => numbers!(i16),
            SampleType::I32 => numbers!(i32),
            SampleType::F32 => numbers!(f32),
            SampleType::F64 => numbers!(f64),
            SampleType::U16 => numbers!(u16),
            SampleType::U32 => numbers!(u32),
            SampleType::I64 => numbers!(i64),
            SampleType::U64 => numbers!(u64),
        }
    }

    /// Appends what `bytes` hold to `values`.
    pub(super) fn append<F: Real>(&self, bytes: &[u8], values: &mut Vec<F>) {
        let begin = values.len();
        values.extend(repeat_n(F::MISSING, bytes.len() / self.sample_type.n_bytes()));
        self.scatter(bytes, &mut values[begin..], 1);
    }

    fn value<F: Real>(&self, stored: f64) -> F {
        if self.missing.marks(stored) { F::MISSING } else { F::of(stored / self.divisor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(
        sample_type: SampleType,
        order: ByteOrder,
        bytes: &[u8],
        missing: &[f64],
    ) -> Vec<f64> {
        let mut values = Vec::new();
        Decoder::new(sample_type, order, &Markers::new(missing), 1.0).append(bytes, &mut values);
        values
    }

    #[test]
    fn every_type_is_read_in_both_byte_orders() {
        macro_rules! both {
            ($name:ident, $numbers:expr) => {
                let numbers = $numbers;
                let expected: Vec<f64> = numbers.iter().map(|number| *number as f64).collect();
                let little: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                let big: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
                assert_eq!(decode(SampleType::$name, ByteOrder::Little, &little, &[]), expected);
                assert_eq!(decode(SampleType::$name, ByteOrder::Big, &big, &[]), expected);
                assert_eq!(SampleType::$name.n_bytes() * numbers.len(), little.len());
            };
        }
        both!(U8, [0_u8, 7, 255]);
        both!(I16, [-32_768_i16, -2, 32_767]);
        both!(I32, [i32::MIN, -70_000, i32::MAX]);
        both!(F32, [-0.1_f32, 1.5e-30, 3.0e38]);
        both!(F64, [-0.1_f64, 1.5e-300, 1e308]);
        both!(U16, [0_u16, 40_000, 65_535]);
        both!(U32, [0_u32, 70_000, u32::MAX]);
        both!(I64, [i64::MIN, -5_000_000_000, 1 << 53]);
        both!(U64, [0_u64, 5_000_000_000, u64::MAX]);
    }

    #[test]
    fn what_a_marker_stands_for_is_missing_in_the_precision_of_the_file() {
        let bytes: Vec<u8> = [-1.23e34_f32, 0.5, f32::NAN, f32::INFINITY]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let values = decode(SampleType::F32, ByteOrder::Little, &bytes, &[-1.23e34]);
        assert_eq!(values[1], 0.5);
        assert!([0, 2, 3].iter().all(|i| values[*i].is_nan()), "{values:?}");
        let counts = decode(SampleType::I16, ByteOrder::Big, &[0xD8, 0xF1, 0, 5], &[-9999.0]);
        assert!(counts[0].is_nan() && counts[1] == 5.0);
    }

    #[test]
    fn values_are_divided_by_the_scale_and_placed_at_the_step() {
        let decoder =
            Decoder::new(SampleType::U16, ByteOrder::Little, &Markers::new(&[0.0]), 10_000.0);
        let mut values = [-1.0_f32; 5];
        decoder.scatter(&[0x88, 0x13, 0, 0, 0x10, 0x27], &mut values, 2);
        assert_eq!(values[0], 0.5);
        assert!(values[2].is_nan());
        assert_eq!([values[1], values[3], values[4]], [-1.0, -1.0, 1.0]);
    }
}
