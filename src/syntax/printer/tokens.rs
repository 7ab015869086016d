//! The tokens of a logical line, each with the space before it. Beside the parser, the file that names the
//! grammar's rules.

use std::ops::Range;

use pest::iterators::Pair;

use crate::syntax::error::SyntaxError;
use crate::syntax::parser::{self, Rule};

/// The grammar's white space; any other kind may be part of a key.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// A token, and what is to be known of it to lay it out.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// As it is written.
    pub text: &'a str,
    /// Where it begins in the file.
    pub start: usize,
    /// Whether it follows the token before without a space.
    pub glued: bool,
    /// Its place in the statement.
    pub role: Role,
    /// How many brackets are open around it.
    pub depth: usize,
    /// The comments behind it.
    pub comments: Vec<Comment<'a>>,
}

/// What a token is to its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The verb, or the `?` behind it.
    Verb,
    /// The statement's `->`.
    Arrow,
    /// The statement's `=`.
    Assign,
    /// `where` or `except`.
    Condition,
    /// A comma.
    Comma,
    /// Anything else.
    Plain,
}

/// A comment inside a logical line.
#[derive(Debug)]
pub(super) struct Comment<'a> {
    /// From its `#` on.
    pub text: &'a str,
    /// Whether nothing stands before it on its line.
    pub own_line: bool,
}

/// Which form a logical line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A statement or directive.
    Line,
    /// What stands before `{`.
    Header,
    /// A line of a verb's block.
    Clause,
}

/// A logical line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its tokens, at least one.
    pub tokens: Vec<Token<'a>>,
    /// Whether it is a statement, or one of a block, and no directive.
    pub statement: bool,
}

/// The tokens of the line at `range`.
///
/// # Errors
/// Where the line has not that form.
pub(super) fn of<'a>(plain: &'a str, range: &Range<usize>, form: Form) -> Result<Line<'a>, Vec<SyntaxError>> {
    let rule = match form {
        Form::Line => Rule::line,
        Form::Header => Rule::block_header,
        Form::Clause => Rule::clause_line,
    };
    let mut reader = Reader { base: range.start, tokens: Vec::new(), glue: false, depth: 0 };
    let mut statement = false;
    for pair in parser::pairs(plain, rule, range)? {
        statement |= matches!(pair.as_rule(), Rule::statement | Rule::block_verb | Rule::clause);
        reader.node(pair, rule, false);
    }
    Ok(Line { tokens: reader.tokens, statement })
}

struct Reader<'a> {
    base: usize,
    tokens: Vec<Token<'a>>,
    /// Whether the token before wants no space behind it.
    glue: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Reads the tokens below `pair`; where it is `tight`, operators stand without spaces.
    fn node(&mut self, pair: Pair<'a, Rule>, parent: Rule, tight: bool) {
        let rule = pair.as_rule();
        let mut parts = pair.clone().into_inner().peekable();
        if parts.peek().is_none() || matches!(rule, Rule::regex | Rule::quoted | Rule::text) {
            return self.token(&pair, parent, tight);
        }
        let tight = tight || matches!(rule, Rule::brace | Rule::binding | Rule::slice | Rule::index);
        let mut first = true;
        while let Some(part) = parts.next() {
            let next = parts.peek().map(Pair::as_rule);
            if part.as_rule() == Rule::comma && matches!(next, Some(Rule::close_bracket | Rule::close_brace))
            {
                continue; // a comma behind the last element says nothing
            }
            self.glue |= rule == Rule::glob && !first;
            first = false;
            self.node(part, rule, tight);
        }
    }

    fn token(&mut self, pair: &Pair<'a, Rule>, parent: Rule, tight: bool) {
        let rule = pair.as_rule();
        let text = pair.as_str().trim_matches(WHITE_SPACE);
        // An empty alternative is there by its `|` alone; so is the end of the input.
        if text.is_empty() {
            return;
        }
        if matches!(rule, Rule::close_brace | Rule::close_bracket | Rule::close_paren) {
            self.depth = self.depth.saturating_sub(1);
        }
        let last = self.tokens.last();
        let glued = match rule {
            // `-/x/` would not begin a word, and so be no regular expression.
            Rule::regex if last.is_some_and(|token| token.text == "-") => false,
            Rule::colon if last.is_some_and(|token| token.role == Role::Comma) => false,
            _ => self.glue || glued_before(rule, parent, tight),
        };
        let role = match (rule, parent) {
            (Rule::verb, _) | (Rule::optional_mark, _) => Role::Verb,
            (Rule::arrow, Rule::clause) => Role::Arrow,
            (Rule::assign, Rule::clause) => Role::Assign,
            (Rule::kw_where, _) | (Rule::kw_except, _) => Role::Condition,
            (Rule::comma, _) => Role::Comma,
            _ => Role::Plain,
        };
        let start = self.base + pair.as_span().start();
        self.tokens.push(Token { text, start, glued, role, depth: self.depth, comments: Vec::new() });
        self.glue = glued_behind(rule, parent, tight);
        if matches!(rule, Rule::open_brace | Rule::open_bracket | Rule::open_paren) {
            self.depth += 1;
        }
    }
}

/// Whether a token stands without a space before it.
fn glued_before(rule: Rule, parent: Rule, tight: bool) -> bool {
    match rule {
        Rule::comma | Rule::close_paren | Rule::close_bracket | Rule::close_brace => true,
        Rule::colon | Rule::pipe | Rule::dots | Rule::optional_mark => true,
        Rule::open_paren => matches!(parent, Rule::arguments | Rule::keys_argument | Rule::tensor_call),
        Rule::open_bracket => parent == Rule::index,
        Rule::assign => parent == Rule::binding,
        Rule::minus if is_sign(parent) => false,
        _ => tight && is_operator(rule),
    }
}

/// Whether a token stands without a space behind it.
fn glued_behind(rule: Rule, parent: Rule, tight: bool) -> bool {
    match rule {
        Rule::open_paren | Rule::open_bracket | Rule::open_brace | Rule::pipe | Rule::dots => true,
        Rule::comma => parent == Rule::list_of_texts,
        Rule::colon => parent != Rule::constant_item,
        Rule::assign => parent == Rule::binding,
        Rule::minus if is_sign(parent) => true,
        _ => tight && is_operator(rule),
    }
}

/// Whether a minus below `parent` is a sign and no subtraction.
fn is_sign(parent: Rule) -> bool {
    matches!(parent, Rule::unary | Rule::tensor_unary | Rule::signed_number)
}

fn is_operator(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::plus
            | Rule::minus
            | Rule::times
            | Rule::divide
            | Rule::floor_divide
            | Rule::remainder
            | Rule::matmul
    )
}
