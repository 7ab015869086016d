//! Patterns, templates and values, each as a table.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::value::{Scope, Value, ValueErrorKind, evaluate};
use super::{Clause, Given, Matcher, Pattern, RenderError, Step, resolve};
use crate::source::Sources;
use crate::syntax::ast::Glob;
use crate::syntax::{parse, parse_value};

/// The first clause of the last statement of a text that resolves.
fn clause(text: &str) -> Clause {
    let mut sources = Sources::new();
    let file = sources.add("r.rules", text);
    let (ast, errors) = parse(text, file);
    assert_eq!(errors, [], "{text}");
    let resolved = resolve(&ast, &sources, &Given::default());
    assert_eq!(resolved.errors, [], "{text}");
    match resolved.rules.steps.last() {
        Some(Step::Statement(statement)) => statement.clauses[0].clone(),
        _ => panic!("no statement: {text}"),
    }
}

/// The ways in which a key matches: `x=a *=b.c`, `_` for a hole that remembers nothing.
fn ways(pattern: &Pattern, key: &str) -> Vec<String> {
    let ways = Matcher::new(pattern).ways(key).unwrap();
    let show = |way: &super::Match| {
        let slots = way.captures.iter().zip(&pattern.slots).map(|(capture, slot)| {
            let name = slot.name.as_deref().unwrap_or("*");
            let choice = capture.choice.map(|choice| format!("#{choice}")).unwrap_or_default();
            format!("{name}={}{choice}", capture.text.as_deref().unwrap_or("()"))
        });
        slots.collect::<Vec<_>>().join(" ")
    };
    ways.iter().map(show).collect()
}

#[test]
fn patterns_match_whole_keys() {
    let table: &[(&str, &str, &[&str])] = &[
        ("conv1", "conv1", &[""]),
        ("conv1", "conv12", &[]),
        ("a.*", "a", &[]),
        ("a.*", "a.b.c", &["*=b.c"]),
        ("a.*.c", "a.b.c", &["*=b"]),
        ("a.*.c", "a.b.b.c", &[]),
        ("a.*.c", "a..c", &["*="]),
        ("a*", "a", &["*="]),
        ("*norm.w", "prenorm.w", &["*=pre"]),
        ("**", "a", &["*=a"]),
        ("**.w", "w", &["*=()"]),
        ("a.**.w", "a.w", &["*=()"]),
        ("a.**", "a", &["*=()"]),
        ("**.a.**", "a.a", &["*=a *=()", "*=() *=a"]),
        ("{x}{y}", "abc", &["x=ab y=c", "x=a y=bc"]),
        ("{x}", "a.b", &[]),
        ("l{x}", "l", &[]),
        ("{x}.{x}", "a.a", &["x=a"]),
        ("{x}.{x}", "a.b", &[]),
        ("{_}.{_}", "a.b", &[""]),
        ("{i:int}", "10", &["i=10"]),
        ("{i:int}", "010", &[]),
        ("{i:int}", "9223372036854775807", &["i=9223372036854775807"]),
        ("{i:int}", "9223372036854775808", &[]),
        ("{i:2..10}", "10", &["i=10"]),
        ("{i:2..10}", "11", &[]),
        ("l{i:int}{j:int}", "l12", &["i=1 j=2"]),
        ("{r:**}.w", "w", &["r=()"]),
        ("{r:**}.w", "a.b.w", &["r=a.b"]),
        ("{a|ab}c", "abc", &["*=ab#1"]),
        ("{a|b}.w", "b.w", &["*=b#1"]),
        ("{a.b|c}.w", "a.b.w", &["*=a.b#0"]),
        ("{m|}.**", "m.a", &["*=m#0 *=a"]),
        ("{m|}.**", "a", &["*=()#1 *=a"]),
        ("{p:a|b}.{p:a|b}", "a.b", &[]),
        ("\"a.*\"", "a.*", &[""]),
        ("\"a.*\"", "a.b", &[]),
        ("é{x}", "éü", &["x=ü"]),
        ("/l(?<n>[0-9]+).w/", "l3.w", &["n=3"]),
        ("/l(?<n>[0-9]+).w/", "xl3.w", &[]),
        ("/a|b/", "ab", &[]),
    ];
    for (pattern, key, wanted) in table {
        let clause = clause(&format!("drop {pattern}"));
        assert_eq!(ways(&clause.patterns[0], key), *wanted, "{pattern} on {key}");
    }
}

#[test]
fn a_pattern_with_very_many_ways_is_given_up() {
    // The name at both ends never agrees, which is seen only after every way through the middle.
    let pattern = format!("drop {{x}}.{}.{{x}}", ["**", "a"].repeat(12).join("."));
    let clause = clause(&pattern);
    let key = format!("p.{}.q", vec!["a"; 60].join("."));
    assert!(Matcher::new(&clause.patterns[0]).ways(&key).is_err());
}

/// Names that stand for themselves in a match, and nothing else.
struct Captured<'a>(&'a Pattern, &'a super::Match);

impl Scope for Captured<'_> {
    fn name(&self, name: &str) -> Option<Value> {
        let text = self.1.captures.get(self.0.slot(name)?)?.text.clone()?;
        Some(text.parse().map_or(Value::Text(text), Value::Int))
    }

    fn keys(&self, _: &str, _: &Glob) -> Result<Value, ValueErrorKind> {
        Ok(Value::Int(0))
    }
}

