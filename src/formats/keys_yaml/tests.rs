//! What is written is read as the same, and what is wrong is named.

use proptest::prelude::*;

use super::{emit, parse};
use crate::keyset::{KeyInfo, KeySet, Role};
use crate::tensor::{Dtype, MAX_DIMS, TensorSpec};

fn problem(tensors: &str) -> String {
    let text = format!("format: 1\nname: v2\ntensors:\n{tensors}");
    let error = parse("v2.keys.yaml", &text).unwrap_err();
    format!("{error}\nhelp: {}", error.help().unwrap_or_default())
}

#[test]
fn the_format_is_that_of_the_book() {
    let text = "format: 1\nname: v2\ntensors:\n  model.encoder.conv1.weight: f32 [64, 3, 7, 7]\n  \
                model.encoder.bn1.running_mean: f32 [64] buffer\n  step: i64 []\n  embed.weight: f32 [50257, 768]\n  \
                lm_head.weight: f32 [50257, 768] tied embed.weight\n  model._extra_state: object\n";
    let keyset = parse("v2.keys.yaml", text).unwrap();
    assert_eq!(keyset.name.as_deref(), Some("v2"));
    assert_eq!(keyset.get("model.encoder.bn1.running_mean").unwrap().role, Some(Role::Buffer));
    assert_eq!(
        keyset.get("step").unwrap().role,
        Some(Role::Parameter),
        "a buffer is marked, so the rest is known"
    );
    assert_eq!(keyset.get("lm_head.weight").unwrap().tied.as_deref(), Some("embed.weight"));
    assert_eq!(emit(&keyset), text);
}

#[test]
fn keys_are_quoted_only_where_yaml_needs_it() {
    let mut keyset = KeySet::new("some");
    let keys = [
        "0.weight",
        "12",
        "1e5",
        "null",
        "True",
        "on",
        "-a",
        "a: b",
        "a:b",
        "a #b",
        "a#b",
        "schicht.ü.weight",
        "",
        " a",
        "a/b-c",
        "{x}",
        "a\u{9b}\nb",
        "\u{202e}",
        "~",
        "_",
        ".5",
        "2001-01-01",
        "0x1F",
        "a.",
        "\u{1F600}",
    ];
    for key in keys {
        keyset.keys.insert(key.into(), TensorSpec::new(Dtype::F32, [2]).into());
    }
    insta::assert_snapshot!(emit(&keyset), @r##"
format: 1
tensors:
  0.weight: f32 [2]
  "12": f32 [2]
  "1e5": f32 [2]
  "null": f32 [2]
  "True": f32 [2]
  "on": f32 [2]
  "-a": f32 [2]
  "a: b": f32 [2]
  "a:b": f32 [2]
  "a #b": f32 [2]
  "a#b": f32 [2]
  schicht.ü.weight: f32 [2]
  "": f32 [2]
  " a": f32 [2]
  a/b-c: f32 [2]
  "{x}": f32 [2]
  "a\x9b\nb": f32 [2]
  "\u202e": f32 [2]
  "~": f32 [2]
  _: f32 [2]
  ".5": f32 [2]
  "2001-01-01": f32 [2]
  "0x1F": f32 [2]
  a.: f32 [2]
  "\U0001f600": f32 [2]
"##);
    let read = parse("some", &emit(&keyset)).unwrap();
    assert_eq!(read.keys, keyset.keys);
}

#[test]
fn an_error_names_the_key_and_what_is_right() {
    let wrong = [
        "  a: f32 [2]\n  b: f32 [2]\n  a: f32 [2]\n",
        "  a: f32 [2]\n  a.b: float32 [2]\n",
        "  a.b: f32\n",
        "  a.b: f32 [2, x]\n",
        "  a.b: f32 [+2]\n",
        "  a.b: f32 [2\n",
        "  a.b: f32 [2] bufer\n",
        "  a.b: f32 [4294967296, 4294967296]\n",
        "  a.b: [64, 3]\n",
        "  a.b:\n    c: f32 [2]\n",
        "  a: f32 [2]\n  b: f32 [2] tied c\n",
        "  a: f32 [3]\n  b: f32 [2] tied a\n",
        "  a: f32 [2\n b: \"\n",
    ];
    let shown: Vec<String> = wrong.iter().map(|tensors| problem(tensors)).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r##"
v2.keys.yaml:6: the key `a` is there twice
help: remove one of the two lines

v2.keys.yaml:5: `a.b`: `float32` is no dtype
help: write `f32`, as in `f32 [64, 3]`

v2.keys.yaml:4: `a.b`: there is no shape
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`

v2.keys.yaml:4: `a.b`: `x` is no size of a dim
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`

v2.keys.yaml:4: `a.b`: `+2` is no size of a dim
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`

v2.keys.yaml:4: `a.b`: the shape has no `]`
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`

v2.keys.yaml:4: `a.b`: `bufer` means nothing here
help: behind the shape may stand `buffer` or `parameter`, and `tied` with a key: `f32 [64, 3] buffer`, `f32 [10, 4] tied embed.weight`

v2.keys.yaml:4: `a.b`: the shape has more elements than can be
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`

v2.keys.yaml:4: tensors.a.b: invalid type: sequence, expected text such as `f32 [64, 3]`
help: a key set has the lines `format: 1` and `tensors:`, and below that one line for each tensor, indented: `  encoder.weight: f32 [64, 3]`

v2.keys.yaml:5: tensors.a.b: invalid type: map, expected text such as `f32 [64, 3]`
help: a key set has the lines `format: 1` and `tensors:`, and below that one line for each tensor, indented: `  encoder.weight: f32 [64, 3]`

v2.keys.yaml:5: `b` is tied to `c`, which is not there
help: name the key whose tensor this is: `f32 [10, 4] tied embed.weight`

v2.keys.yaml:5: `b` is tied to `a`, which has another dtype or shape
help: name the key whose tensor this is: `f32 [10, 4] tied embed.weight`

v2.keys.yaml:4: `a`: the shape has no `]`
help: write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`
"##);
}

