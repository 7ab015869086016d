//! The way back of any rules fits the keys that they started from, and brings back bit for bit what it says.

use ckpt_migrate::cli::target::keyset_of;
use ckpt_migrate::invert::{Forward, Proof, invert};
use proptest::prelude::*;
use proptest::sample::select;

use super::generate;
use crate::command::Folder;
use crate::pipeline::{apply, migrate, open, rules};
use crate::safetensors;
use crate::tensors::Tensor;

/// Statements of all verbs that can be undone, and of some that cannot.
fn statement() -> impl Strategy<Value = &'static str> {
    select(vec![
        "rename? a.* -> d.*",
        "rename? {x}.{y}.** -> {y}.{x}.**",
        "rename? {x}.{i}.** -> {x}.{i+1}.**",
        "rename? {i:int}.** -> n.{2*i+1}.**",
        "rename? {i:int}.** -> s.{i//2}.{i%2}.**",
        "rename? {a|b}.** -> {e|f}.**",
        "rename? {\n  a.** -> b.**\n  b.** -> a.**\n}",
        "rename? ** -> model.**",
        "split? {x}.{y} -> {x}.{y}.{l,r} dim 0 where shape[0] % 2 == 0",
        "split? **.w -> **.w1, **.w2 dim 0 sizes [1, -1] where rank > 0 and shape[0] > 0",
        "split? **.w -> **.{k} over k into 2 dim -1 where rank > 0 and shape[-1] == 4",
        "merge? {x}.{0,1} -> {x}.both dim 0",
        "stack? {x}.{0,1} -> {x}.both dim -1",
        "unstack? **.w -> **.layer{k} over k dim 0 where rank > 0 and shape[0] > 1",
        "reshape? ** to [-1]",
        "reshape? a.** -> flat.a.** to [1, -1]",
        "transpose? **.w where rank == 2",
        "transpose? ** dims [0, 2] where rank == 3",
        "permute? ** dims [2, 0, 1] where rank == 3",
        "rearrange? ** by \"a b c -> c (b a)\" where rank == 3",
        "rearrange? ** by \"(a two) b -> b (two a)\" with two=2 where rank == 2 and shape[0] % 2 == 0",
        "flip? ** dim -1 where rank > 0",
        "select? ** at [1:, 0] dim 0 where rank > 0 and shape[0] > 1",
        "select? ** at [0, :] dim 0 where rank > 0 and shape[0] > 1",
        "pad? **.w to [shape[0] + 1, shape[1] + 2] value 1 where rank == 2",
        "repeat? **.w by 2 dim 0 where rank > 0",
        "cast? **.w to f64",
        "cast? ** to f32",
        "untie? **",
        "copy? {x}.{y} -> copy.{x}.{y}",
        "copy? a.** -> kept.a.**\ndrop? a.**",
        "unify? {x}.{y}.w, {x}.{y}.w -> {x}.{y}.one",
        "fill? **.w -> **.ids value arange dtype i64",
        "drop? **.w",
        "slice? **.w at [:1] where rank > 0 and shape[0] > 1",
        "slice? ** at [1:] where rank > 0 and shape[0] > 1",
        "scale? **.w by 3 where dtype == f32",
    ])
}

/// The way back of rules over tensors, with what it is proved to be; `None` where the rules do not fit.
fn way_back(text: &str, tensors: &[Tensor]) -> Option<(Vec<u8>, String, Proof)> {
    let folder = Folder::new();
    let source = open(&folder, tensors);
    let read = rules(text);
    let plan = read.plan(keyset_of(&source).ok()?).ok()?;
    let (name, target) = ("r.rules", None);
    let forward = Forward { name, rules: &read.resolved.rules, sources: &read.sources, plan: &plan, target };
    let inverse = invert(&forward);
    let proof =
        inverse.proof.unwrap_or_else(|(problems, _)| panic!("{text}\n--\n{}\n{problems:?}", inverse.text));
    let moved = apply(&folder, &plan, &source).ok()?;
    Some((moved, inverse.text, proof))
}

fn check(text: &str, tensors: &[Tensor]) -> Result<(), TestCaseError> {
    let Some((moved, inverse, proof)) = way_back(text, tensors) else { return Ok(()) };
    let moved = safetensors::from_bytes(&moved);
    let back = safetensors::from_bytes(&migrate(&inverse, &moved));
    for key in &proof.exact {
        let of = |tensors: &[Tensor]| tensors.iter().find(|tensor| *tensor.key == **key).cloned();
        prop_assert_eq!(of(&back), of(tensors), "{}\n--\n{}", text, inverse);
    }
    let told = [&proof.exact, &proof.numeric, &proof.changed, &proof.left];
    prop_assert_eq!(told.iter().map(|keys| keys.len()).sum::<usize>(), tensors.len());
    prop_assert_eq!(back.len() + proof.left.len(), tensors.len(), "{}\n--\n{}", text, inverse);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn there_and_back_is_the_identity_where_it_says_so(
        tensors in generate::tensors(),
        statements in prop::collection::vec(statement(), 1..5),
    ) {
        check(&statements.join("\n"), &tensors)?;
    }

    #[test]
    fn any_rules_that_fit_have_a_way_back(tensors in generate::tensors(), text in generate::sound_rules()) {
        check(&text, &tensors)?;
    }
}
