//! Budgets for what a file may make the reader do.

use std::fmt;

/// A budget that grows with what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is allowed however small the file is.
    least: u64,
    /// How many times as much as the file has is allowed beyond that.
    times: u64,
    /// What is never allowed.
    most: u64,
}

impl Budget {
    /// The same for files of all sizes.
    pub const fn fixed(most: u64) -> Self {
        Budget { least: most, times: 0, most }
    }

    /// What is allowed of something that has `size` bytes in the file.
    pub fn of(self, size: u64) -> u64 {
        self.times.saturating_mul(size).max(self.least).min(self.most)
    }
}

/// A budget by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The size of a safetensors header, and of an index of shards.
    HeaderBytes,
    /// The size of a torch file's pickle.
    PickleBytes,
    /// The number of values in a pickle.
    PickleValues,
    /// What the compressed entries of a torch file inflate to, together.
    InflatedBytes,
    /// The keys that are made of a pickle by joining those of nested dicts, together.
    KeyBytes,
    /// The size of a rule file with all that it takes in.
    RulesBytes,
    /// The size of a key set file.
    KeySetBytes,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 7] = [
        Limit::HeaderBytes,
        Limit::PickleBytes,
        Limit::PickleValues,
        Limit::InflatedBytes,
        Limit::KeyBytes,
        Limit::RulesBytes,
        Limit::KeySetBytes,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Limit::HeaderBytes => "header-bytes",
            Limit::PickleBytes => "pickle-bytes",
            Limit::PickleValues => "pickle-values",
            Limit::InflatedBytes => "inflated-bytes",
            Limit::KeyBytes => "key-bytes",
            Limit::RulesBytes => "rules-bytes",
            Limit::KeySetBytes => "key-set-bytes",
        }
    }
}

/// How the limit is raised, as the end of a message.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = if *self == Limit::PickleValues { "NUMBER" } else { "SIZE" };
        write!(f, "`--limit {}={size}`", self.name())
    }
}

/// Budgets for what a file may make the reader do; a file beyond them is refused. `docs/limits.md` says why each is
/// as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    budgets: [Budget; Limit::ALL.len()],
}

impl Default for Limits {
    fn default() -> Self {
        let budgets = Limit::ALL.map(|limit| match limit {
            // The largest header that the safetensors crate reads.
            Limit::HeaderBytes => Budget::fixed(100_000_000),
            Limit::PickleBytes => Budget::fixed(1 << 30),
            // Of a pickle as it is there cannot be more values than bytes; of one that is inflated, there can.
            Limit::PickleValues => Budget { least: 1 << 20, times: 4, most: 50_000_000 },
            Limit::InflatedBytes => Budget { least: 32 << 20, times: 32, most: 64 << 30 },
            Limit::KeyBytes => Budget { least: 16 << 20, times: 16, most: 64 << 30 },
            Limit::RulesBytes => Budget::fixed(64 << 20),
            Limit::KeySetBytes => Budget::fixed(1 << 30),
        });
        Limits { budgets }
    }
}

impl Limits {
    /// What is allowed of something that has `size` bytes in the file.
    pub fn of(&self, limit: Limit, size: u64) -> u64 {
        self.budgets[limit as usize].of(size)
    }

    /// What is allowed, where that is the same for all files, and for those without a byte where it is not.
    pub fn get(&self, limit: Limit) -> u64 {
        self.of(limit, 0)
    }

    /// Allows this much, of files of all sizes.
    pub fn set(&mut self, limit: Limit, most: u64) {
        self.budgets[limit as usize] = Budget::fixed(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_grow_with_the_file_between_two_bounds() {
        let limits = Limits::default();
        assert_eq!(limits.of(Limit::InflatedBytes, 10), 32 << 20);
        assert_eq!(limits.of(Limit::InflatedBytes, 2 << 20), 64 << 20);
        assert_eq!(limits.of(Limit::InflatedBytes, u64::MAX), 64 << 30);
        assert!(Limit::ALL.iter().enumerate().all(|(index, limit)| *limit as usize == index));
    }

    #[test]
    fn the_page_lists_them() {
        let page = include_str!("../../docs/limits.md");
        for limit in Limit::ALL {
            assert!(page.contains(&format!("\n| `{}`: ", limit.name())), "{limit}");
        }
    }

    #[test]
    fn a_limit_that_is_set_is_that_of_all_files() {
        let mut limits = Limits::default();
        limits.set(Limit::KeyBytes, 5);
        assert_eq!((limits.of(Limit::KeyBytes, 0), limits.of(Limit::KeyBytes, u64::MAX)), (5, 5));
    }
}
