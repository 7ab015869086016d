//! What a rule file says, with the place of every part, and no meaning yet.

use crate::source::Span;

/// Something with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The thing.
    pub node: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a thing and its place together.
    pub fn new(node: T, span: Span) -> Self {
        Spanned { node, span }
    }
}

/// A word of the text: a verb, an option, a name.
pub type Word = Spanned<String>;

/// A whole rule file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ast {
    /// Its lines, top to bottom.
    pub items: Vec<Item>,
}

/// One logical line, with the block that it opens.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `migration v1 -> v2 "why"`.
    Migration {
        /// The version that the rules start from.
        from: Word,
        /// The version that they lead to.
        to: Word,
        /// The reason, for people.
        why: Option<Word>,
        /// The whole line.
        span: Span,
    },
    /// `let name = value`.
    Let {
        /// The name.
        name: Word,
        /// What it stands for.
        value: Expr,
    },
    /// `include "common.rules"`.
    Include(Word),
    /// `use data_parallel`.
    Use(Word),
    /// `optimizer follow` or `optimizer drop`.
    Optimizer(Word),
    /// `unwrap model_state`.
    Unwrap(Glob),
    /// `in state_dict, ema`, for the rest of the file or for a block.
    In {
        /// The paths of the dicts of tensors.
        dicts: Vec<Glob>,
        /// The block, where there is one.
        body: Option<Vec<Item>>,
        /// The header.
        span: Span,
    },
    /// `under prefix { … }`.
    Under {
        /// What is put before every pattern and template inside.
        prefix: Glob,
        /// The block.
        body: Vec<Item>,
        /// The header.
        span: Span,
    },
    /// A verb with what it is applied to.
    Statement(Statement),
}

/// A verb and its clauses; a block has several, and they act as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The verb.
    pub verb: Word,
    /// Whether `?` follows the verb: no match is fine.
    pub optional: bool,
    /// One clause, or one a line of the block.
    pub clauses: Vec<Clause>,
    /// The whole statement.
    pub span: Span,
}

/// `PATTERN, … -> TEMPLATE, … = VALUE OPTION VALUE … where COND except PATTERN, …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// Which keys.
    pub patterns: Vec<Glob>,
    /// The names that they get.
    pub templates: Vec<Glob>,
    /// What stands after `=`.
    pub assigned: Option<Expr>,
    /// The options, in the order written.
    pub options: Vec<OptionValue>,
    /// The condition after `where`.
    pub condition: Option<Expr>,
    /// The patterns after `except`.
    pub except: Vec<Glob>,
    /// The whole clause.
    pub span: Span,
}

/// An option and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// The option's name.
    pub name: Word,
    /// What follows it.
    pub value: Value,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, word, text, list or arithmetic.
    Expr(Expr),
    /// `h=2, two=2`.
    Bindings(Vec<(Word, Expr)>),
}

impl Value {
    /// The expressions in the value.
    pub fn exprs(&self) -> Vec<&Expr> {
        match self {
            Value::Expr(expr) => vec![expr],
            Value::Bindings(bindings) => bindings.iter().map(|(_, expr)| expr).collect(),
        }
    }
}

/// A pattern or a template as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob {
    /// What it is made of.
    pub kind: GlobKind,
    /// Where it stands.
    pub span: Span,
}

impl Glob {
    /// The parts; none of a regular expression.
    pub fn parts(&self) -> Option<&[Spanned<Part>]> {
        if let GlobKind::Parts(parts) = &self.kind { Some(parts) } else { None }
    }
}

/// The two ways to write a pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum GlobKind {
    /// Text, wildcards and braces.
    Parts(Vec<Spanned<Part>>),
    /// `/regex/`, without its slashes.
    Regex(String),
}

/// A piece of a pattern or template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Plain text inside a segment, bare or quoted (then it may hold dots).
    Text(String),
    /// The dot between two segments.
    Dot,
    /// `*`.
    Star,
    /// `**`.
    DoubleStar,
    /// `{name}`, `{name:kind}`.
    Capture(Word, Option<CaptureKind>),
    /// `{a|b}`, `{name:a|b}`.
    Alternatives(Option<Word>, Vec<Word>),
    /// `{q,k,v}`.
    List(Vec<Word>),
    /// `{i+1}`.
    Arithmetic(Expr),
}

/// What follows the colon of a capture.
#[derive(Clone, Debug, PartialEq)]
pub enum CaptureKind {
    /// `int`.
    Int,
    /// `0..11`, both ends included.
    Range(u64, u64),
    /// `**`.
    AnyDepth,
}

/// A value, arithmetic, a condition, or arithmetic on tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The expression.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// `"text"`.
    Text(String),
    /// A name, which may have dots (`config.hidden_size`).
    Name(String),
    /// `true`, `false`, `none` in a constant.
    Constant(Constant),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{"a": 1}` in a constant.
    Dict(Vec<(Word, Expr)>),
    /// `2:`, `:5`, `0:3`, `:` inside a list.
    Slice(Option<Box<Expr>>, Option<Box<Expr>>),
    /// `shape[0]`.
    Index(Box<Expr>, Box<Expr>),
    /// `sum(depths)`.
    Call(Word, Vec<Expr>),
    /// `shape(PATTERN)`, `count(PATTERN)`.
    KeysCall(Word, Glob),
    /// A pattern as an operand (`compute`).
    Keys(Glob),
    /// `-a`, `not a`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`.
    Binary(Box<Expr>, Spanned<BinaryOp>, Box<Expr>),
    /// `dims [1, 2]` as an argument (`compute`).
    Named(Word, Box<Expr>),
}

/// The words that are values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Constant {
    True,
    False,
    None,
}

/// The operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Minus,
    Not,
}

/// The operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    MatMul,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

impl BinaryOp {
    /// The operator as it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::FloorDivide => "//",
            BinaryOp::Remainder => "%",
            BinaryOp::MatMul => "@",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }
}
