//! The outcome of tests in the XML that JUnit writes and that CI services read.

use std::fmt::Write as _;

use super::Ran;

/// The cases as one suite.
pub(super) fn text(all: &[Ran]) -> String {
    let failures = all.iter().filter(|ran| !ran.wrong.is_empty()).count();
    let time: f64 = all.iter().map(|ran| ran.time.as_secs_f64()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = all.len();
    let _ = writeln!(
        text,
        "<testsuite name=\"migrate\" tests=\"{count}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{time:.3}\">"
    );
    for ran in all {
        let (name, time) = (escaped(&ran.name), ran.time.as_secs_f64());
        let head = format!("  <testcase classname=\"migrations\" name=\"{name}\" time=\"{time:.3}\"");
        if ran.wrong.is_empty() {
            let _ = writeln!(text, "{head}/>");
            continue;
        }
        let first = ran.wrong.first().and_then(|wrong| wrong.lines().next()).unwrap_or_default();
        let all = ran.wrong.join("\n");
        let _ = writeln!(
            text,
            "{head}>\n    <failure message=\"{}\">{}</failure>\n  </testcase>",
            escaped(first.trim_end_matches(':')),
            escaped(&all)
        );
    }
    text.push_str("</testsuite>\n");
    text
}

/// Text as XML 1.0 can hold it: without colours and other control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in anstream::adapter::strip_str(text).to_string().chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(char),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}
