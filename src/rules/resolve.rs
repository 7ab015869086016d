//! From the syntax tree to a rule set: verbs and options looked up, patterns built, names checked.

use std::collections::HashMap;

use super::error::{RuleError, RuleErrorKind, RuleWarning};
use super::lists::{self, Written};
use super::options::OptionKind;
use super::pattern::{Names, Pattern};
use super::template::Template;
use super::value::Value as Known;
use super::verbs::{self, Flow, Templates, Verb};
use super::{Clause, Let, Migration, OptimizerMode, OptionRow, RuleSet, Statement, Step, edits, names};
use crate::keyset::nearest_word;
use crate::source::{Sources, Span};
use crate::syntax::ast::{self, Ast, Expr, ExprKind, Glob, GlobKind, Item, Part, Spanned, Value, Word};
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

    fn clause(&mut self, verb: &'static Verb, clause: &ast::Clause, prefix: Option<&Glob>) -> Option<Clause> {
        let errors = self.out.errors.len();
        match &clause.assigned {
            Some(assigned) if verb.flow != Flow::Compute => {
                self.error(RuleErrorKind::Assigned { verb: verb.name }, assigned.span);
            }
            None if verb.flow == Flow::Compute => {
                self.error(
                    RuleErrorKind::NeedsAssigned { verb: verb.name, example: verb.example },
                    clause.span,
                );
            }
            _ => {}
        }
        let (options, over) = self.options(verb, clause);
        self.shape_of_clause(verb, clause, over.as_deref());

        let mut indices: Vec<&str> = over.as_deref().into_iter().collect();
        clause.condition.iter().for_each(|condition| names::numeric(condition, &mut indices));
        options
            .iter()
            .flat_map(|(_, value)| value.exprs())
            .for_each(|expr| names::numeric(expr, &mut indices));
        for part in clause.templates.iter().filter_map(Glob::parts).flatten() {
            if let Part::Arithmetic(expr) = &part.node {
                names::numeric(expr, &mut indices);
            }
        }
        let lets = self.lets.clone();
        let is_let = |name: &str| lets.iter().any(|own| own == name);
        let is_index = |name: &str| indices.contains(&name) && !is_let(name);
        let known = Names { lets: &is_let, indices: &is_index };
        // The name that `compute` gives stands before `=`; its operands are the patterns.
        let (operands, results);
        let (matched, named) = match &clause.assigned {
            Some(assigned) if verb.flow == Flow::Compute => {
                operands = self.operands(assigned);
                results = clause.patterns.clone();
                (&operands, &results)
            }
            _ => (&clause.patterns, &clause.templates),
        };
        let patterns = self.patterns(matched, prefix, &known);
        let except = self.patterns(&clause.except, prefix, &known);
        let templates = self.templates(named, prefix);
        for part in clause.templates.iter().filter_map(Glob::parts).flatten() {
            let Part::Arithmetic(expr) = &part.node else { continue };
            let mut used = Vec::new();
            names::of(expr, &mut used);
            for (name, span) in used.into_iter().filter(|(name, _)| OF_THE_TENSOR.contains(name)) {
                if patterns.iter().any(|pattern| pattern.slot(name).is_some()) {
                    self.error(RuleErrorKind::CaptureReserved { name: name.to_owned() }, span);
                }
            }
        }
        if self.out.errors.len() > errors {
            return None;
        }
        let built = Clause {
            patterns,
            templates,
            except,
            any_dtype: clause.condition.as_ref().is_some_and(|condition| mentions(condition, "dtype")),
            condition: clause.condition.clone(),
            options,
            assigned: clause.assigned.clone(),
            over,
            prefix: prefix.cloned(),
            span: clause.span,
        };
        self.check_clause(verb, &built);
        (self.out.errors.len() == errors).then_some(built)
    }

    /// Checks that `->`, lists and `over` are as the verb takes them.
    fn shape_of_clause(&mut self, verb: &'static Verb, clause: &ast::Clause, over: Option<&str>) {
        let name = verb.name;
        let templates = &clause.templates;
        match verb.templates {
            Templates::Never if !templates.is_empty() => {
                self.error(RuleErrorKind::NoTemplate { verb: name }, templates[0].span);
            }
            Templates::Required if templates.is_empty() => {
                self.error(RuleErrorKind::NeedsTemplate { verb: name, example: verb.example }, clause.span);
            }
            _ => {}
        }
        let list = clause.patterns.iter().chain(templates).find_map(|glob| {
            let list = lists::list_of(glob)?;
            Some((glob.span, list))
        });
        let one_to_one = matches!(verb.flow, Flow::Each | Flow::Keep | Flow::Fill) && !templates.is_empty();
        match &list {
            Some((span, list)) if one_to_one => {
                let kind = RuleErrorKind::ListInRename {
                    verb: name,
                    list: list.join(","),
                    alternatives: list.join("|"),
                };
                self.error(kind, *span);
            }
            Some((span, _)) if over.is_some() => self.error(RuleErrorKind::OverAndList, *span),
            _ if (one_to_one || matches!(verb.flow, Flow::Join | Flow::Unify)) && templates.len() > 1 => {
                self.error(RuleErrorKind::OneTemplate { verb: name }, templates[1].span);
            }
            None if matches!(verb.flow, Flow::Part | Flow::Add | Flow::Tie)
                && !clause.patterns.iter().any(|glob| lists::alternatives_of(glob).is_some())
                && let Some((glob, texts)) =
                    templates.iter().find_map(|glob| Some((glob, lists::alternatives_of(glob)?))) =>
            {
                let (alternatives, list) = (texts.join("|"), texts.join(","));
                self.error(RuleErrorKind::AlternativesInParts { verb: name, alternatives, list }, glob.span);
            }
            None if verb.flow == Flow::Part && over.is_none() && templates.len() == 1 => {
                self.error(RuleErrorKind::OnePart { verb: name, example: verb.example }, templates[0].span);
            }
            _ => {}
        }
    }

    fn options(
        &mut self,
        verb: &'static Verb,
        clause: &ast::Clause,
    ) -> (Vec<(&'static OptionRow, Value)>, Option<String>) {
        let mut options: Vec<(&'static OptionRow, Value)> = Vec::new();
        let mut over = None;
        for option in &clause.options {
            let name = option.name.node.as_str();
            let Some(row) = verb.options.iter().find(|row| row.name == name) else {
                let takes: Vec<&'static str> = verb.options.iter().map(|row| row.name).collect();
                let nearest = nearest_word(name, takes.iter().copied());
                let option_name = name.to_owned();
                let kind =
                    RuleErrorKind::UnknownOption { verb: verb.name, option: option_name, nearest, takes };
                self.error(kind, option.name.span);
                continue;
            };
            if options.iter().any(|(own, _)| own.name == name) || (name == "over" && over.is_some()) {
                self.error(RuleErrorKind::OptionTwice { option: name.to_owned() }, option.name.span);
                continue;
            }
            let (takes, nearest) = (row.kind.takes(), None);
            let wrong = RuleErrorKind::OptionKind { option: row.name, takes, nearest };
            match (&option.value, row.kind) {
                (Value::Expr(Expr { kind: ExprKind::Name(name), .. }), OptionKind::Index) => {
                    over = Some(name.clone())
                }
                (Value::Bindings(_), OptionKind::Bindings) => options.push((row, option.value.clone())),
                (Value::Expr(value), kind) if fits(kind, value) => {
                    let value = kind.hyphenated(value).unwrap_or_else(|| value.clone());
                    options.push((row, Value::Expr(value)));
                }
                _ => self.error(wrong, option.name.span),
            }
        }
        for row in verb.options.iter().filter(|row| row.required) {
            let given = options.iter().any(|(own, _)| own.name == row.name);
            let wrong = clause.options.iter().any(|option| option.name.node == row.name);
            // A misspelt option is reported as such, and not as missing too.
            let misspelt = clause.options.iter().any(|option| {
                nearest_word(&option.name.node, [row.name]).is_some() && option.name.node != row.name
            });
            if !given && !wrong && !misspelt {
                let kind =
                    RuleErrorKind::MissingOption { verb: verb.name, option: row.name, example: verb.example };
                self.error(kind, clause.span);
            }
        }
        (options, over)
    }

    /// The tensors that an expression names, each once; plain words that `let` defines are numbers.
    fn operands(&mut self, assigned: &Expr) -> Vec<Glob> {
        let mut operands: Vec<Glob> = Vec::new();
        for glob in names::operands(assigned) {
            let text = |glob: &Glob| self.sources.slice(glob.span).to_owned();
            let is_let = names::plain(glob).is_some_and(|name| self.lets.contains(&name));
            let again = operands.iter().any(|other| text(other) == text(glob));
            if lists::list_of(glob).is_some() {
                self.error(RuleErrorKind::ListHere, glob.span);
            } else if !is_let && !again {
                operands.push(glob.clone());
            }
        }
        operands
    }

    fn patterns(&mut self, globs: &[Glob], prefix: Option<&Glob>, names: &Names) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for Written { glob, text } in self.written(globs, prefix) {
            let pattern = Pattern::new(&glob, text, names);
            patterns.extend(self.ok(pattern));
        }
        patterns
    }

    fn templates(&mut self, globs: &[Glob], prefix: Option<&Glob>) -> Vec<Template> {
        let mut templates = Vec::new();
        for Written { glob, text } in self.written(globs, prefix) {
            let template = Template::new(&glob, text);
            templates.extend(self.ok(template));
        }
        templates
    }

    fn written(&mut self, globs: &[Glob], prefix: Option<&Glob>) -> Vec<Written> {
        let sources = self.sources;
        let written = globs.iter().map(|glob| lists::write_out(glob, prefix, sources));
        let written: Vec<_> = written.collect();
        written.into_iter().filter_map(|result| self.ok(result)).flatten().collect()
    }

    /// Checks the names of a clause whose patterns and templates are built, and how they pair.
    fn check_clause(&mut self, verb: &'static Verb, clause: &Clause) {
        let over = clause.over.as_deref();
        let adds_index = matches!(verb.flow, Flow::Part | Flow::Add);
        for pattern in &clause.patterns {
            for template in &clause.templates {
                let pairing = template.pair(pattern);
                self.ok(pairing);
                for (name, span) in template.names() {
                    let runs = adds_index && over == Some(name);
                    if pattern.slot(name).is_none() && !runs && !self.lets.iter().any(|own| own == name) {
                        let known = pattern.slots.iter().filter_map(|slot| slot.name.clone()).collect();
                        let (name, pattern) = (name.to_owned(), pattern.text.clone());
                        self.error(RuleErrorKind::UnknownCapture { name, pattern, known }, span);
                    }
                }
            }
            if let Some(over) = over
                && matches!(verb.flow, Flow::Join | Flow::Unify)
                && pattern.slot(over).is_none()
            {
                let kind = RuleErrorKind::OverUnknown { name: over.to_owned(), place: "the pattern" };
                self.error(kind, pattern.span);
            }
        }
        let counts = verb.options.iter().any(|row| row.name == "into");
        let into = clause.options.iter().any(|(row, _)| row.name == "into");
        match over {
            Some(over) if adds_index => {
                for template in clause.templates.iter().filter(|template| !template.uses(over)) {
                    let kind = RuleErrorKind::OverUnknown { name: over.to_owned(), place: "the template" };
                    self.out.errors.push(Spanned::new(kind, template.span));
                }
                if counts && !into && clause.templates.iter().any(|template| template.range(over).is_none()) {
                    self.error(RuleErrorKind::OverNeedsInto { name: over.to_owned() }, clause.span);
                }
            }
            None if into => self.error(RuleErrorKind::IntoWithoutOver, clause.span),
            _ => {}
        }
        let captures: Vec<&str> = clause
            .patterns
            .iter()
            .flat_map(|pattern| pattern.slots.iter().filter_map(|slot| slot.name.as_deref()))
            .collect();
        for (row, value) in &clause.options {
            for expr in value.exprs() {
                if let Some(word) = self.no_word(row.kind, expr, &captures) {
                    let nearest = nearest_word(word, row.kind.words().iter().copied());
                    let takes = row.kind.takes();
                    self.error(RuleErrorKind::OptionKind { option: row.name, takes, nearest }, expr.span);
                } else {
                    self.check_names(expr, &captures, row.kind.words());
                }
            }
        }
        if let Some(condition) = &clause.condition {
            self.check_names(condition, &captures, &[]);
        }
        self.unused(clause);
    }

    /// The word that an option is given and does not take, where it is not a slip of a `let` name either.
    fn no_word<'e>(&self, kind: OptionKind, value: &'e Expr, captures: &[&str]) -> Option<&'e str> {
        let (word, quoted) = match &value.kind {
            ExprKind::Name(word) => (word.as_str(), false),
            ExprKind::Text(word) if kind == OptionKind::Mode => (word.as_str(), true),
            _ => return None,
        };
        let is_name = captures.contains(&word)
            || word.parse::<Dtype>().is_ok()
            || nearest_word(word, self.lets.iter().map(String::as_str)).is_some();
        let takes_words =
            matches!(kind, OptionKind::Dtype | OptionKind::Fill | OptionKind::Bool | OptionKind::Mode);
        (takes_words && !kind.words().contains(&word) && (quoted || !is_name)).then_some(word)
    }

    /// Checks that every name of a value is known where it stands.
    fn check_names(&mut self, value: &Expr, captures: &[&str], words: &[&str]) {
        let mut used = Vec::new();
        names::of(value, &mut used);
        for (name, span) in used {
            let in_lets = self.lets.iter().any(|own| own == name);
            if OF_THE_TENSOR.contains(&name) && captures.contains(&name) {
                self.error(RuleErrorKind::CaptureReserved { name: name.to_owned() }, span);
            }
            if in_lets
                || captures.contains(&name)
                || words.contains(&name)
                || OF_THE_TENSOR.contains(&name)
                || name.parse::<Dtype>().is_ok()
            {
                continue;
            }
            if name.starts_with(CONFIG) && self.given.config.is_none() {
                self.error(RuleErrorKind::NoConfig { name: name.to_owned() }, span);
                continue;
            }
            let candidates =
                self.lets.iter().map(String::as_str).chain(captures.iter().copied()).chain(OF_THE_TENSOR);
            let nearest = nearest_word(name, candidates).map(str::to_owned);
            self.error(RuleErrorKind::UnknownName { name: name.to_owned(), nearest }, span);
        }
    }

    /// Checks the patterns inside `shape(…)` and `count(…)`.
    fn check_patterns(&mut self, value: &Expr, prefix: Option<&Glob>) {
        for glob in names::patterns(value) {
            let lets = self.lets.clone();
            let is_let = |name: &str| lets.iter().any(|own| own == name);
            self.patterns(std::slice::from_ref(glob), prefix, &Names { lets: &is_let, indices: &|_| false });
        }
    }

    /// Warns of captures that nothing uses; a name that stands twice compares, which is a use.
    fn unused(&mut self, clause: &Clause) {
        let mut used: Vec<&str> = clause.over.as_deref().into_iter().collect();
        let mut spanned = Vec::new();
        clause.condition.iter().for_each(|condition| names::of(condition, &mut spanned));
        let values = clause.options.iter().flat_map(|(_, value)| value.exprs());
        values.for_each(|expr| names::of(expr, &mut spanned));
        clause.templates.iter().for_each(|template| spanned.extend(template.names()));
        used.extend(spanned.iter().map(|(name, _)| *name));
        for pattern in &clause.patterns {
            for slot in &pattern.slots {
                let Some(name) = &slot.name else { continue };
                let written = pattern.text.matches(&format!("{{{name}")).count();
                let seen = self.out.warnings.iter().any(|warning| {
                    let RuleWarning::UnusedCapture { span, .. } = warning;
                    *span == slot.span
                });
                if !used.contains(&name.as_str()) && written < 2 && !seen {
                    self.out
                        .warnings
                        .push(RuleWarning::UnusedCapture { name: name.clone(), span: slot.span });
                }
            }
        }
    }
}

/// Whether a written value can be of the kind, as far as its form shows.
fn fits(kind: OptionKind, value: &Expr) -> bool {
    use OptionKind as Kind;
    match (&value.kind, kind) {
        (_, Kind::Index | Kind::Bindings) => false,
        (ExprKind::List(_), Kind::Slices) => true,
        (ExprKind::List(items), Kind::Ints) => {
            !items.iter().any(|item| matches!(item.kind, ExprKind::Slice(..)))
        }
        (ExprKind::List(_) | ExprKind::Slice(..), _) => false,
        (ExprKind::Text(_), kind) => matches!(kind, Kind::Text | Kind::Mode),
        (ExprKind::Integer(_), kind) => matches!(kind, Kind::Int | Kind::Number | Kind::Fill | Kind::Real),
        (ExprKind::Float(_), kind) => matches!(kind, Kind::Number | Kind::Fill | Kind::Real),
        (ExprKind::Name(name), kind) if name.parse::<Dtype>().is_ok() => kind == Kind::Dtype,
        _ => true,
    }
}

/// Whether an expression uses the name.
fn mentions(expr: &Expr, name: &str) -> bool {
    let mut used = Vec::new();
    names::of(expr, &mut used);
    used.iter().any(|(own, _)| *own == name)
}
