//! The notation of einops' `rearrange`: `(h two d) i -> (h d two) i`.

use crate::tensor::{Shape, ShapeText};

/// A rearrangement as three steps.
#[derive(Debug, PartialEq)]
pub(super) struct Steps {
    /// The shape with every group taken apart.
    pub split: Shape,
    /// The order of the axes on the right side.
    pub order: Vec<usize>,
    /// The shape with the right side's groups joined.
    pub join: Shape,
}

/// An axis of one side.
#[derive(Clone, Debug, PartialEq)]
enum Axis {
    Name(String),
    One,
    Ellipsis,
}

/// The steps that `notation` describes for a tensor of this shape.
///
/// # Errors
/// In words: notation that does not parse, axes that do not pair, sizes that do not multiply up.
pub(super) fn steps(notation: &str, shape: &[u64], sizes: &[(String, i64)]) -> Result<Steps, String> {
    let (left, right) = notation.split_once("->").ok_or("a `->` stands between the two sides")?;
    let (left, right) = (groups(left)?, groups(right)?);
    let (left_names, right_names) = (names(&left)?, names(&right)?);
    for (name, other, side) in left_names
        .iter()
        .map(|name| (name, &right_names, "right"))
        .chain(right_names.iter().map(|name| (name, &left_names, "left")))
    {
        if !other.contains(name) {
            return Err(format!("`{name}` does not stand on the {side} side"));
        }
    }
    if let Some((name, _)) = sizes.iter().find(|(name, _)| !left_names.contains(name)) {
        return Err(format!("`with {name}` names no axis"));
    }

    // The left side against the shape; an ellipsis takes the dims that are left over.
    let dots = left.iter().filter(|group| group.as_slice() == [Axis::Ellipsis]).count();
    if left.iter().any(|group| group.len() > 1 && group.contains(&Axis::Ellipsis)) {
        return Err("`...` cannot stand in brackets on the left side".to_owned());
    }
    let fixed = left.len() - dots;
    let fits = if dots == 1 { shape.len() >= fixed } else { shape.len() == fixed };
    if dots > 1 || !fits {
        return Err(format!("the left side has {fixed} dims, the tensor is {}", ShapeText(shape)));
    }
    let mut split: Shape = Vec::new();
    // For each name its place among the split axes; the ellipsis has several.
    let mut places: Vec<(String, Vec<usize>)> = Vec::new();
    let mut dim = 0;
    for group in &left {
        if group.as_slice() == [Axis::Ellipsis] {
            let count = shape.len() - fixed;
            places.push(("...".to_owned(), (split.len()..split.len() + count).collect()));
            split.extend(&shape[dim..dim + count]);
            dim += count;
            continue;
        }
        for (axis, size) in group.iter().zip(axis_sizes(group, shape[dim], dim, sizes)?) {
            if let Axis::Name(name) = axis {
                places.push((name.clone(), vec![split.len()]));
            }
            split.push(size);
        }
        dim += 1;
    }

    let (mut order, mut join): (Vec<usize>, Shape) = (Vec::new(), Vec::new());
    for group in &right {
        let mut product: u64 = 1;
        let alone = group.as_slice() == [Axis::Ellipsis];
        for axis in group {
            let name = match axis {
                Axis::One => continue,
                Axis::Ellipsis => "...",
                Axis::Name(name) => name,
            };
            let axes = places.iter().find(|(own, _)| own == name).map(|(_, axes)| axes.as_slice());
            for &axis in axes.unwrap_or_default() {
                order.push(axis);
                product = product.checked_mul(split[axis]).ok_or("the sizes do not fit into 64 bits")?;
                if alone {
                    join.push(split[axis]);
                }
            }
        }
        if !alone {
            join.push(product);
        }
    }
    // Axes of size 1 that the left side writes as `1` have no name, and go to the end of the order.
    order.extend((0..split.len()).filter(|axis| !order.contains(axis)).collect::<Vec<_>>());
    Ok(Steps { split, order, join })
}

/// A rearrangement with its sides exchanged, and the sizes that the axes of its groups then need.
///
/// # Errors
/// As [`steps`], and in words where the right side cannot stand on the left.
pub fn reversed(
    notation: &str,
    shape: &[u64],
    sizes: &[(String, i64)],
) -> Result<(String, Vec<(String, i64)>), String> {
    let there = steps(notation, shape, sizes)?;
    let (left, right) = notation.split_once("->").ok_or("a `->` stands between the two sides")?;
    // The split axes stand in the order of the left side; an ellipsis stands for the dims left over.
    let left_groups = groups(left)?;
    let rest = (shape.len() + 1).saturating_sub(left_groups.len());
    let mut found: Vec<(String, i64)> = Vec::new();
    let mut split = there.split.iter();
    for axis in left_groups.iter().flatten() {
        match axis {
            Axis::Ellipsis => {
                split.by_ref().take(rest).for_each(|_| {});
            }
            Axis::One => {
                split.next();
            }
            Axis::Name(name) => {
                let size = split.next().ok_or("an axis without a size")?;
                found.push((name.clone(), i64::try_from(*size).map_err(|error| error.to_string())?));
            }
        }
    }
    // An axis that stands alone gives its own size; one of each group could be left out, and is not.
    let right_groups = groups(right)?;
    let grouped = |name: &str| {
        let own = |axis: &Axis| matches!(axis, Axis::Name(own) if own == name);
        right_groups.iter().any(|group| group.len() > 1 && group.iter().any(own))
    };
    found.retain(|(name, _)| grouped(name));
    let back = format!("{} -> {}", right.trim(), left.trim());
    steps(&back, &there.join, &found)?;
    Ok((back, found))
}

