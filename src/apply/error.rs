//! Why a proved plan could still not be carried out.

use crate::formats::FormatError;
use crate::source::Span;

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Reading or writing failed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A value is not as an assertion says.
    #[error("the assertion fails for `{key}`: element {index} is {found}, not {wanted}")]
    Assertion {
        /// The tensor.
        key: String,
        /// The first element that differs, counted in row-major order.
        index: u64,
        /// Its value.
        found: String,
        /// The value that was asserted.
        wanted: f64,
        /// The assertion.
        span: Span,
    },
    /// Two tensors that must be equal are not.
    #[error("`{first}` and `{second}` are not equal: they differ first at element {index}")]
    Unequal {
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// The first element that differs, counted in row-major order.
        index: u64,
        /// The statement that joins them.
        span: Span,
    },
    /// Two keys of a safetensors output share bytes.
    #[error("`{first}` and `{second}` share storage, which a safetensors file cannot say")]
    Tied {
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// Parameters that become one were trained for different numbers of steps.
    #[error("`{key}` is made of parameters whose optimizer state counts different steps")]
    UnequalSteps {
        /// The new key.
        key: String,
    },
    /// A key that no output takes.
    #[error("`{key}` belongs to none of the outputs")]
    NoOutput {
        /// The key.
        key: String,
        /// What the keys of the outputs begin with.
        prefixes: Vec<String>,
    },
    /// The entry is no plain tensor, and a statement computes with it.
    #[error("`{key}` is {what}: its elements cannot be computed with")]
    Opaque {
        /// The key.
        key: String,
        /// What it is.
        what: String,
    },
}

impl ApplyError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ApplyError::Format(error) => error.code(),
            ApplyError::Assertion { .. } => "assertion",
            ApplyError::Unequal { .. } => "unequal-tensors",
            ApplyError::Tied { .. } => "tied-tensors",
            ApplyError::NoOutput { .. } => "no-output",
            ApplyError::UnequalSteps { .. } => "optimizer-state",
            ApplyError::Opaque { .. } => "opaque-tensor",
        }
    }

    /// The rule that is to blame, where one is.
    pub fn span(&self) -> Option<Span> {
        match self {
            ApplyError::Assertion { span, .. } | ApplyError::Unequal { span, .. } => Some(*span),
            _ => None,
        }
    }

    /// What to do instead.
    pub fn help(&self) -> Option<String> {
        match self {
            ApplyError::Format(error) => error.help(),
            ApplyError::Tied { second, .. } => Some(format!(
                "`drop {second}` if the model ties it itself, or give it storage of its own: `untie {second}`"
            )),
            ApplyError::UnequalSteps { .. } => Some(
                "`optimizer drop` in the rules, or `--optimizer drop`, leaves optimizer state out".to_owned(),
            ),
            ApplyError::Unequal { first, second, .. } => Some(format!(
                "they are not one tensor: look which of `{first}` and `{second}` is right, and `drop` the other above"
            )),
            ApplyError::NoOutput { prefixes, .. } => {
                let prefixes: Vec<String> = prefixes.iter().map(|prefix| format!("`{prefix}`")).collect();
                Some(format!(
                    "outputs take the keys under their names: a key begins with {}",
                    prefixes.join(" or ")
                ))
            }
            _ => None,
        }
    }
}
