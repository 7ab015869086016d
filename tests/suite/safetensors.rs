//! Safetensors files as the tests write and read them, apart from the code under test.

use serde_json::{Map, Value, json};

use crate::tensors::Tensor;

/// The bytes of a file that holds these tensors in this order.
pub fn to_bytes(tensors: &[Tensor]) -> Vec<u8> {
    with_metadata(tensors, None)
}

/// The bytes of a file with metadata.
pub fn with_metadata(tensors: &[Tensor], metadata: Option<Value>) -> Vec<u8> {
    let mut header = Map::new();
    if let Some(metadata) = metadata {
        header.insert("__metadata__".to_owned(), metadata);
    }
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes.len();
        let row = json!({
            "dtype": tensor.dtype.to_uppercase(),
            "shape": tensor.shape,
            "data_offsets": [at, end],
        });
        header.insert(tensor.key.clone(), row);
        at = end;
    }
    let mut head = Value::Object(header).to_string().into_bytes();
    // Readers align the body to eight bytes.
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
    bytes.extend(head);
    tensors.iter().for_each(|tensor| bytes.extend(&tensor.bytes));
    bytes
}

/// The tensors of a file, in the order of their bytes.
pub fn from_bytes(bytes: &[u8]) -> Vec<Tensor> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let body = &bytes[8 + length..];
    let mut tensors: Vec<(usize, usize, Tensor)> = Vec::new();
    for (order, (key, row)) in header(bytes).into_iter().enumerate() {
        if key == "__metadata__" {
            continue;
        }
        let numbers = |name: &str| -> Vec<u64> {
            row[name].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
        };
        let offsets: Vec<usize> =
            numbers("data_offsets").iter().map(|&offset| usize::try_from(offset).unwrap()).collect();
        let tensor = Tensor {
            key,
            dtype: row["dtype"].as_str().unwrap().to_lowercase(),
            shape: numbers("shape"),
            bytes: body[offsets[0]..offsets[1]].to_vec(),
        };
        tensors.push((offsets[0], order, tensor));
    }
    tensors.sort_by_key(|(offset, order, _)| (*offset, *order));
    tensors.into_iter().map(|(.., tensor)| tensor).collect()
}

/// The metadata of a file as lines `KEY = TEXT`, in its order.
pub fn metadata_of(bytes: &[u8]) -> Vec<String> {
    let header = header(bytes);
    let metadata = header.get("__metadata__").and_then(Value::as_object).into_iter().flatten();
    metadata.map(|(key, text)| format!("{key} = {}", text.as_str().unwrap())).collect()
}

/// Metadata of such lines.
pub fn metadata<'a>(lines: impl Iterator<Item = &'a str>) -> Value {
    let items = lines.map(|line| line.split_once(" = ").unwrap());
    Value::Object(items.map(|(key, text)| (key.to_owned(), text.into())).collect())
}

/// The header of a file.
pub fn header(bytes: &[u8]) -> Map<String, Value> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}
