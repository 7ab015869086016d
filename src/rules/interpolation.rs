//! How a tensor is resampled: the modes of `torch.nn.functional.interpolate`, and what each takes.

use std::ops::RangeInclusive;

/// What `interpolate` does to a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpolation {
    /// The dims, each once, with their new sizes; all sizes, old and new, are at least 1.
    pub dims: Vec<(usize, u64)>,
    /// By which rule.
    pub mode: Mode,
    /// Whether the first and the last elements of a dim stay where they are.
    pub align_corners: bool,
    /// Whether shrinking averages over all elements that fall together.
    pub antialias: bool,
}

/// The modes, under torch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub enum Mode {
    Nearest,
    NearestExact,
    Linear,
    Bilinear,
    Trilinear,
    Bicubic,
    Area,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 7] = [
        Mode::Nearest,
        Mode::NearestExact,
        Mode::Linear,
        Mode::Bilinear,
        Mode::Trilinear,
        Mode::Bicubic,
        Mode::Area,
    ];
    /// The names of all modes, in the same order.
    pub const NAMES: [&'static str; 7] =
        ["nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area"];

    /// The mode of this name.
    pub fn named(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The name, as torch spells it.
    pub fn name(self) -> &'static str {
        Mode::NAMES[self as usize]
    }

    /// How many dims the mode resamples at once.
    pub fn dims(self) -> RangeInclusive<usize> {
        match self {
            Mode::Nearest | Mode::NearestExact | Mode::Area => 1..=3,
            Mode::Linear => 1..=1,
            Mode::Bilinear | Mode::Bicubic => 2..=2,
            Mode::Trilinear => 3..=3,
        }
    }

    /// Whether it copies elements, so that it is exact for any dtype.
    pub fn is_gather(self) -> bool {
        matches!(self, Mode::Nearest | Mode::NearestExact)
    }

    /// Whether it takes `align_corners`.
    pub fn aligns(self) -> bool {
        matches!(self, Mode::Linear | Mode::Bilinear | Mode::Trilinear | Mode::Bicubic)
    }

    /// Whether it takes `antialias`.
    pub fn antialiases(self) -> bool {
        matches!(self, Mode::Bilinear | Mode::Bicubic)
    }
}
