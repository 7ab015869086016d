//! Chosen dicts that cannot be told apart.

/// How two chosen dicts overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// They are one dict, named twice.
    Twice,
    /// The second lies inside the first.
    Inside,
    /// One dict object is, or lies in, both of them.
    Shared,
}

impl Overlap {
    pub(super) fn what(self, first: &str, second: &str) -> String {
        match self {
            Overlap::Twice => format!("the dict `{first}` is named twice"),
            Overlap::Inside => format!("the dict `{second}` lies inside `{first}`, which is named too"),
            Overlap::Shared => {
                format!("`{first}` and `{second}` share a dict, so one cannot change without the other")
            }
        }
    }

    pub(super) fn help(self, first: &str) -> String {
        match self {
            Overlap::Twice => format!("name `{first}` once"),
            Overlap::Inside => format!("name `{first}` alone: dicts of tensors nested in it belong to it"),
            Overlap::Shared => format!("name `{first}` alone: what the two share changes with it"),
        }
    }
}
