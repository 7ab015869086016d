//! Budgets for files, as the command line gives them.

use clap::Args;

use crate::formats::{Limit, Limits};
use crate::keyset::nearest_word;
use crate::quantity::bytes_of;

/// What files may make the program do.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// Allow a file more than is usual, where it is known who made it: `pickle-bytes=2GiB`. The message of a file that
    /// is refused names the limit
    #[arg(long, value_name = "NAME=SIZE", value_parser = one)]
    limit: Vec<(Limit, u64)>,
}

impl LimitArgs {
    /// The budgets: those that are usual, where nothing else is said.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for &(limit, most) in &self.limit {
            limits.set(limit, most);
        }
        limits
    }
}

/// Reads `NAME=SIZE`.
fn one(text: &str) -> Result<(Limit, u64), String> {
    let Some((name, size)) = text.split_once('=') else {
        return Err("it is no NAME=SIZE, such as pickle-bytes=2GiB".to_owned());
    };
    let names = Limit::ALL.map(Limit::name);
    let Some(limit) = Limit::ALL.into_iter().find(|limit| limit.name() == name) else {
        let nearest = nearest_word(name, names).map(|near| format!("; did you mean {near}?"));
        return Err(format!("the limits are {}{}", names.join(", "), nearest.unwrap_or_default()));
    };
    let size = bytes_of(size).ok_or_else(|| "it is no size such as 500MB, 2GiB or 1000000".to_owned())?;
    Ok((limit, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_name_and_a_size() {
        assert_eq!(one("pickle-bytes=2GiB"), Ok((Limit::PickleBytes, 2 << 30)));
        assert!(one("pickle-byte=2").is_err_and(|error| error.ends_with("did you mean pickle-bytes?")));
        assert!(one("pickle-bytes").is_err() && one("pickle-bytes=much").is_err());
        let args = LimitArgs { limit: vec![(Limit::KeyBytes, 7)] };
        assert_eq!(args.limits().get(Limit::KeyBytes), 7);
    }
}
