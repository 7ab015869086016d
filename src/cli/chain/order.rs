//! The chain that rule files make: each version has one before it and one behind it.

use std::collections::HashMap;

use super::error::ChainError;
use super::folder::Link;

/// Rule files in the order of the chain.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    /// The versions that rule files name, the oldest first.
    pub versions: Vec<String>,
    /// As many less one, where there are any and nothing is wrong.
    pub links: Vec<Link>,
    /// As [`Folder::back`](super::folder::Folder::back).
    pub back: HashMap<usize, Link>,
    pub errors: Vec<ChainError>,
}

/// Puts rule files into the order of the chain that they make.
pub(super) fn order(links: Vec<Link>) -> Ordered {
    let (back, mut links): (Vec<Link>, Vec<Link>) =
        links.into_iter().partition(|link| leads_back(&link.from, &link.to));
    let mut ordered = Ordered { errors: forks(&links), ..Ordered::default() };
    if !ordered.errors.is_empty() {
        // Which of them is the chain cannot be told, and what else is wrong with it neither.
        for version in links.iter().flat_map(|link| [&link.from, &link.to]) {
            if !ordered.versions.contains(version) {
                ordered.versions.push(version.clone());
            }
        }
        ordered.links = links;
        return ordered;
    }
    let mut parts: Vec<Vec<String>> = Vec::new();
    while !links.is_empty() {
        let start = links.iter().position(|link| !links.iter().any(|other| other.to == link.from));
        let Some(start) = start else {
            ordered.errors.push(ChainError::Cycle { versions: circle(&links) });
            break;
        };
        let first = links.remove(start);
        let mut part = vec![first.from.clone(), first.to.clone()];
        ordered.links.push(first);
        while let Some(next) = links.iter().position(|link| part.last() == Some(&link.from)) {
            let next = links.remove(next);
            part.push(next.to.clone());
            ordered.links.push(next);
        }
        parts.push(part);
    }
    if parts.len() > 1 {
        parts.sort_by_key(|part| numbers(part.first().map(String::as_str)));
        let ends: Vec<String> =
            parts.windows(2).flat_map(|pair| [pair[0].last(), pair[1].first()]).flatten().cloned().collect();
        ordered.errors.push(gap(&ends));
    }
    ordered.versions = parts.concat();
    for link in back {
        let place = ordered.versions.windows(2).position(|pair| pair[0] == link.to && pair[1] == link.from);
        match place {
            Some(place) => {
                if let Some(first) = ordered.back.insert(place, link)
                    && let Some(second) = ordered.back.get(&place)
                {
                    let files = format!("`{}` and `{}`", first.name, second.name);
                    let version = first.to.clone();
                    ordered.errors.push(ChainError::Fork { version, files, way: "both lead back to" });
                }
            }
            None if parts.len() <= 1 => {
                let (file, from, to) = (link.name, link.from, link.to);
                ordered.errors.push(ChainError::LongWayBack { file, from, to });
            }
            None => {}
        }
    }
    ordered
}

/// Versions that several links lead away from, or to.
fn forks(links: &[Link]) -> Vec<ChainError> {
    let mut errors = Vec::new();
    for (way, end) in [("lead away from", true), ("lead to", false)] {
        let version = |link: &Link| if end { link.from.clone() } else { link.to.clone() };
        let mut seen: Vec<String> = Vec::new();
        for link in links {
            let own = version(link);
            let files: Vec<String> = links
                .iter()
                .filter(|other| version(other) == own)
                .map(|other| format!("`{}`", other.name))
                .collect();
            if files.len() > 1 && !seen.contains(&own) {
                let files = files.join(" and ");
                errors.push(ChainError::Fork { version: own.clone(), files, way });
                seen.push(own);
            }
        }
    }
    errors
}

/// The versions of a circle: each of the links has one before it and one behind it among them.
fn circle(links: &[Link]) -> String {
    let mut versions: Vec<&str> = Vec::new();
    let mut at = links.first();
    while let Some(link) = at.filter(|link| !versions.contains(&link.from.as_str())) {
        versions.push(&link.from);
        at = links.iter().find(|next| next.from == link.to);
    }
    versions.extend(versions.first().copied());
    versions.join(" -> ")
}

/// The gap between versions that should be neighbours.
pub(super) fn gap(versions: &[String]) -> ChainError {
    let mut versions: Vec<&String> = versions.iter().collect();
    versions.sort_by_key(|version| numbers(Some(version)));
    let parts: Vec<String> = versions.iter().map(|version| format!("`{version}`")).collect();
    let lacking = match versions.as_slice() {
        [from, to, ..] => format!("{from}_to_{to}.rules"),
        _ => "v1_to_v2.rules".to_owned(),
    };
    ChainError::Gap { parts: parts.join(" and "), lacking }
}

/// Whether a rule file leads to a smaller number under the same name: `v2_to_v1.rules`, as `migrate invert`
/// writes it.
pub(in crate::cli) fn leads_back(from: &str, to: &str) -> bool {
    without_numbers(from) == without_numbers(to) && numbers(Some(to)) < numbers(Some(from))
}

/// A version's name with `#` for each number.
fn without_numbers(version: &str) -> String {
    let mut text = String::new();
    for char in version.chars() {
        match char {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            char => text.push(char),
        }
    }
    text
}

/// The numbers in a version's name, and the name: `v10` is behind `v9`.
fn numbers(version: Option<&str>) -> (Vec<u64>, String) {
    let version = version.unwrap_or_default();
    let numbers = version.split(|char: char| !char.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    (numbers.collect(), version.to_owned())
}
