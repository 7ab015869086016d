//! A difference as people read it.

use std::collections::HashSet;

use super::{Difference, Mismatch};
use crate::keyset::{Folded, Key, fold_specs};
use crate::printable::printable;
use crate::quantity::{counted, thousands};
use crate::table::Table;
use crate::tensor::{ShapeText, TensorSpec};

/// How many lines a list has before the rest is counted only.
const MAX_LINES: usize = 40;

/// How to show a difference.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// What the checkpoint is called.
    pub checkpoint: &'a str,
    /// What the model is called.
    pub model: &'a str,
    /// Whether each key has a line of its own, however many there are.
    pub all: bool,
}

impl Difference {
    /// The difference as text: what could be renamed, what is missing, what is unexpected, what has
    /// another shape or dtype, and a counted summary at the end.
    pub fn to_text(&self, shown: Shown<'_>) -> String {
        let mut sections = Vec::new();
        if !self.missing.is_empty() || !self.unexpected.is_empty() {
            sections.push(self.words(shown));
        }
        sections.extend(self.candidate_section(shown));
        let paired: HashSet<&[u64]> = self.paired_shapes();
        let is_alone = |spec: &TensorSpec| !paired.contains(spec.shape.as_slice());
        let missing = self.missing.iter().filter(|(_, spec)| spec.as_ref().is_some_and(is_alone));
        let missing: Vec<(&Key, Option<&TensorSpec>)> =
            missing.map(|(key, spec)| (key, spec.as_ref())).collect();
        let untold = self.missing.iter().filter(|(_, spec)| spec.is_none());
        let untold: Vec<(&Key, Option<&TensorSpec>)> = untold.map(|(key, _)| (key, None)).collect();
        let unexpected = self.unexpected.iter().filter(|(_, spec)| is_alone(spec));
        let unexpected: Vec<(&Key, Option<&TensorSpec>)> =
            unexpected.map(|(key, spec)| (key, Some(spec))).collect();
        // Where no shape of a missing key is told, none can be said to be like that of an unexpected one.
        let unexpected_why = match untold.len() == self.missing.len() && !untold.is_empty() {
            true => "unexpected",
            false => "unexpected, and no missing key has its shape",
        };
        sections.extend(key_section("missing, and nothing tells their shapes", &untold, shown));
        sections.extend(key_section("missing, and no unexpected key has its shape", &missing, shown));
        sections.extend(key_section(unexpected_why, &unexpected, shown));
        sections.extend(mismatch_section("another shape", &self.shape, shown));
        sections.extend(mismatch_section("another dtype", &self.dtype, shown));
        sections.push(self.summary());
        sections.iter().map(|lines| lines.join("\n") + "\n").collect::<Vec<_>>().join("\n")
    }

    /// The two words, told once.
    fn words(&self, shown: Shown<'_>) -> Vec<String> {
        vec![
            format!("missing     the model ({}) has it, the checkpoint does not", printable(shown.model)),
            format!(
                "unexpected  the checkpoint ({}) has it, the model does not",
                printable(shown.checkpoint)
            ),
        ]
    }

    fn paired_shapes(&self) -> HashSet<&[u64]> {
        let unexpected: HashSet<&[u64]> = self.unexpected.iter().map(|(_, spec)| &*spec.shape).collect();
        let missing = self.missing.iter().filter_map(|(_, spec)| Some(&*spec.as_ref()?.shape));
        missing.filter(|shape| unexpected.contains(shape)).collect()
    }

    fn candidate_section(&self, shown: Shown<'_>) -> Option<Vec<String>> {
        let mut table = Table::new();
        for candidates in self.candidates() {
            let mut shape = ShapeText(&candidates.shape).to_string();
            for (word, keys) in [("unexpected", &candidates.unexpected), ("missing", &candidates.missing)] {
                let mut word = word.to_owned();
                for line in fold_keys(keys.iter().map(|key| (&**key, ())), shown.all) {
                    let count = count_text(&line);
                    table.row([
                        std::mem::take(&mut shape),
                        std::mem::take(&mut word),
                        printable(&line.pattern),
                        count,
                    ]);
                }
            }
        }
        if table.is_empty() {
            return None;
        }
        let mut lines = vec![
            "missing and unexpected keys of one shape".to_owned(),
            "  A rename could make one of the other. That the shapes are equal is no evidence that it should.".to_owned(),
        ];
        lines.extend(cut(table.lines("  "), shown));
        Some(lines)
    }

    fn summary(&self) -> Vec<String> {
        if self.is_empty() {
            let keys = counted(self.same, "key");
            let mut lines = vec![format!("the same: {keys} with their shapes and dtypes")];
            lines.extend(self.order_text());
            return lines;
        }
        let counts = [
            (self.missing.len(), "missing"),
            (self.unexpected.len(), "unexpected"),
            (self.shape.len(), "of another shape"),
            (self.dtype.len(), "of another dtype"),
        ];
        let mut parts = vec![format!("{} the same", thousands(self.same as u64))];
        let told = counts.iter().filter(|(count, _)| *count > 0);
        parts.extend(told.map(|(count, what)| format!("{} {what}", thousands(*count as u64))));
        let mut lines = vec![format!("keys: {}", parts.join(", "))];
        lines.extend(self.order_text());
        lines
    }

    fn order_text(&self) -> Option<String> {
        let text =
            "The keys that both have stand in different orders; only optimizer state goes by the order.";
        self.order_differs.then(|| text.to_owned())
    }
}

