//! What a distributed checkpoint says of itself, which is all that is read of it.

use serde_json::{Value, json};

use super::modules::{Tensor, Total};
use super::summary::{dtype_lines, joined, module_lines, section, totals_json};
use crate::diagnostic::printable;
use crate::formats::{Distributed, Foreign, Saved};
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
