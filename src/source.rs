//! The texts that a user wrote, and places in them.

use std::ops::Range;

use crate::printable::printable;

/// A range of bytes of one source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which text, as [`Sources::add`] numbered it.
    pub file: u32,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// The range `start..end` of a text.
    pub fn new(file: u32, start: usize, end: usize) -> Self {
        Span { file, start, end }
    }

    /// The smallest range that holds both; `other` is ignored where it lies in another text.
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One text and the name that its user knows it by.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as the user gave it.
    pub name: String,
    /// The text, without a byte order mark.
    pub text: String,
    /// The line of another text that takes this one in (`include`, `use`).
    pub taken_in: Option<Span>,
    /// Where each line begins, in bytes.
    line_starts: Vec<usize>,
}

impl Source {
    /// The line (from 0) that holds the byte at `offset`.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// Where a line (from 0) begins, or the end of the text for a line behind the last.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// The nearest place at or before `offset` that is inside the text and between two characters.
    pub(crate) fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The line and column of an offset, both from 1, the column in characters.
    fn line_col(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let line = self.line_at(offset);
        let before = self.text.get(self.line_start(line)..offset).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }
}

/// All texts of one run: rule files, what they include, key sets.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
    /// Whether several rule files are run, so that a line is told with the name of its text.
    several: bool,
}

impl Sources {
    /// No texts yet.
    pub fn new() -> Self {
        Sources::default()
    }

    /// Adds a text and gives the number that spans name it by. A byte order mark is dropped.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.add_taken_in(name, text, None)
    }

    /// Adds a text that a line of another one takes in.
    pub fn add_taken_in(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
        taken_in: Option<Span>,
    ) -> u32 {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        let file = self.next();
        self.texts.push(Source { name: name.into(), text, taken_in, line_starts });
        file
    }

    /// How many texts there are, which is the number of the next.
    pub fn next(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX)
    }

    /// The text of that number.
    pub fn get(&self, file: u32) -> Option<&Source> {
        self.texts.get(usize::try_from(file).ok()?)
    }

    /// The texts of these numbers that lines of others take in, in the order in which they stand.
    pub fn taken_in_among(&self, numbers: Range<u32>) -> impl Iterator<Item = &Source> {
        let among = numbers.filter_map(|number| self.get(number));
        among.filter(|source| source.taken_in.is_some())
    }

    /// Notes that several rule files are run.
    pub fn set_several(&mut self) {
        self.several = true;
    }

    /// The number of the text that takes in the text of a span, and so on: the rule file that is run. `None`
    /// where there is but one.
    pub fn rule_file(&self, span: Span) -> Option<u32> {
        let outermost = self.taken_in(span).last().map_or(span.file, |(_, line)| line.file);
        self.several.then_some(outermost)
    }

    /// The line and column where a span begins, both from 1, the column in characters; `(1, 1)` for a
    /// span of no text.
    pub fn line_col(&self, span: Span) -> (usize, usize) {
        self.get(span.file).map_or((1, 1), |source| source.line_col(span.start))
    }

    /// The line and column just behind a span.
    pub fn end_line_col(&self, span: Span) -> (usize, usize) {
        self.get(span.file).map_or((1, 1), |source| source.line_col(span.end))
    }

    /// `NAME:LINE` of where a span begins, as messages write it.
    pub fn place(&self, span: Span) -> String {
        let name = self.get(span.file).map_or("?", |source| source.name.as_str());
        format!("{}:{}", printable(name), self.line_col(span).0)
    }

    /// The line where a span begins, as sentences name it: `line 3`, and ``line 3 of `common.rules` `` where
    /// another text takes that one in or several are run.
    pub fn line_name(&self, span: Span) -> String {
        let line = self.line_col(span).0;
        match self.get(span.file) {
            Some(source) if self.several || source.taken_in.is_some() => {
                format!("line {line} of `{}`", printable(&source.name))
            }
            _ => format!("line {line}"),
        }
    }

    /// The lines that take in the text of a span, from the innermost out: each the name of a text and the
    /// line that takes it in.
    pub fn taken_in(&self, span: Span) -> Vec<(&str, Span)> {
        let mut way = Vec::new();
        let mut at = span.file;
        while let Some((source, line)) = self.get(at).and_then(|source| Some((source, source.taken_in?))) {
            // A text is added after the one that takes it in.
            if line.file >= at {
                break;
            }
            way.push((source.name.as_str(), line));
            at = line.file;
        }
        way
    }

    /// The text of a span; empty where there is none.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.file).and_then(|source| source.text.get(span.start..span.end)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_and_columns_are_characters() {
        let mut sources = Sources::new();
        let file = sources.add("r.rules", "\u{feff}ab\nüx → y\n");
        assert_eq!(sources.slice(Span::new(file, 0, 2)), "ab");
        assert_eq!(sources.line_col(Span::new(file, 0, 2)), (1, 1));
        assert_eq!(sources.line_col(Span::new(file, 5, 6)), (2, 2));
        assert_eq!(sources.line_col(Span::new(file, 4, 6)), (2, 1), "inside of a character");
        assert_eq!(sources.line_col(Span::new(file, 900, 901)), (3, 1));
        assert_eq!(sources.slice(Span::new(file, 4, 900)), "");
        assert_eq!(sources.place(Span::new(file, 5, 6)), "r.rules:2");
    }

    #[test]
    fn a_text_knows_the_lines_that_take_it_in() {
        let mut sources = Sources::new();
        let outer = sources.add("r.rules", "\ninclude \"a\"\n");
        let line = Span::new(outer, 1, 12);
        let inner = sources.add_taken_in("a", "include \"b\"", Some(line));
        let deep = sources.add_taken_in("b", "drop x", Some(Span::new(inner, 0, 11)));
        let span = Span::new(deep, 0, 6);
        assert_eq!(sources.taken_in(span), [("b", Span::new(inner, 0, 11)), ("a", line)]);
        assert_eq!(sources.taken_in(line), []);
        assert_eq!(sources.line_name(span), "line 1 of `b`");
        assert_eq!(sources.line_name(line), "line 2");
    }
}
