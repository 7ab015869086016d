//! Random keys, tensors and rule texts, of few letters so that they often meet.

use proptest::prelude::*;
use proptest::sample::select;

use crate::tensors::Tensor;

/// A key of one to four short segments.
pub fn key() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "ab", "c", "0", "1", "2", "w"]);
    prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("."))
}

/// Tensors with different keys.
pub fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let shape = prop::collection::vec(0u64..5, 0..4);
    let dtype = select(vec!["f32", "f16", "i64", "bf16", "bool", "u8"]);
    prop::collection::btree_map(key(), (dtype, shape), 1..12).prop_map(|keys| {
        let rows = keys.into_iter().enumerate();
        rows.map(|(n, (key, (dtype, shape)))| Tensor::counting(&key, dtype, &shape, n as u64)).collect()
    })
}

/// A pattern with every kind of wildcard.
pub fn pattern() -> impl Strategy<Value = String> {
    let segment = select(vec![
        "a",
        "b",
        "ab",
        "c",
        "0",
        "w",
        "*",
        "*",
        "**",
        "{x}",
        "{y}",
        "{_}",
        "{i:int}",
        "{i:0..1}",
        "a*",
        "*b",
        "{x}b",
        "{a|b}",
        "{a|}",
        "{p:a|b}",
        "{rest:**}",
        "{a,b}",
        "\"a.b\"",
        "{n}",
    ]);
    let places = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("."));
    prop_oneof![9 => places, 1 => Just("/(?<x>a|b).*/".to_owned())]
}

/// A template that often fits one of the patterns.
fn template() -> impl Strategy<Value = String> {
    let segment = select(vec![
        "d", "e", "a", "*", "*", "**", "{x}", "{y}", "{i+1}", "{2-i}", "{i//2}", "{c|d}", "{p:c|d}",
        "{rest}", "{a,b}", "{k}", "{n+1}",
    ]);
    prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("."))
}

fn option() -> impl Strategy<Value = &'static str> {
    select(vec![
        "dim 0",
        "dim 1",
        "dim -1",
        "dim n",
        "sizes [1, -1]",
        "sizes [2, 2]",
        "over k",
        "over i",
        "into 2",
        "to [-1]",
        "to [shape[0], -1]",
        "to [rank]",
        "to f16",
        "to f32",
        "to i64",
        "to bool",
        "dims [1, 0]",
        "dims [0, 1]",
        "dims [2, 0, 1]",
        "value 0",
        "value 1.5",
        "value arange",
        "value eye",
        "shape [2, 2]",
        "shape shape",
        "dtype i64",
        "dtype f32",
        "where rank == 2",
        "where i < 1",
        "where dtype == f32",
        "where shape[0] // 2 == 1",
        "except a",
        "except **.w",
    ])
}

/// A statement in the shape of the grammar, sensible or not.
fn statement() -> impl Strategy<Value = String> {
    let verb = select(ckpt_migrate::rules::verbs::names());
    let patterns = prop::collection::vec(pattern(), 1..3).prop_map(|patterns| patterns.join(", "));
    let templates = prop::collection::vec(template(), 1..3).prop_map(|templates| templates.join(", "));
    let options = prop::collection::vec(option(), 0..3).prop_map(|options| options.join(" "));
    let parts = (verb, any::<bool>(), patterns, prop::option::of(templates), options);
    parts.prop_map(|(verb, must, patterns, templates, options)| {
        let mark = if must { "" } else { "?" };
        let arrow = templates.map(|templates| format!(" -> {templates}")).unwrap_or_default();
        format!("{verb}{mark} {patterns}{arrow} {options}")
    })
}

/// A statement that its verb accepts as it is.
fn sound() -> impl Strategy<Value = String> {
    let pattern = || select(vec!["*", "**", "a.*", "{x}.*", "**.w", "*.{i:int}", "{a|b}.**", "a", "**.{x}"]);
    let from = pattern();
    prop_oneof![
        select(vec![
            "rename? a.* -> d.*",
            "rename? {x}.{y} -> {y}.{x}",
            "rename? {x}.{i}.** -> {x}.{i+1}.**",
            "rename? {a|b}.* -> {e|f}.*",
            "rename? {\n  a.* -> b.*\n  b.* -> a.*\n}",
            "keep? **",
            "copy? {x}.{y} -> copy.{x}.{y}",
            "copy? {x} -> copies.{x}.{k} over k into 2",
            "split? {x}.{y} -> {x}.{y}.{l,r} dim 0",
            "split? **.w -> **.{k} over k into 2 dim -1",
            "split? **.w -> **.w1, **.w2 dim 0 sizes [1, -1]",
            "merge? {x}.{0,1} -> {x}.both dim 0",
            "merge? {x}.{i}.w -> {x}.all over i dim 0",
            "fill? **.w -> **.bias value 1",
            "fill? **.w -> **.ids value arange dtype i64",
        ])
        .prop_map(str::to_owned),
        from.prop_map(|pattern| format!("drop? {pattern}")),
        pattern().prop_map(|pattern| format!("reshape? {pattern} to [-1]")),
        pattern().prop_map(|pattern| format!("transpose? {pattern} where rank == 2")),
        pattern().prop_map(|pattern| format!("permute? {pattern} dims [2, 0, 1] where rank == 3")),
        (pattern(), select(vec!["f64", "f32", "f16", "bf16", "i64", "bool"]))
            .prop_map(|(pattern, dtype)| format!("cast? {pattern} to {dtype}")),
    ]
}

/// A rule file of statements that are sensible or not.
pub fn rules() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => statement(),
        1 => statement().prop_map(|line| format!("under a {{\n  {line}\n}}")),
        1 => Just("let n = 1".to_owned()),
        1 => Just("let n = shape(**.w)[0] // 2".to_owned()),
    ];
    prop::collection::vec(line, 1..5).prop_map(|lines| lines.join("\n"))
}

/// A rule file of statements that often fit.
pub fn sound_rules() -> impl Strategy<Value = String> {
    prop::collection::vec(sound(), 1..5).prop_map(|lines| lines.join("\n"))
}
