//! What names stand for while a statement runs over the keys.

use foldhash::HashMap;

use super::arena::Arena;
use super::state::State;
use crate::rules::value::{Scope, Value, ValueErrorKind};
use crate::rules::{Match, Matcher, Names, Pattern, SlotKind, glob_pattern};
use crate::source::Sources;
use crate::syntax::ast::Glob;
use crate::tensor::{Dtype, ShapeText, TensorSpec};

/// The values of `let` names, and the keys as they are.
pub(super) struct Outer<'a> {
    pub lets: &'a HashMap<String, Value>,
    pub state: &'a State,
    pub arena: &'a Arena,
    pub sources: &'a Sources,
    pub prefix: Option<&'a Glob>,
}

impl Outer<'_> {
    /// The text that a `let` name stands for in a pattern.
    pub fn text(&self, name: &str) -> Option<String> {
        self.lets.get(name).map(|value| match value {
            Value::Text(text) => text.clone(),
            value => value.to_string(),
        })
    }
}

impl Scope for Outer<'_> {
    fn name(&self, name: &str) -> Option<Value> {
        self.lets.get(name).cloned()
    }

    fn keys(&self, function: &str, pattern: &Glob) -> Result<Value, ValueErrorKind> {
        let is_let = |name: &str| self.lets.contains_key(name);
        let names = Names { lets: &is_let, indices: &|_| false };
        let patterns = glob_pattern(pattern, self.prefix, self.sources, &names);
        let patterns = patterns.map_err(|error| ValueErrorKind::Pattern {
            pattern: self.sources.slice(pattern.span).to_owned(),
            reason: error.node.to_string(),
        })?;
        let text = patterns.first().map(|pattern| pattern.text.clone()).unwrap_or_default();
        let patterns: Vec<Pattern> =
            patterns.iter().map(|pattern| pattern.with_values(&|name| self.text(name))).collect();
        let matchers: Vec<Matcher> = patterns.iter().map(Matcher::new).collect();
        let candidates = match patterns.as_slice() {
            [pattern] => self.state.candidates(pattern),
            _ => self.state.iter().map(|(id, _)| id).collect(),
        };
        let mut matched = candidates
            .into_iter()
            .map(|id| self.state.entry(id))
            .filter(|entry| matchers.iter().any(|matcher| matcher.is_match(&entry.key)));
        if function == "count" {
            return Ok(Value::Int(matched.count().try_into().unwrap_or(i64::MAX)));
        }
        let Some(first) = matched.next() else { return Err(ValueErrorKind::NoKeys { pattern: text }) };
        let shape = &self.arena.spec(first.expr).shape;
        match matched.find(|entry| self.arena.spec(entry.expr).shape != *shape) {
            None => Ok(shape_value(shape)),
            Some(second) => {
                let is = |entry: &super::state::Entry| {
                    format!("`{}` is {}", entry.key, ShapeText(&self.arena.spec(entry.expr).shape))
                };
                Err(ValueErrorKind::ShapesDiffer { pattern: text, first: is(first), second: is(second) })
            }
        }
    }
}

/// The names of one match: its captures, and the spec of its tensor.
pub(super) struct OfMatch<'a> {
    pub outer: &'a Outer<'a>,
    pub pattern: &'a Pattern,
    pub way: &'a Match,
    pub spec: &'a TensorSpec,
    /// The index that `over` runs in the template.
    pub index: Option<(&'a str, i64)>,
}

impl Scope for OfMatch<'_> {
    fn name(&self, name: &str) -> Option<Value> {
        if let Some((own, value)) = self.index
            && own == name
        {
            return Some(Value::Int(value));
        }
        match name {
            "shape" => return Some(shape_value(&self.spec.shape)),
            "rank" => return i64::try_from(self.spec.shape.len()).ok().map(Value::Int),
            "dtype" => return Some(Value::Dtype(self.spec.dtype)),
            _ => {}
        }
        let Some(slot) = self.pattern.slot(name) else { return self.outer.name(name) };
        let text = self.way.captures.get(slot)?.text.clone().unwrap_or_default();
        let number = match &self.pattern.slots[slot].kind {
            SlotKind::Index { .. } => text.parse().ok(),
            SlotKind::Choice { texts } if texts.iter().all(|text| text.parse::<i64>().is_ok()) => {
                text.parse().ok()
            }
            _ => None,
        };
        Some(number.map_or(Value::Text(text), Value::Int))
    }

    fn keys(&self, function: &str, pattern: &Glob) -> Result<Value, ValueErrorKind> {
        self.outer.keys(function, pattern)
    }
}

/// A shape as a list of whole numbers.
fn shape_value(shape: &[u64]) -> Value {
    Value::List(shape.iter().map(|&size| Value::Int(size.try_into().unwrap_or(i64::MAX))).collect())
}

/// A spec for keys that have none yet.
pub(super) fn no_spec() -> TensorSpec {
    TensorSpec::new(Dtype::Object, [])
}
