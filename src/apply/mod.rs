//! Carries out a proved plan: tensor bytes move from the source into a new file.
//!
//! A renamed tensor is never looked into; a computed one is made while it is written. What can still
//! fail here is I/O, damaged data, and what a rule says of values.

mod assertion;
mod cast;
mod compute;
mod digest;
mod error;
mod fill;
mod gather;
mod interpolate;
mod layout;
mod map;
mod optimizers;
mod outputs;
mod pieces;
mod stream;
mod ties;
mod verify;
mod whole;

pub use digest::{TensorDigest, digests, moment_digests};
pub use error::ApplyError;
pub use verify::{Deviation, Verified, verify, verify_optimizers};

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::edit::Edit;
use crate::formats::{
    self, Checkpoint, Content, EntryData, Format, Output, OutputDict, OutputTensor, Placement, Progress,
    Recording, ShardNames, ShardPart, StateDict, Written,
};
use crate::keyset::Key;
use crate::optimizer::Followed;
use crate::plan::{ExprId, Plan};
use stream::Stream;

/// How an output is written.
pub struct Destination<'a> {
    /// Where it goes.
    pub path: &'a Path,
    /// The name whose keys it takes, where there are several outputs: `r0` takes `r0.w` as `w`.
    pub name: Option<&'a str>,
    /// In which format.
    pub format: Format,
    /// How its shards are called and how large they may be, where it is written in shards.
    pub shards: Option<Shards<'a>>,
    /// How it takes its place.
    pub placement: Placement,
    /// Changes to what the checkpoint holds besides tensors.
    pub edits: &'a [Edit],
    /// Whether the state dict alone is written.
    pub weights_only: bool,
    /// What becomes of the record of migrations.
    pub record: Recording,
}

/// How an output is cut into shards.
pub struct Shards<'a> {
    /// What they are called.
    pub names: &'a ShardNames,
    /// How many bytes of tensors each holds at most.
    pub max_bytes: u64,
    /// The part of them that is written, where others write the rest.
    pub part: Option<ShardPart<'a>>,
}

/// What applying a plan came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The files of the output.
    pub written: Written,
    /// Keys that the target calls tied, which a safetensors file cannot hold: the model ties them itself.
    pub tied_left_out: Vec<String>,
    /// How long its bytes were made and moved.
    pub moving: Duration,
    /// How long it took until it was in its place, and on the disk where that was asked for.
    pub placing: Duration,
}

/// The number of bytes of tensors that an output will hold, for a progress bar.
pub fn output_bytes(plans: &[Plan]) -> u64 {
    let outputs =
        plans.iter().flat_map(|plan| plan.outputs().iter().map(|output| plan.arena().spec(output.expr)));
    outputs.map(|spec| spec.nbytes().unwrap_or(0)).fold(0, u64::saturating_add)
}

/// Applies plans to the checkpoint that they were made for: one for each of its dicts, in their order.
///
/// `followed` says what becomes of each optimizer of the checkpoint; all stay where it is empty.
/// Several outputs appear once all of them are complete; shards of a part, which no index leads to yet, one by one.
/// There is a report for each.
///
/// # Errors
/// Where a value is not as a rule says, tied tensors cannot be written, a key belongs to no output, or
/// reading or writing fails. No output appears then.
pub fn apply(
    plans: &[Plan],
    source: &Checkpoint,
    followed: &[Followed],
    destinations: &[Destination],
    progress: &dyn Progress,
) -> Result<Vec<Report>, ApplyError> {
    for plan in plans {
        outputs::each_has_one(plan, destinations)?;
    }
    for (plan, dict) in plans.iter().zip(&source.dicts) {
        assertion::check(plan, dict)?;
    }
    optimizers::check(followed)?;
    let mut staged = Vec::with_capacity(destinations.len());
    for destination in destinations {
        let made = plans.iter().zip(&source.dicts).map(|(plan, dict)| Made::new(plan, dict, destination));
        let made = made.collect::<Result<Vec<Made>, ApplyError>>()?;
        let moments = optimizers::streams(followed)?;
        let output = Output {
            source,
            format: destination.format,
            dicts: made.iter().map(Made::dict).collect(),
            record: destination.record.clone(),
            optimizers: optimizers::outputs(followed, &moments),
            edits: destination.edits,
            weights_only: destination.weights_only,
            progress,
        };
        let placement = &destination.placement;
        let begin = Instant::now();
        let file = match &destination.shards {
            None => formats::stage(&output, destination.path, placement)?,
            Some(Shards { names, max_bytes, part: None }) => {
                formats::stage_shards(&output, names, *max_bytes, placement)?
            }
            Some(Shards { names, max_bytes, part: Some(part) }) => {
                formats::fill_shards(&output, names, *max_bytes, *part, placement)?
            }
        };
        let tied_left_out = made.into_iter().flat_map(|made| made.tied_left_out).collect();
        staged.push((file, destination, tied_left_out, begin.elapsed()));
    }
    let reports = staged.into_iter().map(|(file, destination, tied_left_out, moving)| {
        let begin = Instant::now();
        let written = file.commit(&destination.placement)?;
        Ok(Report { written, tied_left_out, moving, placing: begin.elapsed() })
    });
    reports.collect()
}

