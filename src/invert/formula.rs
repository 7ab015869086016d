//! Indices as functions of other indices, found from examples: `{i-1}`, `{3*s+b}`, `{[2, 0, 1][i]}`.

/// How an index comes of the captured ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Formula {
    /// It is the n-th.
    Same(usize),
    /// An expression, with `@0`, `@1` for the captured indices.
    Expression(String, Vec<usize>),
}

/// The largest factor that is tried, and the longest table that is written.
const MAX_FACTOR: i64 = 64;
const MAX_TABLE: usize = 16;

/// One example: the indices that are captured, and the one that comes of them.
pub(super) type Example = (Vec<i64>, i64);

impl Formula {
    /// The simplest formula that holds for all examples.
    pub fn find(examples: &[Example]) -> Option<Formula> {
        let (first, output) = examples.first()?;
        // What is the same everywhere is no function of an index but itself.
        if examples.len() > 1 && examples.iter().all(|(_, own)| own == output) {
            return None;
        }
        let inputs = 0..first.len();
        let same = |input: &usize| examples.iter().all(|(inputs, output)| inputs.get(*input) == Some(output));
        let same = inputs.clone().find(same).map(Formula::Same);
        let one = || inputs.clone().find_map(|input| of_one(examples, input));
        same.or_else(one)
            .or_else(|| {
                let pairs = inputs.clone().flat_map(|a| inputs.clone().map(move |b| (a, b)));
                pairs.filter(|(a, b)| a != b).find_map(|(a, b)| of_two(examples, a, b))
            })
            .or_else(|| first.iter().enumerate().find_map(|(input, _)| by_table(examples, input)))
    }

    /// The shift that one example alone suggests.
    pub fn shift((inputs, output): &Example, input: usize) -> Option<Formula> {
        let value = inputs.get(input)?;
        Some(plus(input, output.checked_sub(*value)?))
    }

    /// The captured indices that it uses.
    pub fn inputs(&self) -> Vec<usize> {
        match self {
            Formula::Same(input) => vec![*input],
            Formula::Expression(_, inputs) => inputs.clone(),
        }
    }
}

fn expression(text: String, inputs: &[usize]) -> Formula {
    Formula::Expression(text, inputs.to_vec())
}

fn plus(input: usize, by: i64) -> Formula {
    match by {
        0 => Formula::Same(input),
        by if by > 0 => expression(format!("@{input}+{by}"), &[input]),
        by => expression(format!("@{input}{by}"), &[input]),
    }
}

/// `text` and a constant behind it.
fn with(text: &str, constant: i64) -> String {
    match constant {
        0 => text.to_owned(),
        constant if constant > 0 => format!("{text}+{constant}"),
        constant => format!("{text}{constant}"),
    }
}

fn of_one(examples: &[Example], input: usize) -> Option<Formula> {
    let (first, output) = examples.first()?;
    let value = *first.get(input)?;
    let holds = |formula: &dyn Fn(i64) -> Option<i64>| {
        examples.iter().all(|(inputs, output)| {
            inputs.get(input).and_then(|&value| formula(value)).is_some_and(|result| result == *output)
        })
    };
    let (minus, sum) = (output.checked_sub(value)?, output.checked_add(value)?);
    if holds(&|x| x.checked_add(minus)) {
        return Some(plus(input, minus));
    }
    if holds(&|x| sum.checked_sub(x)) {
        return Some(expression(format!("{sum}-@{input}"), &[input]));
    }
    for factor in 2..=MAX_FACTOR {
        let rest = output.checked_sub(factor.checked_mul(value)?)?;
        if holds(&|x| x.checked_mul(factor)?.checked_add(rest)) {
            return Some(expression(with(&format!("{factor}*@{input}"), rest), &[input]));
        }
        let rest = value.checked_sub(factor.checked_mul(*output)?)?;
        if holds(&|x| {
            let left = x.checked_sub(rest)?;
            (left % factor == 0).then_some(left / factor)
        }) {
            let text = match rest {
                0 => format!("@{input}/{factor}"),
                rest => format!("({})/{factor}", with(&format!("@{input}"), rest.checked_neg()?)),
            };
            return Some(expression(text, &[input]));
        }
        if holds(&|x| Some(x.div_euclid(factor))) {
            return Some(expression(format!("@{input}//{factor}"), &[input]));
        }
        if holds(&|x| Some(x.rem_euclid(factor))) {
            return Some(expression(format!("@{input}%{factor}"), &[input]));
        }
    }
    stages(examples, input)
}

/// `group` and `within`: a flat index as stage and block.
fn stages(examples: &[Example], input: usize) -> Option<Formula> {
    let outputs = table(examples, |inputs, output| Some((*inputs.get(input)?, output)))?;
    let climbs = outputs.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1);
    let (mut depths, mut last) = (Vec::<i64>::new(), None);
    for &output in &outputs {
        let begins = if climbs { last != Some(output) } else { output == 0 };
        match depths.last_mut() {
            Some(depth) if !begins => *depth += 1,
            _ => depths.push(1),
        }
        last = Some(output);
    }
    let function = if climbs { "group" } else { "within" };
    let fits = match climbs {
        true => outputs.first() == Some(&0),
        false => {
            let wanted = depths.iter().flat_map(|depth| 0..*depth);
            wanted.eq(outputs.iter().copied())
        }
    };
    let sizes: Vec<String> = depths.iter().map(i64::to_string).collect();
    let text = format!("{function}(@{input}, [{}])", sizes.join(", "));
    (fits && depths.len() > 1 && depths.len() <= MAX_TABLE).then(|| expression(text, &[input]))
}

