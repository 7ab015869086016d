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
    /// The line with `below` before each template.
    pub fn text(&self, below: &str) -> String {
        let glob = |segments: &Vec<String>| segments.join(".");
        let from: Vec<String> = self.from.iter().map(glob).collect();
        let to: Vec<String> = self.to.iter().map(|segments| format!("{below}{}", glob(segments))).collect();
        let arrow = if to.is_empty() { "" } else { " -> " };
        format!("{}{arrow}{} {}", from.join(", "), to.join(", "), self.options).trim_end().to_owned()
    }
}
