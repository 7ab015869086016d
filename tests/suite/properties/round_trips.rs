//! What is done and undone is as it was, byte for byte.

use proptest::prelude::*;

use super::generate;
use crate::pipeline::migrate;
use crate::safetensors;
use crate::tensors::Tensor;

fn sorted(mut tensors: Vec<Tensor>) -> Vec<Tensor> {
    tensors.sort_by(|first, second| first.key.cmp(&second.key));
    tensors
}

/// Renames and their inverses, none of which needs to match.
const RENAMES: [(&str, &str); 5] = [
    ("rename? {\n  a.** -> b.**\n  b.** -> a.**\n}", "rename? {\n  a.** -> b.**\n  b.** -> a.**\n}"),
    ("rename? ** -> model.**", "rename? model.** -> **"),
    ("rename? {x}.{y}.** -> {y}.{x}.**", "rename? {y}.{x}.** -> {x}.{y}.**"),
    ("rename? {\n  {i:int}.** -> {i+1}.**\n}", "rename? {\n  {i:int}.** -> {i-1}.**\n}"),
    ("rename? {p:a|b|c}.{q:0|1}.* -> {q}.x.{p:c|a|b}.*", "rename? {q:0|1}.x.{p:c|a|b}.* -> {p:a|b|c}.{q}.*"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_rename_and_its_inverse_give_the_same_bytes(tensors in generate::tensors(), which in 0..RENAMES.len()) {
        let (there, back) = RENAMES[which];
        let moved = safetensors::from_bytes(&migrate(there, &tensors));
        let returned = safetensors::from_bytes(&migrate(back, &moved));
        prop_assert_eq!(sorted(returned.clone()), sorted(tensors));
        let again = migrate(back, &safetensors::from_bytes(&migrate(there, &returned)));
        prop_assert_eq!(safetensors::from_bytes(&again), returned);
    }

    #[test]
    fn split_then_merge_is_the_identity(
        shape in prop::collection::vec(1u64..7, 1..4),
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(0u64..7, 1..4),
        from_the_end in any::<bool>(),
    ) {
        let dim = which.index(shape.len());
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(shape[dim])).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([shape[dim]]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let sizes: Vec<String> = ends.zip(starts).map(|(end, start)| (end - start).to_string()).collect();
        let names: Vec<String> = (0..sizes.len()).map(|part| format!("part{part}")).collect();
        let (names, sizes) = (names.join(", "), sizes.join(", "));
        let written = if from_the_end { dim as i64 - shape.len() as i64 } else { dim as i64 };
        let text = format!("split x -> {names} dim {written} sizes [{sizes}]\nmerge {names} -> x dim {written}");
        let tensor = Tensor::counting("x", "f32", &shape, 0);
        prop_assert_eq!(safetensors::from_bytes(&migrate(&text, std::slice::from_ref(&tensor))), [tensor]);
    }
}
