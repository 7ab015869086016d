//! What PyTorch says where a state dict does not load, as people paste it.
//!
//! `torch.nn.Module.load_state_dict` raises one text with up to three parts: `Missing key(s) in state_dict:` and
//! `Unexpected key(s) in state_dict:`, each with keys in quotes, and a line `size mismatch for KEY: …` for each key of
//! another shape. The words are the same in torch 1.x and 2.x, and Lightning passes them on. What loggers and
//! test runners put before each line is left out, and so is where a terminal broke a line.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::keyset::{Key, KeyInfo, KeySet};
use crate::tensor::{Dtype, Shape, TensorSpec};

/// What a text of a loading error says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadError {
    /// The class of the model, where the text names it.
    pub model: Option<String>,
    /// Keys that the model has and the checkpoint does not.
    pub missing: Vec<String>,
    /// Keys that the checkpoint has and the model does not.
    pub unexpected: Vec<String>,
    /// Keys of other shapes: the key, the shape in the checkpoint, that in the model.
    pub shapes: Vec<(String, Shape, Shape)>,
    /// How many keys the text counts and does not name: `(... and 12 more)`.
    pub unnamed: u64,
}

/// A pattern of this file, which a test has compiled.
fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// What stands before the words on a line: `[rank0]:`, pytest's `E`, a quoted mail's `>`, a border.
static BEFORE: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"(?m)^(?:\[rank\d+\]:|E\s{2,}|>|│|\|)[ \t]*"));
/// Where a part begins.
static PARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    regex(
        r"(?i)(missing|unexpected) key\(s\) in state_dict:|size mismatch for |while copying the parameter|Error\(s\) in loading",
    )
});
static QUOTED: LazyLock<Option<Regex>> = LazyLock::new(|| regex(r#"^[\s\[]*(?:"([^"]*)"|'([^']*)')\s*(,?)"#));
static MORE: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"(?i)^\s*\(?\.\.\.\s*,?\s*(?:and\s+)?(\d+)\s+more"));
static MODEL: LazyLock<Option<Regex>> =
    LazyLock::new(|| regex(r"Error\(s\) in loading state_dict for ([\w.]+)"));
/// torch 0.4 wrote `copying a param of … where the shape is … in current model`.
static MISMATCH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    regex(
        r"(?s)^size mismatch for (.+?):\s+copying a param (?:with shape|of) (?:torch\.Size\()?[\[(]([\d,\s]*)[\])]\)?\s+from\s+checkpoint,.{1,40}?(?:torch\.Size\()[\[(]([\d,\s]*)[\])]",
    )
});

/// Reads a text; `None` where it is none of PyTorch's.
pub fn parse(text: &str) -> Option<LoadError> {
    let text = BEFORE.as_ref()?.replace_all(text, "");
    let mut found = LoadError {
        model: MODEL.as_ref()?.captures(&text).and_then(|found| Some(found.get(1)?.as_str().to_owned())),
        ..LoadError::default()
    };
    let begins: Vec<usize> = PARTS.as_ref()?.find_iter(&text).map(|part| part.start()).collect();
    for (index, &begin) in begins.iter().enumerate() {
        let end = begins.get(index + 1).copied().unwrap_or(text.len());
        let part = text.get(begin..end)?;
        match part.get(..1)? {
            "M" | "m" => {
                found.unnamed = found.unnamed.saturating_add(keys(part, &mut found.missing)?);
            }
            "U" | "u" => {
                found.unnamed = found.unnamed.saturating_add(keys(part, &mut found.unexpected)?);
            }
            "S" | "s" => found.shapes.extend(mismatch(part)),
            _ => {}
        }
    }
    let says = !(found.missing.is_empty() && found.unexpected.is_empty() && found.shapes.is_empty());
    says.then_some(found)
}

/// The keys in quotes of a part, up to where no comma follows; how many more it counts.
fn keys(part: &str, keys: &mut Vec<String>) -> Option<u64> {
    let mut known: HashSet<String> = keys.iter().cloned().collect();
    let mut rest = part.split_once(':')?.1;
    while let Some(quoted) = QUOTED.as_ref()?.captures(rest) {
        let key = quoted.get(1).or(quoted.get(2))?.as_str();
        let key: String = key.chars().filter(|char| !matches!(char, '\n' | '\r' | '\t')).collect();
        if known.insert(key.clone()) {
            keys.push(key);
        }
        rest = rest.get(quoted.get(0)?.end()..)?;
        if quoted.get(3)?.is_empty() {
            break;
        }
    }
    let more = MORE.as_ref()?.captures(rest).and_then(|found| found.get(1)?.as_str().parse().ok());
    Some(more.unwrap_or(0))
}

