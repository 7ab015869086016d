//! From logical lines to the syntax tree, by the grammar's rules.

use std::num::NonZeroUsize;
use std::ops::Range;

use pest::Parser as _;
use pest::iterators::{Pair, Pairs};

use super::ast::{Ast, Clause, Expr, Glob, Item, OptionValue, Spanned, Statement, Value, Word};
use super::error::{SyntaxError, SyntaxErrorKind};
use super::expected;
use super::lines::{self, Line};
use crate::source::Span;

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/migrate.pest"]
struct Grammar;

/// Parses the text of a rule file; `file` marks the spans.
///
/// What could be parsed is returned even where there are errors, so that later stages can report
/// their own in the same run.
pub fn parse(text: &str, file: u32) -> (Ast, Vec<SyntaxError>) {
    let mut errors = Vec::new();
    let cut = lines::cut(text, &mut errors);
    let plain = cut.without_comments(text);
    let mut parser = Parser { text: &plain, file, base: 0, errors };
    let items = parser.items(&cut.lines);
    parser.errors.sort_by_key(|error| error.range.start);
    (Ast { items }, parser.errors)
}

/// Parses a value by itself, such as that of `--set heads=16`.
///
/// # Errors
/// Where the text is no value.
pub fn parse_value(text: &str, file: u32) -> Result<Expr, SyntaxError> {
    let mut errors = Vec::new();
    let whole = 0..text.len();
    let _ = lines::cut(text, &mut errors); // bounds the depth of brackets
    let mut parser = Parser { text, file, base: 0, errors };
    let node = if parser.errors.is_empty() { parser.parse(Rule::value_line, &whole) } else { None };
    let value = node.and_then(|mut nodes| nodes.next()).and_then(|node| parser.expression(node));
    let expected = "a value".to_owned();
    let found = format!("`{text}`");
    value.ok_or_else(|| {
        let first = parser.errors.into_iter().next();
        first.unwrap_or(SyntaxError { kind: SyntaxErrorKind::Unexpected { expected, found }, range: whole })
    })
}

/// The grammar's pairs of one logical line of a text without comments.
///
/// # Errors
/// Where the line does not parse.
pub(super) fn pairs<'a>(
    plain: &'a str,
    rule: Rule,
    range: &Range<usize>,
) -> Result<Pairs<'a, Rule>, Vec<SyntaxError>> {
    let mut parser = Parser { text: plain, file: 0, base: 0, errors: Vec::new() };
    parser.parse(rule, range).ok_or(parser.errors)
}

/// How many rules of the grammar may be tried on one line. What was found stays in memory until the line is read, and
/// takes a thousand bytes for each operand of an expression.
const MOST_CALLS: Option<NonZeroUsize> = NonZeroUsize::new(12_000_000);

/// Turns pairs into the tree. Its functions return `None` where an error was reported.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    file: u32,
    /// Where the text that pest sees begins in the file.
    base: usize,
    errors: Vec<SyntaxError>,
}

pub(super) type Node<'a> = Pair<'a, Rule>;

impl<'a> Parser<'a> {
    fn items(&mut self, lines: &[Line]) -> Vec<Item> {
        lines.iter().filter(|line| !line.range.is_empty()).filter_map(|line| self.item(line)).collect()
    }

    fn item(&mut self, line: &Line) -> Option<Item> {
        let Some(block) = &line.block else {
            let node = self.parse(Rule::line, &line.range)?.next()?;
            return self.plain_line(node);
        };
        let Ok(mut pairs) = Grammar::parse(Rule::block_header, &self.text[line.range.clone()]) else {
            self.error(SyntaxErrorKind::NoBlock, line.range.clone());
            self.items(block); // for the errors inside
            return None;
        };
        self.base = line.range.start;
        let node = pairs.next()?.into_inner().next()?;
        let span = self.span(&node);
        let rule = node.as_rule();
        let mut parts = node.into_inner();
        match rule {
            Rule::in_line => {
                let dicts = self.globs(parts)?;
                Some(Item::In { dicts, body: Some(self.items(block)), span })
            }
            Rule::under => {
                let prefix = self.glob(parts.find(|part| part.as_rule() == Rule::pattern)?)?;
                Some(Item::Under { prefix, body: self.items(block), span })
            }
            _ => {
                let verb = self.word(&parts.next()?);
                let optional = parts.next().is_some();
                let clauses = block.iter().filter(|line| !line.range.is_empty());
                let clauses = clauses.filter_map(|line| self.clause_line(line)).collect();
                Some(Item::Statement(Statement { verb, optional, clauses, span }))
            }
        }
    }

