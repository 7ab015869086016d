//! Expressions as streams of bytes: made while they are written, in bounded pieces.

use std::sync::OnceLock;

use super::cast::{Cast, OutOfRange};
use super::error::ApplyError;
use super::fill;
use super::gather::gather;
use super::layout::{self, Layout, Runs};
use super::map::{Arithmetic, Map};
use super::whole::Whole;
use crate::formats::{EntryData, Extent, FormatError, Pieces, Produce, ReadElements, StateDict};
use crate::plan::{Arena, ExprId, NodeKind};
use crate::rules::op::{FillValue, TensorOp};
use crate::tensor::{Dtype, Shape, TensorSpec};

/// Runs shorter than this are gathered in memory instead of being read one by one.
const SHORT_RUN: u64 = 4096;

/// A tensor as a view of a linear base.
#[derive(Clone)]
pub(super) struct Stream {
    /// The key that errors name.
    key: String,
    spec: TensorSpec,
    itemsize: u64,
    base: Base,
    layout: Layout,
}

/// A linear run of elements.
#[derive(Clone)]
enum Base {
    /// Bytes at rest.
    Stored(Extent),
    /// Another tensor, in its row-major order.
    Tensor(Box<Stream>),
    /// Another tensor, element by element.
    Map(Box<Stream>, Map),
    /// Tensors one behind the other: `outer` times, from each part its own run.
    Concat { parts: Vec<(Stream, u64)>, period: u64 },
    /// An operation on whole tensors, worked out when it is first read. The shape is that of its result,
    /// whatever view the layout makes of it.
    Whole { whole: Whole, operands: Vec<Stream>, shape: Shape, result: OnceLock<Vec<u8>> },
    /// A tensor from nothing, of this shape.
    Fill(FillValue, Shape),
}

impl Stream {
    /// The stream of an expression over the source's tensors.
    ///
    /// # Errors
    /// Where a source entry is no plain tensor.
    pub fn new(arena: &Arena, id: ExprId, key: &str, source: &StateDict) -> Result<Stream, ApplyError> {
        let node = arena.node(id);
        let spec = node.spec.clone();
        let operand = |operands: &[ExprId], index: usize| Stream::new(arena, operands[index], key, source);
        match &node.kind {
            NodeKind::Source(index) => Stream::stored(*index, key, source),
            NodeKind::Op(op, operands) => Ok(match &**op {
                TensorOp::Copy => operand(operands, 0)?,
                TensorOp::Permute(dims) => {
                    let mut stream = operand(operands, 0)?;
                    stream.layout.permute(dims);
                    stream.spec = spec;
                    stream
                }
                TensorOp::Narrow { dim, start, len } => {
                    let mut stream = operand(operands, 0)?;
                    stream.layout.narrow(*dim, *start, *len);
                    stream.spec = spec;
                    stream
                }
                TensorOp::Reshape(shape) => {
                    let mut stream = operand(operands, 0)?;
                    if stream.layout.is_contiguous() {
                        let offset = stream.layout.offset;
                        stream.layout = Layout { offset, ..Layout::contiguous(shape) };
                        stream.spec = spec;
                        stream
                    } else {
                        Stream::over(Base::Tensor(Box::new(stream)), key, spec)
                    }
                }
                TensorOp::Flip { dim } => {
                    let mut stream = operand(operands, 0)?;
                    stream.layout.flip(*dim);
                    stream
                }
                TensorOp::Cast(to) => {
                    let stream = operand(operands, 0)?;
                    let map = Cast::new(stream.spec.dtype, *to).map(Map::Cast);
                    Stream::mapped(stream, map, key, spec)?
                }
                TensorOp::Scale(by) => {
                    let map = Map::arithmetic(spec.dtype, Arithmetic::Scale(*by));
                    Stream::mapped(operand(operands, 0)?, map, key, spec)?
                }
                TensorOp::Offset(by) => {
                    let map = Map::arithmetic(spec.dtype, Arithmetic::Offset(*by));
                    Stream::mapped(operand(operands, 0)?, map, key, spec)?
                }
                TensorOp::Compute { formula, .. } => {
                    let streams: Result<Vec<Stream>, ApplyError> =
                        (0..operands.len()).map(|index| operand(operands, index)).collect();
                    Stream::whole(Whole::Compute(formula.clone()), streams?, key, spec)
                }
                TensorOp::Interpolate(interpolation) => {
                    let whole = Whole::Interpolate(interpolation.clone());
                    Stream::whole(whole, vec![operand(operands, 0)?], key, spec)
                }
                TensorOp::Fill { value, .. } => {
                    Stream::over(Base::Fill(*value, spec.shape.clone()), key, spec)
                }
                TensorOp::Concat { dim } => {
                    let streams: Result<Vec<Stream>, ApplyError> =
                        (0..operands.len()).map(|index| operand(operands, index)).collect();
                    let with_runs = streams?.into_iter().map(|stream| {
                        let run = stream.spec.shape[*dim..].iter().product();
                        (stream, run)
                    });
                    let parts: Vec<(Stream, u64)> = with_runs.collect();
                    let period = parts.iter().map(|(_, run)| run).sum();
                    Stream::over(Base::Concat { parts, period }, key, spec)
                }
            }),
        }
    }

