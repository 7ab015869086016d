//! Tensors that share storage, which a safetensors file cannot say.

use std::sync::Arc;

use foldhash::HashMap;

use super::error::ApplyError;
use crate::formats::{EntryData, StateDict, Storage};
use crate::plan::{ExprId, Plan};
use crate::tensor::TensorSpec;

/// The bytes that a tensor is, and how it sees them: the storage, the offset, the strides, dtype and shape.
pub(super) type View<'a> = (*const Storage, u64, &'a [u64], &'a TensorSpec);

/// The view that an output is of a file that was joined to the checkpoint's own. A torch file takes over no
/// objects of such a file, so that what sees the same bytes has to be told to be one tensor.
pub(super) fn foreign_view<'a>(plan: &Plan, source: &'a StateDict, expr: ExprId) -> Option<View<'a>> {
    let index = plan.arena().source(expr).filter(|&index| !source.is_own(index))?;
    let EntryData::Stored(tensor) = &source.entries.get(index)?.data else { return None };
    let view = (Arc::as_ptr(&tensor.storage), tensor.offset, tensor.strides.as_slice(), &tensor.spec);
    (tensor.spec.numel() != Some(0)).then_some(view)
}

/// Refuses outputs that view the same bytes of one storage: the file would hold them twice, and the
/// tie would be lost in silence.
pub(super) fn refuse(plan: &Plan, source: &StateDict) -> Result<(), ApplyError> {
    // The storages with the byte ranges that outputs view.
    let mut views: Vec<(*const Storage, u64, u64, &str)> = Vec::new();
    let mut names: HashMap<ExprId, &str> = HashMap::default();
    for output in plan.outputs().iter().filter(|output| !output.tied) {
        if let Some(first) = names.insert(output.expr, &output.key) {
            let (first, second) = (first.to_owned(), output.key.to_string());
            return Err(ApplyError::Tied { first, second });
        }
        let Some(index) = plan.arena().source(output.expr) else { continue };
        let Some(EntryData::Stored(tensor)) = source.entries.get(index).map(|entry| &entry.data) else {
            continue;
        };
        let size = tensor.spec.dtype.bytes().unwrap_or(1);
        let dims = tensor.spec.shape.iter().zip(&tensor.strides);
        let reach: u64 = dims.map(|(&dim, &stride)| dim.saturating_sub(1).saturating_mul(stride)).sum();
        if tensor.spec.numel() == Some(0) {
            continue;
        }
        let end = tensor.offset + (reach + 1) * size;
        views.push((Arc::as_ptr(&tensor.storage), tensor.offset, end, &output.key));
    }
    views.sort_unstable();
    for pair in views.windows(2) {
        let [(storage, _, end, first), (other, start, _, second)] = pair else { continue };
        if storage == other && start < end {
            let (first, second) = ((*first).to_owned(), (*second).to_owned());
            return Err(ApplyError::Tied { first, second });
        }
    }
    Ok(())
}