#[test]
fn templates_make_names() {
    let table = [
        ("a.* -> b.*", "a.x.y", "b.x.y"),
        ("**.w -> **.v", "w", "v"),
        ("a.** -> **.b", "a", "b"),
        ("a.**.w -> x.**.w", "a.w", "x.w"),
        ("{x}.{y} -> {y}.{x}.{x}", "a.b", "b.a.a"),
        ("l{i}.w -> l.{i+1}.{2*i}.{7-i}", "l3.w", "l.4.6.4"),
        ("{i}.w -> {i//2}.{i%2}", "5.w", "2.1"),
        ("{i}.w -> {i/2}.w", "4.w", "2.w"),
        ("{i}.w -> {i/2}.w", "5.w", "no value"),
        ("{i}.w -> {i-6}.w", "5.w", "-1"),
        ("{q|k}.w -> {query|key}.w", "k.w", "key.w"),
        ("{p:q|k}.w -> {p:query|key}.{p}", "k.w", "key.k"),
        ("{m|}.** -> **", "m.a", "a"),
        ("{m|n}.** -> {x|}.**", "n.a", "a"),
        ("a.** -> **", "a", "empty"),
        ("a -> \"b c.d\"", "a", "b c.d"),
    ];
    for (rule, key, wanted) in table {
        let clause = clause(&format!("rename {rule}"));
        let pattern = &clause.patterns[0];
        let way = Matcher::new(pattern).ways(key).unwrap().remove(0);
        let name = match clause.templates[0].render(pattern, &way, &Captured(pattern, &way)) {
            Ok(name) => name,
            Err(RenderError::Empty) => "empty".to_owned(),
            Err(RenderError::Negative { value, .. }) => value.to_string(),
            Err(RenderError::Value(_)) => "no value".to_owned(),
        };
        assert_eq!(name, wanted, "{rule} on {key}");
    }
}

/// No names at all.
struct Nothing;

impl Scope for Nothing {
    fn name(&self, _: &str) -> Option<Value> {
        None
    }

    fn keys(&self, _: &str, _: &Glob) -> Result<Value, ValueErrorKind> {
        Ok(Value::Int(0))
    }
}

#[test]
fn values_are_exact_or_refused() {
    let table = [
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("- -3", "3"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("7 // -2", "-4"),
        ("-7 // -2", "3"),
        ("6 // -2", "-3"),
        ("7 % 3", "1"),
        ("-7 % 3", "2"),
        ("7 % -3", "-2"),
        ("-7 % -3", "-1"),
        ("6 % -3", "0"),
        ("6 / 3", "2"),
        ("7 / 2", "7 / 2 leaves a rest of 1"),
        ("1 / 0", "division by zero"),
        ("1 // 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("9223372036854775807 + 1", "the value does not fit into 64 bits"),
        ("-9223372036854775807 - 2", "the value does not fit into 64 bits"),
        ("9223372036854775807 * 2", "the value does not fit into 64 bits"),
        ("(-9223372036854775807 - 1) // -1", "the value does not fit into 64 bits"),
        ("(-9223372036854775807 - 1) / -1", "the value does not fit into 64 bits"),
        ("-(-9223372036854775807 - 1)", "the value does not fit into 64 bits"),
        ("1.5 + 1", "2.5"),
        ("1e3", "1000"),
        ("[1, 2, 3][-1]", "3"),
        ("[1, 2, 3][3]", "index 3 is outside the 3 values of [1, 2, 3]"),
        ("[1, 2][-3]", "index -3 is outside the 2 values of [1, 2]"),
        ("3[0]", "3 is not a list"),
        ("sum([1, 2, 3])", "6"),
        ("sum([])", "0"),
        ("sum([9223372036854775807, 1])", "the value does not fit into 64 bits"),
        ("len([1, 2])", "2"),
        ("min(3, 1, 2)", "1"),
        ("max([3, 1])", "3"),
        ("max([])", "`max` takes a list that is not empty"),
        ("sqrt(49)", "7"),
        ("sqrt(50)", "sqrt(50) is not a whole number"),
        ("sqrt(-4)", "sqrt(-4) is not a whole number"),
        ("group(2, [2, 2])", "1"),
        ("within(3, [2, 2])", "1"),
        ("group(4, [2, 2])", "index 4 lies beyond the 4 that the groups hold"),
        ("group(0, [0, 2])", "1"),
        ("nothing(1)", "`nothing` is not a function"),
        ("1 < 2 and not 2 < 1", "true"),
        ("1 == 2 or \"a\" == \"a\"", "true"),
        ("1 == 1.0", "true"),
        ("1 == \"a\"", "`==` cannot join an integer and a text"),
        ("f32 == f32", "true"),
        ("f32 == bf16", "false"),
        ("1 and 2", "1 is not a condition"),
        ("false_name + 1", "`+` cannot join a word and an integer"),
    ];
    for (text, wanted) in table {
        let expr = parse_value(text, 0).unwrap();
        let got =
            evaluate(&expr, &Nothing).map_or_else(|error| error.kind.to_string(), |value| value.to_string());
        assert_eq!(got, wanted, "{text}");
    }
}
