//! Cuts a rule file into logical lines: continuation, comments and blocks.
//!
//! Recovery from errors works by line because of this pass: whatever is wrong in one logical line,
//! the next one begins where it should. What a comment is, is said here alone: the parser sees the text
//! without them.

use std::ops::Range;

use super::error::{SyntaxError, SyntaxErrorKind};

/// How deep brackets and blocks may nest. Real rule files need three or four; the parser below
/// this pass recurses, so the depth must have a bound.
const MAX_DEPTH: usize = 32;

/// A logical line: its bytes, and the lines of the block that it opens.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// From the first to the last significant byte, without the `{` of a block.
    pub range: Range<usize>,
    /// The lines of the block.
    pub block: Option<Vec<Line>>,
}

/// A text in logical lines.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// The lines, those of blocks inside the line that opens the block.
    pub lines: Vec<Line>,
    /// The bytes of each comment, from its `#` to the end of its line, in order.
    pub comments: Vec<Range<usize>>,
}

impl Cut {
    /// The text with white space for its comments, of the same length, so that places stay what they are.
    pub fn without_comments(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut at = 0;
        for comment in &self.comments {
            plain.push_str(text.get(at..comment.start).unwrap_or_default());
            plain.extend(comment.clone().map(|_| ' '));
            at = comment.end;
        }
        plain.push_str(text.get(at..).unwrap_or_default());
        plain
    }
}

/// Cuts `text` into logical lines.
pub(super) fn cut(text: &str, errors: &mut Vec<SyntaxError>) -> Cut {
    let mut cutter = Cutter { text, bytes: text.as_bytes(), at: 0, comments: Vec::new(), errors };
    let lines = blocks(&mut cutter);
    Cut { lines, comments: cutter.comments }
}

/// The lines, each block's in the line that opens it.
fn blocks(cutter: &mut Cutter) -> Vec<Line> {
    let mut open: Vec<(Range<usize>, Vec<Line>)> = Vec::new();
    let mut lines = Vec::new();
    while let Some(piece) = cutter.next() {
        match piece {
            Piece::Line(range) => lines.push(Line { range, block: None }),
            Piece::Open(range) => {
                if open.len() >= MAX_DEPTH {
                    cutter.error(SyntaxErrorKind::TooDeep { most: MAX_DEPTH }, range);
                    return lines;
                }
                open.push((range, std::mem::take(&mut lines)));
            }
            Piece::Close(range) => match open.pop() {
                Some((header, outer)) => {
                    let block = std::mem::replace(&mut lines, outer);
                    lines.push(Line { range: header, block: Some(block) });
                }
                None => cutter.error(SyntaxErrorKind::StrayClose, range),
            },
        }
    }
    while let Some((header, outer)) = open.pop() {
        cutter.error(SyntaxErrorKind::UnclosedBlock, header.clone());
        let block = std::mem::replace(&mut lines, outer);
        lines.push(Line { range: header, block: Some(block) });
    }
    lines
}

/// What a scan from a line's start can end as.
enum Piece {
    Line(Range<usize>),
    Open(Range<usize>),
    Close(Range<usize>),
}

struct Cutter<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    comments: Vec<Range<usize>>,
    errors: &'a mut Vec<SyntaxError>,
}