/// One dict of the output before it is written.
struct Made<'a> {
    plan: &'a Plan,
    source: &'a StateDict,
    /// What the plan's keys begin with that the output's do not.
    prefix: String,
    tensors: Vec<Tensor>,
    tied_left_out: Vec<String>,
}

/// A tensor of the output, and where its bytes come from.
struct Tensor {
    key: Key,
    expr: ExprId,
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
    fn new(plan: &'a Plan, source: &'a StateDict, destination: &Destination) -> Result<Self, ApplyError> {
        let format = destination.format;
        let flat = format == Format::Safetensors;
        if flat {
            ties::refuse(plan, source)?;
        }
        let prefix = outputs::prefix(destination);
        let mut first: HashMap<ExprId, usize> = HashMap::new();
        let mut views: HashMap<ties::View, usize> = HashMap::new();
        let (mut tensors, mut tied_left_out) = (Vec::new(), Vec::new());
        for output in plan.outputs() {
            let Some(key) = output.key.strip_prefix(prefix.as_str()) else { continue };
            if flat && output.tied {
                tied_left_out.push(key.to_owned());
                continue;
            }
            let kept = kept(plan, source, format, output.expr);
            let view = ties::foreign_view(plan, source, output.expr).filter(|_| !flat && kept.is_none());
            let tied = first.get(&output.expr).or_else(|| views.get(view.as_ref()?)).copied();
            let from = match (tied, kept) {
                (Some(first), _) => From::Tied(first),
                (None, Some(entry)) => From::Kept(entry),
                (None, None) => {
                    From::Stream(Box::new(Stream::new(plan.arena(), output.expr, &output.key, source)?))
                }
            };
            first.entry(output.expr).or_insert(tied.unwrap_or(tensors.len()));
            if let Some(view) = view {
                views.entry(view).or_insert(tied.unwrap_or(tensors.len()));
            }
            let key = if prefix.is_empty() { output.key.clone() } else { Key::from(key) };
            tensors.push(Tensor { key, expr: output.expr, from });
        }
        Ok(Made { plan, source, prefix, tensors, tied_left_out })
    }

    fn dict(&self) -> OutputDict<'_> {
        let tensors = self.tensors.iter().map(|tensor| {
            let content = match &tensor.from {
                From::Kept(entry) => Content::Kept { entry: *entry },
                From::Tied(to) => Content::Tied { to: *to },
                From::Stream(stream) => {
                    let like = self.plan.arena().sources(tensor.expr).first().copied();
                    Content::Produced { tensor: stream.as_ref(), like }
                }
            };
            OutputTensor { key: tensor.key.clone(), content }
        });
        OutputDict {
            tensors: tensors.collect(),
            modules: outputs::modules(self.plan, self.source, &self.prefix),
        }
    }
}

/// The source entry that an output is, where the writer can take it over as it is.
fn kept(plan: &Plan, source: &StateDict, format: Format, expr: ExprId) -> Option<usize> {
    let index = plan.arena().source(expr)?;
    match &source.entries.get(index)?.data {
        // A torch file takes over objects of its own source alone.
        _ if format == Format::TorchZip && !source.is_own(index) => None,
        EntryData::Stored(tensor) if format == Format::Safetensors && !tensor.is_contiguous() => None,
        _ => Some(index),
    }
}
