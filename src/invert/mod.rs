//! The way back of a migration: the reverse of the resolved plan, as readable rules.
//!
//! No pattern is turned around. The plan says which keys became which, and by what operations; `walk` goes
//! through its statements from the last to the first and says what undoes each, key by key, and what cannot be
//! undone. `generalise.rs` puts that into few lines, each of which the planner has run over the keys before it
//! is taken. `proof.rs` plans the whole file on the new keys towards the former ones, and shows for each key
//! whether there and back is the identity.

mod act;
mod candidate;
mod formula;
mod generalise;
mod glob;
mod line;
mod ops;
mod proof;
mod text;
mod tree;
mod trial;
mod walk;

pub use proof::Proof;

use crate::diagnostic::Diagnostic;
use crate::keyset::{KeyInfo, KeySet};
use crate::plan::Plan;
use crate::rules::RuleSet;
use crate::source::Sources;

/// A migration that is to be undone.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The name of its rule file, as the inverse names it.
    pub name: &'a str,
    /// Its rules, as they act on the dict that the plan is of.
    pub rules: &'a RuleSet,
    /// The texts of the rules.
    pub sources: &'a Sources,
    /// Its plan over the former keys.
    pub plan: &'a Plan,
    /// The keys that it leads to, where they are known from elsewhere.
    pub target: Option<&'a KeySet>,
}

/// The way back.
#[derive(Debug)]
pub struct Inverse {
    /// The rule file.
    pub text: String,
    /// What it is proved to be, or what does not fit, with the texts that the problems point into.
    pub proof: Result<Proof, (Vec<Diagnostic>, Sources)>,
}

impl Inverse {
    /// What is not had back, as the text remarks it.
    pub fn lossy(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.strip_prefix("# lossy: "))
    }
}

impl Forward<'_> {
    /// The keys that the way back begins with.
    fn outcome(&self) -> KeySet {
        let is_told = |target: &&KeySet| target.iter().all(|(_, info)| info.is_told);
        if let Some(target) = self.target.filter(is_told) {
            return target.clone();
        }
        let mut keys = KeySet::new(format!("the outcome of {}", self.name));
        let outputs = self.plan.outputs().iter();
        keys.keys.extend(
            outputs.map(|output| {
                (output.key.clone(), KeyInfo::from(self.plan.arena().spec(output.expr).clone()))
            }),
        );
        keys
    }
}

/// Makes and proves the way back.
pub fn invert(forward: &Forward) -> Inverse {
    let text = text::file(forward, &walk::walk(forward));
    let proof = proof::prove(forward, &text);
    Inverse { text, proof }
}