    /// The stream of an entry as it is.
    ///
    /// # Errors
    /// Where it is no plain tensor.
    pub fn stored(index: usize, key: &str, source: &StateDict) -> Result<Stream, ApplyError> {
        let Some(entry) = source.entries.get(index) else {
            return Err(opaque(key, "not in the source".to_owned()));
        };
        let tensor = match &entry.data {
            EntryData::Stored(tensor) => tensor,
            EntryData::Opaque { what } => return Err(opaque(&entry.key, what.clone())),
        };
        let Some(itemsize) = tensor.spec.dtype.bytes() else {
            return Err(opaque(&entry.key, tensor.spec.dtype.to_string()));
        };
        // The base begins at the tensor's own element 0, so that offsets count in whole elements.
        let whole = &tensor.storage.extent;
        let rest = whole.len.saturating_sub(tensor.offset);
        let Some(extent) = whole.part(tensor.offset.min(whole.len), rest) else {
            return Err(opaque(&entry.key, "outside its storage".to_owned()));
        };
        let layout =
            Layout { shape: tensor.spec.shape.clone(), strides: layout::signed(&tensor.strides), offset: 0 };
        let (base, spec) = (Base::Stored(extent), tensor.spec.clone());
        Ok(Stream { key: key.to_owned(), spec, itemsize, base, layout })
    }

    fn mapped(stream: Stream, map: Option<Map>, key: &str, spec: TensorSpec) -> Result<Stream, ApplyError> {
        match map {
            Some(map) => Ok(Stream::over(Base::Map(Box::new(stream), map), key, spec)),
            None => Err(opaque(key, format!("{} and becomes {}", stream.spec.dtype, spec.dtype))),
        }
    }

    fn whole(whole: Whole, operands: Vec<Stream>, key: &str, spec: TensorSpec) -> Stream {
        let (shape, result) = (spec.shape.clone(), OnceLock::new());
        Stream::over(Base::Whole { whole, operands, shape, result }, key, spec)
    }

    fn over(base: Base, key: &str, spec: TensorSpec) -> Stream {
        let (layout, itemsize) = (Layout::contiguous(&spec.shape), spec.dtype.bytes().unwrap_or(1));
        Stream { key: key.to_owned(), spec, itemsize, base, layout }
    }

    /// The key that errors name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The number of elements.
    pub fn count(&self) -> u64 {
        self.spec.numel().unwrap_or(0)
    }

    /// A number of elements in bytes of memory.
    pub fn bytes(&self, count: u64) -> usize {
        bytes(count, self.itemsize)
    }

    /// The dtype.
    pub fn dtype(&self) -> Dtype {
        self.spec.dtype
    }

    /// Fills `out` with elements from `start` on.
    pub fn read(&self, start: u64, out: &mut [u8]) -> Result<(), FormatError> {
        let runs = self.layout.runs();
        let len = out.len() as u64 / self.itemsize;
        let mut filled = 0;
        if self.is_scattered(&runs) {
            return gather(&self.layout, self.itemsize, start, out, &mut |at, bytes| {
                self.read_base(at, bytes)
            });
        }
        runs.pieces(start, len, |at, count| {
            let size = bytes(count, self.itemsize);
            self.read_base(at, &mut out[filled..filled + size])?;
            filled += size;
            Ok(())
        })
    }

    /// Whether the view is of runs too short to be read one by one.
    fn is_scattered(&self, runs: &Runs) -> bool {
        runs.len * self.itemsize < SHORT_RUN && runs.len < self.count()
    }

