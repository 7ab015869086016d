//! What undoes the operations of one statement on one group of tensors, from the plan's expressions.

use super::act::Step;
use crate::plan::{Arena, ExprId};
use crate::rules::op::TensorOp;
use crate::rules::verbs::Reverse;
use crate::rules::{Options, reversed_rearrangement};
use crate::tensor::{Dtype, ShapeText};

/// The steps that make `operand` of `expr` again, or `None` where nothing does.
pub(super) fn of_each(arena: &Arena, expr: ExprId, operand: ExprId, options: &Options) -> Option<Vec<Step>> {
    if let Some(by) = options.text("by")
        && let Some(step) = rearranged(arena, by, operand, options)
    {
        return Some(vec![step]);
    }
    let (mut steps, mut at): (Vec<Step>, ExprId) = (Vec::new(), expr);
    while at != operand {
        let (op, inputs) = arena.op(at)?;
        let (&input, now) = (inputs.first()?, arena.spec(at));
        let before = arena.spec(input);
        let exact = |verb, options| Step { verb, options, spec: before.clone(), reverse: Reverse::Exact };
        match op {
            TensorOp::Copy => {}
            TensorOp::Reshape(_) => steps.push(exact("reshape", reshapes(&before.shape, &now.shape))),
            TensorOp::Permute(dims) => {
                let (verb, options) = turned(dims);
                steps.push(exact(verb, vec![options]));
            }
            TensorOp::Flip { dim } => steps.push(exact("flip", vec![format!("dim {dim}")])),
            TensorOp::Scale(by) if *by != 0.0 && by.is_finite() => {
                let text = format!("by {}", inverse_of(*by));
                steps.push(Step { reverse: Reverse::Numeric, ..exact("scale", vec![text]) });
            }
            TensorOp::Offset(by) if by.is_finite() => {
                let text = format!("by {:?}", -by);
                steps.push(Step { reverse: Reverse::Numeric, ..exact("offset", vec![text]) });
            }
            TensorOp::Cast(_) => {
                let options = match before.dtype.is_float() && !now.dtype.is_float() {
                    true => format!("to {} where dtype == {}", before.dtype, now.dtype),
                    false => format!("to {}", before.dtype),
                };
                let reverse = if widens(before.dtype, now.dtype) { Reverse::Exact } else { Reverse::Lossy };
                steps.push(Step { reverse, ..exact("cast", vec![options]) });
            }
            TensorOp::Narrow { .. } => {
                let whole = cut_at_the_end(arena, at, operand)?;
                let spec = arena.spec(whole).clone();
                let options = vec![format!("to {} value 0", ShapeText(&spec.shape))];
                steps.push(Step { verb: "pad", options, spec, reverse: Reverse::Lossy });
                at = whole;
                continue;
            }
            TensorOp::Concat { dim } => {
                let (step, inner) = grown(arena, *dim, inputs)?;
                // A tensor padded along several dims is cut once.
                match steps.last_mut() {
                    Some(last) if last.verb == "slice" && step.verb == "slice" => *last = step,
                    _ => steps.push(step),
                }
                at = inner;
                continue;
            }
            // Values from nothing, values of others, and a scale by 0.
            _ => return None,
        }
        at = input;
    }
    Some(with_cuts(arena, expr, steps))
}

/// The steps with the options of `slice`, which depend on what the steps before it leave.
fn with_cuts(arena: &Arena, expr: ExprId, mut steps: Vec<Step>) -> Vec<Step> {
    let mut now = arena.spec(expr).clone();
    for step in &mut steps {
        if step.verb == "slice" {
            step.options = vec![format!("at {}", first_of_each(&step.spec.shape, &now.shape))];
        }
        now = step.spec.clone();
    }
    steps
}