fn key_section(title: &str, keys: &[(&Key, Option<&TensorSpec>)], shown: Shown<'_>) -> Option<Vec<String>> {
    if keys.is_empty() {
        return None;
    }
    let mut table = Table::new();
    for line in fold_keys(keys.iter().map(|(key, spec)| (&***key, spec)), shown.all) {
        let spec =
            keys.get(line.first).and_then(|(_, spec)| Some(spec.as_ref()?.to_string())).unwrap_or_default();
        table.row([printable(&line.pattern), spec, count_text(&line)]);
    }
    let mut lines = vec![format!("{title}: {}", counted(keys.len(), "key"))];
    lines.extend(cut(table.lines("  "), shown));
    Some(lines)
}

fn mismatch_section(what: &str, mismatches: &[Mismatch], shown: Shown<'_>) -> Option<Vec<String>> {
    if mismatches.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.row(["", "checkpoint", "", "model"]);
    let keys = mismatches.iter().map(|found| (&*found.key, (&found.checkpoint, &found.model)));
    for line in fold_keys(keys, shown.all) {
        let Some(found) = mismatches.get(line.first) else { continue };
        let (checkpoint, model) = (found.checkpoint.to_string(), found.model.to_string());
        table.row([printable(&line.pattern), checkpoint, "->".to_owned(), model, count_text(&line)]);
    }
    let mut lines = vec![format!("{what}: {}", counted(mismatches.len(), "key"))];
    lines.extend(cut(table.lines("  "), shown));
    Some(lines)
}

fn fold_keys<'a, T: Eq + std::hash::Hash>(
    keys: impl Iterator<Item = (&'a str, T)>,
    all: bool,
) -> Vec<Folded> {
    if all {
        let single =
            |(first, (key, _)): (usize, (&str, T))| Folded { pattern: key.to_owned(), count: 1, first };
        return keys.enumerate().map(single).collect();
    }
    fold_specs(keys)
}

/// How many keys a line stands for, where that is not one.
fn count_text(line: &Folded) -> String {
    if line.count == 1 { String::new() } else { counted(line.count, "key") }
}

/// The first lines, and how many more there are.
fn cut(mut lines: Vec<String>, shown: Shown<'_>) -> Vec<String> {
    if !shown.all && lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("  … and {} (--all shows every key)", counted(more, "more line")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyset::KeySet;
    use crate::tensor::Dtype;

    fn keyset(keys: impl IntoIterator<Item = (String, Dtype, Vec<u64>)>) -> KeySet {
        let mut keyset = KeySet::new("some");
        for (key, dtype, shape) in keys {
            keyset.keys.insert(key.into(), TensorSpec::new(dtype, shape).into());
        }
        keyset
    }

    fn show(checkpoint: &KeySet, model: &KeySet) -> String {
        let shown = Shown { checkpoint: "old.ckpt", model: "v2.keys.yaml", all: false };
        Difference::new(checkpoint, model).to_text(shown)
    }

    #[test]
    fn a_difference_reads_well() {
        let layers = |name: &'static str| {
            (0..12).map(move |layer| (format!("{name}.{layer}.q.weight"), Dtype::F32, vec![8, 8]))
        };
        let more = |dtype, classes| {
            [("head.weight".to_owned(), dtype, vec![classes, 8]), ("norm.bias".to_owned(), dtype, vec![8])]
        };
        let gone = ("old\\u{1b}[2J.ids\u{1b}".to_owned(), Dtype::I64, vec![1, 512]);
        let new =
            [("pool.weight".to_owned(), Dtype::F32, vec![3]), ("pool.bias".to_owned(), Dtype::F32, vec![3])];
        let checkpoint = keyset(layers("encoder.layer").chain(more(Dtype::F16, 10)).chain([gone]));
        let model = keyset(layers("blocks").chain(more(Dtype::F32, 5)).chain(new));
        insta::assert_snapshot!(show(&checkpoint, &model), @r##"
missing     the model (v2.keys.yaml) has it, the checkpoint does not
unexpected  the checkpoint (old.ckpt) has it, the model does not

missing and unexpected keys of one shape
  A rename could make one of the other. That the shapes are equal is no evidence that it should.
  [8, 8]  unexpected  encoder.layer.{0…11}.q.weight  12 keys
          missing     blocks.{0…11}.q.weight         12 keys

missing, and no unexpected key has its shape: 2 keys
  pool.{weight,bias}  f32 [3]  2 keys

unexpected, and no missing key has its shape: 1 key
  old\u{1b}[2J.ids\u{1b}  i64 [1, 512]

another shape: 1 key
               checkpoint       model
  head.weight  f16 [10, 8]  ->  f32 [5, 8]

another dtype: 1 key
             checkpoint      model
  norm.bias  f16 [8]     ->  f32 [8]

keys: 0 the same, 14 missing, 13 unexpected, 1 of another shape, 1 of another dtype
"##);
    }

    #[test]
    fn what_is_the_same_says_so() {
        let one = |name: &str| (name.to_owned(), Dtype::F32, vec![2]);
        let (ab, ba) = (keyset([one("a"), one("b")]), keyset([one("b"), one("a")]));
        insta::assert_snapshot!(show(&ab, &ba), @r##"
the same: 2 keys with their shapes and dtypes
The keys that both have stand in different orders; only optimizer state goes by the order.
"##);
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let many = keyset((1..100).map(|dim| (format!("k{dim}"), Dtype::F32, vec![dim])));
        let text = show(&many, &keyset([]));
        assert!(text.contains("… and 59 more lines (--all shows every key)"), "{text}");
    }
}
