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

/// What gave a name first: the first of the keys that it was made of, and the clause.
struct Named {
    parent: Option<EntryId>,
    span: Span,
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
        let count = gathered.products.len();
        let mut names: HashMap<Key, Named> = HashMap::default();
        let mut moves = Vec::with_capacity(count);
        let mut added: Vec<(Entry, Option<EntryId>)> = Vec::with_capacity(count);
        let tells_dropped = matches!(statement.verb.flow, Flow::Remove | Flow::Keep);
        let mut used: HashSet<EntryId> = HashSet::default();
        for product in gathered.products {
            if let Some(first) = names.get(&*product.key) {
                let problem = self.two_to_one(statement, first, &product);
                self.problems.push(problem);
                continue;
            }
            let key = Key::from(product.key.as_str());
            let place = product.parents.first().copied();
            names.insert(key.clone(), Named { parent: place, span: product.span });
            if tells_dropped {
                used.extend(product.parents.iter().copied());
            }
            let holder =
                self.state.find(&product.key).filter(|holder| removed.binary_search(holder).is_err());
            if let Some(holder) = holder {
                let problem = self.occupied(&product, holder);
                self.problems.push(problem);
                continue;
            }
            let Product { expr, parents, options, chosen, .. } = product;
            moves.push(Move {
                from: parents.iter().map(|&id| self.state.entry(id).key.clone()).collect(),
                to: key.clone(),
                expr,
                operands: parents.iter().map(|&id| self.state.entry(id).expr).collect(),
                options,
                chosen,
            });
            added.push((Entry { key, expr, parents, statement: Some(number) }, place));
        }
        let dropped = if tells_dropped {
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

    fn two_to_one(&self, statement: &Statement, first: &Named, second: &Product) -> Problem {
        let from = |parent: Option<&EntryId>| {
            let key = parent.map(|&id| self.state.entry(id).key.to_string());
            key.unwrap_or_else(|| second.key.clone())
        };
        let (name, by_second) = (second.key.clone(), from(second.parents.first()));
        let kind = ProblemKind::TwoToOne { name, first: from(first.parent.as_ref()), second: by_second };
        let mut problem = Problem::new(kind, second.span);
        if first.span != second.span {
            problem = problem.related(first.span, "the first of the two");
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