    fn clause_line(&mut self, line: &Line) -> Option<Clause> {
        if line.block.is_some() {
            self.error(SyntaxErrorKind::NoBlock, line.range.clone());
            return None;
        }
        let node = self.parse(Rule::clause_line, &line.range)?.next()?;
        self.clause(node)
    }

    /// Runs pest over one logical line.
    fn parse(&mut self, rule: Rule, range: &Range<usize>) -> Option<Pairs<'a, Rule>> {
        self.base = range.start;
        let text = &self.text[range.clone()];
        if rule == Rule::line && self.lone_word(text, range) {
            return None;
        }
        pest::set_call_limit(MOST_CALLS);
        match Grammar::parse(rule, text) {
            Ok(mut pairs) => Some(pairs.next()?.into_inner()),
            Err(error) => {
                let at = match error.location {
                    pest::error::InputLocation::Pos(at) => at,
                    pest::error::InputLocation::Span((at, _)) => at,
                };
                let expected = match &error.variant {
                    pest::error::ErrorVariant::ParsingError { positives, .. } => expected::list(positives),
                    // The grammar has none of its own: the calls are used up.
                    pest::error::ErrorVariant::CustomError { .. } => {
                        let (_, word) = word_at(text);
                        self.error(SyntaxErrorKind::LongLine, range.start..range.start + word.end);
                        return None;
                    }
                };
                // Where only an arrow can follow, as in `migration v1`, pest says it best.
                let lone = Some(text).filter(|_| expected != "`->`");
                if let Some(word) = lone.and_then(|text| lone_last_word(text, at)) {
                    let start = range.start + word.start;
                    let word = text[word].to_owned();
                    let end = start + word.len();
                    self.error(SyntaxErrorKind::LoneWord { word }, start..end);
                    return None;
                }
                let (found, word) = word_at(&text[at..]);
                let (start, end) = (range.start + at + word.start, range.start + at + word.end);
                if text[at..].starts_with('{') && ["`}`", "`,` or `}`"].contains(&expected.as_str()) {
                    self.error(SyntaxErrorKind::NestedBraces, start..end);
                    return None;
                }
                self.error(SyntaxErrorKind::Unexpected { expected, found }, start..end);
                None
            }
        }
    }

    /// Reports a line of a single word, which pest could only call "expected a key".
    fn lone_word(&mut self, text: &str, range: &Range<usize>) -> bool {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let alone = words.next().is_none();
        let kind = match first {
            "under" => SyntaxErrorKind::NeedsBlock { header: first.to_owned() },
            _ if alone && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_?".contains(&byte)) => {
                SyntaxErrorKind::NoKeys { verb: first.to_owned() }
            }
            _ => return false,
        };
        self.error(kind, range.clone());
        true
    }

    fn plain_line(&mut self, node: Node<'a>) -> Option<Item> {
        let span = self.span(&node);
        let rule = node.as_rule();
        let mut parts = node.into_inner().filter(|part| !is_sign(part.as_rule()));
        Some(match rule {
            Rule::migration => Item::Migration {
                from: self.word(&parts.next()?),
                to: self.word(&parts.next()?),
                why: parts.next().and_then(|part| self.text(part)),
                span,
            },
            Rule::let_line => {
                let name = self.word(&parts.next()?);
                Item::Let { name, value: self.expression(parts.next()?)? }
            }
            Rule::include => Item::Include(self.text(parts.next()?)?),
            Rule::use_line => Item::Use(self.word(&parts.next()?)),
            Rule::optimizer => Item::Optimizer(self.word(&parts.next()?)),
            Rule::unwrap => Item::Unwrap(self.glob(parts.next()?)?),
            Rule::in_line => {
                let patterns: Option<Vec<Glob>> = parts.map(|part| self.glob(part)).collect();
                Item::In { dicts: patterns?, body: None, span }
            }
            _ => {
                let verb = self.word(&parts.next()?);
                let mut next = parts.next()?;
                let optional = next.as_rule() == Rule::optional_mark;
                if optional {
                    next = parts.next()?;
                }
                Item::Statement(Statement { verb, optional, clauses: vec![self.clause(next)?], span })
            }
        })
    }

    fn clause(&mut self, node: Node<'a>) -> Option<Clause> {
        let span = self.span(&node);
        let mut clause = Clause {
            patterns: Vec::new(),
            templates: Vec::new(),
            assigned: None,
            options: Vec::new(),
            condition: None,
            except: Vec::new(),
            span,
        };
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::patterns => clause.patterns = self.globs(part.into_inner())?,
                Rule::templates => clause.templates = self.globs(part.into_inner())?,
                Rule::assigned => clause.assigned = Some(self.assigned(part.into_inner().next()?)?),
                Rule::option => clause.options.push(self.option(part)?),
                Rule::where_clause => clause.condition = Some(self.expression(part.into_inner().last()?)?),
                Rule::except_clause => {
                    clause.except = self.globs(part.into_inner().last()?.into_inner())?;
                }
                _ => {}
            }
        }
        Some(clause)
    }

    fn option(&mut self, node: Node<'a>) -> Option<OptionValue> {
        let mut parts = node.into_inner();
        let name = self.word(&parts.next()?);
        let value = parts.next()?;
        let value = match value.as_rule() {
            Rule::bindings => {
                let mut bindings = Vec::new();
                for binding in value.into_inner().filter(|part| part.as_rule() == Rule::binding) {
                    let mut parts = binding.into_inner().filter(|part| !is_sign(part.as_rule()));
                    bindings.push((self.word(&parts.next()?), self.expression(parts.next()?)?));
                }
                Value::Bindings(bindings)
            }
            _ => Value::Expr(self.expression(value)?),
        };
        Some(OptionValue { name, value })
    }

    // -------------------------------------------------------------- patterns and templates

    // -------------------------------------------------------------- values

    /// A quoted text without its quotes and escapes.
    pub(super) fn text(&mut self, node: Node<'a>) -> Option<Word> {
        let span = self.span(&node);
        let body = node.into_inner().next()?;
        let mut text = String::new();
        let mut characters = body.as_str().chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(plain @ ('"' | '\\')) => text.push(plain),
                    other => {
                        let escape = other.map(String::from).unwrap_or_default();
                        self.error(SyntaxErrorKind::UnknownEscape { escape }, span.start..span.end);
                        return None;
                    }
                },
                _ => text.push(character),
            }
        }
        Some(Spanned::new(text, span))
    }

    // -------------------------------------------------------------- places

    pub(super) fn word(&self, node: &Node<'a>) -> Word {
        Spanned::new(node.as_str().to_owned(), self.span(node))
    }

    pub(super) fn span(&self, node: &Node<'a>) -> Span {
        let range = self.range(node);
        Span { file: self.file, start: range.start, end: range.end }
    }

    pub(super) fn range(&self, node: &Node<'a>) -> Range<usize> {
        // Implicit white space may trail in a pair; it is no part of what stands there.
        let span = node.as_span();
        let start = self.base + span.start();
        start..start + span.as_str().trim_end().len()
    }

    pub(super) fn error(&mut self, kind: SyntaxErrorKind, range: Range<usize>) {
        self.errors.push(SyntaxError { kind, range });
    }
}