impl Cutter<'_> {
    fn next(&mut self) -> Option<Piece> {
        let start = self.skip_blank(self.at);
        self.take_comments(self.at..start);
        self.at = start;
        let first = self.bytes.get(start)?;
        if *first == b'}' {
            self.at += 1;
            return Some(Piece::Close(start..start + 1));
        }
        Some(self.scan(start))
    }

    /// Scans one logical line from `start`; leaves `self.at` behind it.
    fn scan(&mut self, start: usize) -> Piece {
        let mut brackets: Vec<usize> = Vec::new();
        let mut end = start; // behind the last significant byte
        let mut first_newline = false;
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\n' => {
                    let opens_block = self.bytes.get(end.wrapping_sub(1)) == Some(&b'{');
                    if opens_block && brackets.len() == 1 && brackets.first() == Some(&(end - 1)) {
                        self.at = at;
                        return Piece::Open(start..self.trim(start, end - 1));
                    }
                    first_newline = true;
                    match brackets.first() {
                        None if !self.continues(start, end, at) => break,
                        Some(&bracket) if self.block_ends(at) => return self.unclosed(bracket),
                        _ => at += 1,
                    }
                }
                b' ' | b'\t' | b'\r' => at += 1,
                b'#' if self.starts_word(start, at) => {
                    let comment = at..self.line_end(at);
                    at = comment.end;
                    self.comments.push(comment);
                }
                b'"' => match self.closing(at, b'"') {
                    Some(close) => {
                        at = close + 1;
                        end = at;
                    }
                    // The quote belongs to a later line, which is cut again from its start.
                    None if first_newline && !brackets.is_empty() => return self.unclosed(brackets[0]),
                    None => {
                        let line_end = self.line_end(at);
                        self.error(SyntaxErrorKind::UnclosedQuote, at..line_end);
                        return self.resume(line_end);
                    }
                },
                b'/' if self.starts_word(start, at) && self.closing(at, b'/').is_some() => {
                    at = self.closing(at, b'/').map_or(at, |close| close) + 1;
                    end = at;
                }
                b'{' | b'[' | b'(' => {
                    if brackets.len() >= MAX_DEPTH {
                        self.error(SyntaxErrorKind::TooDeep { most: MAX_DEPTH }, at..at + 1);
                        return self.resume(self.line_end(at));
                    }
                    brackets.push(at);
                    at += 1;
                    end = at;
                }
                b'}' | b']' | b')' => {
                    brackets.pop();
                    at += 1;
                    end = at;
                }
                _ => {
                    at += 1;
                    end = at;
                }
            }
        }
        if let Some(&bracket) = brackets.first() {
            // A header whose `{` ends the whole text, or a bracket that nothing closes.
            if brackets.len() == 1 && bracket + 1 == end && self.bytes.get(bracket) == Some(&b'{') {
                self.at = at;
                return Piece::Open(start..self.trim(start, bracket));
            }
            return self.unclosed(bracket);
        }
        self.at = at;
        Piece::Line(start..end)
    }

    /// Reports a bracket that nothing closes; the next line is the one below the bracket's.
    fn unclosed(&mut self, bracket: usize) -> Piece {
        self.error(SyntaxErrorKind::UnclosedBracket, bracket..bracket + 1);
        self.resume(self.line_end(bracket))
    }

    /// Ends a line that was reported, and goes on at `at`, where what was looked at is cut again.
    fn resume(&mut self, at: usize) -> Piece {
        self.comments.retain(|comment| comment.start < at);
        self.at = at;
        Piece::Line(at..at)
    }

    /// Notes the comments of a range that holds nothing else but white space.
    fn take_comments(&mut self, blank: Range<usize>) {
        let mut at = blank.start;
        while let Some(found) = self.text.get(at..blank.end).and_then(|rest| rest.find('#')) {
            let comment = at + found..self.line_end(at + found);
            at = comment.end;
            self.comments.push(comment);
        }
    }

    /// Whether the line behind the newline at `newline` is a lone `}`, which always ends a block.
    fn block_ends(&self, newline: usize) -> bool {
        let close = self.skip_blank(newline);
        let rest = self.text.get(close + 1..self.line_end(close)).unwrap_or_default().trim();
        self.bytes.get(close) == Some(&b'}') && (rest.is_empty() || rest.starts_with('#'))
    }

    /// Whether the logical line goes on behind the newline at `newline`.
    fn continues(&self, start: usize, end: usize, newline: usize) -> bool {
        let so_far = &self.bytes[start..end];
        if so_far.ends_with(b",") || so_far.ends_with(b"->") {
            return true;
        }
        let next = &self.bytes[self.skip_blank(newline)..];
        let word = |word: &[u8]| {
            next.starts_with(word) && next.get(word.len()).is_none_or(|byte| byte.is_ascii_whitespace())
        };
        next.starts_with(b"->") || word(b"where") || word(b"except")
    }

    /// Whether the byte at `at` begins a word: the line's first, or after white space, a comma or `(`.
    fn starts_word(&self, start: usize, at: usize) -> bool {
        at == start || at.checked_sub(1).is_some_and(|before| b" \t\r\n,(".contains(&self.bytes[before]))
    }

    /// The place of the next unescaped `quote` on the same line. A `/` must be followed by what can
    /// follow a pattern, so that a division is not taken for a regex.
    fn closing(&self, open: usize, quote: u8) -> Option<usize> {
        let mut at = open + 1;
        if quote == b'/' && self.bytes.get(at).is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'/')
        {
            return None;
        }
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\n' => return None,
                b'\\' => at += 2,
                _ if byte == quote => return Some(at),
                _ => at += 1,
            }
        }
        None
    }

    /// The first significant byte at or after `at`.
    fn skip_blank(&self, mut at: usize) -> usize {
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => at += 1,
                b'#' => at = self.line_end(at),
                _ => break,
            }
        }
        at
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.iter().position(|&byte| byte == b'\n').map_or(self.bytes.len(), |length| at + length)
    }

    fn trim(&self, start: usize, end: usize) -> usize {
        start + self.text[start..end].trim_end().len()
    }

    fn error(&mut self, kind: SyntaxErrorKind, range: Range<usize>) {
        self.errors.push(SyntaxError { kind, range });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut errors = Vec::new();
        let cut = cut(text, &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
        cut.lines.iter().map(|line| show(text, line)).collect()
    }

    fn show(text: &str, line: &Line) -> String {
        let own = text[line.range.clone()].to_owned();
        match &line.block {
            None => own,
            Some(block) => {
                let inner: Vec<_> = block.iter().map(|line| show(text, line)).collect();
                format!("{own} {{{}}}", inner.join("; "))
            }
        }
    }

    #[test]
    fn a_line_ends_where_nothing_continues_it() {
        assert_eq!(lines("rename a -> b\ndrop c\n"), ["rename a -> b", "drop c"]);
        assert_eq!(lines("\n  # note\n a#b # c\n"), ["a#b"]);
    }

    #[test]
    fn a_line_goes_on_inside_brackets_after_commas_and_before_arrows() {
        assert_eq!(lines("a [1,\n2]\nb"), ["a [1,\n2]", "b"]);
        assert_eq!(lines("drop x, # one\n  y\nz"), ["drop x, # one\n  y", "z"]);
        assert_eq!(lines("a\n  # why\n  -> b\nwherever"), ["a\n  # why\n  -> b", "wherever"]);
        assert_eq!(lines("a\n where i < 2\n except b"), ["a\n where i < 2\n except b"]);
    }

    #[test]
    fn a_brace_at_the_end_opens_a_block() {
        assert_eq!(lines("in a {\n rename { # swap\n a -> b\n }\n}\nc"), ["in a {rename {a -> b}}", "c"]);
    }

    #[test]
    fn quotes_and_regexes_hide_brackets() {
        assert_eq!(lines("drop \"a{\"\ndrop /a(?<n>[{]+)/\nb"), ["drop \"a{\"", "drop /a(?<n>[{]+)/", "b"]);
        assert_eq!(lines("let a = b / (c / d)\nb"), ["let a = b / (c / d)", "b"]);
    }

    #[test]
    fn comments_are_white_space_to_the_parser() {
        let mut errors = Vec::new();
        let text = "# é\ndrop a, # \"{\n  \"b # c\", d#e # f\nlet x = [1, {# g\n  2}] # h\n} # i";
        let cut = cut(text, &mut errors);
        let comments: Vec<&str> = cut.comments.iter().map(|comment| &text[comment.clone()]).collect();
        assert_eq!(comments, ["# é", "# \"{", "# f", "# h", "# i"]);
        let plain = cut.without_comments(text);
        assert_eq!(plain.len(), text.len());
        assert_eq!(
            plain.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            "drop a, \"b # c\", d#e let x = [1, {# g 2}] }"
        );
    }

    #[test]
    fn a_comment_behind_what_is_not_closed_is_found_once() {
        let mut errors = Vec::new();
        let text = "drop {a # b\nlet x = [ # c\n}\n# d\n";
        let found = cut(text, &mut errors).comments;
        assert_eq!(found.iter().map(|range| &text[range.clone()]).collect::<Vec<_>>(), ["# b", "# c", "# d"]);
        assert_eq!(errors.len(), 3, "{errors:?}");
    }

    #[test]
    fn what_is_not_closed_spoils_only_its_own_line() {
        let mut errors = Vec::new();
        let text = "rename a.{x -> b\ndrop \"c\ndrop d\n}\nin a {";
        let lines = cut(text, &mut errors).lines;
        assert_eq!(text[lines[2].range.clone()], *"drop d");
        let kinds: Vec<_> = errors.iter().map(|error| (error.kind.clone(), error.range.start)).collect();
        assert_eq!(
            kinds,
            [
                (SyntaxErrorKind::UnclosedBracket, 9),
                (SyntaxErrorKind::UnclosedQuote, 22),
                (SyntaxErrorKind::StrayClose, 32),
                (SyntaxErrorKind::UnclosedBlock, 34),
            ]
        );
    }
}
