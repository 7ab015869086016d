//! A plan as data.

use serde_json::{Value, json};

use super::{AssertionKind, NodeKind, Plan};
use crate::rules::op::{FillValue, TensorOp};
use crate::source::Sources;

impl Plan {
    /// The plan as JSON: the statements with what they moved, and one expression for each output.
    pub fn to_json(&self, sources: &Sources) -> Value {
        let statements: Vec<Value> = self
            .applied
            .iter()
            .map(|applied| {
                let moves: Vec<Value> = applied
                    .moves
                    .iter()
                    .map(|moved| {
                        let from: Vec<&str> = moved.from.iter().map(|key| &**key).collect();
                        json!({ "from": from, "to": &*moved.to })
                    })
                    .collect();
                let dropped: Vec<&str> = applied.dropped.iter().map(|key| &**key).collect();
                json!({
                    "verb": applied.verb.name,
                    "place": sources.place(applied.span),
                    "text": sources.slice(applied.span),
                    "matched": applied.matched,
                    "moves": moves,
                    "dropped": dropped,
                })
            })
            .collect();
        let outputs: Vec<Value> = self
            .outputs
            .iter()
            .map(|output| {
                let spec = self.arena.spec(output.expr);
                json!({
                    "key": &*output.key,
                    "dtype": spec.dtype.name(),
                    "shape": spec.shape,
                    "from": self.expression(output.expr),
                    "tied": output.tied,
                })
            })
            .collect();
        let counts = self.counts();
        let left: Vec<&str> = self.left.iter().map(|key| &**key).collect();
        let untold: Vec<&str> = self.untold.iter().map(|key| &**key).collect();
        let assertions: Vec<Value> = self
            .assertions
            .iter()
            .map(|assertion| {
                let place = sources.place(assertion.span);
                match &assertion.kind {
                    AssertionKind::Value(value) => {
                        json!({ "key": &*assertion.key, "value": value, "place": place })
                    }
                    AssertionKind::Equal { other, .. } => {
                        json!({ "key": &*assertion.key, "equals": &**other, "place": place })
                    }
                }
            })
            .collect();
        let unproved: Vec<Value> = self
            .unproved
            .iter()
            .map(|unproved| json!({ "place": sources.place(unproved.span), "check": unproved.check }))
            .collect();
        json!({
            "target": self.target,
            "statements": statements,
            "outputs": outputs,
            "left": left,
            "untold": untold,
            "assertions": assertions,
            "unproved": unproved,
            "counts": {
                "kept": counts.kept,
                "renamed": counts.renamed,
                "computed": counts.computed,
                "filled": counts.filled,
                "dropped": counts.dropped,
            },
        })
    }

    /// An expression as nested operations; its depth is that of the statements that made it.
    fn expression(&self, id: super::ExprId) -> Value {
        match &self.arena.node(id).kind {
            NodeKind::Source(index) => {
                json!(self.source.keys.get_index(*index).map(|(key, _)| &**key))
            }
            NodeKind::Op(op, operands) => {
                let operands: Vec<Value> = operands.iter().map(|&operand| self.expression(operand)).collect();
                let mut value = operation(op);
                if let (Value::Object(fields), false) = (&mut value, operands.is_empty()) {
                    fields.insert("of".to_owned(), Value::Array(operands));
                }
                value
            }
        }
    }
}

fn operation(op: &TensorOp) -> Value {
    match op {
        TensorOp::Reshape(shape) => json!({ "op": "reshape", "to": shape }),
        TensorOp::Permute(dims) => json!({ "op": "permute", "dims": dims }),
        TensorOp::Narrow { dim, start, len } => {
            json!({ "op": "narrow", "dim": dim, "start": start, "len": len })
        }
        TensorOp::Concat { dim } => json!({ "op": "concat", "dim": dim }),
        TensorOp::Cast(dtype) => json!({ "op": "cast", "to": dtype.name() }),
        TensorOp::Copy => json!({ "op": "copy" }),
        TensorOp::Flip { dim } => json!({ "op": "flip", "dim": dim }),
        TensorOp::Scale(by) => json!({ "op": "scale", "by": by }),
        TensorOp::Offset(by) => json!({ "op": "offset", "by": by }),
        TensorOp::Interpolate(of) => {
            let (dims, to): (Vec<usize>, Vec<u64>) = of.dims.iter().copied().unzip();
            json!({
                "op": "interpolate",
                "dims": dims,
                "to": to,
                "mode": of.mode.name(),
                "align_corners": of.align_corners,
                "antialias": of.antialias,
            })
        }
        TensorOp::Compute { formula, .. } => json!({ "op": "compute", "formula": formula.to_string() }),
        TensorOp::Fill { value, .. } => {
            let value = match value {
                FillValue::Int(value) => json!(value),
                FillValue::Float(value) => json!(value),
                FillValue::Arange => json!("arange"),
                FillValue::Eye => json!("eye"),
            };
            json!({ "op": "fill", "value": value })
        }
    }
}
