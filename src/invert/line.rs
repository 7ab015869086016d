//! One line of a statement of the way back, as it is written.

/// A line: patterns, templates and options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    /// The patterns, each as its segments.
    pub from: Vec<Vec<String>>,
    /// The templates, likewise; none where the keys stay.
    pub to: Vec<Vec<String>>,
    /// The options, with `over` where an index runs.
    pub options: String,
}

impl Line {
    /// The text before and behind the arrow; nothing behind it where there are no templates.
    pub fn sides(&self, below: &str) -> (String, String) {
        let glob = |segments: &Vec<String>| segments.join(".");
        let from: Vec<String> = self.from.iter().map(glob).collect();
        let to: Vec<String> = self.to.iter().map(|segments| format!("{below}{}", glob(segments))).collect();
        let options = if self.options.is_empty() { String::new() } else { format!(" {}", self.options) };
        match to.is_empty() {
            true => (format!("{}{options}", from.join(", ")), String::new()),
            false => (from.join(", "), format!("{}{options}", to.join(", "))),
        }
    }

    /// The line with `below` before each template.
    pub fn text(&self, below: &str) -> String {
        let (from, to) = self.sides(below);
        if to.is_empty() { from } else { format!("{from} -> {to}") }
    }
}
