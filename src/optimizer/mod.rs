//! Optimizer state follows the weights.
//!
//! The state is positional: a parameter is a number, counted in the order in which the optimizer got the
//! model's parameters, group by group (`torch.optim.Optimizer.state_dict`). After a refactoring the order
//! is another one, and loading the old state pairs moments with the wrong parameters in silence. So numbers
//! are matched with keys, and every parameter of the new model gets the state of what it was made of.

mod align;
mod error;
mod follow;
mod moments;

pub use error::OptimizerError;
pub use follow::follow;

use std::collections::HashSet;

use crate::formats::{Optimizer, ParamId, StateDict, StoredTensor};
use crate::keyset::Key;
use crate::plan::{Arena, ExprId};

/// Which tensors the parameters of an optimizer, or of one of its groups, are among: told by whoever knows, for
/// where neither names nor shapes show it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where the optimizer lies: `optimizer_states.0`.
    pub optimizer: String,
    /// The group; all, where none is named.
    pub group: Option<usize>,
    /// The tensors of the source.
    pub tensors: HashSet<usize>,
}

impl Told {
    fn is_of(&self, optimizer: &Optimizer, group: usize) -> bool {
        self.optimizer == optimizer.path && self.group.is_none_or(|own| own == group)
    }
}

/// What becomes of an optimizer.
#[derive(Debug)]
pub enum Followed {
    /// Its parameters are the same in the same order: it stays as it is.
    Kept,
    /// It goes, because the rules say so.
    Dropped,
    /// Its parameters, group by group, in the order of the new model.
    Groups(Vec<Vec<Param>>),
}

/// A parameter of the new model.
#[derive(Debug)]
pub struct Param {
    /// Its key.
    pub key: Key,
    /// Its state.
    pub state: State,
}

/// The state of a parameter of the new model.
#[derive(Debug)]
pub enum State {
    /// There is none.
    Empty,
    /// The state of one parameter as it is.
    Kept(ParamId),
    /// A state of its own, made of those of its sources.
    Made {
        /// The first of them.
        like: ParamId,
        /// Its tensors.
        tensors: Vec<Made>,
        /// Tensors that must be equal, as the step counts of parameters that are joined.
        equal: Vec<[StoredTensor; 2]>,
    },
}

/// A tensor of a state: an expression over the tensors of other states.
#[derive(Debug)]
pub struct Made {
    /// Its name: `exp_avg`.
    pub name: String,
    /// The expressions.
    pub arena: Arena,
    /// The one that is meant.
    pub expr: ExprId,
    /// The tensors that it is over.
    pub source: StateDict,
}

impl Followed {
    /// How many parameters it has, where they changed.
    pub fn params(&self) -> Option<usize> {
        match self {
            Followed::Groups(groups) => Some(groups.iter().map(Vec::len).sum()),
            Followed::Kept | Followed::Dropped => None,
        }
    }
}