fn of_two(examples: &[Example], first: usize, second: usize) -> Option<Formula> {
    let (inputs, output) = examples.first()?;
    let (a, b) = (*inputs.get(first)?, *inputs.get(second)?);
    for factor in 1..=MAX_FACTOR {
        let rest = output.checked_sub(factor.checked_mul(a)?)?.checked_sub(b)?;
        let holds = |(inputs, output): &Example| {
            let sum = inputs.get(first)?.checked_mul(factor)?.checked_add(*inputs.get(second)?)?;
            Some(sum.checked_add(rest)? == *output)
        };
        if examples.iter().all(|example| holds(example) == Some(true)) {
            let product = if factor == 1 { format!("@{first}") } else { format!("{factor}*@{first}") };
            return Some(expression(with(&format!("{product}+@{second}"), rest), &[first, second]));
        }
    }
    let begins = table(examples, |inputs, output| {
        Some((*inputs.get(first)?, output.checked_sub(*inputs.get(second)?)?))
    })?;
    let begins: Vec<String> = begins.iter().map(i64::to_string).collect();
    (begins.len() <= MAX_TABLE)
        .then(|| expression(format!("[{}][@{first}]+@{second}", begins.join(", ")), &[first, second]))
}

fn by_table(examples: &[Example], input: usize) -> Option<Formula> {
    let outputs = table(examples, |inputs, output| Some((*inputs.get(input)?, output)))?;
    let texts: Vec<String> = outputs.iter().map(i64::to_string).collect();
    (outputs.len() <= MAX_TABLE && outputs.len() > 1)
        .then(|| expression(format!("[{}][@{input}]", texts.join(", ")), &[input]))
}

/// What examples say of 0, 1, 2, …: one value for each, and no gap.
fn table(examples: &[Example], entry: impl Fn(&[i64], i64) -> Option<(i64, i64)>) -> Option<Vec<i64>> {
    let mut values = std::collections::BTreeMap::new();
    for (inputs, output) in examples {
        let (index, value) = entry(inputs, *output)?;
        if *values.entry(index).or_insert(value) != value {
            return None;
        }
    }
    let whole = (0..).zip(values.keys()).all(|(wanted, index)| wanted == *index);
    whole.then(|| values.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(examples: &[(&[i64], i64)]) -> Option<Formula> {
        let examples: Vec<Example> =
            examples.iter().map(|(inputs, output)| (inputs.to_vec(), *output)).collect();
        Formula::find(&examples)
    }

    fn text(examples: &[(&[i64], i64)]) -> String {
        match found(examples) {
            Some(Formula::Expression(text, _)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_simplest_formula_is_found() {
        assert_eq!(found(&[(&[4, 7], 7), (&[5, 6], 6)]), Some(Formula::Same(1)));
        assert_eq!(found(&[(&[4], 7), (&[5], 7)]), None);
        assert_eq!(text(&[(&[1], 0), (&[2], 1)]), "@0-1");
        assert_eq!(text(&[(&[0], 2), (&[1], 1), (&[2], 0)]), "2-@0");
        assert_eq!(text(&[(&[0], 1), (&[3], 7)]), "2*@0+1");
        assert_eq!(text(&[(&[1], 0), (&[7], 3)]), "(@0-1)/2");
        assert_eq!(text(&[(&[0], 0), (&[1], 0), (&[2], 1), (&[3], 1)]), "@0//2");
        assert_eq!(text(&[(&[0, 1], 1), (&[1, 0], 3), (&[1, 2], 5)]), "3*@0+@1");
    }

    #[test]
    fn tables_are_for_what_no_formula_says() {
        assert_eq!(text(&[(&[0], 2), (&[1], 0), (&[2], 1)]), "[2, 0, 1][@0]");
        assert_eq!(text(&[(&[0], 0), (&[1], 0), (&[2], 1), (&[3], 1), (&[4], 1)]), "group(@0, [2, 3])");
        assert_eq!(text(&[(&[0], 0), (&[1], 1), (&[2], 0), (&[3], 1), (&[4], 2)]), "within(@0, [2, 3])");
        let stages: Vec<(&[i64], i64)> =
            vec![(&[0, 0], 0), (&[0, 1], 1), (&[1, 0], 2), (&[1, 2], 4), (&[2, 0], 5)];
        assert_eq!(text(&stages), "[0, 2, 5][@0]+@1");
        assert_eq!(found(&[(&[0], 5), (&[0], 6)]), None);
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[(&[i64::MAX], i64::MIN)]), None);
    }
}
