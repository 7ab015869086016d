//! Optimizer state as a file holds it, and as an output is to hold it.

use std::fmt;

use indexmap::IndexMap;

use super::{EntryData, Produce};

/// What stands for a parameter in the state of an optimizer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParamId {
    /// Its number, counted group by group (`torch.optim.Optimizer.state_dict`).
    Number(i64),
    /// Its name, where the state was flattened by names (`torch.distributed.checkpoint.state_dict`).
    Name(String),
}

impl fmt::Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamId::Number(number) => write!(f, "{number}"),
            ParamId::Name(name) => f.write_str(name),
        }
    }
}

/// The state of one optimizer: a dict with `state` and `param_groups`.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// Where it lies: `optimizer_states.0`.
    pub path: String,
    /// The groups, in order.
    pub groups: Vec<ParamGroup>,
    /// The values for each parameter that has some, in order.
    pub states: IndexMap<ParamId, Vec<StateValue>>,
}

/// A group of parameters with settings of their own.
#[derive(Clone, Debug)]
pub struct ParamGroup {
    /// Its parameters, in the order in which the optimizer got them.
    pub params: Vec<ParamId>,
    /// Their names, where the optimizer got `named_parameters()`.
    pub names: Option<Vec<String>>,
}

/// A value of the state of one parameter, such as `exp_avg`.
#[derive(Clone, Debug)]
pub struct StateValue {
    /// Its name.
    pub name: String,
    /// A tensor, or something else.
    pub data: EntryData,
}

/// What becomes of an optimizer of the source.
pub enum OutputOptimizer<'a> {
    /// It stays as it is.
    Kept,
    /// It goes.
    Dropped,
    /// It has these parameters, group by group.
    Groups(Vec<Vec<OutputParam<'a>>>),
}

/// A parameter of an optimizer of the output.
pub struct OutputParam<'a> {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: OutputState<'a>,
}

/// The state of a parameter of the output.
pub enum OutputState<'a> {
    /// There is none.
    Empty,
    /// All of what this parameter of the source has.
    Kept(ParamId),
    /// What this parameter of the source has, with other tensors under these names.
    Made {
        /// The parameter whose other values are taken.
        like: ParamId,
        /// The tensors.
        tensors: Vec<(String, &'a dyn Produce)>,
    },
}