/// The parts of a tensor in the order in which they lie in it, if they make all of it up: the dim, and
/// indices into `parts`. `None` for the dim's layers taken apart, which `stack` joins.
pub(super) fn of_parts(
    arena: &Arena,
    parts: &[ExprId],
    operand: ExprId,
    options: &Options,
) -> Option<(&'static str, usize, Vec<usize>)> {
    let size = |dim: usize| arena.spec(operand).shape.get(dim).copied();
    let mut verb = None;
    let mut places = Vec::with_capacity(parts.len());
    for (index, &part) in parts.iter().enumerate() {
        let (own, narrow) = match arena.op(part) {
            Some((TensorOp::Reshape(_), inputs)) => ("stack", *inputs.first()?),
            _ => ("merge", part),
        };
        let (dim, start, len) = match arena.op(narrow) {
            Some((TensorOp::Narrow { dim, start, len }, inputs)) if inputs.first() == Some(&operand) => {
                (*dim, *start, *len)
            }
            // The one part that is all of the tensor.
            _ if narrow == operand => {
                let rank = arena.spec(operand).shape.len();
                let dim = options.int("dim")?;
                let dim = if dim < 0 { dim.checked_add(i64::try_from(rank).ok()?)? } else { dim };
                let dim = usize::try_from(dim).ok()?;
                (dim, 0, size(dim)?)
            }
            _ => return None,
        };
        if verb.is_some_and(|(verb, first)| (verb, first) != (own, dim)) {
            return None;
        }
        verb = Some((own, dim));
        places.push((start, len, index));
    }
    let (verb, dim) = verb?;
    places.sort_by_key(|(start, len, index)| (*start, *len, *index));
    let mut end = 0;
    for (start, len, _) in &places {
        if *start != end {
            return None;
        }
        end += len;
    }
    (Some(end) == size(dim)).then(|| (verb, dim, places.into_iter().map(|(.., index)| index).collect()))
}

/// What takes a joined tensor apart again: the verb and its options.
pub(super) fn of_join(arena: &Arena, expr: ExprId, operands: &[ExprId]) -> Option<(&'static str, String)> {
    let Some((TensorOp::Concat { dim }, inputs)) = arena.op(expr) else { return None };
    if inputs == operands {
        let sizes: Option<Vec<u64>> =
            inputs.iter().map(|&input| arena.spec(input).shape.get(*dim).copied()).collect();
        let sizes = sizes?;
        return Some(match sizes.iter().all(|size| *size == sizes[0]) {
            true => ("split", format!("dim {dim}")),
            false => ("split", format!("dim {dim} sizes {}", ShapeText(&sizes))),
        });
    }
    let layers = inputs.iter().zip(operands).all(
        |(&input, operand)| matches!(arena.op(input), Some((TensorOp::Reshape(_), of)) if of == [*operand]),
    );
    (layers && inputs.len() == operands.len()).then(|| ("unstack", format!("dim {dim}")))
}

/// A rearrangement with its sides exchanged.
fn rearranged(arena: &Arena, notation: &str, operand: ExprId, options: &Options) -> Option<Step> {
    let spec = arena.spec(operand);
    let (notation, sizes) = reversed_rearrangement(notation, &spec.shape, &options.bindings("with")).ok()?;
    let sizes: Vec<String> = sizes.into_iter().map(|(name, size)| format!("{name}={size}")).collect();
    let with = if sizes.is_empty() { String::new() } else { format!(" with {}", sizes.join(", ")) };
    let options = vec![format!("by \"{notation}\"{with}")];
    Some(Step { verb: "rearrange", options, spec: spec.clone(), reverse: Reverse::Exact })
}

/// Ways to write a former shape: as it is, by the sizes that stayed, and with one size left open.
fn reshapes(before: &[u64], now: &[u64]) -> Vec<String> {
    let stayed = |dim: usize| before.get(dim) == now.get(dim);
    let size = |dim: usize| if stayed(dim) { format!("shape[{dim}]") } else { before[dim].to_string() };
    let sizes: Vec<String> = (0..before.len()).map(size).collect();
    let mut open = sizes.clone();
    if let Some(dim) = (0..before.len()).find(|&dim| !stayed(dim)) {
        open[dim] = "-1".to_owned();
    }
    let text = |sizes: Vec<String>| format!("to [{}]", sizes.join(", "));
    vec![format!("to {}", ShapeText(before)), text(sizes), text(open)]
}

/// One by a number, as a fraction where its digits would be many.
fn inverse_of(number: f64) -> String {
    let (digits, sign) = ((1.0 / number).to_string(), if number < 0.0 { "-" } else { "" });
    let fraction = format!("{sign}1/{}", number.abs());
    if digits.len() <= fraction.len() { digits } else { fraction }
}

/// The verb and options that undo a permutation.
fn turned(dims: &[usize]) -> (&'static str, String) {
    let mut back = vec![0; dims.len()];
    for (place, &dim) in dims.iter().enumerate() {
        back[dim] = place;
    }
    let moved: Vec<usize> = (0..back.len()).filter(|&place| back[place] != place).collect();
    match moved.as_slice() {
        [0, 1] if back.len() == 2 => ("transpose", String::new()),
        [first, second] => ("transpose", format!("dims [{first}, {second}]")),
        _ => ("permute", format!("dims {back:?}")),
    }
}

