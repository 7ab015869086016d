//! What stands behind a key: `f32 [64, 3] buffer`.

use std::fmt::Write as _;

use super::error::SpecProblem;
use crate::keyset::{KeyInfo, Role};
use crate::tensor::{Dtype, MAX_DIMS, TensorSpec};

/// Reads `DTYPE [DIMS] [buffer|parameter] [tied KEY]`.
///
/// The key behind `tied ` is everything to the end, since keys may have spaces in them.
pub(super) fn read_spec(text: &str) -> Result<KeyInfo, SpecProblem> {
    let text = text.trim_start();
    let word = text.split([' ', '[']).next().unwrap_or_default();
    let dtype: Dtype = word.parse().map_err(|()| SpecProblem::Dtype(word.to_owned()))?;
    let rest = text.get(word.len()..).unwrap_or_default().trim_start();
    let (shape, rest) = match rest.strip_prefix('[') {
        _ if dtype == Dtype::Object => (Vec::new(), rest),
        Some(rest) => read_shape(rest)?,
        None => return Err(SpecProblem::NoShape),
    };
    if shape.len() > MAX_DIMS {
        return Err(SpecProblem::ManyDims);
    }
    let spec = TensorSpec::new(dtype, shape);
    spec.numel().ok_or(SpecProblem::TooLarge)?;

    let mut info = KeyInfo::from(spec);
    let mut rest = rest.trim_start();
    let role = rest.split(' ').next().unwrap_or_default();
    info.role = match role {
        "buffer" => Some(Role::Buffer),
        "parameter" => Some(Role::Parameter),
        _ => None,
    };
    if info.role.is_some() {
        rest = rest.get(role.len()..).unwrap_or_default().trim_start();
    }
    match rest.strip_prefix("tied ") {
        Some(key) => info.tied = Some(key.into()),
        _ if rest.is_empty() => {}
        _ => return Err(SpecProblem::Rest(rest.to_owned())),
    }
    Ok(info)
}

/// Reads `64, 3] …` and gives what stands behind the bracket.
fn read_shape(text: &str) -> Result<(Vec<u64>, &str), SpecProblem> {
    let (dims, rest) = text.split_once(']').ok_or(SpecProblem::OpenShape)?;
    if dims.trim().is_empty() {
        return Ok((Vec::new(), rest));
    }
    let dims = dims.split(',').map(|dim| {
        let dim = dim.trim();
        let digits = dim.bytes().all(|byte| byte.is_ascii_digit());
        dim.parse().ok().filter(|_| digits).ok_or_else(|| SpecProblem::Dim(dim.to_owned()))
    });
    Ok((dims.collect::<Result<_, _>>()?, rest))
}

/// Writes what [`read_spec`] reads, with the role only where it is told.
pub(super) fn write_spec(info: &KeyInfo, role: Option<Role>) -> String {
    let mut text = info.spec.to_string();
    text.push_str(match role {
        Some(Role::Buffer) => " buffer",
        Some(Role::Parameter) => " parameter",
        None => "",
    });
    if let Some(key) = &info.tied {
        // Writing into a String cannot fail.
        let _ = write!(text, " tied {key}");
    }
    text
}
