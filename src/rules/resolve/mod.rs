//! From the syntax tree to a rule set: verbs and options looked up, patterns built, names checked.

mod check;
mod clause;

use std::collections::HashMap;

use super::error::{RuleError, RuleErrorKind, RuleWarning};
use super::value::Value as Known;
use super::verbs::{self, Flow, Verb};
use super::{Clause, Let, Migration, OptimizerMode, RuleSet, Statement, Step, edits, lists};
use crate::keyset::nearest_word;
use crate::source::{Sources, Span};
use crate::syntax::ast::{self, Ast, Expr, Glob, GlobKind, Item, Part, Spanned, Word};
use crate::tensor::Dtype;

/// What names of the configuration begin with.
const CONFIG: &str = "config.";

/// The names that stand for what the tensor at hand is.
const OF_THE_TENSOR: [&str; 3] = ["shape", "rank", "dtype"];

/// The outcome of resolving a rule file: what could be resolved, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The rules.
    pub rules: RuleSet,
    /// What is wrong.
    pub errors: Vec<RuleError>,
    /// What is suspicious.
    pub warnings: Vec<RuleWarning>,
}

/// Values that do not stand in the rule file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Those that `--set` gives to `let` names.
    pub set: Vec<(String, Expr)>,
    /// Those of a model's configuration: `hidden_size` is used as `config.hidden_size`. Absent where no
    /// configuration is given.
    pub config: Option<HashMap<String, Known>>,
}

/// Resolves a syntax tree, whose `include` and `use` lines have been [followed](super::take_in).
pub fn resolve(ast: &Ast, sources: &Sources, given: &Given) -> Resolved {
    let mut resolver = Resolver { sources, given, out: Resolved::default(), lets: Vec::new() };
    for (name, value) in given.config.iter().flatten() {
        let name = format!("{CONFIG}{name}");
        resolver.lets.push(name.clone());
        resolver.out.rules.config.insert(name, value.clone());
    }
    resolver.items(&ast.items, &Around::default());
    for (name, value) in &given.set {
        if !resolver.lets.contains(name) {
            let nearest = nearest_word(name, resolver.lets.iter().map(String::as_str)).map(str::to_owned);
            resolver.error(RuleErrorKind::UnknownName { name: name.clone(), nearest }, value.span);
        }
    }
    resolver.out
}

struct Resolver<'a> {
    sources: &'a Sources,
    given: &'a Given,
    out: Resolved,
    lets: Vec<String>,
}

/// The blocks around a line.
#[derive(Default)]
struct Around {
    /// What `under` puts before every pattern and template.
    prefix: Option<Glob>,
    /// What `in` names.
    dicts: Option<Vec<String>>,
}

