//! `assert`.

use super::execute::Planner;
use super::hits::{Hit, value_problem};
use super::problem::{Problem, ProblemKind};
use super::scope::OfMatch;
use super::state::EntryId;
use super::{Assertion, AssertionKind};
use crate::keyset::fold;
use crate::rules::value::{real, truth};
use crate::rules::{Clause, Pattern};

impl Planner<'_> {
    /// `assert`: the condition must hold for each match; a value is checked while applying.
    pub(super) fn check(&mut self, clause: &Clause, patterns: &[Pattern], hits: &[Hit]) {
        let mut failed: Vec<EntryId> = Vec::new();
        for hit in hits {
            let entry = self.state.entry(hit.entry).clone();
            let spec = self.arena.spec(entry.expr).clone();
            let pattern = &patterns[hit.pattern];
            if let Some(condition) = &clause.condition {
                let outer = self.outer(clause.prefix.as_ref());
                let scope = OfMatch { outer: &outer, pattern, way: &hit.way, spec: &spec, index: None };
                match truth(condition, &scope) {
                    Ok(true) => {}
                    Ok(false) => failed.push(hit.entry),
                    Err(error) => self.problems.push(*value_problem(&entry.key, error)),
                }
            }
            match self.options(clause, pattern, &hit.way, &entry.key, &spec) {
                Err(problem) => self.problems.push(*problem),
                Ok(options) => {
                    if let Some(value) = options.get("value").and_then(real) {
                        let (key, expr, span) = (entry.key.clone(), entry.expr, clause.span);
                        self.assertions.push(Assertion {
                            key,
                            expr,
                            kind: AssertionKind::Value(value),
                            span,
                        });
                    }
                }
            }
        }
        if !failed.is_empty() {
            let keys = failed.iter().map(|&id| &*self.state.entry(id).key);
            let folded: Vec<String> =
                fold(keys).into_iter().map(|fold| format!("`{}`", fold.pattern)).collect();
            let kind = ProblemKind::Assertion { keys: folded.join(", ") };
            let first = self.state.entry(failed[0]);
            let fact = format!("`{}` is {}", first.key, self.arena.spec(first.expr));
            let span = clause.condition.as_ref().map_or(clause.span, |condition| condition.span);
            self.problems.push(Problem::new(kind, span).note(fact));
        }
    }
}
