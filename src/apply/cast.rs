//! Casts between dtypes: one rounding to nearest even, and an error where a value does not fit.

use half::{bf16, f16};

use crate::tensor::Dtype;

/// A cast from one dtype to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast(Kernel);

type Kernel = fn(&[u8], &mut [u8]) -> Result<(), OutOfRange>;

/// A value that the new dtype cannot hold: infinite, not a number or too large for an integer.
#[derive(Debug, PartialEq)]
pub(super) struct OutOfRange {
    /// Which element of the run.
    pub index: u64,
    /// Its value.
    pub value: String,
}

impl Cast {
    /// The cast between two dtypes that have values.
    pub fn new(from: Dtype, to: Dtype) -> Option<Cast> {
        macro_rules! kernels {
            ($to:ident; $($dtype:ident $type:ty, $kernel:ident);+) => {
                match from { $(Dtype::$dtype => $kernel::<$type, $to>,)+ _ => return None }
            };
        }
        macro_rules! of_real {
            ($to:ident) => {
                kernels!($to; F64 f64, real_to_real; F32 f32, real_to_real; F16 f16, real_to_real;
                    Bf16 bf16, real_to_real; I64 i64, whole_to_real; I32 i32, whole_to_real;
                    I16 i16, whole_to_real; I8 i8, whole_to_real; U64 u64, whole_to_real;
                    U32 u32, whole_to_real; U16 u16, whole_to_real; U8 u8, whole_to_real;
                    Bool Truth, whole_to_real)
            };
        }
        macro_rules! of_whole {
            ($to:ident) => {
                kernels!($to; F64 f64, real_to_whole; F32 f32, real_to_whole; F16 f16, real_to_whole;
                    Bf16 bf16, real_to_whole; I64 i64, whole_to_whole; I32 i32, whole_to_whole;
                    I16 i16, whole_to_whole; I8 i8, whole_to_whole; U64 u64, whole_to_whole;
                    U32 u32, whole_to_whole; U16 u16, whole_to_whole; U8 u8, whole_to_whole;
                    Bool Truth, whole_to_whole)
            };
        }
        let kernel: Kernel = match to {
            Dtype::F64 => of_real!(f64),
            Dtype::F32 => of_real!(f32),
            Dtype::F16 => of_real!(f16),
            Dtype::Bf16 => of_real!(bf16),
            Dtype::I64 => of_whole!(i64),
            Dtype::I32 => of_whole!(i32),
            Dtype::I16 => of_whole!(i16),
            Dtype::I8 => of_whole!(i8),
            Dtype::U64 => of_whole!(u64),
            Dtype::U32 => of_whole!(u32),
            Dtype::U16 => of_whole!(u16),
            Dtype::U8 => of_whole!(u8),
            Dtype::Bool => of_whole!(Truth),
            _ => return None,
        };
        Some(Cast(kernel))
    }

    /// Converts a run of elements; `out` holds as many as `input`.
    pub fn run(self, input: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
        (self.0)(input, out)
    }
}

/// The value of one element as a real number, for dtypes that have values.
pub(super) fn get(dtype: Dtype, element: &[u8]) -> Option<f64> {
    let mut value = [0; 8];
    Cast::new(dtype, Dtype::F64)?.run(element, &mut value).ok()?;
    Some(f64::from_le_bytes(value))
}

/// Writes a whole number that was checked to fit.
pub(super) fn put_int(dtype: Dtype, value: i128, out: &mut [u8]) {
    let wide = i64::try_from(value).unwrap_or(i64::MAX).to_le_bytes();
    if let Some(cast) = Cast::new(Dtype::I64, dtype) {
        let _ = cast.run(&wide, out);
    }
}

/// Writes a real number.
pub(super) fn put_float(dtype: Dtype, value: f64, out: &mut [u8]) {
    if let Some(cast) = Cast::new(Dtype::F64, dtype) {
        let _ = cast.run(&value.to_le_bytes(), out);
    }
}

/// An element in little-endian bytes.
trait Element: Copy {
    const SIZE: usize;
    fn get(bytes: &[u8]) -> Self;
    fn put(self, bytes: &mut [u8]);
}

