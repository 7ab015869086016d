//! What a plan cannot prove, each with a stable code.

use crate::diagnostic::Diagnostic;
use crate::rules::op::OpError;
use crate::rules::value::ValueErrorKind;
use crate::source::Span;
use crate::tensor::{ShapeText, TensorSpec};

/// The ways in which rules and key sets do not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum ProblemKind {
    #[error("`{pattern}` matches no key")]
    Unmatched { pattern: String },
    #[error("`{pattern}` matches {keys}, and `{}` takes them all out", if *by_where { "where" } else { "except" })]
    AllTakenOut { pattern: String, keys: String, by_where: bool },
    #[error("`except {pattern}` matches no key")]
    ExceptUnmatched { pattern: String },
    #[error("`{key}` is claimed twice by one statement")]
    ClaimedTwice { key: String },
    #[error("`{first}` and `{second}` both become `{name}`")]
    TwoToOne { name: String, first: String, second: String },
    #[error("`{from}` cannot become `{name}`: a key of that name is there already")]
    Occupied { name: String, from: String },
    #[error("`{key}` matches in two ways, and becomes `{first}` or `{second}`")]
    Ambiguous { key: String, first: String, second: String },
    #[error("`{key}` matches in more ways than can be compared")]
    TooManyWays { key: String },
    #[error("{}{error}", at(key))]
    Value { key: Option<String>, error: ValueErrorKind },
    #[error("`{key}` would get the index {value}")]
    NegativeIndex { key: String, value: i64 },
    #[error("nothing is left of the name of `{key}`")]
    EmptyName { key: String },
    #[error("{}{error}", at(key))]
    Op { key: Option<String>, error: OpError },
    #[error("`{option}` takes {takes}, not {value}")]
    OptionValue { option: &'static str, takes: &'static str, value: String },
    #[error("`{name}` lacks `{missing}`")]
    JoinLacks { name: String, missing: String },
    #[error("`{first}` and `{second}` both claim place {place} of `{name}`")]
    JoinTwice { name: String, first: String, second: String, place: String },
    #[error("`{name}` would join one tensor, `{key}`")]
    JoinOne { name: String, key: String },
    #[error("the index of `{name}` has a gap: {gap}")]
    IndexGap { name: String, gap: String },
    #[error("{value} parts cannot be made")]
    Parts { value: i64 },
    #[error("`into {into}` and `{range}` disagree: the range has {count}")]
    PartsDisagree { into: i64, range: String, count: i64 },
    #[error("`{pattern}` ranges over the target's missing keys, and there is no target")]
    NoTarget { pattern: String },
    #[error("`{pattern}` names no missing key of the target")]
    TargetUnmatched { pattern: String },
    #[error("the assertion fails for {keys}")]
    Assertion { keys: String },
    #[error("{count} missing: the target has {} that nothing produces", these(*count))]
    Missing { count: usize },
    #[error("{count} unexpected: {} left over that the target does not have", are(*count))]
    Unexpected { count: usize },
    #[error("`{key}` is {}, and the target wants {}", ShapeText(&have.shape), ShapeText(&want.shape))]
    Shape { key: String, have: TensorSpec, want: TensorSpec },
    #[error("`{key}` is {}, and the target wants {}", have.dtype, want.dtype)]
    Dtype { key: String, have: TensorSpec, want: TensorSpec },
    #[error("`{first}` and `{second}` are one tensor, and the statements make two of it")]
    TiedApart { first: String, second: String },
    #[error("`{key}` is made of `{absent}`, which a step before left to the model, and of `{present}`")]
    PartlyLeft { key: String, absent: String, present: String },
    #[error("an alternative `{alternative}` that never matches")]
    UnusedAlternative { alternative: String },
    #[error(
        "the source is not `{version}`: {missing} of its keys are missing and {unexpected} are unexpected"
    )]
    NotTheVersion { version: String, missing: usize, unexpected: usize },
    #[error(
        "`{name}` nearly mirrors `{main}`, and stays as it is: {shared} of its {of} tensors have a counterpart there"
    )]
    NearMirror { name: String, main: String, shared: usize, of: usize },
}

fn at(key: &Option<String>) -> String {
    key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default()
}

fn these(count: usize) -> &'static str {
    if count == 1 { "a key" } else { "keys" }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "a key is" } else { "keys are" }
}

impl ProblemKind {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        use ProblemKind as Kind;
        match self {
            Kind::Unmatched { .. } | Kind::AllTakenOut { .. } => "unmatched-pattern",
            Kind::ExceptUnmatched { .. } => "unmatched-except",
            Kind::ClaimedTwice { .. } => "claimed-twice",
            Kind::TwoToOne { .. } | Kind::Occupied { .. } => "two-to-one",
            Kind::Ambiguous { .. } | Kind::TooManyWays { .. } => "ambiguous-match",
            Kind::Value { .. }
            | Kind::OptionValue { .. }
            | Kind::Parts { .. }
            | Kind::PartsDisagree { .. } => "value",
            Kind::NegativeIndex { .. } => "negative-index",
            Kind::EmptyName { .. } => "empty-name",
            Kind::Op { .. } => "tensor-operation",
            Kind::JoinLacks { .. } | Kind::JoinTwice { .. } | Kind::JoinOne { .. } => "incomplete-join",
            Kind::IndexGap { .. } => "index-gap",
            Kind::NoTarget { .. } => "no-target",
            Kind::TargetUnmatched { .. } => "unmatched-target",
            Kind::Assertion { .. } => "assertion",
            Kind::TiedApart { .. } => "tied-apart",
            Kind::PartlyLeft { .. } => "partly-left",
            Kind::Missing { .. } => "missing-key",
            Kind::Unexpected { .. } => "unexpected-key",
            Kind::Shape { .. } => "shape-mismatch",
            Kind::Dtype { .. } => "dtype-mismatch",
            Kind::UnusedAlternative { .. } => "unused-alternative",
            Kind::NotTheVersion { .. } => "wrong-version",
            Kind::NearMirror { .. } => "near-mirror",
        }
    }
}

/// A problem with its place and what to write instead.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What does not fit.
    pub kind: ProblemKind,
    /// The rule, where one is to blame.
    pub span: Option<Span>,
    /// Other places that matter, each with what it did.
    pub related: Vec<(Span, String)>,
    /// More facts.
    pub notes: Vec<String>,
    /// What to write instead.
    pub helps: Vec<String>,
}

impl Problem {
    /// A problem without more to say.
    pub fn new(kind: ProblemKind, span: impl Into<Option<Span>>) -> Self {
        Problem { kind, span: span.into(), related: Vec::new(), notes: Vec::new(), helps: Vec::new() }
    }

    /// Adds another place.
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }

    /// Adds a fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// The problem for people, as an error.
    pub fn diagnostic(&self) -> Diagnostic {
        self.fill(Diagnostic::error(self.kind.code(), self.kind.to_string()))
    }

    /// The problem for people, as a warning.
    pub fn warning(&self) -> Diagnostic {
        self.fill(Diagnostic::warning(self.kind.code(), self.kind.to_string()))
    }

    fn fill(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if let Some(span) = self.span {
            diagnostic = diagnostic.primary(span, "");
        }
        for (span, text) in &self.related {
            diagnostic = diagnostic.label(*span, text.clone());
        }
        let diagnostic = self.notes.iter().fold(diagnostic, |diagnostic, note| diagnostic.note(note.clone()));
        self.helps.iter().fold(diagnostic, |diagnostic, help| diagnostic.help(help.clone()))
    }
}
