//! What texts and numbers of all protocols are in Python.

use super::super::graph::{Graph, NodeId};
use super::super::machine;

/// The root of a pickle that ends behind `value`.
fn graph(value: &[u8]) -> Graph {
    machine::read([value, b"."].concat(), 1000).unwrap()
}

fn each<T, U>(cases: &[(&[u8], Option<T>)], read: impl Fn(&Graph, NodeId) -> Option<U>)
where
    T: Copy + Into<U>,
    U: PartialEq + std::fmt::Debug,
{
    for &(value, expected) in cases {
        let graph = graph(value);
        assert_eq!(read(&graph, graph.root), expected.map(Into::into), "{}", value.escape_ascii());
    }
}

#[test]
fn texts() {
    let cases: &[(&[u8], Option<&str>)] = &[
        (b"X\x02\0\0\0\xc3\xa9", Some("é")),
        (b"X\x01\0\0\0\xe9", None),
        (b"\x8c\x01a", Some("a")),
        (b"\x8d\x01\0\0\0\0\0\0\0a", Some("a")),
        (b"T\x01\0\0\0a", Some("a")),
        (b"U\x01a", Some("a")),
        (b"Va b\n", Some("a b")),
        (b"Va\\u00e9\\U0001f600\n", Some("aé😀")),
        (b"V\xe9\n", Some("é")),
        // A backslash takes the next byte along, as `raw_unicode_escape` of Python has it.
        (b"V\\\\u0041\n", Some("\\\\u0041")),
        (b"V\\\\\\u0041\n", Some("\\\\A")),
        (b"V\\x41\\\n", Some("\\x41\\")),
        (b"V\\u004\n", None),
        (b"V\\ud800\n", None),
        (b"S'a'\n", Some("a")),
        (b"S\"a'b\"\n", Some("a'b")),
        (b"S'a' \n", None),
        (b"S'a\\n'\n", None),
        (b"S'\xc3\xa9'\n", None),
        (b"S'\n", None),
        (b"C\x01a", None),
        (b"K\x01", None),
    ];
    each(cases, |graph, id| graph.text(id).map(|text| text.into_owned()));
}

#[test]
fn integers() {
    let cases: &[(&[u8], Option<i64>)] = &[
        (b"K\xff", Some(255)),
        (b"M\xff\xff", Some(65535)),
        (b"J\xff\xff\xff\xff", Some(-1)),
        (b"\x8a\x00", Some(0)),
        (b"\x8a\x01\x80", Some(-128)),
        (b"\x8a\x02\x80\x00", Some(128)),
        (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", Some(i64::MAX)),
        (b"\x8a\x09\0\0\0\0\0\0\0\0\x01", None),
        (b"\x8b\x02\0\0\0\x39\x30", Some(12345)),
        (b"I-7\n", Some(-7)),
        (b"L-7L\n", Some(-7)),
        (b"L99999999999999999999L\n", None),
        (b"Ix\n", None),
        (b"N", None),
        (b"F1\n", None),
    ];
    each(cases, |graph, id| graph.int(id));
}

#[test]
fn booleans_and_floats() {
    let booleans: &[(&[u8], Option<bool>)] = &[
        (b"\x88", Some(true)),
        (b"\x89", Some(false)),
        (b"I01\n", Some(true)),
        (b"I00\n", Some(false)),
        (b"I1\n", None),
        (b"I0\n", None),
        (b"K\x01", None),
    ];
    each(booleans, |graph, id| graph.boolean(id));
    let floats: &[(&[u8], Option<f64>)] = &[
        (b"G\x3f\xf8\0\0\0\0\0\0", Some(1.5)),
        (b"F-2.5e3\n", Some(-2500.0)),
        (b"Fx\n", None),
        (b"I1\n", None),
    ];
    each(floats, |graph, id| graph.float(id));
}

#[test]
fn globals_and_dicts() {
    let names: &[(&[u8], Option<&str>)] =
        &[(b"ca.b\nC.d\n", Some("a.b C.d")), (b"\x8c\x01a\x8c\x01b\x93", Some("a b")), (b"\x8c\x01a", None)];
    each(names, |graph, id| graph.global(id).map(|(module, name)| format!("{module} {name}")));
    let is_dict: &[(&[u8], Option<bool>)] = &[
        (b"}", Some(true)),
        (b"(d", Some(true)),
        (b"ccollections\nOrderedDict\n)R", Some(true)),
        (b"ccollections\nOrderedDict\n]\x85R", Some(false)),
        (b"ccollections\nOther\n)R", Some(false)),
        (b"cother\nOrderedDict\n)R", Some(false)),
        (b"]", Some(false)),
    ];
    each(is_dict, |graph, id| Some(graph.is_dict(id)));
    // The last value of a key counts.
    let values: &[(&[u8], Option<i64>)] = &[
        (b"(\x8c\x01aK\x01\x8c\x01bK\x02d", Some(1)),
        (b"(\x8c\x01aK\x01d\x8c\x01aK\x02s", Some(2)),
        (b"}(\x8c\x01aK\x01\x8c\x01aK\x03u", Some(3)),
        (b"}\x8c\x01bK\x01s", None),
    ];
    each(values, |graph, id| graph.int(graph.item(id, "a")?));
}