    fn read_base(&self, start: u64, out: &mut [u8]) -> Result<(), FormatError> {
        let len = out.len() as u64 / self.itemsize;
        match &self.base {
            Base::Stored(extent) => {
                let part = self.part(extent, start, len)?;
                part.file.read_at(out, part.offset)
            }
            Base::Tensor(stream) => stream.read(start, out),
            Base::Map(stream, map) => {
                let mut buffer = vec![0; bytes(len, stream.itemsize)];
                stream.read(start, &mut buffer)?;
                map.run(&buffer, out, bytes(len, 1)).map_err(|OutOfRange { index, value }| {
                    FormatError::Value {
                        key: self.key.clone(),
                        what: format!(
                            "element {} is {value}, which {} cannot hold",
                            start + index,
                            self.spec.dtype
                        ),
                    }
                })
            }
            Base::Whole { whole, operands, shape, result } => {
                if result.get().is_none() {
                    let made = whole.run(operands, shape, self)?;
                    let _ = result.set(made);
                }
                let from = bytes(start, self.itemsize);
                let made = result.get().and_then(|made| made.get(from..from + out.len()));
                out.copy_from_slice(made.ok_or_else(|| self.wrong("the result has another size"))?);
                Ok(())
            }
            Base::Fill(value, shape) => {
                fill::run(*value, self.spec.dtype, shape, start, out);
                Ok(())
            }
            Base::Concat { parts, period } => {
                let mut filled = 0;
                concat(parts, *period, start, len, |part, at, count| {
                    let size = bytes(count, self.itemsize);
                    part.read(at, &mut out[filled..filled + size])?;
                    filled += size;
                    Ok(())
                })
            }
        }
    }

    /// An error about this tensor's values.
    pub fn wrong(&self, what: &str) -> FormatError {
        FormatError::Value { key: self.key.clone(), what: what.to_owned() }
    }

    fn part(&self, extent: &Extent, start: u64, len: u64) -> Result<Extent, FormatError> {
        let part = start.checked_mul(self.itemsize).zip(len.checked_mul(self.itemsize));
        let part = part.and_then(|(offset, len)| extent.part(offset, len));
        part.ok_or_else(|| self.wrong("an element lies outside its storage"))
    }
}

impl Produce for Stream {
    fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    fn at_rest(&self) -> Option<Extent> {
        match &self.base {
            Base::Stored(extent) if self.layout.is_contiguous() => {
                self.part(extent, self.layout.offset, self.count()).ok()
            }
            _ => None,
        }
    }

    fn pieces(&self) -> Pieces {
        let inner = match &self.base {
            Base::Stored(_) | Base::Fill(..) => Pieces::Any,
            Base::Tensor(stream) | Base::Map(stream, _) => stream.pieces(),
            Base::Concat { parts, .. } => {
                parts.iter().map(|(part, _)| part.pieces()).max().unwrap_or(Pieces::Any)
            }
            Base::Whole { .. } => Pieces::InOrder,
        };
        let own = if self.is_scattered(&self.layout.runs()) { Pieces::Large } else { Pieces::Any };
        inner.max(own)
    }

    fn reader(&self) -> Box<dyn ReadElements + '_> {
        match self.pieces() {
            // What is worked out goes when the tensor is written: an output has many.
            Pieces::InOrder => Box::new(self.clone()),
            Pieces::Any | Pieces::Large => Box::new(self),
        }
    }
}

impl ReadElements for Stream {
    fn read(&self, start: u64, out: &mut [u8]) -> Result<(), FormatError> {
        self.read(start, out)
    }
}

impl ReadElements for &Stream {
    fn read(&self, start: u64, out: &mut [u8]) -> Result<(), FormatError> {
        Stream::read(self, start, out)
    }
}

/// Calls `take` with (part, element of the part, count) for the elements `start..start + len` of a
/// concatenation in which each part gives `run` elements in turn.
fn concat(
    parts: &[(Stream, u64)],
    period: u64,
    start: u64,
    len: u64,
    mut take: impl FnMut(&Stream, u64, u64) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let (mut at, end) = (start, start + len);
    while at < end && period > 0 {
        let (turn, mut within) = (at / period, at % period);
        for (part, run) in parts {
            if within >= *run {
                within -= run;
                continue;
            }
            let count = (run - within).min(end - at);
            take(part, turn * run + within, count)?;
            at += count;
            within = 0;
            if at == end {
                break;
            }
        }
    }
    Ok(())
}

/// A number of elements in bytes of memory; what is asked for was checked to fit into a plan.
#[allow(clippy::cast_possible_truncation)] // a buffer beyond the address space fails to allocate first
fn bytes(count: u64, itemsize: u64) -> usize {
    count.saturating_mul(itemsize) as usize
}

fn opaque(key: &str, what: String) -> ApplyError {
    ApplyError::Opaque { key: key.to_owned(), what }
}
