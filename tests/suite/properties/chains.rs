//! Chains of operations against an evaluation in memory that does one after the other.

use proptest::prelude::*;

use crate::pipeline::migrate;
use crate::safetensors;
use crate::tensors::Tensor;

/// Draws choices from one number, so that a failing chain shrinks.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        let face = self.0 % sides.max(1);
        self.0 /= sides.max(1);
        face
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(len as u64)).unwrap()
    }
}

/// A tensor in memory, as slow and as obvious as it can be.
#[derive(Clone, Debug)]
struct Naive {
    dtype: &'static str,
    shape: Vec<u64>,
    values: Vec<f64>,
}

impl Naive {
    /// The tensor of `shape` whose element at each index is what `from` says.
    fn build(dtype: &'static str, shape: Vec<u64>, from: impl Fn(&[u64]) -> f64) -> Naive {
        let count: u64 = shape.iter().product();
        let values = (0..count).map(|element| from(&index_of(element, &shape))).collect();
        Naive { dtype, shape, values }
    }

    fn at(&self, index: &[u64]) -> f64 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (index, size)| place * size + index);
        self.values[usize::try_from(place).unwrap()]
    }

    fn permute(&self, dims: &[usize]) -> Naive {
        let shape = dims.iter().map(|&dim| self.shape[dim]).collect();
        Naive::build(self.dtype, shape, |index| {
            let mut old = vec![0; dims.len()];
            dims.iter().zip(index).for_each(|(&dim, &index)| old[dim] = index);
            self.at(&old)
        })
    }

    fn narrow(&self, dim: usize, start: u64, len: u64) -> Naive {
        let mut shape = self.shape.clone();
        shape[dim] = len;
        Naive::build(self.dtype, shape, |index| {
            let mut old = index.to_vec();
            old[dim] += start;
            self.at(&old)
        })
    }

    fn concat(parts: &[Naive], dim: usize) -> Naive {
        let mut shape = parts[0].shape.clone();
        shape[dim] = parts.iter().map(|part| part.shape[dim]).sum();
        Naive::build(parts[0].dtype, shape, |index| {
            let mut old = index.to_vec();
            for part in parts {
                if old[dim] < part.shape[dim] {
                    return part.at(&old);
                }
                old[dim] -= part.shape[dim];
            }
            unreachable!("the index lies inside")
        })
    }

    fn cast(&self, dtype: &'static str) -> Naive {
        let whole = dtype.starts_with('i');
        let values = self.values.iter().map(|value| if whole { value.round_ties_even() } else { *value });
        let rounded = Tensor::new("x", dtype, &self.shape, &values.collect::<Vec<_>>());
        Naive { dtype, shape: self.shape.clone(), values: rounded.values() }
    }
}

fn index_of(mut element: u64, shape: &[u64]) -> Vec<u64> {
    let mut index = vec![0; shape.len()];
    for (place, size) in index.iter_mut().zip(shape).rev() {
        *place = element % size;
        element /= size;
    }
    index
}

/// Adds one operation on `x` to the rules, and does it in memory.
fn step(tensor: &Naive, dice: &mut Dice, rules: &mut Vec<String>) -> Naive {
    let rank = tensor.shape.len();
    match dice.roll(6) {
        0 => {
            let mut left: u64 = tensor.shape.iter().product();
            let mut shape = Vec::new();
            while shape.len() < 3 && left > 0 {
                let divisors: Vec<u64> =
                    (1..=left.min(12)).filter(|size| left.is_multiple_of(*size)).collect();
                let size = divisors[dice.index(divisors.len())];
                shape.push(size);
                left /= size;
            }
            shape.push(left);
            rules.push(format!("reshape x to {shape:?}"));
            Naive { shape, ..tensor.clone() }
        }
        1 => {
            let mut rest: Vec<usize> = (0..rank).collect();
            let dims: Vec<usize> = (0..rank).map(|_| rest.remove(dice.index(rest.len()))).collect();
            rules.push(format!("permute x dims {dims:?}"));
            tensor.permute(&dims)
        }
        2 if rank > 1 => {
            let (first, second) = (dice.index(rank), dice.index(rank));
            let mut dims: Vec<usize> = (0..rank).collect();
            dims.swap(first, second);
            rules.push(format!("transpose x dims [{first}, {second}]"));
            tensor.permute(&dims)
        }
        3 if rank > 0 => {
            // Cut into three and joined in another order.
            let dim = dice.index(rank);
            let first = dice.roll(tensor.shape[dim] + 1);
            let second = dice.roll(tensor.shape[dim] - first + 1);
            let third = tensor.shape[dim] - first - second;
            rules.push(format!("split x -> p, q, r dim {dim} sizes [{first}, -1, {third}]"));
            rules.push(format!("merge r, p, q -> x dim {dim}"));
            let parts = [
                tensor.narrow(dim, first + second, third),
                tensor.narrow(dim, 0, first),
                tensor.narrow(dim, first, second),
            ];
            Naive::concat(&parts, dim)
        }
        4 if rank > 0 && tensor.values.len() < 2000 => {
            let dim = dice.index(rank);
            rules.push(format!("copy x -> y\nmerge x, y -> x dim {dim}"));
            Naive::concat(&[tensor.clone(), tensor.clone()], dim)
        }
        _ => {
            let dtype = ["f64", "f32", "f16", "bf16", "i16", "i32"][dice.index(6)];
            rules.push(format!("cast x to {dtype} where dtype == {}", tensor.dtype));
            tensor.cast(dtype)
        }
    }
}

/// Compares the written tensor with the one in memory, bit for bit.
fn check(shape: &[u64], dtype: &'static str, seeds: &[u64]) -> Result<(), TestCaseError> {
    let count: u64 = shape.iter().product();
    // Fractions, so that casts round; small enough for every dtype of the chains.
    #[allow(clippy::cast_precision_loss)]
    let values: Vec<f64> = (0..count).map(|element| (element % 977) as f64 * 0.37 - 120.0).collect();
    let source = Tensor::new("x", dtype, shape, &values);
    let mut naive = Naive { dtype, shape: shape.to_vec(), values: source.values() };
    let mut rules = Vec::new();
    for &seed in seeds {
        naive = step(&naive, &mut Dice(seed), &mut rules);
    }
    let written = safetensors::from_bytes(&migrate(&rules.join("\n"), &[source]));
    let wanted = Tensor::new("x", naive.dtype, &naive.shape, &naive.values);
    prop_assert_eq!(&written[0].shape, &wanted.shape, "{}", rules.join("\n"));
    prop_assert!(written == [wanted], "{}\nof f32 {:?}", rules.join("\n"), shape);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn streams_equal_the_naive_evaluation(
        shape in prop::collection::vec(0u64..7, 0..4),
        dtype in prop::sample::select(vec!["f64", "f32", "f16", "bf16"]),
        seeds in prop::collection::vec(any::<u64>(), 1..7),
    ) {
        check(&shape, dtype, &seeds)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Long enough that runs are moved in place, gathered, and computed in several pieces.
    #[test]
    fn streams_of_large_tensors_equal_the_naive_evaluation(
        shape in prop::collection::vec(40u64..70, 3),
        seeds in prop::collection::vec(any::<u64>(), 1..5),
    ) {
        check(&shape, "f64", &seeds)?;
    }
}
