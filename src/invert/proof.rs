//! The proof of a way back: it fits both key sets, and there and back is the identity where it says so.

use std::collections::HashMap;
use std::rc::Rc;

use super::Forward;
use super::tree::Tree;
use crate::diagnostic::Diagnostic;
use crate::keyset::Key;
use crate::plan::{self, AssertionKind, Plan, Problem};
use crate::rules::verbs::Reverse;
use crate::rules::{self, Given};
use crate::source::Sources;
use crate::syntax;

/// What there and back does to the former keys, in their order.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Come back bit for bit.
    pub exact: Vec<Key>,
    /// Come back up to rounding.
    pub numeric: Vec<Key>,
    /// Come back with other values.
    pub changed: Vec<Key>,
    /// Do not come back.
    pub left: Vec<Key>,
}

/// Plans a way back on the keys that the migration leads to, towards those that it started from, and puts
/// both plans together.
///
/// # Errors
/// What does not fit, with the text that it points into.
pub(super) fn prove(forward: &Forward, text: &str) -> Result<Proof, (Vec<Diagnostic>, Sources)> {
    let mut sources = Sources::new();
    let file = sources.add(format!("the way back of {}", forward.name), text);
    let (ast, errors) = syntax::parse(text, file);
    let resolved = rules::resolve(&ast, &sources, &Given::default());
    let mut diagnostics: Vec<Diagnostic> = errors.iter().map(|error| error.diagnostic(file)).collect();
    diagnostics.extend(resolved.errors.iter().map(rules::diagnostic));
    if !diagnostics.is_empty() {
        return Err((diagnostics, sources));
    }
    let planned = plan::plan(&resolved.rules, &sources, forward.outcome(), Some(forward.plan.source()));
    match planned.plan {
        Some(back) => Ok(together(forward.plan, &back)),
        None => Err((planned.problems.iter().map(Problem::diagnostic).collect(), sources)),
    }
}

/// What there and back does to each key.
fn together(there: &Plan, back: &Plan) -> Proof {
    let equal = equal_sources(there);
    let leaf = |index: usize| {
        let (_, info) = there.source().keys.get_index(index)?;
        Some(Tree::leaf(equal.get(index).copied().unwrap_or(index), info.spec.clone()))
    };
    // What the migration makes of the source, under the names that the way back begins with.
    let made: HashMap<&Key, Option<Rc<Tree>>> = there
        .outputs()
        .iter()
        .map(|output| (&output.key, Tree::of(there.arena(), output.expr, &leaf)))
        .collect();
    let middle = |index: usize| {
        let (key, _) = back.source().keys.get_index(index)?;
        made.get(key).cloned().flatten()
    };
    let outputs: HashMap<&Key, _> = back.outputs().iter().map(|output| (&output.key, output.expr)).collect();
    let mut proof = Proof::default();
    for (index, (key, info)) in there.source().iter().enumerate() {
        let Some(&expr) = outputs.get(key) else {
            proof.left.push(key.clone());
            continue;
        };
        let tree = Tree::of(back.arena(), expr, &middle);
        let own = equal.get(index).copied().unwrap_or(index);
        let place = match tree.as_deref().map(|tree| (tree.identity(), tree.is_filled())) {
            _ if info.spec.numel() == Some(0) => &mut proof.exact,
            Some((Some((found, Reverse::Exact)), _)) if found == own => &mut proof.exact,
            Some((Some((found, Reverse::Numeric)), _)) if found == own => &mut proof.numeric,
            // A tensor that is filled with the value which the rules assert of it; 0 may be -0.
            Some((None, true)) if is_asserted(there, index) => &mut proof.numeric,
            _ => &mut proof.changed,
        };
        place.push(key.clone());
    }
    proof
}

/// Whether the rules assert a value of a source tensor.
fn is_asserted(plan: &Plan, index: usize) -> bool {
    plan.assertions().iter().any(|assertion| {
        matches!(assertion.kind, AssertionKind::Value(_))
            && plan.arena().source(assertion.expr) == Some(index)
    })
}

/// For each source tensor the first that holds equal bytes, because it is tied or the rules check it.
fn equal_sources(plan: &Plan) -> Vec<usize> {
    let mut first: Vec<usize> = (0..plan.source().len()).collect();
    let mut join = |own: usize, other: usize| {
        let (Some(&own), Some(&other)) = (first.get(own), first.get(other)) else { return };
        let (least, most) = (own.min(other), own.max(other));
        first.iter_mut().filter(|first| **first == most).for_each(|first| *first = least);
    };
    for (index, (_, info)) in plan.source().iter().enumerate() {
        if let Some(other) = info.tied.as_ref().and_then(|tied| plan.source().keys.get_index_of(tied)) {
            join(index, other);
        }
    }
    for assertion in plan.assertions() {
        let AssertionKind::Equal { other_expr, .. } = assertion.kind else { continue };
        if let (Some(own), Some(other)) =
            (plan.arena().source(assertion.expr), plan.arena().source(other_expr))
        {
            join(own, other);
        }
    }
    first
}