/// A floating-point element. `Wide` holds each value exactly; narrowing from it rounds once.
trait Real: Element {
    type Wide: Wide;
    fn wide(self) -> Self::Wide;
    fn of_f32(value: f32) -> Self;
    fn of_f64(value: f64) -> Self;
}

/// f32 or f64, whichever holds the operand exactly.
trait Wide: Copy {
    fn to<T: Real>(self) -> T;
    fn f64(self) -> f64;
}

impl Wide for f32 {
    fn to<T: Real>(self) -> T {
        T::of_f32(self)
    }
    fn f64(self) -> f64 {
        self.into()
    }
}

impl Wide for f64 {
    fn to<T: Real>(self) -> T {
        T::of_f64(self)
    }
    fn f64(self) -> f64 {
        self
    }
}

/// An integer element, or a truth value.
trait Whole: Element {
    fn wide(self) -> i128;
    fn of_i128(value: i128) -> Option<Self>;
    fn of_f64(value: f64) -> Option<Self>;
}

/// One byte that is 0 or 1.
#[derive(Clone, Copy)]
struct Truth(u8);

macro_rules! element {
    ($($type:ty),+) => {$(
        impl Element for $type {
            const SIZE: usize = size_of::<$type>();
            fn get(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                <$type>::from_le_bytes(own)
            }
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )+};
}
element!(f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8);

impl Element for Truth {
    const SIZE: usize = 1;
    fn get(bytes: &[u8]) -> Self {
        Truth(bytes[0])
    }
    fn put(self, bytes: &mut [u8]) {
        bytes[0] = self.0;
    }
}

macro_rules! real {
    ($type:ty, $wide:ty, $widen:expr, $of_f32:expr, $of_f64:expr) => {
        impl Real for $type {
            type Wide = $wide;
            fn wide(self) -> $wide {
                $widen(self)
            }
            fn of_f32(value: f32) -> Self {
                $of_f32(value)
            }
            fn of_f64(value: f64) -> Self {
                $of_f64(value)
            }
        }
    };
}
real!(f64, f64, |value| value, f64::from, |value| value);
real!(f32, f32, |value| value, |value| value, |value: f64| {
    #[allow(clippy::cast_possible_truncation)] // the rounding is the cast that was asked for
    let value = value as f32;
    value
});
real!(f16, f32, f16::to_f32, f16::from_f32, |value| f16::from_f32(to_odd(value)));
real!(bf16, f32, bf16::to_f32, bf16::from_f32, |value| bf16::from_f32(to_odd(value)));

/// The value in f32, rounded to odd: what does not fit becomes the neighbour whose last bit is 1.
///
/// A second rounding to a dtype at least two bits narrower then gives what a single one would
/// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). The conversions of `half`
/// from f64 ignore the low 32 bits.
fn to_odd(value: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation)]
    let near = value as f32;
    if f64::from(near) == value || value.is_nan() {
        return near;
    }
    let towards_zero = if f64::from(near).abs() > value.abs() { near.to_bits() - 1 } else { near.to_bits() };
    f32::from_bits(towards_zero | 1)
}

macro_rules! whole {
    ($($type:ty),+) => {$(
        impl Whole for $type {
            fn wide(self) -> i128 {
                self.into()
            }
            fn of_i128(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            fn of_f64(value: f64) -> Option<Self> {
                // Beyond 2^127 nothing fits; below, the conversion of a rounded value is exact.
                let rounded = value.round_ties_even();
                if !rounded.is_finite() || rounded.abs() > 1e38 {
                    return None;
                }
                #[allow(clippy::cast_possible_truncation)] // whole and in range
                Self::of_i128(rounded as i128)
            }
        }
    )+};
}
whole!(i64, i32, i16, i8, u64, u32, u16, u8);

impl Whole for Truth {
    fn wide(self) -> i128 {
        (self.0 != 0).into()
    }
    fn of_i128(value: i128) -> Option<Self> {
        Some(Truth((value != 0).into()))
    }
    fn of_f64(value: f64) -> Option<Self> {
        Some(Truth((value != 0.0).into()))
    }
}

fn pairs<'a, A: Element, B: Element>(
    input: &'a [u8],
    out: &'a mut [u8],
) -> impl Iterator<Item = (&'a [u8], &'a mut [u8])> {
    input.chunks_exact(A::SIZE).zip(out.chunks_exact_mut(B::SIZE))
}

