//! What can be wrong with rules before a checkpoint is seen.

use super::interpolation::Mode;
use super::options::OptionKind;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::Spanned;
use crate::tensor::Dtype;

/// A mistake in the rules and where it stands.
pub type RuleError = Spanned<RuleErrorKind>;

/// The mistakes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum RuleErrorKind {
    #[error("`{verb}` is not a verb")]
    UnknownVerb { verb: String, nearest: Option<String> },
    #[error("`{verb}` has no option `{option}`")]
    UnknownOption {
        verb: &'static str,
        option: String,
        nearest: Option<&'static str>,
        takes: Vec<&'static str>,
    },
    #[error("`{verb}` needs the option `{option}`")]
    MissingOption { verb: &'static str, option: &'static str, example: &'static str },
    #[error("the option `{option}` is given twice")]
    OptionTwice { option: String },
    #[error("`{option}` takes {takes}")]
    OptionKind { option: &'static str, takes: &'static str, nearest: Option<&'static str> },
    #[error("`{verb}` takes no `->`")]
    NoTemplate { verb: &'static str },
    #[error("`{verb}` needs `->` and a name for what it makes")]
    NeedsTemplate { verb: &'static str, example: &'static str },
    #[error("`{verb}` makes one tensor of one, and takes one name")]
    OneTemplate { verb: &'static str },
    #[error("`{verb}` cuts a tensor into several, and only one name is given")]
    OnePart { verb: &'static str, example: &'static str },
    #[error("a list `{{{list}}}` names several tensors at once; `{verb}` takes each by itself")]
    ListInRename { verb: &'static str, list: String, alternatives: String },
    #[error("`{{{alternatives}}}` is one of these names, and `{verb}` makes all of its names")]
    AlternativesInParts { verb: &'static str, alternatives: String, list: String },
    #[error("two lists in one pattern")]
    TwoLists,
    #[error("a list cannot stand here")]
    ListHere,
    #[error("`=` does not belong to `{verb}`")]
    Assigned { verb: &'static str },
    #[error("`over` and a list do not go together")]
    OverAndList,
    #[error("`over {name}` runs an index that {place} does not have")]
    OverUnknown { name: String, place: &'static str },
    #[error("how many parts? `over {name}` alone does not say")]
    OverNeedsInto { name: String },
    #[error("`into` goes with `over`")]
    IntoWithoutOver,
    #[error("`{{{name}}}` is not captured by `{pattern}`")]
    UnknownCapture { name: String, pattern: String, known: Vec<String> },
    #[error("`{name}` is not a name here")]
    UnknownName { name: String, nearest: Option<String> },
    #[error("`{pattern}` has {}, `{template}` has {}", stars(of_pattern), stars(of_template))]
    Wildcards { pattern: String, template: String, of_pattern: Vec<bool>, of_template: Vec<bool> },
    #[error("the alternatives do not pair: {} against {}", groups(pattern), groups(template))]
    Alternatives { pattern: Vec<String>, template: Vec<String> },
    #[error("`{verb}` needs `=` and an expression")]
    NeedsAssigned { verb: &'static str, example: &'static str },
    #[error("the pattern has more than {most} segments")]
    PatternTooLong { most: usize },
    #[error("two wildcards in a row that both span segments")]
    AdjacentStars,
    #[error("a segment is empty: two dots in a row, or a dot at an end")]
    EmptySegment,
    #[error("`**` stands for whole segments and cannot touch text")]
    StarsBesideText,
    #[error("arithmetic belongs into a template; a pattern captures")]
    ArithmeticInPattern,
    #[error("the range {first}..{last} is empty")]
    EmptyRange { first: u64, last: u64 },
    #[error("the regular expression is broken: {reason}")]
    Regex { reason: String },
    #[error("a regular expression cannot be a name")]
    RegexTemplate,
    #[error("a name needs a value here: `{{x}}`, arithmetic or text")]
    ForgottenInTemplate,
    #[error("a regular expression cannot stand under a prefix")]
    RegexUnder,
    #[error("`{name}` is a value of the model's configuration, and none is given")]
    NoConfig { name: String },
    #[error("`{name}` is a word of the language, and cannot be defined")]
    LetReserved { name: String },
    #[error("`{name}` is the tensor's own here, and a capture too")]
    CaptureReserved { name: String },
    #[error("`{name}` is already defined")]
    LetTwice { name: String, first: Option<Span> },
    #[error("cannot include `{path}`: {reason}")]
    Include { path: String, reason: String },
    #[error("`{path}` includes itself: {}", way.join(" → "))]
    IncludesItself { path: String, way: Vec<String> },
    #[error("rules take in more than {most} texts, or nest deeper than {deepest}")]
    TooManyTexts { most: usize, deepest: usize },
    #[error("there is no shipped rule set `{name}`")]
    UnknownRuleSet { name: String, nearest: Option<&'static str> },
    #[error("`{directive}` was not followed: what it names is no part of these rules")]
    NotFollowed { directive: &'static str },
    #[error("a text that is taken in has no `migration` line of its own")]
    HeaderInside,
    #[error("the file has two `migration` lines")]
    MigrationTwice,
    #[error("`optimizer` is `follow` or `drop`, not `{mode}`")]
    OptimizerMode { mode: String },
    #[error("a dict is named by plain text with dots")]
    DictPath,
    #[error("a value is named by plain text: keys and indices with dots between them")]
    ValuePath,
    #[error("`set` takes a text, a number, `true`, `false`, `none`, a list of them or a dict")]
    NotPlain,
    #[error("`{verb}` takes one path and nothing else")]
    ValueAlone { verb: &'static str },
    #[error("`{directive}` cannot stand here")]
    Misplaced { directive: &'static str },
    #[error("{reason}")]
    Value { reason: String },
}

fn stars(kinds: &[bool]) -> String {
    match kinds {
        [] => "no wildcard".to_owned(),
        kinds => {
            let numbered: Vec<String> = kinds
                .iter()
                .enumerate()
                .map(|(index, double)| format!("{}: `{}`", index + 1, if *double { "**" } else { "*" }))
                .collect();
            let plural = if kinds.len() == 1 { "" } else { "s" };
            format!("{} wildcard{plural} ({})", kinds.len(), numbered.join(", "))
        }
    }
}

fn groups(groups: &[String]) -> String {
    if groups.is_empty() { "none".to_owned() } else { groups.join(" ") }
}

impl RuleErrorKind {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        use RuleErrorKind as Kind;
        match self {
            Kind::UnknownVerb { .. } => "unknown-verb",
            Kind::UnknownOption { .. } => "unknown-option",
            Kind::MissingOption { .. } => "missing-option",
            Kind::OptionTwice { .. } => "option-twice",
            Kind::OptionKind { .. } | Kind::Value { .. } | Kind::NotPlain => "option-value",
            Kind::NoTemplate { .. }
            | Kind::NeedsTemplate { .. }
            | Kind::OneTemplate { .. }
            | Kind::OnePart { .. }
            | Kind::NeedsAssigned { .. }
            | Kind::ValueAlone { .. }
            | Kind::Assigned { .. } => "statement-shape",
            Kind::ListInRename { .. }
            | Kind::AlternativesInParts { .. }
            | Kind::TwoLists
            | Kind::ListHere
            | Kind::OverAndList => "misplaced-list",
            Kind::OverUnknown { .. } | Kind::OverNeedsInto { .. } | Kind::IntoWithoutOver => "over",
            Kind::UnknownCapture { .. } => "unknown-capture",
            Kind::UnknownName { .. } | Kind::CaptureReserved { .. } | Kind::NoConfig { .. } => "unknown-name",
            Kind::Wildcards { .. } => "unequal-wildcards",
            Kind::Alternatives { .. } => "unequal-alternatives",
            Kind::Regex { .. } => "broken-regex",
            Kind::LetTwice { .. } | Kind::LetReserved { .. } | Kind::MigrationTwice => "defined-twice",
            Kind::OptimizerMode { .. } | Kind::DictPath | Kind::Misplaced { .. } | Kind::HeaderInside => {
                "directive"
            }
            Kind::Include { .. }
            | Kind::IncludesItself { .. }
            | Kind::TooManyTexts { .. }
            | Kind::NotFollowed { .. } => "include",
            Kind::UnknownRuleSet { .. } => "unknown-rule-set",
            _ => "pattern",
        }
    }

    fn help(&self) -> Option<String> {
        use RuleErrorKind as Kind;
        Some(match self {
            Kind::UnknownVerb { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Kind::UnknownVerb { .. } => format!("verbs are {}", super::verbs::names().join(", ")),
            Kind::UnknownOption { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Kind::UnknownOption { verb, takes, .. } if takes.is_empty() => format!("`{verb}` takes no options"),
            Kind::UnknownOption { verb, takes, .. } => format!("`{verb}` takes {}", takes.join(", ")),
            Kind::MissingOption { example, .. }
            | Kind::NeedsTemplate { example, .. }
            | Kind::NeedsAssigned { example, .. }
            | Kind::OnePart { example, .. } => format!("write it like `{example}`"),
            Kind::OptionKind { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Kind::OptionKind { takes, .. } if *takes == OptionKind::Mode.takes() => {
                format!("modes are {}", Mode::NAMES.join(", "))
            }
            Kind::OptionKind { takes, .. } if *takes == OptionKind::Dtype.takes() => {
                let dtypes = Dtype::all().filter(|dtype| super::verbs::castable(*dtype));
                let dtypes: Vec<&str> = dtypes.map(Dtype::name).collect();
                format!("dtypes are {}", dtypes.join(", "))
            }
            Kind::NoTemplate { verb } if *verb == "drop" => {
                "to give it another name, write `rename`".to_owned()
            }
            Kind::OneTemplate { .. } => "several renames at once are a block, one a line".to_owned(),
            Kind::ListInRename { alternatives, .. } => format!("write alternatives: `{{{alternatives}}}`"),
            Kind::AlternativesInParts { list, .. } => format!("write a list: `{{{list}}}`"),
            Kind::ListHere => "write its tensors out, with signs between them: `a.w + b.w`".to_owned(),
            Kind::TwoLists => "write one of them out as several patterns, separated by commas".to_owned(),
            Kind::OverAndList => "write the list, or the index, not both".to_owned(),
            Kind::OverUnknown { name, .. } => format!("write `{{{name}}}` where the index stands"),
            Kind::OverNeedsInto { name } => format!("write `over {name} into 4`, or the range `{{{name}:0..3}}`"),
            Kind::UnknownCapture { known, .. } if known.is_empty() => {
                "the pattern captures nothing under a name".to_owned()
            }
            Kind::UnknownCapture { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
                format!("it captures {}", known.join(", "))
            }
            Kind::UnknownName { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Kind::NoConfig { .. } => "write `--config config.json`".to_owned(),
            Kind::UnknownName { .. } => {
                "names are those of `let` lines above, the captures, `shape`, `rank` and `dtype`; text is quoted"
                    .to_owned()
            }
            Kind::Wildcards { of_pattern, of_template, .. } if of_pattern.len() > of_template.len() => {
                "nameless wildcards pair by position: name them (`{x}`), or forget one with `{_}`".to_owned()
            }
            Kind::Wildcards { .. } => "nameless wildcards pair by position and kind: name them (`{x}`)".to_owned(),
            Kind::Alternatives { .. } => {
                "the template has as many groups as the pattern, each as long as its partner, or none".to_owned()
            }
            Kind::CaptureReserved { .. } => "give the capture another name".to_owned(),
            Kind::LetReserved { name } => {
                format!("`shape`, `rank` and dtypes are those of the tensor: choose another name, such as `my_{name}`")
            }
            Kind::AdjacentStars => "one `**` takes all of it".to_owned(),
            Kind::StarsBesideText => "set it off with dots, or write `*`".to_owned(),
            Kind::ArithmeticInPattern => "capture the index (`{i}`) and compute in the template".to_owned(),
            Kind::Include { .. } => "the path is relative to the file that includes".to_owned(),
            Kind::IncludesItself { .. } => "take one of the lines out".to_owned(),
            Kind::UnknownRuleSet { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`? There are {}", super::shipped::names().join(", "))
            }
            Kind::UnknownRuleSet { .. } => {
                format!("there are {}; a file is taken in by `include`", super::shipped::names().join(", "))
            }
            Kind::HeaderInside => {
                "the header belongs into the file that is run: take it out here, or move the statements into a file \
                 that both include"
                    .to_owned()
            }
            Kind::ValuePath => "quote a key that has dots or brackets: `callbacks.\"a.b\".best`".to_owned(),
            Kind::NotPlain => "a text stands in quotes".to_owned(),
            Kind::Misplaced { .. } => "write it at the top of the file, outside of any block".to_owned(),
            Kind::EmptySegment => "quote the key if it really has an empty segment".to_owned(),
            _ => return None,
        })
    }
}

/// The error for people.
pub fn diagnostic(error: &RuleError) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(error.node.code(), error.node.to_string()).primary(error.span, "");
    if let RuleErrorKind::LetTwice { first: Some(first), .. } = &error.node {
        diagnostic = diagnostic.label(*first, "defined here");
    }
    if let Some(help) = error.node.help() {
        diagnostic = diagnostic.help(help);
    }
    diagnostic
}

/// Something that is suspicious, but not wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RuleWarning {
    #[error("`{{{name}}}` is captured and never used")]
    UnusedCapture { name: String, span: Span },
}

impl RuleWarning {
    /// The warning for people.
    pub fn diagnostic(&self) -> Diagnostic {
        let RuleWarning::UnusedCapture { span, .. } = self;
        Diagnostic::warning("unused-capture", self.to_string())
            .primary(*span, "")
            .help("write `{_}`, which matches and forgets")
    }
}