#[test]
fn the_top_is_checked() {
    let wrong = [
        "",
        "tensors: {}\n",
        "format: 2\ntensors: {}\n",
        "format: 1\n",
        "format: 1\nformat: 1\ntensors: {}\n",
        "format: 1\nversion: 2\ntensors: {}\n",
        "format: 1\ntensor: {}\n",
        "- a\n",
        "format: 1\ntensors: {}\n---\nformat: 1\n",
    ];
    let shown: Vec<String> =
        wrong.iter().map(|text| parse("k.yaml", text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(shown.join("\n"), @r##"
k.yaml:1: there is no `format:`
k.yaml:1: there is no `format:`
k.yaml:1: `format: 2` is not known here
k.yaml:1: there is no `tensors:`
k.yaml:1: `format:` is there twice
k.yaml:2: `version` means nothing at the top of a key set
k.yaml:2: `tensor` means nothing at the top of a key set
k.yaml:1: invalid type: sequence, expected a key set
k.yaml: deserializing from YAML containing more than one document is not supported
"##);
    assert!(parse("k.yaml", "\u{feff}format: 1\ntensors: {}\n").unwrap().is_empty());
}

#[test]
fn depth_and_aliases_do_no_harm() {
    for (dims, fits) in [(MAX_DIMS, true), (MAX_DIMS + 1, false)] {
        let text = format!("format: 1\ntensors:\n  a: f32 [{}]\n", vec!["1"; dims].join(", "));
        assert_eq!(parse("k.yaml", &text).is_ok(), fits, "{dims} dims");
    }
    let deep = format!("format: 1\ntensors: {}", "[".repeat(100_000));
    let error = parse("k.yaml", &deep).unwrap_err().to_string();
    assert_eq!(error, "k.yaml: brackets are open inside of too many others");
    let mut open = KeySet::new("some");
    for index in 0..100 {
        open.keys.insert(format!("[{{{index}").into(), TensorSpec::new(Dtype::F32, [2]).into());
    }
    assert_eq!(parse("k.yaml", &emit(&open)).unwrap().keys, open.keys);
    let aliases = "format: 1\ntensors:\n  a: &x f32 [2]\n  b: *x\n";
    assert_eq!(parse("k.yaml", aliases).unwrap().len(), 2);
}

fn any_info() -> impl Strategy<Value = KeyInfo> {
    let dtype = proptest::sample::select(Dtype::all().collect::<Vec<_>>());
    (dtype, proptest::collection::vec(0u64..100, 0..4)).prop_map(|(dtype, shape)| {
        let shape = if dtype == Dtype::Object { Vec::new() } else { shape };
        TensorSpec::new(dtype, shape).into()
    })
}

/// Which tensors know their role: none, the parameters, all.
fn mark(info: &mut KeyInfo, known: u8, buffer: bool) {
    info.role = match (known, buffer) {
        (1, false) | (2, false) => Some(Role::Parameter),
        (2, true) => Some(Role::Buffer),
        _ => None,
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        name in proptest::option::of(".*"),
        keys in proptest::collection::vec((prop_oneof!["\\PC{0,12}", any::<String>().prop_map(|text| text.chars().take(16).collect()), "[ -~]{0,8}", Just("a: b ".repeat(300))], any_info(), any::<(bool, bool)>()), 0..12),
        known in 0u8..3,
    ) {
        let mut keyset = KeySet { name, ..KeySet::new("some") };
        for (key, mut info, (buffer, tie)) in keys {
            if keyset.get(&key).is_some() {
                continue;
            }
            mark(&mut info, known, buffer);
            let first = keyset.keys.get_index(0).map(|(first, found)| (first.clone(), found.spec.clone()));
            if let (true, Some((first, spec))) = (tie, first) {
                info.spec = spec;
                info.tied = Some(first);
            }
            keyset.keys.insert(key.into(), info);
        }
        let text = emit(&keyset);
        let read = parse("some", &text);
        let read = read.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&read.name, &keyset.name);
        prop_assert_eq!(read.keys.as_slice(), keyset.keys.as_slice());
    }
}

#[test]
fn aliases_repeat_no_more_than_some_times_the_file() {
    let tie = "w".repeat(10_000);
    let lines: String = (0..2000).map(|number| format!("  k{number}: *a\n")).collect();
    let text = format!("format: 1\ntensors:\n  k: &a f32 [1] tied {tie}\n{lines}");
    assert!(parse("x.yaml", &text).unwrap_err().to_string().contains("aliases repeat more"));
    let few = "format: 1\ntensors:\n  a: &a f32 [1]\n  b: *a\n";
    assert_eq!(parse("x.yaml", few).unwrap().len(), 2);
}
