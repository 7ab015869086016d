//! Verbs that take several tensors at once: joins, and ties.

use smallvec::smallvec;

use super::arena::ExprId;
use super::execute::Planner;
use super::hits::Hit;
use super::join::Group;
use super::problem::{Problem, ProblemKind};
use super::produce::{Gathered, Product, chosen};
use super::state::{Entry, Parents};
use super::{Assertion, AssertionKind, Choices};
use crate::rules::op::OpError;
use crate::rules::verbs::{Call, Flow};
use crate::rules::{Clause, Options, Pattern, Statement};
use crate::source::Span;
use crate::tensor::TensorSpec;

impl Planner<'_> {
    /// Joins the tensors of one group.
    pub(super) fn join(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        patterns: &[Pattern],
        hits: &[Hit],
        group: Group,
        gathered: &mut Gathered,
    ) {
        let members: Vec<&Hit> = group.members.iter().map(|&member| &hits[member]).collect();
        gathered.removed.extend(members.iter().map(|hit| hit.entry));
        let entries: Vec<Entry> = members.iter().map(|hit| self.state.entry(hit.entry).clone()).collect();
        let Some((first, hit)) = entries.first().zip(members.first()) else { return };
        let specs: Vec<TensorSpec> =
            entries.iter().map(|entry| self.arena.spec(entry.expr).clone()).collect();
        let built = self.options(clause, &patterns[hit.pattern], &hit.way, &first.key, &specs[0]);
        let built = built.and_then(|options| {
            let inputs: Vec<(&str, &TensorSpec)> =
                entries.iter().map(|entry| &*entry.key).zip(&specs).collect();
            let exprs: Vec<ExprId> = entries.iter().map(|entry| entry.expr).collect();
            let formula = self.formula(clause, patterns, hit, &specs[0])?;
            let (any_dtype, formula, output) = (clause.any_dtype, formula.as_ref(), Some(&*group.name));
            let call = Call { inputs: &inputs, outputs: 1, options: &options, formula, output, any_dtype };
            self.build(statement, &call, &exprs, clause.span)
        });
        match built {
            Err(problem) => self.problems.push(*problem),
            Ok(exprs) => {
                if statement.verb.flow == Flow::Unify {
                    for entry in entries.iter().skip(1) {
                        self.must_equal(first, entry, clause.span);
                    }
                }
                let parents: Parents = members.iter().map(|hit| hit.entry).collect();
                for expr in exprs {
                    let (key, parents) = (group.name.clone(), parents.clone());
                    let (options, span, chosen) = (Options::default(), clause.span, Choices::new());
                    gathered.products.push(Product { key, expr, parents, options, span, chosen });
                }
            }
        }
    }

    /// Gives a tensor other names; a name that exists must hold equal bytes, and gives its storage up.
    pub(super) fn tie(&mut self, clause: &Clause, hit: &Hit, gathered: &mut Gathered) {
        let entry = self.state.entry(hit.entry).clone();
        for name in &hit.names {
            let holder = self.state.find(name).filter(|&holder| holder != hit.entry);
            let mut parents: Parents = smallvec![hit.entry];
            if let Some(holder) = holder {
                let other = self.state.entry(holder).clone();
                let (spec, other_spec) = (self.arena.spec(entry.expr), self.arena.spec(other.expr));
                if spec != other_spec {
                    let error = OpError::Unequal {
                        first: entry.key.to_string(),
                        first_spec: spec.clone(),
                        second: other.key.to_string(),
                        second_spec: other_spec.clone(),
                    };
                    let help = error.help();
                    let mut problem = Problem::new(ProblemKind::Op { key: None, error }, clause.span);
                    problem.helps.extend(help);
                    self.problems.push(problem);
                    continue;
                }
                self.must_equal(&entry, &other, clause.span);
                gathered.removed.push(holder);
                parents = smallvec![holder, hit.entry];
            }
            let (key, options, span) = (name.clone(), Options::default(), clause.span);
            let chosen = chosen(clause, hit);
            gathered.products.push(Product { key, expr: entry.expr, parents, options, span, chosen });
        }
    }

    /// Notes that two tensors must hold equal bytes.
    pub(super) fn must_equal(&mut self, first: &Entry, second: &Entry, span: Span) {
        let kind = AssertionKind::Equal { other: second.key.clone(), other_expr: second.expr };
        self.assertions.push(Assertion { key: first.key.clone(), expr: first.expr, kind, span });
    }
}