/// The tensor of which a chain of cuts keeps the beginning in every dim.
fn cut_at_the_end(arena: &Arena, from: ExprId, operand: ExprId) -> Option<ExprId> {
    let mut at = from;
    while let Some((TensorOp::Narrow { start, .. }, inputs)) = arena.op(at) {
        if at == operand {
            break;
        }
        if *start != 0 {
            return None;
        }
        at = *inputs.first()?;
    }
    Some(at)
}

/// What undoes a concatenation of one tensor with itself, with parts of itself or with a filling: the step,
/// and the tensor.
fn grown(arena: &Arena, dim: usize, inputs: &[ExprId]) -> Option<(Step, ExprId)> {
    let slice = |of: ExprId| {
        let (spec, options) = (arena.spec(of).clone(), Vec::new());
        (Step { verb: "slice", options, spec, reverse: Reverse::Exact }, of)
    };
    let filling = |part: &ExprId| matches!(arena.op(*part), Some((TensorOp::Fill { .. }, _)));
    let first = *inputs.first()?;
    if inputs.iter().all(|part| *part == first) || inputs.iter().skip(1).all(filling) {
        return Some(slice(first));
    }
    // Rows of one tensor: where each of them lies in the result.
    let mut whole = None;
    let mut rows: Vec<(u64, u64)> = Vec::new();
    for &part in inputs {
        let (of, start, len) = match arena.op(part) {
            Some((TensorOp::Narrow { dim: own, start, len }, of)) if *own == dim => {
                (*of.first()?, *start, *len)
            }
            _ => (part, 0, arena.spec(part).shape.get(dim).copied()?),
        };
        if whole.is_some_and(|whole| whole != of) {
            return None;
        }
        whole = Some(of);
        rows.push((start, len));
    }
    let whole = whole?;
    let spec = arena.spec(whole).clone();
    let at = selected(&rows, spec.shape.get(dim).copied()?)?;
    let options = vec![format!("at [{}] dim {dim}", at.join(", "))];
    Some((Step { verb: "select", options, spec, reverse: Reverse::Exact }, whole))
}

/// The ranges of a selection that hold rows 0 to `size` of what it selected from, in order.
fn selected(rows: &[(u64, u64)], size: u64) -> Option<Vec<String>> {
    let (mut ranges, mut next) = (Vec::new(), 0);
    while next < size {
        let mut offset = 0;
        let holder = rows.iter().find_map(|&(start, len)| {
            let place =
                (start <= next && next < start + len).then(|| (offset + next - start, start + len - next));
            offset += len;
            place
        });
        let (place, count) = holder?;
        ranges.push(if count == 1 { place.to_string() } else { format!("{place}:{}", place + count) });
        next += count;
    }
    Some(ranges)
}

/// The slices that keep the first `shape` of a tensor of shape `now`.
fn first_of_each(shape: &[u64], now: &[u64]) -> String {
    let cut = |(size, now): (&u64, &u64)| if size == now { ":".to_owned() } else { format!(":{size}") };
    let mut slices: Vec<String> = shape.iter().zip(now).map(cut).collect();
    while slices.len() > 1 && slices.last().is_some_and(|slice| slice == ":") {
        slices.pop();
    }
    format!("[{}]", slices.join(", "))
}

/// Whether every value of a dtype is a value of another, so that a cast there and back changes nothing.
pub(super) fn widens(from: Dtype, to: Dtype) -> bool {
    // Bits of the whole numbers that a dtype holds all of, and whether it holds negative ones.
    let whole = |dtype: Dtype| {
        Some(match dtype {
            Dtype::Bool => (1, false),
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => (dtype.bits(), false),
            Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => (dtype.bits() - 1, true),
            Dtype::F64 => (53, true),
            Dtype::F32 => (24, true),
            Dtype::F16 => (11, true),
            Dtype::Bf16 => (8, true),
            _ => return None,
        })
    };
    match (from, to) {
        _ if from == to => true,
        (Dtype::F32, Dtype::F64) | (Dtype::F16 | Dtype::Bf16, Dtype::F32 | Dtype::F64) => true,
        _ if from.is_float() => false,
        _ => match (whole(from), whole(to)) {
            (Some((from, signed)), Some((to, to_signed))) => from <= to && (to_signed || !signed),
            _ => false,
        },
    }
}
