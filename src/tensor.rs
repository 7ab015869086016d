//! The tensor vocabulary that every layer shares: dtypes, shapes, specs.

use std::fmt;
use std::str::FromStr;

/// The element type of a tensor, under the short names that rule files and key sets use.
///
/// The set is what PyTorch and safetensors can store between them; `Object` stands for an entry of
/// a state dict that is no tensor (a module's `_extra_state`, say) and can only be renamed or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the documentation
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    F8E4m3,
    F8E5m2,
    F8E4m3fnuz,
    F8E5m2fnuz,
    F8E8m0,
    F6E2m3,
    F6E3m2,
    F4,
    C32,
    C64,
    C128,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
    Qint8,
    Quint8,
    Qint32,
    Object,
}

/// Every dtype with its short name and the size of one element in bits.
const TABLE: &[(Dtype, &str, u64)] = &[
    (Dtype::F64, "f64", 64),
    (Dtype::F32, "f32", 32),
    (Dtype::F16, "f16", 16),
    (Dtype::Bf16, "bf16", 16),
    (Dtype::F8E4m3, "f8_e4m3", 8),
    (Dtype::F8E5m2, "f8_e5m2", 8),
    (Dtype::F8E4m3fnuz, "f8_e4m3fnuz", 8),
    (Dtype::F8E5m2fnuz, "f8_e5m2fnuz", 8),
    (Dtype::F8E8m0, "f8_e8m0", 8),
    (Dtype::F6E2m3, "f6_e2m3", 6),
    (Dtype::F6E3m2, "f6_e3m2", 6),
    (Dtype::F4, "f4", 4),
    (Dtype::C32, "c32", 32),
    (Dtype::C64, "c64", 64),
    (Dtype::C128, "c128", 128),
    (Dtype::I64, "i64", 64),
    (Dtype::I32, "i32", 32),
    (Dtype::I16, "i16", 16),
    (Dtype::I8, "i8", 8),
    (Dtype::U64, "u64", 64),
    (Dtype::U32, "u32", 32),
    (Dtype::U16, "u16", 16),
    (Dtype::U8, "u8", 8),
    (Dtype::Bool, "bool", 8),
    (Dtype::Qint8, "qint8", 8),
    (Dtype::Quint8, "quint8", 8),
    (Dtype::Qint32, "qint32", 32),
    (Dtype::Object, "object", 0),
];

impl Dtype {
    /// All dtypes, in the order of the table.
    pub fn all() -> impl Iterator<Item = Dtype> {
        TABLE.iter().map(|row| row.0)
    }

    /// The short name, such as `bf16`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The size of one element in bits (6 and 4 for the packed floats).
    pub fn bits(self) -> u64 {
        self.row().2
    }

    /// The size of one element in whole bytes, or `None` for a packed dtype and for objects.
    pub fn bytes(self) -> Option<u64> {
        let bits = self.bits();
        (bits > 0 && bits.is_multiple_of(8)).then_some(bits / 8)
    }

    /// Whether the dtype is a real floating-point number.
    pub fn is_float(self) -> bool {
        self <= Dtype::F4
    }

    fn row(self) -> &'static (Dtype, &'static str, u64) {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(())
    }
}

/// The extent of each dim, outermost first; empty for a scalar.
pub type Shape = Vec<u64>;

/// What a header says of a tensor: its dtype and shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorSpec {
    /// The element type.
    pub dtype: Dtype,
    /// The extent of each dim.
    pub shape: Shape,
}

impl TensorSpec {
    /// A spec of this dtype and shape.
    pub fn new(dtype: Dtype, shape: impl Into<Shape>) -> Self {
        TensorSpec { dtype, shape: shape.into() }
    }

    /// The number of elements, or `None` where the product does not fit into 64 bits.
    pub fn numel(&self) -> Option<u64> {
        numel(&self.shape)
    }

    /// The number of bytes of the elements laid side by side, or `None` where it does not fit into
    /// 64 bits or the elements of a packed dtype do not fill whole bytes.
    pub fn nbytes(&self) -> Option<u64> {
        let bits = self.numel()?.checked_mul(self.dtype.bits())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dtype == Dtype::Object {
            return f.write_str("object");
        }
        write!(f, "{} {}", self.dtype, ShapeText(&self.shape))
    }
}

/// Shows a shape as `[64, 3, 7, 7]`.
pub struct ShapeText<'a>(pub &'a [u64]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, dim) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// How many dims a tensor that is read may have. NumPy knows no more, nor do most functions of torch.
pub const MAX_DIMS: usize = 64;

/// The number of elements of a shape, or `None` where the product does not fit into 64 bits.
pub fn numel(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))
}

/// The strides, in elements, of a tensor of this shape laid out row by row.
///
/// Returns `None` where they do not fit into 64 bits. A dim of extent 0 counts as 1, as in torch.
pub fn contiguous_strides(shape: &[u64]) -> Option<Vec<u64>> {
    let mut strides = vec![1; shape.len()];
    for dim in (0..shape.len().saturating_sub(1)).rev() {
        strides[dim] = u64::checked_mul(strides[dim + 1], shape[dim + 1].max(1))?;
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{}", row.1);
            assert_eq!(row.1.parse(), Ok(row.0));
        }
    }

    #[test]
    fn products_do_not_wrap() {
        assert_eq!(numel(&[1 << 40, 1 << 40]), None);
        assert_eq!(numel(&[1 << 40, 1 << 40, 0]), Some(0));
        assert_eq!(contiguous_strides(&[1, 1 << 40, 1 << 40]), None);
        assert_eq!(contiguous_strides(&[2, 0, 3]), Some(vec![3, 3, 1]));
    }

    #[test]
    fn packed_elements_fill_whole_bytes_or_have_no_size() {
        assert_eq!(TensorSpec::new(Dtype::F4, [3]).nbytes(), None);
        assert_eq!(TensorSpec::new(Dtype::F4, [4]).nbytes(), Some(2));
    }
}