/// The sizes of the axes in one group, of which one may be open.
fn axis_sizes(group: &[Axis], size: u64, dim: usize, given: &[(String, i64)]) -> Result<Vec<u64>, String> {
    let known = group.iter().map(|axis| match axis {
        Axis::Name(name) => match given.iter().find(|(own, _)| own == name) {
            Some((_, size)) => {
                u64::try_from(*size).map(Some).map_err(|_| format!("`{name}` cannot be {size}"))
            }
            None => Ok(None),
        },
        _ => Ok(Some(1)),
    });
    let known = known.collect::<Result<Vec<Option<u64>>, String>>()?;
    let open = known.iter().filter(|size| size.is_none()).count();
    let product = known.iter().flatten().try_fold(1u64, |product, &size| product.checked_mul(size));
    let product = product.ok_or("the sizes do not fit into 64 bits")?;
    let rest = match open {
        0 if product == size => 1,
        1 if product > 0 && size.is_multiple_of(product) => size / product,
        0 | 1 => {
            return Err(format!(
                "dim {dim} is {size}, which the sizes of its axes ({product}) do not make up"
            ));
        }
        _ => return Err(format!("the sizes of dim {dim} are open: give all but one of them after `with`")),
    };
    Ok(known.into_iter().map(|size| size.unwrap_or(rest)).collect())
}

/// One side as groups of axes; an axis outside brackets is a group of its own.
fn groups(side: &str) -> Result<Vec<Vec<Axis>>, String> {
    let spaced = side.replace('(', " ( ").replace(')', " ) ").replace("...", " ... ").replace('…', " ... ");
    let mut groups: Vec<Vec<Axis>> = Vec::new();
    let mut open = false;
    for word in spaced.split_whitespace() {
        let axis = match word {
            "(" if open => return Err("brackets inside brackets".to_owned()),
            ")" if !open => return Err("a `)` without its `(`".to_owned()),
            "(" => {
                open = true;
                groups.push(Vec::new());
                continue;
            }
            ")" => {
                open = false;
                continue;
            }
            "1" => Axis::One,
            "..." => Axis::Ellipsis,
            name if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                Axis::Name(name.to_owned())
            }
            other => return Err(format!("`{other}` is no axis")),
        };
        match groups.last_mut() {
            Some(group) if open => group.push(axis),
            _ => groups.push(vec![axis]),
        }
    }
    if open { Err("a `(` without its `)`".to_owned()) } else { Ok(groups) }
}

/// The names of one side, each of which may stand once.
fn names(groups: &[Vec<Axis>]) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for axis in groups.iter().flatten() {
        let name = match axis {
            Axis::Name(name) => name.clone(),
            Axis::Ellipsis => "...".to_owned(),
            Axis::One => continue,
        };
        if names.contains(&name) {
            return Err(format!("`{name}` stands twice on one side"));
        }
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(notation: &str, shape: &[u64], sizes: &[(&str, i64)]) -> Result<Steps, String> {
        let sizes: Vec<_> = sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        steps(notation, shape, &sizes)
    }

    #[test]
    fn groups_come_apart_and_together() {
        let steps = with("(h d two) i -> (h two d) i", &[16, 3], &[("h", 2), ("two", 2)]);
        let expected = Steps { split: vec![2, 4, 2, 3], order: vec![0, 2, 1, 3], join: vec![16, 3] };
        assert_eq!(steps, Ok(expected));
    }

    #[test]
    fn ones_and_dots() {
        let squeezed = with("o i 1 1 -> o i", &[4, 3, 1, 1], &[]);
        assert_eq!(
            squeezed,
            Ok(Steps { split: vec![4, 3, 1, 1], order: vec![0, 1, 2, 3], join: vec![4, 3] })
        );
        let dots = with("(h three d) ... -> (three h d) ...", &[12, 5, 7], &[("h", 2), ("three", 3)]);
        assert_eq!(dots.map(|steps| steps.join), Ok(vec![12, 5, 7]));
        assert_eq!(with("n d -> 1 n d", &[2, 3], &[]).map(|steps| steps.join), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (notation, says) in [
            ("a b", "`->`"),
            ("a b -> a", "`b` does not stand on the right"),
            ("(a b) c -> a b c", "open"),
            ("a b c -> c b a", "the left side has 3 dims"),
            ("(a b -> a b", "without its `)`"),
            ("a a -> a a", "twice"),
        ] {
            let error = with(notation, &[4, 3], &[]).err().unwrap_or_default();
            assert!(error.contains(says), "{notation}: {error}");
        }
    }
}