/// Whether the pair is a sign or keyword between the parts that matter.
pub(super) fn is_sign(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::arrow
            | Rule::assign
            | Rule::comma
            | Rule::colon
            | Rule::pipe
            | Rule::open_brace
            | Rule::close_brace
            | Rule::open_bracket
            | Rule::close_bracket
            | Rule::open_paren
            | Rule::close_paren
            | Rule::kw_migration
            | Rule::kw_let
            | Rule::kw_include
            | Rule::kw_use
            | Rule::kw_optimizer
            | Rule::kw_unwrap
            | Rule::kw_in
            | Rule::kw_under
    )
}

/// The last word of a line, where the parser stopped behind it or inside it (at a dot or a wildcard): an
/// option without a value, or a name without `->`.
fn lone_last_word(text: &str, at: usize) -> Option<Range<usize>> {
    let text = text.trim_end();
    let start = text.rfind(|character: char| character.is_ascii_whitespace())? + 1;
    let word = &text[start..];
    let key = |byte: u8| byte.is_ascii_alphanumeric() || b"_.*{}|".contains(&byte);
    let before = text[..start].trim_end();
    let alone = at > start && !before.ends_with("->") && !before.ends_with(',');
    let name = word.bytes().all(key) && word.starts_with(|first: char| first.is_ascii_alphabetic());
    (alone && name).then_some(start..text.len())
}

/// The first word of `rest` for "found …", and where in `rest` it stands.
fn word_at(rest: &str) -> (String, Range<usize>) {
    let Some(word) = rest.split_whitespace().next() else {
        return ("the end of the line".to_owned(), 0..0);
    };
    let start = rest.len() - rest.trim_start().len();
    (format!("`{word}`"), start..start + word.len())
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
