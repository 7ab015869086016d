//! What a distributed checkpoint says of itself, which is all that is read of it.

use serde_json::{Value, json};

use super::globals;
use super::modules::{Tensor, Total};
use super::summary::{by_dtype, dtype_lines, joined, module_lines, section, totals_json};
use crate::formats::{Distributed, Foreign, Saved};
use crate::printable::printable;
use crate::quantity::{counted, size, thousands};
use crate::table::Table;

fn tensors(checkpoint: &Distributed) -> Vec<Tensor<'_>> {
    let tensor = |saved: &'_ Saved| saved.spec.is_some();
    let saved = checkpoint.entries.iter().filter(|saved| tensor(saved));
    saved
        .filter_map(|saved| Some(Tensor { key: &saved.key, spec: saved.spec.as_ref()?, own: true }))
        .collect()
}

/// The text of `migrate inspect`.
pub(super) fn to_text(checkpoint: &Distributed, keys: bool, depth: Option<usize>) -> String {
    let tensors = tensors(checkpoint);
    let total = Total::of(tensors.iter().copied());
    let mut table = Table::new();
    let wrote = match checkpoint.kind {
        Foreign::DistributedLightning => "distributed checkpoint of torch, by Lightning or Fabric",
        _ => "distributed checkpoint of torch",
    };
    let files = counted(checkpoint.files, "file");
    table.row([
        "folder".to_owned(),
        format!("{wrote}: {files} of tensors, {} in all", size(checkpoint.bytes)),
    ]);
    if let Some(version) = &checkpoint.version {
        table.row(["version".to_owned(), printable(version)]);
    }
    let elements = counted(total.elements, "element");
    let count = thousands(total.tensors as u64);
    table.row(["tensors".to_owned(), format!("{count}, {elements}, {}", size(total.bytes))]);
    if let [(dtype, _)] = by_dtype(&tensors).iter().collect::<Vec<_>>().as_slice() {
        table.row(["dtype", dtype.name()]);
    }
    let mut head = vec![printable(&checkpoint.path.display().to_string())];
    head.extend(table.lines("  "));
    let mut sections = vec![head];
    if !tensors.is_empty() {
        sections.push(dtype_lines(&tensors));
        sections.push(if keys { key_lines(checkpoint) } else { module_lines(&tensors, depth) });
    }
    let mut others = Table::new();
    for saved in checkpoint.entries.iter().filter(|saved| saved.spec.is_none()) {
        others.row([printable(&saved.key), saved.what.to_owned()]);
    }
    sections.push(section("what else was saved", others.lines("  ")));
    sections.extend(globals::lines(&checkpoint.refused));
    sections.push(conversion_lines(checkpoint));
    joined(sections)
}

fn conversion_lines(checkpoint: &Distributed) -> Vec<String> {
    let mut lines = vec!["its tensors lie in pieces: to migrate it, make one file of it first".to_owned()];
    lines.extend(conversion(checkpoint).map(|command| format!("  {}", printable(&command))));
    if checkpoint.kind == Foreign::DistributedLightning {
        lines
            .push("  (with lightning.fabric in place of lightning.pytorch where Fabric wrote it)".to_owned());
    }
    lines
}

fn conversion(checkpoint: &Distributed) -> Option<String> {
    checkpoint.kind.conversion(&checkpoint.path)
}

fn key_lines(checkpoint: &Distributed) -> Vec<String> {
    let mut table = Table::new();
    for saved in &checkpoint.entries {
        if let Some(spec) = &saved.spec {
            table.row([printable(&saved.key), spec.to_string()]);
        }
    }
    [vec!["keys".to_owned()], table.lines("  ")].concat()
}

/// The same for programs.
pub(super) fn to_json(checkpoint: &Distributed, keys: bool, depth: Option<usize>) -> Value {
    let tensors = tensors(checkpoint);
    let mut value = json!({
        "path": checkpoint.path.display().to_string(),
        "format": "torch distributed checkpoint",
        "file_bytes": checkpoint.bytes,
        "files": checkpoint.files,
        "version": checkpoint.version,
        "lightning_or_fabric": checkpoint.kind == Foreign::DistributedLightning,
        "conversion": conversion(checkpoint),
        "globals": checkpoint.globals,
        "globals_not_allowed": checkpoint.refused.globals,
        "refused_by_weights_only": globals::to_json(&checkpoint.refused),
    });
    if let Value::Object(all) = &mut value {
        all.extend(totals_json(&tensors, depth));
        let others = checkpoint.entries.iter().filter(|saved| saved.spec.is_none());
        let others = others.map(|saved| json!({ "path": saved.key, "what": saved.what }));
        all.insert("others".to_owned(), others.collect());
        if keys {
            let keys = tensors.iter().map(|tensor| {
                json!({ "key": tensor.key, "dtype": tensor.spec.dtype.name(), "shape": tensor.spec.shape })
            });
            all.insert("keys".to_owned(), keys.collect());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::formats::Refused;
    use crate::tensor::{Dtype, TensorSpec};

    #[test]
    fn what_was_saved_is_shown_with_the_way_out() {
        let tensor = |key: String, shape: &[u64]| {
            let spec = Some(TensorSpec::new(Dtype::Bf16, shape.to_vec()));
            Saved { key, spec, what: "tensor" }
        };
        let mut entries: Vec<Saved> =
            (0..4).map(|layer| tensor(format!("model.layers.{layer}.weight"), &[64, 64])).collect();
        entries.push(tensor("model.head.weight".to_owned(), &[10, 64]));
        let what = "a value that is no tensor";
        entries.push(Saved { key: "epoch\u{1b}".to_owned(), spec: None, what });
        let mut checkpoint = Distributed {
            path: "runs/step 100".into(),
            files: 8,
            bytes: 40_000,
            version: Some("1.0.0".to_owned()),
            entries,
            kind: Foreign::Distributed,
            globals: BTreeSet::new(),
            refused: Refused::default(),
        };
        insta::assert_snapshot!(to_text(&checkpoint, false, None), @r"
runs/step 100
  folder   distributed checkpoint of torch: 8 files of tensors, 40.0 kB in all
  version  1.0.0
  tensors  5, 17,024 elements, 34.0 kB
  dtype    bf16

modules           tensors  elements     size
  model                 5    17,024  34.0 kB
    layers.{0…3}        4    16,384  32.7 kB
    head                1       640   1.2 kB

what else was saved
  epoch\u{1b}  a value that is no tensor

its tensors lie in pieces: to migrate it, make one file of it first
  python -m torch.distributed.checkpoint.format_utils dcp_to_torch 'runs/step 100' out.pt
");
        assert!(to_text(&checkpoint, true, None).contains("\n  model.head.weight      bf16 [10, 64]\n"));
        let json = to_json(&checkpoint, true, Some(1));
        assert_eq!(json["modules"][0]["elements"], 4 * 64 * 64 + 640);
        assert_eq!(json["keys"][4]["shape"], json!([10, 64]));
        checkpoint.kind = Foreign::DistributedLightning;
        let text = to_text(&checkpoint, false, None);
        assert!(text.contains("consolidate_checkpoint 'runs/step 100' --output_file out.ckpt"), "{text}");
    }
}
