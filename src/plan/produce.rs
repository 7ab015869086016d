//! What a statement does to the state once all its clauses are gathered.

use foldhash::{HashMap, HashSet};
use smallvec::smallvec;

use super::arena::ExprId;
use super::execute::Planner;
use super::hits::Hit;
use super::problem::{Problem, ProblemKind};
use super::state::{Change, Entry, EntryId, Parents, number};
use super::{Applied, Choices, Move};
use crate::keyset::Key;
use crate::rules::verbs::Flow;
use crate::rules::{Clause, Options, Statement, Template};
use crate::source::Span;

/// A key that a statement makes.
pub(super) struct Product {
    pub key: String,
    pub expr: ExprId,
    pub parents: Parents,
    pub options: Options,
    pub span: Span,
    pub chosen: Choices,
}

/// What the clauses of one statement do, gathered before any of it is done.
#[derive(Default)]
pub(super) struct Gathered {
    /// Which clause claimed a key.
    pub claimed: HashMap<EntryId, Span>,
    pub removed: Vec<EntryId>,
    pub kept: HashSet<EntryId>,
    pub products: Vec<Product>,
    pub matched: usize,
}

impl Planner<'_> {
    /// Checks that the products' names are free, and does what the statement does.
    pub(super) fn finish(&mut self, statement: &Statement, mut gathered: Gathered) {
        if statement.verb.flow == Flow::Keep {
            let kept = &gathered.kept;
            let renamed: HashSet<EntryId> =
                gathered.products.iter().flat_map(|product| product.parents.iter().copied()).collect();
            let gone = self.state.iter().map(|(id, _)| id);
            gathered.removed = gone.filter(|id| !kept.contains(id) || renamed.contains(id)).collect();
        }
        let mut removed = gathered.removed.clone();
        removed.sort_unstable();
        removed.dedup();
        let number = self.applied.len();
        let mut names: HashMap<Key, usize> = HashMap::default();
        let count = gathered.products.len();
        let mut moves = Vec::with_capacity(count);
        let mut added: Vec<(Entry, Option<EntryId>)> = Vec::with_capacity(count);
        let mut products = Vec::with_capacity(count);
        for mut product in std::mem::take(&mut gathered.products) {
            if let Some(&first) = names.get(&*product.key) {
                let problem = self.two_to_one(statement, &products, first, &product);
                self.problems.push(problem);
                continue;
            }
            let key = Key::from(product.key.as_str());
            names.insert(key.clone(), products.len());
            let holder =
                self.state.find(&product.key).filter(|holder| removed.binary_search(holder).is_err());
            if let Some(holder) = holder {
                let problem = self.occupied(&product, holder);
                self.problems.push(problem);
                products.push(product);
                continue;
            }
            let from = product.parents.iter().map(|&id| self.state.entry(id).key.clone()).collect();
            moves.push(Move {
                from,
                to: key.clone(),
                expr: product.expr,
                operands: product.parents.iter().map(|&id| self.state.entry(id).expr).collect(),
                options: std::mem::take(&mut product.options),
                chosen: std::mem::take(&mut product.chosen),
            });
            let place = product.parents.first().copied();
            let (expr, parents) = (product.expr, product.parents.clone());
            added.push((Entry { key, expr, parents, statement: Some(number) }, place));
            products.push(product);
        }
        let dropped = if matches!(statement.verb.flow, Flow::Remove | Flow::Keep) {
            let used: HashSet<EntryId> =
                products.iter().flat_map(|product| product.parents.iter().copied()).collect();
            let gone = gathered.removed.iter().filter(|id| !used.contains(id));
            gone.map(|&id| self.state.entry(id).key.clone()).collect()
        } else {
            Vec::new()
        };
        self.applied.push(Applied {
            verb: statement.verb,
            span: statement.span,
            clauses: statement.clauses.iter().map(|clause| clause.span).collect(),
            matched: gathered.matched,
            moves,
            dropped,
        });
        self.state.apply(Change { removed, added });
    }

    fn two_to_one(
        &self,
        statement: &Statement,
        products: &[Product],
        first: usize,
        second: &Product,
    ) -> Problem {
        let from = |product: &Product| {
            let parent = product.parents.first().map(|&id| self.state.entry(id).key.to_string());
            parent.unwrap_or_else(|| product.key.clone())
        };
        let name = second.key.clone();
        let Some(other) = products.get(first) else {
            return Problem::new(ProblemKind::EmptyName { key: name }, second.span);
        };
        let kind = ProblemKind::TwoToOne { name, first: from(other), second: from(second) };
        let mut problem = Problem::new(kind, second.span);
        if other.span != second.span {
            problem = problem.related(other.span, "the first of the two");
        }
        if matches!(statement.verb.flow, Flow::Each | Flow::Keep) {
            problem =
                problem.help("put what tells the two apart into the new name, or `drop` one of them before");
        }
        problem
    }

    fn occupied(&self, product: &Product, holder: EntryId) -> Problem {
        let holder = self.state.entry(holder);
        let from = product.parents.first().map(|&id| self.state.entry(id));
        let name = product.key.clone();
        let from_key = from.map_or_else(|| name.clone(), |entry| entry.key.to_string());
        let mut problem = Problem::new(ProblemKind::Occupied { name, from: from_key }, product.span);
        match holder.statement.and_then(|statement| self.applied.get(statement)) {
            Some(applied) => {
                problem = problem.related(applied.span, format!("`{}` was made here", holder.key))
            }
            None => {
                problem = problem
                    .note(format!("`{}` is a key of the source that no statement has touched", holder.key))
            }
        }
        for entry in from.into_iter().chain([holder]) {
            if let Some(history) = self.history(entry) {
                problem = problem.note(format!("the way it went: {history}"));
            }
        }
        problem.help("to exchange names, put both lines in one block: `rename { … }`; to lose the key that is there, `drop` it before")
    }
}

/// What of a new name was chosen by the rule and not captured by a wildcard: the line, the pattern, the
/// alternatives, and, where the name is computed, the key itself.
pub(super) fn chosen(clause: &Clause, hit: &Hit) -> Choices {
    let mut chosen: Choices = smallvec![number(clause.span.start), number(hit.pattern)];
    chosen.extend(hit.way.captures.iter().filter_map(|capture| capture.choice).map(number));
    if clause.templates.iter().any(Template::computes) {
        chosen.push(number(hit.entry.index()));
    }
    chosen
}