fn real_to_real<A: Real, B: Real>(input: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
    for (input, out) in pairs::<A, B>(input, out) {
        A::get(input).wide().to::<B>().put(out);
    }
    Ok(())
}

fn whole_to_real<A: Whole, B: Real>(input: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
    for (input, out) in pairs::<A, B>(input, out) {
        // f32 would round twice on the way to a narrower dtype, and f64 holds every i32 exactly; of
        // larger integers the first rounding is to 53 bits.
        #[allow(clippy::cast_precision_loss)]
        B::of_f64(A::get(input).wide() as f64).put(out);
    }
    Ok(())
}

fn real_to_whole<A: Real, B: Whole>(input: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
    for (index, (input, out)) in (0..).zip(pairs::<A, B>(input, out)) {
        let value = A::get(input).wide().f64();
        B::of_f64(value).ok_or_else(|| OutOfRange { index, value: value.to_string() })?.put(out);
    }
    Ok(())
}

fn whole_to_whole<A: Whole, B: Whole>(input: &[u8], out: &mut [u8]) -> Result<(), OutOfRange> {
    for (index, (input, out)) in (0..).zip(pairs::<A, B>(input, out)) {
        let value = A::get(input).wide();
        B::of_i128(value).ok_or_else(|| OutOfRange { index, value: value.to_string() })?.put(out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cast(from: Dtype, to: Dtype, input: &[u8]) -> Result<Vec<u8>, OutOfRange> {
        let size = |dtype: Dtype| usize::try_from(dtype.bytes().unwrap()).unwrap();
        let mut out = vec![0; input.len() / size(from) * size(to)];
        Cast::new(from, to).unwrap().run(input, &mut out)?;
        Ok(out)
    }

    #[test]
    fn floats_round_to_nearest_even() {
        for (value, expected) in [(257.0f32, 256.0f32), (259.0, 260.0), (f32::INFINITY, f32::INFINITY)] {
            let bytes = cast(Dtype::F32, Dtype::Bf16, &value.to_le_bytes()).unwrap();
            assert_eq!(bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(), expected);
        }
        let bytes = cast(Dtype::F32, Dtype::F16, &2049.0f32.to_le_bytes()).unwrap();
        assert_eq!(f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(), 2048.0);
    }

    #[test]
    fn f64_to_narrow_floats_rounds_once() {
        // Just above the middle between two bf16 values: a way through f32 would land on the middle.
        let value = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        let bytes = cast(Dtype::F64, Dtype::Bf16, &value.to_le_bytes()).unwrap();
        assert_eq!(bf16::from_le_bytes([bytes[0], bytes[1]]).to_f64(), 1.0 + 2f64.powi(-7));
    }

    #[test]
    fn large_and_tiny_f64_become_infinite_and_zero() {
        for (value, expected) in
            [(1e300, f64::INFINITY), (-1e300, f64::NEG_INFINITY), (1e-300, 0.0), (65519.9, 65504.0)]
        {
            let bytes = cast(Dtype::F64, Dtype::F16, &f64::to_le_bytes(value)).unwrap();
            assert_eq!(f16::from_le_bytes([bytes[0], bytes[1]]).to_f64(), expected);
        }
    }

    #[test]
    fn integers_that_do_not_fit_are_errors() {
        assert_eq!(cast(Dtype::I64, Dtype::I8, &127i64.to_le_bytes()), Ok(vec![127]));
        let error = cast(Dtype::I64, Dtype::I8, &128i64.to_le_bytes()).unwrap_err();
        assert_eq!(error, OutOfRange { index: 0, value: "128".to_owned() });
        assert!(cast(Dtype::F32, Dtype::U8, &f32::NAN.to_le_bytes()).is_err());
        assert_eq!(cast(Dtype::F32, Dtype::U8, &2.5f32.to_le_bytes()), Ok(vec![2]));
    }
}
