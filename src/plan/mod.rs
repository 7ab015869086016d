//! Plans: rules run symbolically over a source key set and proved against a target.
//!
//! Everything here works on keys, shapes and dtypes. A [`Plan`] can be made only by [`plan`], which
//! returns one only if every check holds, so what reaches `apply` is proved.

mod arena;
mod arguments;
mod assert;
mod combine;
mod doubt;
mod execute;
mod hits;
mod index;
mod join;
mod json;
mod mirror;
mod missing;
mod modules;
mod problem;
mod produce;
mod render;
mod scope;
mod stages;
mod state;
mod suggest;
mod target;
mod ties;
mod trace;

pub use arena::{Arena, ExprId, Node, NodeKind, Power};
pub use doubt::Unproved;
pub use mirror::{Mirrored, mirrored};
pub use modules::renamed_modules;
pub use problem::{Problem, ProblemKind};
pub use stages::{Stage, plan_stages};
pub use trace::{Passage, Way};

use smallvec::SmallVec;

use crate::keyset::{Key, KeySet};
use crate::rules::value::ValueErrorKind;
use crate::rules::verbs::Verb;
use crate::rules::{Options, RuleSet};
use crate::source::{Sources, Span};

/// A proved plan: one expression for each tensor of the output.
#[derive(Debug)]
pub struct Plan {
    arena: Arena,
    source: KeySet,
    target: Option<String>,
    outputs: Vec<Output>,
    applied: Vec<Applied>,
    left: Vec<Key>,
    untold: Vec<Key>,
    assertions: Vec<Assertion>,
    unproved: Vec<Unproved>,
}

/// A tensor of the output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its key.
    pub key: Key,
    /// What it holds.
    pub expr: ExprId,
    /// Whether it is here only because the target calls it tied to another key.
    pub tied: bool,
}

/// What one statement did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its verb.
    pub verb: &'static Verb,
    /// Where it stands.
    pub span: Span,
    /// Where its clauses stand.
    pub clauses: Vec<Span>,
    /// How many keys it matched.
    pub matched: usize,
    /// Which keys became which.
    pub moves: Vec<Move>,
    /// Which keys went.
    pub dropped: Vec<Key>,
}

/// What of a name a rule chose, as numbers.
type Choices = SmallVec<[u32; 4]>;

/// Keys that became a key.
#[derive(Clone, Debug)]
pub struct Move {
    /// The keys before; none where the tensor is made from nothing.
    pub from: SmallVec<[Key; 1]>,
    /// The key after.
    pub to: Key,
    /// What it holds.
    pub expr: ExprId,
    /// What the keys before held.
    pub operands: SmallVec<[ExprId; 4]>,
    /// The options that the verb was given for these keys.
    pub options: Options,
    /// What of the name the rule chose: moves that differ here could be exchanged.
    chosen: Choices,
}

/// Something about values, checked while applying.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The key when the assertion stood.
    pub key: Key,
    /// The tensor.
    pub expr: ExprId,
    /// What must hold.
    pub kind: AssertionKind,
    /// The statement that says so.
    pub span: Span,
}

/// What an assertion about values says.
#[derive(Clone, Debug)]
pub enum AssertionKind {
    /// Every element has this value.
    Value(f64),
    /// The bytes equal those of another tensor of the same spec.
    Equal {
        /// The other key when the assertion stood.
        other: Key,
        /// The other tensor.
        other_expr: ExprId,
    },
}

/// What planning came to.
#[derive(Debug)]
pub struct Planned {
    /// The plan, if every check holds.
    pub plan: Option<Plan>,
    /// What does not fit.
    pub problems: Vec<Problem>,
    /// What is suspicious.
    pub warnings: Vec<Problem>,
    /// The source has the target's keys already and the rules do not apply to it.
    pub already_migrated: bool,
    /// The stage whose rules do not fit, where several are run.
    pub failed: Option<usize>,
}

/// Runs the rules over the source's keys and proves the outcome against the target.
///
/// Where statements fail, the target is not looked at: it would repeat their mistakes.
pub fn plan(rules: &RuleSet, sources: &Sources, source: KeySet, target: Option<&KeySet>) -> Planned {
    plan_stages(&[Stage { rules, target, any_dtype: false }], sources, source, &[])
}

/// Whether rules fail because what they speak of is not there (any more), and for no other reason.
fn nothing_applies(problems: &[Problem]) -> bool {
    // A `shape(…)` of what is not there ends the run, so that no statement is left to match nothing.
    let unmatched = |problem: &Problem| {
        matches!(problem.kind, ProblemKind::Unmatched { .. })
            || matches!(&problem.kind, ProblemKind::Value { error: ValueErrorKind::NoKeys { .. }, .. })
    };
    let follows = |problem: &Problem| {
        matches!(problem.kind, ProblemKind::ExceptUnmatched { .. } | ProblemKind::TargetUnmatched { .. })
    };
    problems.iter().any(unmatched) && problems.iter().all(|problem| unmatched(problem) || follows(problem))
}

impl Plan {
    /// The expressions.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The key set that the plan was made for.
    pub fn source(&self) -> &KeySet {
        &self.source
    }

    /// The source's keys with their expressions.
    pub fn source_exprs(&self) -> impl Iterator<Item = (&Key, ExprId)> {
        self.source.iter().enumerate().map(|(index, (key, _))| (key, Arena::of_source(index)))
    }

    /// Where the target came from, or `None` without one.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The tensors of the output, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// What each statement did, top to bottom.
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// Forgets what each statement did, which applying does not need.
    pub fn forget_moves(&mut self) {
        self.applied = Vec::new();
    }

    /// The target's keys that `leave` keeps out.
    pub fn left(&self) -> &[Key] {
        &self.left
    }

    /// Keys of the output whose dtype and shape the target does not tell: nothing was compared there.
    pub fn untold(&self) -> &[Key] {
        &self.untold
    }

    /// The values to check while applying.
    pub fn assertions(&self) -> &[Assertion] {
        &self.assertions
    }

    /// The statements that the shapes do not prove.
    pub fn unproved(&self) -> &[Unproved] {
        &self.unproved
    }

    /// Whether the output holds the source's tensors under their names and in their order.
    pub fn changes_nothing(&self) -> bool {
        self.outputs.len() == self.source.len()
            && self.source.iter().zip(&self.outputs).enumerate().all(|(index, ((key, _), output))| {
                *key == output.key && self.arena.source(output.expr) == Some(index)
            })
    }
}
