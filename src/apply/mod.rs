//! Carries out a proved plan: tensor bytes move from the source into a new file.
//!
//! A renamed tensor is never looked into; a computed one is made while it is written. What can still
//! fail here is I/O, damaged data, and what a rule says of values.

mod assertion;
mod cast;
mod compute;
mod error;
mod fill;
mod layout;
mod map;
mod stream;
mod ties;

pub use error::ApplyError;

use std::path::Path;

use crate::formats::{
    self, Checkpoint, Content, EntryData, Format, Output, OutputTensor, Placement, Progress, Written,
};
use crate::plan::{ExprId, Plan, renamed_modules};
use stream::Stream;

/// How an output is written.
pub struct Destination<'a> {
    /// Where it goes.
    pub path: &'a Path,
    /// In which format.
    pub format: Format,
    /// How it takes its place.
    pub placement: Placement,
    /// Whether the state dict alone is written.
    pub weights_only: bool,
    /// What is recorded of the migration, as JSON text.
    pub record: Option<String>,
}

/// What applying a plan came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The size of the output.
    pub written: Written,
    /// Keys that the target calls tied, which a safetensors file cannot hold: the model ties them itself.
    pub tied_left_out: Vec<String>,
}

/// The number of bytes of tensors that an output will hold, for a progress bar.
pub fn output_bytes(plan: &Plan) -> u64 {
    let bytes = plan.outputs().iter().map(|output| plan.arena().spec(output.expr).nbytes().unwrap_or(0));
    bytes.fold(0, u64::saturating_add)
}

/// Applies a plan to the checkpoint that it was made for.
///
/// # Errors
/// Where a value is not as a rule says, tied tensors cannot be written, or reading or writing fails.
/// The output does not appear then.
pub fn apply(
    plan: &Plan,
    source: &Checkpoint,
    destination: &Destination,
    progress: &dyn Progress,
) -> Result<Report, ApplyError> {
    assertion::check(plan, source)?;
    let single_names = destination.format == Format::Safetensors;
    let outputs: Vec<_> = plan.outputs().iter().filter(|output| !(single_names && output.tied)).collect();
    let tied_left_out = plan
        .outputs()
        .iter()
        .filter(|output| single_names && output.tied)
        .map(|output| output.key.to_string());
    if single_names {
        ties::refuse(plan, source)?;
    }
    let made: Vec<Option<Stream>> = outputs
        .iter()
        .map(|output| match kept(plan, source, destination.format, output.expr) {
            Some(_) => Ok(None),
            None => Stream::new(plan.arena(), output.expr, &output.key, source).map(Some),
        })
        .collect::<Result<_, ApplyError>>()?;
    let tensors = outputs.iter().zip(&made).map(|(output, made)| {
        let content = match made {
            Some(tensor) => {
                Content::Produced { tensor, like: plan.arena().sources(output.expr).first().copied() }
            }
            None => Content::Kept { entry: plan.arena().source(output.expr).unwrap_or_default() },
        };
        OutputTensor { key: output.key.to_string(), content }
    });
    let output = Output {
        source,
        format: destination.format,
        tensors: tensors.collect(),
        modules: renamed_modules(plan, &source.modules),
        record: destination.record.clone(),
        weights_only: destination.weights_only,
        progress,
    };
    let written = formats::write(&output, destination.path, &destination.placement)?;
    Ok(Report { written, tied_left_out: tied_left_out.collect() })
}

/// The source entry that an output is, where the writer can take it over as it is.
fn kept(plan: &Plan, source: &Checkpoint, format: Format, expr: ExprId) -> Option<usize> {
    let index = plan.arena().source(expr)?;
    match &source.entries.get(index)?.data {
        EntryData::Stored(tensor) if format == Format::Safetensors && !tensor.is_contiguous() => None,
        _ => Some(index),
    }
}
