//! The verbs: one file and one row of the table each.
//!
//! A verb's file says what it takes, how keys flow through it, and which tensor operations it is made
//! of. The grammar, the planner and the kernels know operations and flows, not verbs.

mod assert;
mod cast;
mod compute;
mod copy;
mod drop;
mod fill;
mod flip;
mod interpolate;
mod keep;
mod leave;
mod merge;
mod r#move;
mod offset;
mod pad;
mod permute;
mod rearrange;
mod rename;
mod repeat;
mod reshape;
mod scale;
mod select;
mod set;
mod slice;
mod split;
mod stack;
mod tie;
mod transpose;
mod unify;
mod unset;
mod unstack;
mod untie;

pub(super) use cast::castable;

use super::formula::Formula;
use super::op::{OpError, Term};
use super::options::{OptionRow, Options};
use crate::tensor::TensorSpec;

/// Every verb of the language.
pub static VERBS: &[&Verb] = &[
    &rename::VERB,
    &drop::VERB,
    &keep::VERB,
    &copy::VERB,
    &tie::VERB,
    &untie::VERB,
    &unify::VERB,
    &split::VERB,
    &merge::VERB,
    &stack::VERB,
    &unstack::VERB,
    &reshape::VERB,
    &transpose::VERB,
    &permute::VERB,
    &rearrange::VERB,
    &slice::VERB,
    &pad::VERB,
    &repeat::VERB,
    &select::VERB,
    &flip::VERB,
    &cast::VERB,
    &fill::VERB,
    &scale::VERB,
    &offset::VERB,
    &compute::VERB,
    &interpolate::VERB,
    &set::VERB,
    &unset::VERB,
    &r#move::VERB,
    &leave::VERB,
    &assert::VERB,
];

/// A verb of the rule language.
#[derive(Debug)]
pub struct Verb {
    /// As it is written.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// A statement that uses it.
    pub example: &'static str,
    /// How keys flow through it.
    pub flow: Flow,
    /// Whether `->` may or must follow.
    pub templates: Templates,
    /// The options that it takes.
    pub options: &'static [OptionRow],
    /// What the shapes cannot show of its result.
    pub doubt: Doubt,
    /// How its effect can be undone.
    pub reverse: Reverse,
    /// Which operations make its results of its operands.
    pub build: fn(&Call) -> Result<Vec<Term>, OpError>,
}

/// How keys flow through a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// One key in, one key out.
    Each,
    /// One key in, several out.
    Part,
    /// Several keys in, one out.
    Join,
    /// Several keys with equal bytes in, one out.
    Unify,
    /// The key stays, and others are added.
    Add,
    /// The key stays, and others become names of its tensor.
    Tie,
    /// The keys go.
    Remove,
    /// All other keys go.
    Keep,
    /// Several keys in by an expression over them, one out.
    Compute,
    /// Keys are added beside matches, or for keys that the target has and the state lacks.
    Fill,
    /// Keys of the target are left out on purpose.
    Leave,
    /// Nothing moves; something is checked.
    Check,
    /// What the file holds besides tensors changes.
    Value,
}

impl Flow {
    /// Whether the keys that the verb matches stay under their names, with what they hold.
    pub fn keeps_matches(self) -> bool {
        matches!(self, Flow::Add | Flow::Tie | Flow::Fill | Flow::Check)
    }
}

/// Whether `->` may or must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Templates {
    Never,
    Optional,
    Required,
}

/// What two key sets cannot show of a verb's result, so that an eye or data must check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The shapes prove it.
    None,
    /// Names could be exchanged between tensors of one spec.
    Names,
    /// Parts of one shape could be in another order.
    Order,
    /// A result of the operand's own shape could be another arrangement.
    Arrangement,
    /// Nothing shows that the elements went where they should.
    Always,
}

/// How the effect of a verb can be undone from its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reverse {
    /// Bit for bit.
    Exact,
    /// Up to rounding.
    Numeric,
    /// What it takes away is not had back, unless something else still holds it.
    Lossy,
}

/// What a verb is applied to.
pub struct Call<'a> {
    /// The operands' keys and specs.
    pub inputs: &'a [(&'a str, &'a TensorSpec)],
    /// How many results are wanted.
    pub outputs: usize,
    /// The options' values.
    pub options: &'a Options,
    /// The expression after `=`.
    pub formula: Option<&'a Formula>,
    /// The key of the result, where there is one.
    pub output: Option<&'a str>,
    /// Whether the clause's condition speaks of dtypes, and so chooses them itself.
    pub any_dtype: bool,
}

impl Call<'_> {
    /// The shape of the first operand.
    pub fn shape(&self) -> &[u64] {
        self.inputs.first().map_or(&[], |(_, spec)| &spec.shape)
    }

    /// The dim that the option `dim` names.
    ///
    /// # Errors
    /// Where the first operand has no such dim.
    pub fn dim(&self) -> Result<usize, OpError> {
        super::options::dim(self.options.int("dim").unwrap_or_default(), self.shape())
    }
}

/// The verb of this name.
pub fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name).copied()
}

/// The names of all verbs.
pub fn names() -> Vec<&'static str> {
    VERBS.iter().map(|verb| verb.name).collect()
}

/// The results of verbs that move no tensor data.
fn nothing(_: &Call) -> Result<Vec<Term>, OpError> {
    Ok(Vec::new())
}
