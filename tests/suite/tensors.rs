//! Tensors as the tests write them: readable lines, and bytes.
//!
//! A line is `KEY DTYPE [SHAPE] VALUES…`; a key with spaces or quotes is a JSON string. Without values,
//! element e of the n-th tensor is 100 * n + e. Lines that begin with `#` are comments.

use half::{bf16, f16};

/// A tensor with its bytes in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub key: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// A tensor of these values, each of which the dtype holds exactly or rounds once.
    pub fn new(key: &str, dtype: &str, shape: &[u64], values: &[f64]) -> Tensor {
        let bytes = values.iter().flat_map(|value| encode(dtype, *value)).collect();
        Tensor { key: key.to_owned(), dtype: dtype.to_owned(), shape: shape.to_vec(), bytes }
    }

    /// A tensor whose elements count up from `first`.
    pub fn counting(key: &str, dtype: &str, shape: &[u64], first: u64) -> Tensor {
        let count: u64 = shape.iter().product();
        #[allow(clippy::cast_precision_loss)] // test tensors are small
        let values: Vec<f64> = (first..first + count).map(|value| value as f64).collect();
        Tensor::new(key, dtype, shape, &values)
    }

    /// The values, in row-major order.
    pub fn values(&self) -> Vec<f64> {
        self.bytes.chunks(size(&self.dtype)).map(|bytes| decode(&self.dtype, bytes)).collect()
    }

    /// The tensor as a line.
    pub fn to_line(&self) -> String {
        let plain = !self.key.is_empty() && !self.key.contains([' ', '"', '#', '\n']);
        let key = if plain { self.key.clone() } else { serde_json::to_string(&self.key).unwrap() };
        let shape: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let mut line = format!("{key} {} [{}]", self.dtype, shape.join(", "));
        for value in self.bytes.chunks(size(&self.dtype)).map(|bytes| text(&self.dtype, bytes)) {
            line.push(' ');
            line.push_str(&value);
        }
        line
    }
}

/// Reads lines.
pub fn parse(text: &str) -> Vec<Tensor> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.enumerate().map(|(index, line)| parse_line(line, index as u64)).collect()
}

/// Writes lines.
pub fn to_text(tensors: &[Tensor]) -> String {
    tensors.iter().map(|tensor| tensor.to_line() + "\n").collect()
}

fn parse_line(line: &str, index: u64) -> Tensor {
    let bad = || -> ! { panic!("not a tensor line: {line}") };
    let (key, rest) = if line.starts_with('"') {
        let mut reader = serde_json::Deserializer::from_str(line).into_iter::<String>();
        let key = reader.next().and_then(Result::ok).unwrap_or_else(|| bad());
        (key, &line[reader.byte_offset()..])
    } else {
        let (key, rest) = line.split_once(' ').unwrap_or_else(|| bad());
        (key.to_owned(), rest)
    };
    let (dtype, rest) = rest.trim_start().split_once(" [").unwrap_or_else(|| bad());
    let (shape, values) = rest.split_once(']').unwrap_or_else(|| bad());
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<u64> = sizes.map(|size| size.parse().unwrap_or_else(|_| bad())).collect();
    let values: Vec<f64> =
        values.split_whitespace().map(|value| value.parse().unwrap_or_else(|_| bad())).collect();
    if values.is_empty() {
        return Tensor::counting(&key, dtype, &shape, 100 * index);
    }
    assert_eq!(values.len() as u64, shape.iter().product::<u64>(), "values of {line}");
    Tensor::new(&key, dtype, &shape, &values)
}

/// The bytes of one element.
pub fn size(dtype: &str) -> usize {
    match dtype {
        "f64" | "i64" | "u64" => 8,
        "f32" | "i32" | "u32" => 4,
        "f16" | "bf16" | "i16" | "u16" => 2,
        "i8" | "u8" | "bool" => 1,
        _ => panic!("no dtype of the tests: {dtype}"),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the tests write values that fit
fn encode(dtype: &str, value: f64) -> Vec<u8> {
    match dtype {
        "f64" => value.to_le_bytes().to_vec(),
        "f32" => (value as f32).to_le_bytes().to_vec(),
        "f16" => f16::from_f64(value).to_le_bytes().to_vec(),
        "bf16" => bf16::from_f64(value).to_le_bytes().to_vec(),
        "bool" => vec![u8::from(value != 0.0)],
        "u64" => (value as u64).to_le_bytes().to_vec(),
        _ => (value as i64).to_le_bytes()[..size(dtype)].to_vec(),
    }
}

#[allow(clippy::cast_precision_loss)] // the tests compare small values
fn decode(dtype: &str, bytes: &[u8]) -> f64 {
    match dtype {
        "f64" => f64::from_le_bytes(bytes.try_into().unwrap()),
        "f32" => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
        "f16" => f16::from_le_bytes(bytes.try_into().unwrap()).into(),
        "bf16" => bf16::from_le_bytes(bytes.try_into().unwrap()).into(),
        _ => integer(dtype, bytes) as f64,
    }
}

fn integer(dtype: &str, bytes: &[u8]) -> i128 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    if dtype == "bool" || dtype.starts_with('u') {
        return unsigned.into();
    }
    let unused = 64 - 8 * u32::try_from(bytes.len()).unwrap();
    (unsigned.cast_signed() << unused >> unused).into()
}

/// A value in the fewest digits that tell it from its neighbours in the dtype.
fn text(dtype: &str, bytes: &[u8]) -> String {
    match dtype {
        "f64" => decode(dtype, bytes).to_string(),
        "f32" => f32::from_le_bytes(bytes.try_into().unwrap()).to_string(),
        "f16" => f16::from_le_bytes(bytes.try_into().unwrap()).to_string(),
        "bf16" => bf16::from_le_bytes(bytes.try_into().unwrap()).to_string(),
        _ => integer(dtype, bytes).to_string(),
    }
}