fn mismatch(part: &str) -> Option<(String, Shape, Shape)> {
    let found = MISMATCH.as_ref()?.captures(part)?;
    let shape = |index: usize| -> Option<Shape> {
        let dims = found.get(index)?.as_str().split(',').map(str::trim).filter(|dim| !dim.is_empty());
        dims.map(|dim| dim.parse().ok()).collect()
    };
    let key: String = found.get(1)?.as_str().chars().filter(|char| !char.is_whitespace()).collect();
    Some((key, shape(2)?, shape(3)?))
}

impl LoadError {
    /// The keys of the model, from those of the checkpoint that did not load. Of missing keys the text tells
    /// neither dtype nor shape; of those of another shape it tells no dtype, which loading converts.
    pub fn model_keys(&self, checkpoint: &KeySet, origin: &str) -> KeySet {
        let mut keys = KeySet::new(origin);
        let unexpected: HashSet<&str> = self.unexpected.iter().map(String::as_str).collect();
        let shapes: HashMap<&str, &Shape> =
            self.shapes.iter().map(|(key, _, shape)| (&**key, shape)).collect();
        for (key, info) in checkpoint.iter().filter(|(key, _)| !unexpected.contains(&***key)) {
            let spec = match shapes.get(&**key).copied() {
                Some(shape) => TensorSpec::new(info.spec.dtype, shape.clone()),
                None => info.spec.clone(),
            };
            keys.keys.insert(key.clone(), KeyInfo { spec, ..info.clone() });
        }
        for key in &self.missing {
            let spec = TensorSpec::new(Dtype::Object, []);
            let info = KeyInfo { is_told: false, ..KeyInfo::from(spec) };
            keys.keys.entry(Key::from(key.as_str())).or_insert(info);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for pattern in [&BEFORE, &PARTS, &QUOTED, &MORE, &MODEL, &MISMATCH] {
            assert!(pattern.is_some());
        }
    }

    #[test]
    fn a_text_as_torch_raises_it() {
        let text = "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n\
            RuntimeError: Error(s) in loading state_dict for Net:\n\
            \tMissing key(s) in state_dict: \"a.weight\", \"a.bias\". \n\
            \tUnexpected key(s) in state_dict: \"b.weight\". \n\
            \tsize mismatch for fc.weight: copying a param with shape torch.Size([10, 4]) from checkpoint, the shape in current model is torch.Size([5, 4]).\n\
            \tsize mismatch for s: copying a param with shape torch.Size([]) from checkpoint, the shape in current model is torch.Size([1]).";
        let found = parse(text).unwrap();
        assert_eq!(found.model.as_deref(), Some("Net"));
        assert_eq!(found.missing, ["a.weight", "a.bias"]);
        assert_eq!(found.unexpected, ["b.weight"]);
        let shapes = [("fc.weight".to_owned(), vec![10, 4], vec![5, 4]), ("s".to_owned(), vec![], vec![1])];
        assert_eq!(found.shapes, shapes);
        assert_eq!(found.unnamed, 0);
    }

    #[test]
    fn pastes_with_what_others_put_around_them() {
        let text = "E   RuntimeError: Error(s) in loading state_dict for Lit:\nE   \tMissing key(s) in state_dict: \
            \"model.a\", \"model.b\", (... and 12 more). \nE   \tUnexpected key(s) in state_dict: \"x\".\n\nlib.py:3: RuntimeError 'y'";
        let found = parse(text).unwrap();
        assert_eq!((found.missing.len(), found.unnamed), (2, 12));
        assert_eq!(found.unexpected, ["x"]);
        let ranks = "[rank1]: \tMissing key(s) in state_dict: \"a.very.\n[rank1]: long.key\". ";
        assert_eq!(parse(ranks).unwrap().missing, ["a.very.long.key"]);
        let old = "size mismatch for fc.weight: copying a param of torch.Size([2]) from checkpoint, where the shape is torch.Size([3]) in current model.";
        assert_eq!(parse(old).unwrap().shapes, [("fc.weight".to_owned(), vec![2], vec![3])]);
        assert_eq!(parse("no such file"), None);
    }
}
