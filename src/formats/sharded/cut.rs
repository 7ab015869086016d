//! One part of several that write the shards of one output: `--shard 2/8`.

use std::fmt;
use std::str::FromStr;

/// Part `k` of `n`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    part: usize,
    parts: usize,
}

/// More parts than any cluster has machines; it keeps the arithmetic below far from its limits.
const MOST: usize = 1_000_000;

impl Cut {
    /// How many parts there are.
    pub fn parts(self) -> usize {
        self.parts
    }

    /// Whether a shard, counted from 0, is one of this part's.
    ///
    /// Parts are blocks of neighbours, equally long but for one shard: neighbours are made of the same files of the
    /// source, and all shards but the last are about equally large.
    pub(super) fn owns(self, shard: usize, shards: usize) -> bool {
        self.owner(shard, shards).part == self.part
    }

    /// The part that a shard belongs to, which its number and those of shards and parts say alone.
    pub(super) fn owner(self, shard: usize, shards: usize) -> Cut {
        let before = shard.saturating_mul(self.parts).checked_div(shards).unwrap_or(0);
        Cut { part: before + 1, parts: self.parts }
    }

    /// The first of so many parts.
    pub(super) fn first_of(parts: usize) -> Cut {
        Cut { part: 1, parts }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Cut, String> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|&number| number <= MOST);
        let pair = text.split_once('/').and_then(|(part, parts)| Some((number(part)?, number(parts)?)));
        match pair {
            None => Err("it is no part such as 2/8, the second of eight".to_owned()),
            Some((_, 0)) => Err("there are no parts to take one of; write, for example, 1/8".to_owned()),
            Some((0, parts)) => {
                let what = "parts are counted from 1; where the scheduler counts from 0, add 1";
                Err(format!("{what}: the first is 1/{parts}"))
            }
            Some((part, parts)) if part > parts => {
                Err(format!("there are {parts} parts, and the last one is {parts}/{parts}"))
            }
            Some((part, parts)) => Ok(Cut { part, parts }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_one_owner_and_no_part_has_two_more_than_another() {
        for parts in 1..12 {
            for shards in 1..30 {
                let held = (1..=parts).map(|part| {
                    let cut = Cut { part, parts };
                    (0..shards).filter(|&shard| cut.owns(shard, shards)).count()
                });
                let held: Vec<usize> = held.collect();
                assert_eq!(held.iter().sum::<usize>(), shards);
                let equal = held.iter().all(|&held| held == shards / parts || held == shards.div_ceil(parts));
                assert!(equal, "{held:?}");
            }
        }
    }

    #[test]
    fn what_is_no_part_says_what_to_write() {
        assert_eq!("2/8".parse(), Ok(Cut { part: 2, parts: 8 }));
        for (text, said) in [
            ("0/8", "the first is 1/8"),
            ("9/8", "the last one is 8/8"),
            ("1/0", "there are no parts"),
            ("3", "2/8"),
            ("1/2/3", "2/8"),
            ("-1/2", "2/8"),
            ("1/99999999999999999999", "2/8"),
            ("1/1000001", "2/8"),
        ] {
            assert!(text.parse::<Cut>().is_err_and(|error| error.contains(said)), "{text}");
        }
    }
}