impl Resolver<'_> {
    fn error(&mut self, kind: RuleErrorKind, span: Span) {
        self.note(Spanned::new(kind, span));
    }

    /// Notes an error once: what a list writes out is checked for each of its items.
    fn note(&mut self, error: RuleError) {
        if !self.out.errors.contains(&error) {
            self.out.errors.push(error);
        }
    }

    /// The value, or `None` after its error was noted.
    fn ok<T>(&mut self, result: Result<T, RuleError>) -> Option<T> {
        result.map_err(|error| self.note(error)).ok()
    }

    fn items(&mut self, items: &[Item], around: &Around) {
        for item in items {
            match item {
                Item::Statement(statement) => self.statement(statement, around),
                Item::Let { name, value } => self.let_line(name, value, around.prefix.as_ref()),
                Item::Under { prefix, body, .. } => {
                    let joined = lists::prefixed(prefix, around.prefix.as_ref());
                    if let Some(joined) = self.ok(joined) {
                        self.items(body, &Around { prefix: Some(joined), dicts: around.dicts.clone() });
                    }
                }
                Item::Unwrap(dict) => {
                    if around.prefix.is_some() || around.dicts.is_some() || self.out.rules.unwrap.is_some() {
                        self.error(RuleErrorKind::Misplaced { directive: "unwrap" }, dict.span);
                    }
                    self.out.rules.unwrap = self.dicts(std::slice::from_ref(dict)).pop();
                }
                Item::In { body: None, dicts, span } => {
                    if around.prefix.is_some() || around.dicts.is_some() {
                        self.error(RuleErrorKind::Misplaced { directive: "in" }, *span);
                    }
                    let dicts = self.dicts(dicts);
                    self.out.rules.dicts.extend(dicts);
                }
                Item::In { body: Some(body), dicts, span } => {
                    if around.dicts.is_some() {
                        self.error(RuleErrorKind::Misplaced { directive: "in" }, *span);
                    }
                    let dicts = Some(self.dicts(dicts));
                    self.items(body, &Around { prefix: around.prefix.clone(), dicts });
                }
                Item::Migration { from, to, why, span } => {
                    if self.out.rules.migration.is_some() {
                        self.error(RuleErrorKind::MigrationTwice, *span);
                    }
                    self.out.rules.migration = Some(Migration {
                        from: from.node.clone(),
                        to: to.node.clone(),
                        why: why.as_ref().map(|why| why.node.clone()),
                    });
                }
                Item::Optimizer(mode) => match mode.node.as_str() {
                    "follow" => self.out.rules.optimizer = Some(OptimizerMode::Follow),
                    "drop" => self.out.rules.optimizer = Some(OptimizerMode::Drop),
                    other => {
                        let kind = RuleErrorKind::OptimizerMode { mode: other.to_owned() };
                        self.error(kind, mode.span);
                    }
                },
                Item::Include(word) => {
                    self.error(RuleErrorKind::NotFollowed { directive: "include" }, word.span);
                }
                Item::Use(word) => self.error(RuleErrorKind::NotFollowed { directive: "use" }, word.span),
            }
        }
    }

    /// The paths of dicts, each of which must be plain text.
    fn dicts(&mut self, dicts: &[Glob]) -> Vec<String> {
        let mut paths = Vec::new();
        for dict in dicts {
            let GlobKind::Parts(parts) = &dict.kind else {
                self.error(RuleErrorKind::DictPath, dict.span);
                continue;
            };
            let texts = parts.iter().map(|part| match &part.node {
                Part::Text(text) => Some(text.as_str()),
                Part::Dot => Some("."),
                _ => None,
            });
            match texts.collect::<Option<String>>() {
                Some(path) if !paths.contains(&path) => paths.push(path),
                Some(_) => {}
                None => self.error(RuleErrorKind::DictPath, dict.span),
            }
        }
        paths
    }

    fn let_line(&mut self, name: &Word, value: &Expr, prefix: Option<&Glob>) {
        if self.lets.contains(&name.node) {
            let first = self.out.rules.steps.iter().find_map(|step| match step {
                Step::Let(step) if step.name == name.node => Some(step.span),
                _ => None,
            });
            self.error(RuleErrorKind::LetTwice { name: name.node.clone(), first }, name.span);
        }
        if OF_THE_TENSOR.contains(&name.node.as_str()) || name.node.parse::<Dtype>().is_ok() {
            self.error(RuleErrorKind::LetReserved { name: name.node.clone() }, name.span);
        }
        self.check_names(value, &[], &[]);
        self.check_patterns(value, prefix);
        self.lets.push(name.node.clone());
        let given = self.given.set.iter().find(|(given, _)| *given == name.node);
        let value = given.map_or(value, |(_, value)| value).clone();
        let step = Let { name: name.node.clone(), value, span: name.span, prefix: prefix.cloned() };
        self.out.rules.steps.push(Step::Let(step));
    }

    fn statement(&mut self, statement: &ast::Statement, around: &Around) {
        let Some(verb) = verbs::find(&statement.verb.node) else {
            let nearest = nearest_word(&statement.verb.node, verbs::names()).map(str::to_owned);
            let verb = statement.verb.node.clone();
            return self.error(RuleErrorKind::UnknownVerb { verb, nearest }, statement.verb.span);
        };
        if verb.flow == Flow::Value {
            return self.edits(verb, statement, around);
        }
        let prefix = around.prefix.as_ref();
        let clauses: Vec<Clause> =
            statement.clauses.iter().filter_map(|clause| self.clause(verb, clause, prefix)).collect();
        if clauses.len() < statement.clauses.len() {
            return;
        }
        let (optional, dicts, span) = (statement.optional, around.dicts.clone(), statement.span);
        self.out.rules.steps.push(Step::Statement(Statement { verb, optional, clauses, dicts, span }));
    }

    /// `set`, `unset` and `move`, which are about the file and not about one of its dicts.
    fn edits(&mut self, verb: &'static Verb, statement: &ast::Statement, around: &Around) {
        if around.prefix.is_some() || around.dicts.is_some() {
            return self.error(RuleErrorKind::Misplaced { directive: verb.name }, statement.verb.span);
        }
        for clause in &statement.clauses {
            let edits = edits::of_clause(verb, clause, statement.optional);
            if let Some(edits) = self.ok(edits) {
                self.out.rules.edits.extend(edits);
            }
        }
    }
}
