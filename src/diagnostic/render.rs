//! Diagnostics as text, in the manner of rustc.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Label, Severity};
use crate::printable::printable;
use crate::source::{Source, Sources};

/// The findings as text for a terminal of that width, one after the other with an empty line between.
///
/// Whatever is in the texts, nothing in the result disturbs a terminal but the colours asked for.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool, width: usize) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(width);
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(diagnostic, sources)]));
        text.push('\n');
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code);
    let snippets = files(diagnostic).into_iter().filter_map(|file| {
        let labels: Vec<&Label> = diagnostic.labels.iter().filter(|label| label.span.file == file).collect();
        Some(snippet(sources.get(file)?, &labels))
    });
    let notes = diagnostic.notes_in(sources).into_iter().map(|note| Level::NOTE.message(lines(&note)));
    let helps = diagnostic.helps.iter().map(|help| Level::HELP.message(lines(help)));
    Group::with_title(title).elements(snippets).elements(notes).elements(helps)
}

/// The files of the labels, that of the first primary label first.
fn files(diagnostic: &Diagnostic) -> Vec<u32> {
    let primary = diagnostic.labels.iter().filter(|label| label.primary);
    let mut files = Vec::new();
    for label in primary.chain(&diagnostic.labels) {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
}

/// The lines that the labels touch, with the labels at them.
///
/// Only those lines are handed on, so that a long rule file costs nothing for each finding in it.
fn snippet<'a>(source: &'a Source, labels: &[&'a Label]) -> Snippet<'a, Annotation<'a>> {
    let starts = labels.iter().map(|label| source.line_at(source.boundary(label.span.start)));
    let ends = labels.iter().map(|label| source.line_at(source.boundary(label.span.end)));
    let first_line = starts.min().unwrap_or(0);
    let from = source.line_start(first_line);
    let until = source.line_start(ends.max().unwrap_or(first_line) + 1);
    let window = Window { text: source.text.get(from..until).unwrap_or_default() };
    let annotations = labels.iter().map(|label| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let start = window.shown_offset(source.boundary(label.span.start).saturating_sub(from));
        let end = window.shown_offset(source.boundary(label.span.end).saturating_sub(from));
        let text = (!label.text.is_empty()).then(|| printable(&label.text));
        kind.span(start..end.max(start)).label(text)
    });
    Snippet::source(window.shown())
        .path(printable(&source.name))
        .line_start(first_line + 1)
        .annotations(annotations.collect::<Vec<_>>())
}

/// Some lines of a source text, which are shown escaped.
struct Window<'a> {
    text: &'a str,
}

impl Window<'_> {
    fn shown(&self) -> String {
        shown_lines(self.text)
    }

    /// Where an offset into the text lies in what is shown.
    fn shown_offset(&self, offset: usize) -> usize {
        self.text.get(..offset).map_or(0, |before| shown_lines(before).len())
    }
}

/// The text with its line breaks and tabs, and all else escaped.
fn shown_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => shown_line(line.strip_suffix('\r').unwrap_or(line)) + "\n",
            None => shown_line(line),
        })
        .collect()
}

fn shown_line(line: &str) -> String {
    line.split('\t').map(printable).collect::<Vec<_>>().join("\t")
}

/// The lines of a note, each escaped for itself.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::source::Span;

    const RULES: &str = "# why\nrename encoder.layers.* -> blocks.*\r\n\tdrop \u{1b}[2Jx\u{202e}y.z\n";

    fn show(diagnostic: Diagnostic) -> String {
        let mut sources = Sources::new();
        sources.add("r.rules", RULES);
        sources.add("v2.keys.yaml", "format: 1\ntensors:\n  a: f32 [2]\n");
        render(&[diagnostic], &sources, false, 100)
    }

    #[test]
    fn a_finding_looks_like_one_of_rustc() {
        let found = Diagnostic::error("unmatched-pattern", "`encoder.layers.*` matches no key")
            .primary(Span::new(0, 13, 29), "no key of `old.ckpt`")
            .label(Span::new(1, 20, 22), "the model's keys")
            .note("the nearest keys are\n  encoder.layer.{0…11}.q.weight  12 keys\n  encoder.norm.weight")
            .help("write `encoder.layer.*`");
        insta::assert_snapshot!(show(found), @r##"
error[unmatched-pattern]: `encoder.layers.*` matches no key
 --> r.rules:2:8
  |
2 | rename encoder.layers.* -> blocks.*
  |        ^^^^^^^^^^^^^^^^ no key of `old.ckpt`
  |
 ::: v2.keys.yaml:3:2
  |
3 |   a: f32 [2]
  |  -- the model's keys
  |
  = note: the nearest keys are
            encoder.layer.{0…11}.q.weight  12 keys
            encoder.norm.weight
  = help: write `encoder.layer.*`
"##);
    }

    #[test]
    fn hostile_text_is_shown_escaped_and_underlined_where_it_stands() {
        let found =
            Diagnostic::warning("odd-key", "\u{1b}[2J`x\ny`").primary(Span::new(0, 55, 56), "\u{9b}z");
        insta::assert_snapshot!(show(found), @r##"
warning[odd-key]: \u{1b}[2J`x\ny`
 --> r.rules:3:17
  |
3 |     drop \u{1b}[2Jx\u{202e}y.z
  |                    ^ \u{9b}z
"##);
    }

    #[test]
    fn a_finding_needs_no_place() {
        let found = Diagnostic::error("missing-key", "2 keys of the model are missing").note("a.b\na.c");
        insta::assert_snapshot!(show(found), @r##"
error[missing-key]: 2 keys of the model are missing
 |
 = note: a.b
         a.c
"##);
    }

    #[test]
    fn spans_that_lie_outside_do_no_harm() {
        let ends = Diagnostic::error("end", "ends").primary(Span::new(0, RULES.len(), RULES.len() + 9), "");
        let turned = Diagnostic::error("turned", "turned").primary(Span::new(0, 30, 3), "");
        let nowhere = Diagnostic::error("nowhere", "nowhere").primary(Span::new(7, 30, 3), "");
        for found in [ends, turned, nowhere] {
            assert!(show(found.clone()).starts_with(&format!("error[{}]", found.code)));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_no_control_is_shown(text in any::<String>(), start in 0usize..90, end in 0usize..90) {
            let mut sources = Sources::new();
            let file = sources.add(text.as_str(), format!("{RULES}{text}"));
            let found = Diagnostic::error("some", text.as_str()).primary(Span::new(file, start, end), text.as_str());
            let found = found.label(Span::new(file, end, start), "").note(text.as_str()).help(text);
            let shown = render(&[found], &sources, false, 80);
            let control = shown.chars().find(|char| *char != '\n' && printable(&char.to_string()) != char.to_string());
            prop_assert_eq!(control, None, "{}", shown);
        }
    }
}
