//! What a clause gives a verb for one match: its options, the expression of `compute`, the names over an index.

use super::execute::Planner;
use super::hits::{Hit, render_problem, value_problem};
use super::problem::{Problem, ProblemKind};
use super::scope::OfMatch;
use crate::rules::formula::Formula;
use crate::rules::value::{Value, evaluate, integer, real_number};
use crate::rules::{Clause, Match, OptionKind, Options, Pattern, dim_of};
use crate::syntax::ast;
use crate::tensor::TensorSpec;

/// No tensor has more parts than a header has room for; a larger number is a slip.
const MAX_PARTS: i64 = 1_000_000;

impl Planner<'_> {
    /// The values of a clause's options for one match.
    pub(super) fn options(
        &self,
        clause: &Clause,
        pattern: &Pattern,
        way: &Match,
        key: &str,
        spec: &TensorSpec,
    ) -> Result<Options, Box<Problem>> {
        let outer = self.outer(clause.prefix.as_ref());
        let scope = OfMatch { outer: &outer, pattern, way, spec, index: None };
        let mut options = Options::default();
        for (row, written) in &clause.options {
            let expr = match written {
                ast::Value::Expr(expr) => expr,
                ast::Value::Bindings(bindings) => {
                    let sizes = bindings.iter().map(|(name, expr)| {
                        let size = integer(expr, &scope).map_err(|error| value_problem(key, error))?;
                        Ok((name.node.clone(), size))
                    });
                    let sizes = sizes.collect::<Result<_, Box<Problem>>>()?;
                    options.0.push((row.name, Value::Bindings(sizes)));
                    continue;
                }
            };
            let value = match row.kind {
                OptionKind::Real => real_number(expr, &scope).map(Value::Float),
                _ => evaluate(expr, &scope),
            };
            let value = value.map_err(|error| value_problem(key, error))?;
            if !row.kind.accepts(&value) {
                let kind = ProblemKind::OptionValue {
                    option: row.name,
                    takes: row.kind.takes(),
                    value: value.to_string(),
                };
                return Err(Box::new(Problem::new(kind, expr.span)));
            }
            options.0.push((row.name, value));
        }
        Ok(options)
    }

    /// The expression of `compute`, with the values of `let` names put in.
    pub(super) fn formula(
        &self,
        clause: &Clause,
        patterns: &[Pattern],
        hit: &Hit,
        spec: &TensorSpec,
    ) -> Result<Option<Formula>, Box<Problem>> {
        let Some(assigned) = &clause.assigned else { return Ok(None) };
        let outer = self.outer(clause.prefix.as_ref());
        let scope =
            OfMatch { outer: &outer, pattern: &patterns[hit.pattern], way: &hit.way, spec, index: None };
        let text = |span| self.sources.slice(span);
        let operand =
            |glob: &ast::Glob| patterns.iter().position(|pattern| text(pattern.span) == text(glob.span));
        let formula = Formula::new(assigned, &operand, &scope);
        formula.map(Some).map_err(|error| value_problem(&self.state.entry(hit.entry).key, error))
    }

    /// The names that templates give while `over` runs its index.
    pub(super) fn names_over(
        &self,
        clause: &Clause,
        pattern: &Pattern,
        hit: &Hit,
        over: &str,
        options: &Options,
    ) -> Result<Vec<String>, Box<Problem>> {
        let entry = self.state.entry(hit.entry);
        let (outer, spec) = (self.outer(clause.prefix.as_ref()), self.arena.spec(entry.expr));
        let range = clause.templates.iter().find_map(|template| template.range(over));
        let (first, count) = match (options.int("into"), range) {
            // Without a count, the index runs over the layers of the dim.
            (None, None) => {
                let dim = options.int("dim").and_then(|dim| dim_of(dim, &spec.shape).ok());
                (0, dim.and_then(|dim| i64::try_from(spec.shape[dim]).ok()).unwrap_or(0))
            }
            (Some(count), None) => (0, count),
            (into, Some(range @ (first, last))) => {
                let count = last.saturating_sub(first).saturating_add(1);
                let (first, count) =
                    (i64::try_from(first).unwrap_or(i64::MAX), i64::try_from(count).unwrap_or(i64::MAX));
                if into.is_some_and(|into| into != count) {
                    let kind = ProblemKind::PartsDisagree {
                        into: into.unwrap_or(0),
                        range: format!("{{{over}:{}..{}}}", range.0, range.1),
                        count,
                    };
                    return Err(Box::new(Problem::new(kind, clause.span).help("leave `into` out")));
                }
                (first, count)
            }
        };
        if !(1..=MAX_PARTS).contains(&count) {
            let problem = Problem::new(ProblemKind::Parts { value: count }, clause.span);
            return Err(Box::new(problem.help(format!("parts are 1 to {MAX_PARTS}"))));
        }
        let mut names = Vec::new();
        for index in first..first.saturating_add(count) {
            let scope = OfMatch { outer: &outer, pattern, way: &hit.way, spec, index: Some((over, index)) };
            for template in &clause.templates {
                let name = template.render(pattern, &hit.way, &scope);
                names.push(name.map_err(|error| render_problem(&entry.key, error, template.span))?);
            }
        }
        Ok(names)
    }
}
