//! Texts of strangers, made harmless where they are shown.

use std::fmt::Write as _;

/// A text in which nothing is left that moves a terminal's cursor, colours it or turns its reading
/// direction; what was is written as `\n`, `\u{1b}` and the like.
///
/// Keys and file names come from strangers, so everything that is shown goes through here.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if disturbs(char) => {
                // Writing into a String cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(char));
            }
            _ => shown.push(char),
        }
    }
    shown
}

/// Whether a character is a control, changes the reading direction, or cannot be seen at all.
pub(crate) fn disturbs(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_moves_it() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}\u{202e}c\r\n"), "a\\u{1b}[2Jb\\u{9b}\\u{202e}c\\r\\n");
        assert_eq!(printable("schön.→.层.{0…3}"), "schön.→.层.{0…3}");
    }
}
