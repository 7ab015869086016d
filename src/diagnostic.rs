//! What is shown to people: a fact, its places in their texts, and what to write instead.

mod render;

use serde_json::{Value, json};

use crate::source::{Sources, Span};

pub use render::render;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// Shown, and the work goes on.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A place in a text, with what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to write beside the underline; may be empty.
    pub text: String,
    /// Whether the finding is here, or the place only helps to understand it.
    pub primary: bool,
}

/// A finding: one fact, where it is, what else belongs to it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name in kebab case, such as `unmatched-pattern`.
    pub code: &'static str,
    /// The fact, in one line.
    pub message: String,
    /// The places, the most important first.
    pub labels: Vec<Label>,
    /// What else is known; each may have several lines.
    pub notes: Vec<String>,
    /// What to do; each may have several lines.
    pub helps: Vec<String>,
}

impl Diagnostic {
    /// A finding that stops the work.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Error, code, message.into())
    }

    /// A finding that does not stop the work.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Diagnostic { severity, code, message, labels: Vec::new(), notes: Vec::new(), helps: Vec::new() }
    }

    /// Adds the place where the finding is.
    #[must_use]
    pub fn primary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Adds a place that helps to understand the finding.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds what else is known.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Whether the finding stops the work.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The notes, and which lines take in the text that the finding is in.
    fn notes_in(&self, sources: &Sources) -> Vec<String> {
        let first = self.labels.iter().find(|label| label.primary).or(self.labels.first());
        let way = first.map(|label| sources.taken_in(label.span)).unwrap_or_default();
        let taken_in =
            way.iter().map(|(name, line)| format!("`{name}` is taken in at {}", sources.place(*line)));
        self.notes.iter().cloned().chain(taken_in).collect()
    }

    /// The finding for machines: `severity`, `code`, `message`, `places`, `notes`, `helps`.
    ///
    /// A place has `file`, `line`, `column`, `end_line`, `end_column` (from 1, columns in characters),
    /// `text` and `primary`. Texts are as they are, not escaped for a terminal.
    pub fn to_json(&self, sources: &Sources) -> Value {
        let places = self.labels.iter().map(|label| {
            let (line, column) = sources.line_col(label.span);
            let (end_line, end_column) = sources.end_line_col(label.span);
            json!({
                "file": sources.get(label.span.file).map(|source| source.name.as_str()),
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
                "text": label.text,
                "primary": label.primary,
            })
        });
        json!({
            "severity": self.severity.name(),
            "code": self.code,
            "message": self.message,
            "places": places.collect::<Vec<_>>(),
            "notes": self.notes_in(sources),
            "helps": self.helps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_places_count_from_one() {
        let mut sources = Sources::new();
        let file = sources.add("r.rules", "drop a.b\n");
        let found = Diagnostic::error("unmatched-pattern", "`a.b` matches no key")
            .primary(Span::new(file, 5, 8), "here")
            .help("write `a.c`");
        insta::assert_snapshot!(found.to_json(&sources).to_string(), @r##"
{"severity":"error","code":"unmatched-pattern","message":"`a.b` matches no key","places":[{"file":"r.rules","line":1,"column":6,"end_line":1,"end_column":9,"text":"here","primary":true}],"notes":[],"helps":["write `a.c`"]}
"##);
    }
}
