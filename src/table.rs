//! Columns that stand below each other.

/// Cells longer than this do not push the columns behind them to the right; their own row does.
const MAX_ALIGNED: usize = 72;

/// Rows of cells, shown in aligned columns with two spaces between them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// No rows yet.
    pub fn new() -> Self {
        Table::default()
    }

    /// Puts the cells of these columns (from 0) to the right, as numbers stand.
    #[must_use]
    pub fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right.extend(columns);
        self
    }

    /// Adds a row; it may have fewer cells than others.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as lines that begin with `indent`, without spaces at their ends.
    pub fn lines(&self, indent: &str) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for (column, cell) in self.rows.iter().flat_map(|row| row.iter().enumerate()) {
            let width = cell.chars().count();
            if width <= MAX_ALIGNED {
                widths[column] = widths[column].max(width);
            }
        }
        let line = |row: &Vec<String>| {
            let mut line = String::from(indent);
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let (before, behind) =
                    if self.right.contains(&column) { (&*space, "") } else { ("", &*space) };
                let gap = if column > 0 { "  " } else { "" };
                line.extend([gap, before, cell, behind]);
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new().right([1]);
        table.row(["a…", "1"]);
        table.row(["layers", "1,000", "x"]);
        table.row(["b"]);
        table.row(vec!["k".repeat(80), "7".to_owned()]);
        let long = format!("  {}      7", "k".repeat(80));
        assert_eq!(table.lines("  "), ["  a…          1", "  layers  1,000  x", "  b", &long]);
    }
}
