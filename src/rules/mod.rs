//! What rules mean: statements resolved against the verb table, and no checkpoint in sight.

mod edits;
mod einops;
mod error;
mod lists;
mod matching;
mod names;
mod needs;
mod options;
mod pattern;
mod resolve;
mod take_in;
mod template;

pub mod formula;
pub mod interpolation;
pub mod op;
pub mod shipped;
pub mod value;
pub mod verbs;

pub use einops::reversed as reversed_rearrangement;
pub use error::{RuleError, RuleErrorKind, RuleWarning, diagnostic};
pub use lists::glob_pattern;
pub use matching::{Capture, Match, Matcher, TooManyWays};
pub use options::{OptionKind, OptionRow, Options, dim as dim_of};
pub use pattern::{Atom, Form, Names, Pattern, Place, Slot, SlotKind};
pub use resolve::{Given, Resolved, resolve};
pub use take_in::{Loader, TakenIn, Text, take_in};
pub use template::{RenderError, Template};

use std::collections::HashMap;

use crate::source::Span;
use crate::syntax::ast::{Expr, Glob, GlobKind, Part};
use verbs::Verb;

/// A rule file whose every word has a meaning.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// The header, where there is one.
    pub migration: Option<Migration>,
    /// What to do, top to bottom.
    pub steps: Vec<Step>,
    /// The dicts of tensors that `in` names for the whole file, as paths with dots; none where the dict is
    /// found by itself.
    pub dicts: Vec<String>,
    /// The dict that `unwrap` makes the whole output.
    pub unwrap: Option<String>,
    /// The values of `config.…` names.
    pub config: HashMap<String, value::Value>,
    /// Changes to what the checkpoint holds besides tensors.
    pub edits: Vec<Edit>,
    /// What the file says of optimizer state.
    pub optimizer: Option<OptimizerMode>,
}

impl RuleSet {
    /// The dicts that only `in … { … }` blocks name, in the order in which they are first named.
    pub fn block_dicts(&self) -> Vec<&str> {
        let mut dicts: Vec<&str> = Vec::new();
        let statements = self.steps.iter().filter_map(|step| match step {
            Step::Statement(statement) => statement.dicts.as_deref(),
            Step::Let(_) => None,
        });
        for dict in statements.flatten() {
            if !dicts.contains(&dict.as_str()) && !self.dicts.contains(dict) {
                dicts.push(dict);
            }
        }
        dicts
    }

    /// The rules as they act on one dict: its blocks, and what stands outside blocks where `whole_file`.
    pub fn of_dict(&self, dict: &str, whole_file: bool) -> RuleSet {
        let acts = |step: &&Step| match step {
            Step::Let(_) => true,
            Step::Statement(statement) => match &statement.dicts {
                Some(dicts) => dicts.iter().any(|own| own == dict),
                None => whole_file,
            },
        };
        RuleSet { steps: self.steps.iter().filter(acts).cloned().collect(), ..self.clone() }
    }
}

/// A `set`, `unset` or `move`, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The change.
    pub edit: crate::edit::Edit,
    /// The clause.
    pub span: Span,
}

/// `migration v1 -> v2 "why"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Migration {
    /// The version that the rules start from.
    pub from: String,
    /// The version that they lead to.
    pub to: String,
    /// The reason.
    pub why: Option<String>,
}

/// `optimizer follow` or `optimizer drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerMode {
    /// The state is rewritten with the weights.
    Follow,
    /// The state goes.
    Drop,
}

/// One step of a rule file.
#[derive(Clone, Debug)]
pub enum Step {
    /// A name gets its value.
    Let(Let),
    /// A verb is applied.
    Statement(Statement),
}

/// `let name = value`.
#[derive(Clone, Debug)]
pub struct Let {
    /// The name.
    pub name: String,
    /// What it is evaluated from, where it stands.
    pub value: Expr,
    /// The line.
    pub span: Span,
    /// The prefix of `under` around it.
    pub prefix: Option<Glob>,
}

/// A verb with its clauses, which act at once.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The verb.
    pub verb: &'static Verb,
    /// Whether no match is fine.
    pub optional: bool,
    /// The clauses.
    pub clauses: Vec<Clause>,
    /// The dicts of the `in … { … }` around it.
    pub dicts: Option<Vec<String>>,
    /// The statement.
    pub span: Span,
}

/// One line of a statement.
#[derive(Clone, Debug)]
pub struct Clause {
    /// Which keys; a list has become several.
    pub patterns: Vec<Pattern>,
    /// The names that they get; a list has become several.
    pub templates: Vec<Template>,
    /// Which keys not.
    pub except: Vec<Pattern>,
    /// The condition after `where`.
    pub condition: Option<Expr>,
    /// Whether the condition speaks of dtypes.
    pub any_dtype: bool,
    /// The options but for `over`.
    pub options: Vec<(&'static OptionRow, crate::syntax::ast::Value)>,
    /// The expression after `=`.
    pub assigned: Option<Expr>,
    /// The index that `over` runs.
    pub over: Option<String>,
    /// The prefix of `under` around it.
    pub prefix: Option<Glob>,
    /// The clause.
    pub span: Span,
}

impl Let {
    /// Whether its value is computed from a name.
    pub fn uses(&self, name: &str) -> bool {
        uses(&self.value, name)
    }
}

impl Statement {
    /// Whether a name stands in it: in a pattern, a template, an option or a condition.
    pub fn uses(&self, name: &str) -> bool {
        self.clauses.iter().any(|clause| {
            let options = clause.options.iter().flat_map(|(_, value)| value.exprs());
            let mut values = options.chain(&clause.condition);
            let mut patterns = clause.patterns.iter().chain(&clause.except);
            values.any(|value| uses(value, name))
                || patterns.any(|pattern| pattern.uses_value(name))
                || clause.templates.iter().any(|template| template.uses(name))
        })
    }
}

/// Whether an expression uses a name, also inside the patterns of `shape(…)` and `count(…)`.
fn uses(value: &Expr, name: &str) -> bool {
    let mut used = Vec::new();
    names::of(value, &mut used);
    let captures = |pattern: &Glob| match &pattern.kind {
        GlobKind::Parts(parts) => {
            parts.iter().any(|part| matches!(&part.node, Part::Capture(own, None) if own.node == name))
        }
        GlobKind::Regex(_) => false,
    };
    used.iter().any(|(used, _)| *used == name) || names::patterns(value).into_iter().any(captures)
}

#[cfg(test)]
mod tests;
