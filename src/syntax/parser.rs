//! From logical lines to the syntax tree, by the grammar's rules.

use std::ops::Range;

use pest::Parser as _;
use pest::iterators::{Pair, Pairs};

use super::ast::{
    Ast, BinaryOp, CaptureKind, Clause, Constant, Expr, ExprKind, Glob, GlobKind, Item, OptionValue, Part,
    Spanned, Statement, UnaryOp, Value, Word,
};
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

/// How many operators may stand in a row: they nest in the tree, which is walked by recursion.
const MAX_OPERATORS: usize = 64;

/// Turns pairs into the tree. Its functions return `None` where an error was reported.
struct Parser<'a> {
    text: &'a str,
    file: u32,
    /// Where the text that pest sees begins in the file.
    base: usize,
    errors: Vec<SyntaxError>,
}

type Node<'a> = Pair<'a, Rule>;

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
        match Grammar::parse(rule, text) {
            Ok(mut pairs) => Some(pairs.next()?.into_inner()),
            Err(error) => {
                let at = match error.location {
                    pest::error::InputLocation::Pos(at) => at,
                    pest::error::InputLocation::Span((at, _)) => at,
                };
                let expected = match &error.variant {
                    pest::error::ErrorVariant::ParsingError { positives, .. } => expected::list(positives),
                    pest::error::ErrorVariant::CustomError { message } => message.clone(),
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

    fn globs(&mut self, nodes: Pairs<'a, Rule>) -> Option<Vec<Glob>> {
        nodes.filter(|node| node.as_rule() == Rule::pattern).map(|node| self.glob(node)).collect()
    }

    fn glob(&mut self, node: Node<'a>) -> Option<Glob> {
        let span = self.span(&node);
        let inner = node.into_inner().next()?;
        let kind = match inner.as_rule() {
            Rule::regex => GlobKind::Regex(inner.into_inner().next()?.as_str().replace("\\/", "/")),
            _ => GlobKind::Parts(inner.into_inner().map(|part| self.part(part)).collect::<Option<_>>()?),
        };
        Some(Glob { kind, span })
    }

    fn part(&mut self, node: Node<'a>) -> Option<Spanned<Part>> {
        let span = self.span(&node);
        let part = match node.as_rule() {
            Rule::double_star => Part::DoubleStar,
            Rule::star => Part::Star,
            Rule::dot => Part::Dot,
            Rule::quoted => Part::Text(self.text(node)?.node),
            Rule::brace => self.brace(node)?,
            _ => Part::Text(node.as_str().to_owned()),
        };
        Some(Spanned::new(part, span))
    }

    fn brace(&mut self, node: Node<'a>) -> Option<Part> {
        let inner = node.into_inner().find(|part| !is_sign(part.as_rule()))?;
        Some(match inner.as_rule() {
            Rule::alternatives => {
                let mut name = None;
                let mut texts = Vec::new();
                for part in inner.into_inner() {
                    match part.as_rule() {
                        Rule::ident => name = Some(self.word(&part)),
                        Rule::alternative => texts.push(self.plain(&part, "alternatives")?),
                        _ => {}
                    }
                }
                Part::Alternatives(name, texts)
            }
            Rule::list_of_texts => {
                let items = inner.into_inner().filter(|part| part.as_rule() == Rule::list_text);
                Part::List(items.map(|part| self.plain(&part, "the items of a list")).collect::<Option<_>>()?)
            }
            Rule::capture => {
                let mut parts = inner.into_inner().filter(|part| !is_sign(part.as_rule()));
                let name = self.word(&parts.next()?);
                let kind = match parts.next() {
                    Some(part) => Some(self.capture_kind(part.into_inner().next()?)?),
                    None => None,
                };
                Part::Capture(name, kind)
            }
            _ => Part::Arithmetic(self.expression(inner)?),
        })
    }

    fn capture_kind(&mut self, node: Node<'a>) -> Option<CaptureKind> {
        match node.as_rule() {
            Rule::any_depth => Some(CaptureKind::AnyDepth),
            Rule::range => {
                let ends = node.into_inner().filter(|part| part.as_rule() == Rule::integer);
                let mut ends = ends.map(|end| self.number::<u64>(&end));
                Some(CaptureKind::Range(ends.next()??, ends.next()??))
            }
            _ if node.as_str() == "int" => Some(CaptureKind::Int),
            _ => {
                let kind = node.as_str().to_owned();
                self.error(SyntaxErrorKind::CaptureKind { kind }, self.range(&node));
                None
            }
        }
    }

    /// An alternative or an item of a list: trimmed, and free of wildcards.
    fn plain(&mut self, node: &Node<'a>, what: &'static str) -> Option<Word> {
        let text = node.as_str().trim();
        if text.contains('*') {
            self.error(SyntaxErrorKind::NotPlain { text: text.to_owned(), what }, self.range(node));
            return None;
        }
        Some(Spanned::new(text.to_owned(), self.span(node)))
    }

    // -------------------------------------------------------------- values

    fn assigned(&mut self, node: Node<'a>) -> Option<Expr> {
        match node.as_rule() {
            Rule::constant => self.constant(node),
            _ => self.expression(node),
        }
    }

    fn constant(&mut self, node: Node<'a>) -> Option<Expr> {
        let span = self.span(&node);
        let inner = node.into_inner().next()?;
        let kind = match inner.as_rule() {
            Rule::text => ExprKind::Text(self.text(inner)?.node),
            Rule::signed_number => {
                let negative = inner.as_str().starts_with('-');
                let number = self.expression(inner.into_inner().last()?)?;
                match number.kind {
                    ExprKind::Integer(value) if negative => ExprKind::Integer(-value),
                    ExprKind::Float(value) if negative => ExprKind::Float(-value),
                    kind => kind,
                }
            }
            Rule::constant_list => {
                let items = inner.into_inner().filter(|part| part.as_rule() == Rule::constant);
                ExprKind::List(items.map(|part| self.constant(part)).collect::<Option<_>>()?)
            }
            Rule::constant_dict => {
                let mut items = Vec::new();
                for item in inner.into_inner().filter(|part| part.as_rule() == Rule::constant_item) {
                    let mut parts = item.into_inner().filter(|part| !is_sign(part.as_rule()));
                    items.push((self.text(parts.next()?)?, self.constant(parts.next()?)?));
                }
                ExprKind::Dict(items)
            }
            _ => ExprKind::Constant(match inner.as_str() {
                "true" => Constant::True,
                "false" => Constant::False,
                _ => Constant::None,
            }),
        };
        Some(Expr { kind, span })
    }

    fn expression(&mut self, node: Node<'a>) -> Option<Expr> {
        let node = innermost(node);
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::expression
            | Rule::conjunction
            | Rule::comparison
            | Rule::sum
            | Rule::product
            | Rule::tensor_sum
            | Rule::tensor_product => return self.binary(node.into_inner()),
            Rule::negation => return self.unary(node, UnaryOp::Not),
            Rule::unary | Rule::tensor_unary => return self.unary(node, UnaryOp::Minus),
            Rule::postfix => {
                let mut parts = node.into_inner();
                let mut value = self.expression(parts.next()?)?;
                for index in parts {
                    let end = self.span(&index).end;
                    let index = self.expression(index.into_inner().find(|part| !is_sign(part.as_rule()))?)?;
                    let span = Span { end, ..value.span };
                    value = Expr { kind: ExprKind::Index(Box::new(value), Box::new(index)), span };
                }
                return Some(value);
            }
            Rule::primary | Rule::tensor_primary | Rule::tensor_number => {
                return self.expression(node.into_inner().find(|part| !is_sign(part.as_rule()))?);
            }
            Rule::number if node.as_str().bytes().all(|byte| byte.is_ascii_digit()) => {
                ExprKind::Integer(self.number(&node)?)
            }
            Rule::number => ExprKind::Float(self.number(&node)?),
            Rule::text => ExprKind::Text(self.text(node)?.node),
            Rule::name => ExprKind::Name(node.as_str().to_owned()),
            Rule::pattern => ExprKind::Keys(self.glob(node)?),
            Rule::keys_call => {
                let mut parts = node.into_inner();
                let function = self.word(&parts.next()?);
                let argument = parts.next()?.into_inner().find(|part| part.as_rule() == Rule::pattern)?;
                ExprKind::KeysCall(function, self.glob(argument)?)
            }
            Rule::call | Rule::tensor_call => {
                let mut parts = node.into_inner().filter(|part| !is_sign(part.as_rule()));
                let function = self.word(&parts.next()?);
                let mut arguments = Vec::new();
                for part in parts {
                    match part.as_rule() {
                        Rule::arguments => {
                            for argument in part.into_inner().filter(|part| !is_sign(part.as_rule())) {
                                arguments.push(self.expression(argument)?);
                            }
                        }
                        _ => arguments.push(self.expression(part)?),
                    }
                }
                ExprKind::Call(function, arguments)
            }
            Rule::tensor_argument => {
                let mut parts = node.into_inner();
                let first = parts.next()?;
                match parts.next() {
                    None => return self.expression(first),
                    Some(value) => ExprKind::Named(self.word(&first), Box::new(self.expression(value)?)),
                }
            }
            Rule::list => {
                let elements = node.into_inner().filter(|part| part.as_rule() == Rule::element);
                let elements = elements.map(|part| self.expression(part.into_inner().next()?));
                ExprKind::List(elements.collect::<Option<_>>()?)
            }
            Rule::slice => {
                let (mut start, mut end) = (None, None);
                for part in node.into_inner() {
                    let rule = part.as_rule();
                    let Some(value) = part.into_inner().next() else { continue };
                    let value = Some(Box::new(self.expression(value)?));
                    if rule == Rule::slice_start { start = value } else { end = value }
                }
                ExprKind::Slice(start, end)
            }
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    /// Operands with operators between them, joined from the left.
    fn binary(&mut self, mut parts: Pairs<'a, Rule>) -> Option<Expr> {
        let mut left = self.expression(parts.next()?)?;
        let mut count = 0;
        while let Some(sign) = parts.next() {
            count += 1;
            if count > MAX_OPERATORS {
                self.error(SyntaxErrorKind::TooDeep { most: MAX_OPERATORS }, self.range(&sign));
                return None;
            }
            let op = Spanned::new(operator(sign.as_str())?, self.span(&sign));
            let right = self.expression(parts.next()?)?;
            let span = Span { end: right.span.end, ..left.span };
            left = Expr { kind: ExprKind::Binary(Box::new(left), op, Box::new(right)), span };
        }
        Some(left)
    }

    /// Signs before an operand, the last one applied first.
    fn unary(&mut self, node: Node<'a>, op: UnaryOp) -> Option<Expr> {
        let range = self.range(&node);
        let mut parts: Vec<Node<'a>> = node.into_inner().collect();
        if parts.len() > MAX_OPERATORS {
            self.error(SyntaxErrorKind::TooDeep { most: MAX_OPERATORS }, range);
            return None;
        }
        let mut value = self.expression(parts.pop()?)?;
        for sign in parts.iter().rev() {
            let span = Span { start: self.span(sign).start, ..value.span };
            value = Expr { kind: ExprKind::Unary(op, Box::new(value)), span };
        }
        Some(value)
    }

    fn number<T: std::str::FromStr>(&mut self, node: &Node<'a>) -> Option<T> {
        let number = node.as_str().parse().ok();
        if number.is_none() {
            self.error(SyntaxErrorKind::NumberTooLarge, self.range(node));
        }
        number
    }

    /// A quoted text without its quotes and escapes.
    fn text(&mut self, node: Node<'a>) -> Option<Word> {
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

    fn word(&self, node: &Node<'a>) -> Word {
        Spanned::new(node.as_str().to_owned(), self.span(node))
    }

    fn span(&self, node: &Node<'a>) -> Span {
        let range = self.range(node);
        Span { file: self.file, start: range.start, end: range.end }
    }

    fn range(&self, node: &Node<'a>) -> Range<usize> {
        // Implicit white space may trail in a pair; it is no part of what stands there.
        let span = node.as_span();
        let start = self.base + span.start();
        start..start + span.as_str().trim_end().len()
    }

    fn error(&mut self, kind: SyntaxErrorKind, range: Range<usize>) {
        self.errors.push(SyntaxError { kind, range });
    }
}

/// The first rule below `node` that has something to say: each level of precedence wraps the next, and
/// walking down them by recursion would take ten frames for one bracket.
fn innermost(mut node: Node<'_>) -> Node<'_> {
    use Rule::{
        comparison, conjunction, expression, negation, postfix, primary, product, sum, tensor_number,
        tensor_primary, tensor_product, tensor_sum, tensor_unary, unary,
    };
    loop {
        let wraps = matches!(
            node.as_rule(),
            expression
                | conjunction
                | negation
                | comparison
                | sum
                | product
                | unary
                | postfix
                | primary
                | tensor_sum
                | tensor_product
                | tensor_unary
                | tensor_primary
                | tensor_number
        );
        let mut inner = node.clone().into_inner().filter(|part| !is_sign(part.as_rule()));
        match (wraps, inner.next(), inner.next()) {
            (true, Some(only), None) => node = only,
            _ => return node,
        }
    }
}

fn operator(sign: &str) -> Option<BinaryOp> {
    Some(match sign.trim() {
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Subtract,
        "*" => BinaryOp::Multiply,
        "/" => BinaryOp::Divide,
        "//" => BinaryOp::FloorDivide,
        "%" => BinaryOp::Remainder,
        "@" => BinaryOp::MatMul,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEqual,
        "==" => BinaryOp::Equal,
        "!=" => BinaryOp::NotEqual,
        "and" => BinaryOp::And,
        "or" => BinaryOp::Or,
        _ => return None,
    })
}

/// Whether the pair is a sign or keyword between the parts that matter.
fn is_sign(rule: Rule) -> bool {
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
