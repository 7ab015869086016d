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

use std::collections::HashMap;
use std::path::Path;

use crate::formats::{
    self, Checkpoint, Content, EntryData, Format, Output, OutputDict, OutputTensor, Placement, Progress,
    StateDict, Written,
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
pub fn output_bytes(plans: &[Plan]) -> u64 {
    let outputs =
        plans.iter().flat_map(|plan| plan.outputs().iter().map(|output| plan.arena().spec(output.expr)));
    outputs.map(|spec| spec.nbytes().unwrap_or(0)).fold(0, u64::saturating_add)
}

/// Applies plans to the checkpoint that they were made for: one for each of its dicts, in their order.
///
/// # Errors
/// Where a value is not as a rule says, tied tensors cannot be written, or reading or writing fails.
/// The output does not appear then.
pub fn apply(
    plans: &[Plan],
    source: &Checkpoint,
    destination: &Destination,
    progress: &dyn Progress,
) -> Result<Report, ApplyError> {
    let format = destination.format;
    let made = plans.iter().zip(&source.dicts).map(|(plan, dict)| Made::new(plan, dict, format));
    let made = made.collect::<Result<Vec<Made>, ApplyError>>()?;
    let output = Output {
        source,
        format,
        dicts: made.iter().map(Made::dict).collect(),
        record: destination.record.clone(),
        weights_only: destination.weights_only,
        progress,
    };
    let written = formats::write(&output, destination.path, &destination.placement)?;
    let tied_left_out = made.iter().flat_map(|made| made.tied_left_out.iter().cloned()).collect();
    Ok(Report { written, tied_left_out })
}

/// One dict of the output before it is written.
struct Made<'a> {
    plan: &'a Plan,
    source: &'a StateDict,
    tensors: Vec<Tensor<'a>>,
    tied_left_out: Vec<String>,
}

/// A tensor of the output, and where its bytes come from.
struct Tensor<'a> {
    output: &'a crate::plan::Output,
    from: From,
}

enum From {
    /// The source entry as it is.
    Kept(usize),
    /// An earlier tensor of the output.
    Tied(usize),
    /// A stream of its own.
    Stream(Box<Stream>),
}

impl<'a> Made<'a> {
    fn new(plan: &'a Plan, source: &'a StateDict, format: Format) -> Result<Self, ApplyError> {
        assertion::check(plan, source)?;
        let flat = format == Format::Safetensors;
        if flat {
            ties::refuse(plan, source)?;
        }
        let mut first: HashMap<ExprId, usize> = HashMap::new();
        let (mut tensors, mut tied_left_out) = (Vec::new(), Vec::new());
        for output in plan.outputs() {
            if flat && output.tied {
                tied_left_out.push(output.key.to_string());
                continue;
            }
            let from = match (first.get(&output.expr), kept(plan, source, format, output.expr)) {
                (Some(&first), _) => From::Tied(first),
                (None, Some(entry)) => From::Kept(entry),
                (None, None) => {
                    From::Stream(Box::new(Stream::new(plan.arena(), output.expr, &output.key, source)?))
                }
            };
            first.entry(output.expr).or_insert(tensors.len());
            tensors.push(Tensor { output, from });
        }
        Ok(Made { plan, source, tensors, tied_left_out })
    }

    fn dict(&self) -> OutputDict<'_> {
        let tensors = self.tensors.iter().map(|tensor| {
            let content = match &tensor.from {
                From::Kept(entry) => Content::Kept { entry: *entry },
                From::Tied(to) => Content::Tied { to: *to },
                From::Stream(stream) => {
                    let like = self.plan.arena().sources(tensor.output.expr).first().copied();
                    Content::Produced { tensor: stream.as_ref(), like }
                }
            };
            OutputTensor { key: tensor.output.key.to_string(), content }
        });
        OutputDict { tensors: tensors.collect(), modules: renamed_modules(self.plan, &self.source.modules) }
    }
}

/// The source entry that an output is, where the writer can take it over as it is.
fn kept(plan: &Plan, source: &StateDict, format: Format, expr: ExprId) -> Option<usize> {
    let index = plan.arena().source(expr)?;
    match &source.entries.get(index)?.data {
        EntryData::Stored(tensor) if format == Format::Safetensors && !tensor.is_contiguous() => None,
        _ => Some(index),
    }
}
