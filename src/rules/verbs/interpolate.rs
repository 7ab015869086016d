//! `interpolate`: resamples dims as `torch.nn.functional.interpolate` does.
//!
//! The dims are named, and may lie anywhere; the others are a batch. So torch's order of a batch, channels
//! and then the dims to resample is not asked for.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::quantity::counted;
use crate::rules::interpolation::{Interpolation, Mode};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};
use crate::tensor::ShapeText;

pub(super) static VERB: Verb = Verb {
    name: "interpolate",
    summary: "resamples dims as torch does",
    example: "interpolate pos dims [2, 3] to [14, 14] mode bicubic",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "dims", kind: OptionKind::Ints, required: true },
        OptionRow { name: "to", kind: OptionKind::Ints, required: true },
        OptionRow { name: "mode", kind: OptionKind::Mode, required: true },
        OptionRow { name: "align_corners", kind: OptionKind::Bool, required: false },
        OptionRow { name: "antialias", kind: OptionKind::Bool, required: false },
    ],
    doubt: Doubt::Always,
    reverse: Reverse::Lossy,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let Some(mode) = call.options.word("mode").and_then(Mode::named) else { return Ok(Vec::new()) };
    let dims = dims(call, mode)?;
    let (align_corners, antialias) = (call.options.truth("align_corners"), call.options.truth("antialias"));
    // As in torch, `align_corners false` is no answer to a question that the mode does not ask.
    if align_corners.is_some() && !mode.aligns() {
        return Err(not_taken("align_corners", mode, Mode::aligns));
    }
    if antialias == Some(true) && !mode.antialiases() {
        return Err(not_taken("antialias", mode, Mode::antialiases));
    }
    if !mode.is_gather() {
        super::cast::values_of(call)?;
    }
    let interpolation = Interpolation {
        dims,
        mode,
        align_corners: align_corners.unwrap_or(false),
        antialias: antialias.unwrap_or(false),
    };
    Ok(vec![Term::of(TensorOp::Interpolate(interpolation), Term::Input(0))])
}

/// The dims with their new sizes.
fn dims(call: &Call, mode: Mode) -> Result<Vec<(usize, u64)>, OpError> {
    let shape = call.shape();
    let (written, to) =
        (call.options.ints("dims").unwrap_or_default(), call.options.ints("to").unwrap_or_default());
    if written.len() != to.len() {
        let (dims, sizes) = (counted(written.len() as u64, "dim"), counted(to.len() as u64, "size"));
        return Err(OpError::Option { what: format!("`dims` names {dims}, and `to` gives {sizes}") });
    }
    let mut dims: Vec<(usize, u64)> = Vec::new();
    for (&written, &size) in written.iter().zip(&to) {
        let dim = options::dim(written, shape)?;
        if dims.iter().any(|(own, _)| *own == dim) {
            return Err(OpError::DimTwice { dim, shape: shape.to_vec() });
        }
        let size = u64::try_from(size).ok().filter(|size| *size > 0);
        let size = size.ok_or(OpError::NotPositive { size: to.clone() })?;
        if shape[dim] == 0 {
            let what = format!("dim {dim} of {} has no elements to resample", ShapeText(shape));
            return Err(OpError::Option { what });
        }
        dims.push((dim, size));
    }
    if !mode.dims().contains(&dims.len()) {
        return Err(OpError::ModeDims { mode, given: dims.len() });
    }
    Ok(dims)
}

fn not_taken(option: &str, mode: Mode, takes: fn(Mode) -> bool) -> OpError {
    let modes: Vec<&str> = Mode::ALL.into_iter().filter(|mode| takes(*mode)).map(Mode::name).collect();
    let what = format!("`{option}` goes with {}, and not with {}", modes.join(", "), mode.name());
    OpError::Option { what }
}
