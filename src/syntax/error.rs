//! What can be wrong with the text of a rule file, before any meaning.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A mistake in the text and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// The bytes of the text.
    pub range: Range<usize>,
}

/// The mistakes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// The parser wanted something else.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// In people's words.
        expected: String,
        /// The word that stands there instead.
        found: String,
    },
    /// A word at the end of a line that is neither behind `->` nor an option with a value.
    #[error("`{word}` stands alone")]
    LoneWord {
        /// The word.
        word: String,
    },
    /// `"` without its partner on the line.
    #[error("the quote is not closed on its line")]
    UnclosedQuote,
    /// `{`, `[` or `(` without its partner.
    #[error("the bracket is not closed")]
    UnclosedBracket,
    /// A block without its `}`.
    #[error("the block is not closed")]
    UnclosedBlock,
    /// A `}` that closes nothing.
    #[error("this `}}` closes no block")]
    StrayClose,
    /// Brackets or blocks inside one another beyond the bound.
    #[error("brackets, blocks or operators nest deeper than {most}")]
    TooDeep {
        /// The bound.
        most: usize,
    },
    /// A line with more in it than one can have.
    #[error("the line is too long: it holds tens of thousands of words and signs")]
    LongLine,
    /// A statement without any key.
    #[error("`{verb}` names no key")]
    NoKeys {
        /// The verb.
        verb: String,
    },
    /// `under x` without `{`.
    #[error("`{header}` opens a block: end the line with `{{` and close it with a line `}}`")]
    NeedsBlock {
        /// The header's word.
        header: String,
    },
    /// `{` behind a line that opens no block.
    #[error("this line does not open a block")]
    NoBlock,
    /// Wildcards in an alternative or a list.
    #[error("`{text}` is not plain text: {what} stand for themselves alone")]
    NotPlain {
        /// What was written.
        text: String,
        /// `alternatives` or `the items of a list`.
        what: &'static str,
    },
    /// Braces inside alternatives or a list.
    #[error("braces inside braces: alternatives and lists hold plain text")]
    NestedBraces,
    /// Something after the colon of a capture that is no kind.
    #[error("`{kind}` is no kind of capture")]
    CaptureKind {
        /// What was written.
        kind: String,
    },
    /// A number too large to count with.
    #[error("the number does not fit into 64 bits")]
    NumberTooLarge,
    /// `\q` in a quoted text.
    #[error("unknown escape `\\{escape}`")]
    UnknownEscape {
        /// The character after the backslash.
        escape: String,
    },
}

impl SyntaxErrorKind {
    fn help(&self) -> Option<String> {
        use SyntaxErrorKind as Kind;
        Some(match self {
            Kind::LoneWord { .. } => {
                "between keys stand commas, before a new name `->`, and an option has a value, as in `dim 0`"
                    .into()
            }
            Kind::Unexpected { found, .. } if found.starts_with("`/") => {
                "a second `/` closes a regular expression; a key that begins with one is quoted: `\"/a\"`"
                    .into()
            }
            Kind::UnclosedQuote => {
                "write a second `\"`; a quote inside a quoted key is written `\\\"`".into()
            }
            Kind::UnclosedBracket => "close it, or quote the key if the bracket belongs to it".into(),
            Kind::UnclosedBlock => "close it with a line that holds only `}`".into(),
            Kind::NoKeys { verb } => format!("write which keys: `{verb} PATTERN`"),
            Kind::NoBlock => "only a verb alone (`rename {`), `in KEY {` and `under KEY {` do".into(),
            Kind::NotPlain { .. } => {
                "write several patterns, separated by commas, or put the wildcard beside the braces".into()
            }
            Kind::NestedBraces => {
                "write one list, `{q,k,v}`, or several patterns, separated by commas".into()
            }
            Kind::CaptureKind { .. } => "kinds are `int`, a range such as `0..11`, and `**`".into(),
            Kind::UnknownEscape { .. } => "escapes are `\\\"`, `\\\\`, `\\n` and `\\t`".into(),
            _ => return None,
        })
    }
}

impl SyntaxError {
    /// The error for people, in the file that it is in.
    pub fn diagnostic(&self, file: u32) -> Diagnostic {
        let span = Span { file, start: self.range.start, end: self.range.end };
        let mut diagnostic = Diagnostic::error("syntax", self.kind.to_string()).primary(span, "");
        if let Some(help) = self.kind.help() {
            diagnostic = diagnostic.help(help);
        }
        diagnostic
    }
}
