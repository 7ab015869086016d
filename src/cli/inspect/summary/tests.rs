//! What `migrate inspect` shows of a file.

use super::super::Inspected;
use crate::formats::{self, Limits};

/// A safetensors file of these tensors, all of zeros.
fn safetensors(tensors: &[(String, &str, Vec<u64>, u64)]) -> Vec<u8> {
    let mut header = serde_json::json!({ "__metadata__": { "format": "pt", "note": "\u{1b}[2J" } });
    let mut end = 0;
    for (key, dtype, shape, bytes) in tensors {
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [end, end + bytes] });
        header.as_object_mut().unwrap().insert(key.clone(), entry);
        end += bytes;
    }
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + usize::try_from(end).unwrap(), 0);
    file
}

#[test]
fn a_file_is_summed_up() {
    let mut tensors = vec![("model.embed.weight".to_owned(), "BF16", vec![1000, 64], 128_000)];
    for layer in 0..12 {
        for name in ["q", "k", "v"] {
            tensors.push((format!("model.layers.{layer}.attn.{name}.weight"), "F32", vec![64, 64], 16_384));
        }
        tensors.push((format!("model.layers.{layer}.norm.weight"), "F32", vec![64], 256));
    }
    tensors.push(("head.bias".to_owned(), "I64", vec![1], 8));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, safetensors(&tensors)).unwrap();
    let mut checkpoint = formats::open(&path, &[], &Limits::default()).unwrap();
    checkpoint.path = "model.safetensors".into();
    let names = ["models.Net", "os.system", "torch.FloatStorage"].map(str::to_owned);
    checkpoint.globals = names.clone().into();
    checkpoint.refused.globals = names.into_iter().take(2).collect();
    checkpoint.refused.uses.insert("the opcode NEWOBJ_EX".to_owned());
    let inspected = Inspected::new(&checkpoint, 12_345_678);
    insta::assert_snapshot!(inspected.to_text(false), @r##"
model.safetensors
  file     safetensors, 12.3 MB
  tensors  50, 212,225 elements, 720.9 kB

dtypes  tensors  elements      size
  f32        48   148,224  592.8 kB
  bf16        1    64,000  128.0 kB
  i64         1         1   8 bytes

modules            tensors  elements      size
  model                 49   212,224  720.8 kB
    embed                1    64,000  128.0 kB
    layers.{0…11}       48   148,224  592.8 kB
      attn              36   147,456  589.8 kB
        q               12    49,152  196.6 kB
        k               12    49,152  196.6 kB
        v               12    49,152  196.6 kB
      norm              12       768    3.0 kB
  head                   1         1   8 bytes

metadata
  format  pt
  note    \u{1b}[2J

classes and functions beyond torch's weights_only allow-list (named in the file, not executed)
  models.Net
  os.system   can reach files, commands or code

what else torch's weights_only does not load
  the opcode NEWOBJ_EX
"##);
    assert!(inspected.to_text(true).contains("\n  model.layers.11.norm.weight    f32 [64]\n"));
    assert_eq!(inspected.to_json(true)["keys"][0]["key"], "model.embed.weight");
    assert_eq!(
        inspected.to_json(false)["globals_not_allowed"],
        serde_json::json!(["models.Net", "os.system"])
    );
    assert_eq!(
        inspected.to_json(false)["refused_by_weights_only"],
        serde_json::json!(["the global models.Net", "the global os.system", "the opcode NEWOBJ_EX"])
    );
}
