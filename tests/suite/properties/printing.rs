//! The canonical text of rules means what they mean, and is its own canonical text.

use std::sync::LazyLock;

use ckpt_migrate::rules;
use ckpt_migrate::syntax::{self, ast::Ast};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, ValueTree};
use regex::Regex;

use super::generate;

/// What a tree says, without the places.
fn meaning(ast: &Ast) -> String {
    static PLACES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"Span \{[^}]*\}").unwrap());
    PLACES.replace_all(&format!("{ast:?}"), "").into_owned()
}

/// The tree of a text that parses.
fn parsed(text: &str) -> Option<Ast> {
    let (ast, errors) = syntax::parse(text, 0);
    errors.is_empty().then_some(ast)
}

/// The comments, which the texts below mark so that they can be told from anything else.
fn comments(text: &str) -> Vec<String> {
    static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new("# «[^»]*»").unwrap());
    COMMENT.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// Checks what must hold for any text.
fn check(text: &str) -> Result<(), TestCaseError> {
    let Some(ast) = parsed(text) else {
        prop_assert_eq!(syntax::format(text), Err(syntax::parse(text, 0).1));
        return Ok(());
    };
    let canonical = syntax::format(text).unwrap();
    let again = parsed(&canonical);
    prop_assert!(again.is_some(), "{}\nbecomes\n{}", text, canonical);
    prop_assert_eq!(meaning(&again.unwrap()), meaning(&ast), "{}\nbecomes\n{}", text, canonical);
    prop_assert_eq!(comments(&canonical), comments(text), "{}\nbecomes\n{}", text, canonical);
    prop_assert_eq!(syntax::format(&canonical), Ok(canonical.clone()));
    let ragged = canonical.lines().any(|line| line.ends_with([' ', '\t', '\r']));
    prop_assert!(!ragged && !canonical.contains("\n\n\n") && !canonical.starts_with('\n'), "{:?}", canonical);
    prop_assert!(canonical.is_empty() || canonical.ends_with('\n') && !canonical.ends_with("\n\n"));
    let printed = syntax::print(&ast);
    prop_assert_eq!(parsed(&printed).as_ref().map(meaning), Some(meaning(&ast)), "{}\n{}", text, printed);
    prop_assert_eq!(syntax::format(&printed), Ok(printed));
    Ok(())
}

/// White space, and where a line may go on also line breaks and comments.
fn space() -> impl Strategy<Value = &'static str> {
    select(vec![" ", "  ", "\t", " \r\t "])
}

fn gap() -> impl Strategy<Value = &'static str> {
    select(vec![" ", "  ", "\n", "\n\n \n", "  # «c»\n", "\n # «own»\n\n", " # «a,»\r\n # «-> {»\n"])
}

/// A value of some depth.
fn value() -> impl Strategy<Value = String> {
    let leaf = select(vec!["1", "0.5", "1e-3", "n", "config.size", "\"a # b\"", "shape[0]", "count(**.w)"]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                select(vec!["+", "-", "*", "/", "//", "%", "==", "<", " and ", " or "]),
                inner.clone()
            )
                .prop_map(|(left, sign, right)| format!("({left}{sign}{right})")),
            (inner.clone(), gap(), inner.clone())
                .prop_map(|(first, gap, second)| format!("[{first},{gap}{second} ]")),
            (gap(), inner.clone()).prop_map(|(gap, value)| format!("sum({gap}{value})")),
            inner.clone().prop_map(|value| format!("-{value}")),
            inner.clone().prop_map(|value| format!("(not {value})")),
            inner.prop_map(|value| format!("[: , {value}:,1 :{value}]")),
        ]
    })
}

/// An expression over tensors.
fn tensors() -> impl Strategy<Value = String> {
    let leaf =
        select(vec!["a.weight", "b", "0.5", "2", "\"a b\".c", "{x}.*", "dim.a"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), select(vec![" + ", " - ", " * ", " / ", " @ "]), inner.clone())
                .prop_map(|(left, sign, right)| format!("({left}{sign}{right})")),
            inner.clone().prop_map(|value| format!("- {value}")),
            (inner, gap()).prop_map(|(value, gap)| format!("sum( {value} ,{gap}dim  0)")),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let long = "encoder.layers.{i}.attention.self.{query|key|value}.dense.weight_of_some_length".to_owned();
    let odd = select(vec![
        "/a (b|c)[#]/",
        "\"# «quoted»\"",
        "{ q ,k , v}.w",
        "{p: a|b | }.w",
        "where",
        "{j:0 .. 3}",
        "a#b",
    ]);
    prop_oneof![4 => generate::pattern(), 1 => Just(long), 2 => odd.prop_map(str::to_owned)]
}

fn names() -> impl Strategy<Value = String> {
    (prop::collection::vec(name(), 1..4), gap()).prop_map(|(names, gap)| names.join(&format!(",{gap}")))
}

/// A clause in any spacing.
fn clause() -> impl Strategy<Value = String> {
    let arrow = prop::option::of((gap(), gap(), names()))
        .prop_map(|arrow| arrow.map(|(before, behind, names)| format!("{before}->{behind}{names}")));
    let option = prop_oneof![
        value().prop_map(|value| format!("dim {value}")),
        value().prop_map(|value| format!("with h = {value},two=2")),
        Just("by \"(a b)  -> a\"".to_owned()),
    ];
    let condition = prop::option::of((gap(), value()))
        .prop_map(|it| it.map(|(gap, value)| format!("{gap}where {value}")));
    let except = prop::option::of((gap(), names()))
        .prop_map(|it| it.map(|(gap, names)| format!("{gap}except {names}")));
    let rest = (arrow, prop::collection::vec((space(), option), 0..3), condition, except);
    (names(), rest).prop_map(|(names, (arrow, options, condition, except))| {
        let options: String = options.into_iter().map(|(space, option)| format!("{space}{option}")).collect();
        [names, arrow.unwrap_or_default(), options, condition.unwrap_or_default(), except.unwrap_or_default()]
            .concat()
    })
}

fn statement() -> impl Strategy<Value = String> {
    let verb = select(rules::verbs::names());
    let plain = (verb.clone(), select(vec!["", "?", " ? "]), space(), clause())
        .prop_map(|(verb, mark, space, clause)| format!("{verb}{mark}{space}{clause}"));
    prop_oneof![
        8 => plain,
        1 => (space(), tensors()).prop_map(|(space, value)| format!("compute w{space}={space}{value}")),
        1 => value().prop_map(|value| format!("let  n={value}")),
        1 => select(vec![
            "migration  v1->v2   \"why\"", "use x", "include\t\"a b\"", "optimizer  drop", "unwrap  a.\"b c\"", "in  a,b.c",
            "set a.b = {\"x\":[true, -1 , ],  \"y\":{ }}", "set a =  \"b\"",
        ]).prop_map(str::to_owned),
    ]
}

/// Lines with what stands between them.
fn lines(line: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let end = select(vec!["\n", "\n", "  # «end»\n", "\r\n", "\n\n\n", "\n # «own»\n", "\n\n#  «é»  \n\n"]);
    let line = (space(), line, end).prop_map(|(space, line, end)| format!("{space}{line}{end}"));
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.concat()).boxed()
}

/// A rule file in any spacing, of every form that the grammar has.
fn file() -> impl Strategy<Value = String> {
    let open = || select(vec![" {\n", "{  # «open»\n", " {\n\n\n# «own»\n"]);
    let close = || select(vec!["}", " } # «close»", "}\n"]);
    let verb = (select(vec!["rename", "drop ?"]), open(), lines(clause()), close());
    let verb = verb.prop_map(|(verb, open, lines, close)| format!("{verb}{open}{lines}{close}"));
    let under =
        (select(vec!["under a.b", "in  a, b", "in a,  # «in»\n b"]), open(), lines(statement()), close());
    let under = under.prop_map(|(header, open, lines, close)| format!("{header}{open}{lines}{close}"));
    lines(prop_oneof![3 => statement(), 1 => verb, 1 => under])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rules_keep_their_meaning_and_their_comments(text in file()) {
        check(&text)?;
    }

    #[test]
    fn made_rules_keep_their_meaning(text in prop_oneof![generate::rules(), generate::sound_rules()]) {
        check(&text)?;
    }

    #[test]
    fn any_tokens_keep_their_meaning_or_are_refused(
        tokens in prop::collection::vec(select(vec![
            "rename ", "drop ", "let ", "under ", "compute ", "set ", " where ", " except ", " and ", " not ", "a", "b",
            "x", "0", "1", ".", "..", "*", "**", "{", "}", "[", "]", "(", ")", "->", ", ", "|", ":", "\"", "/", "//",
            "#", " # ", "-", "+", "%", " == ", "<", " = ", "?", "@", "\\", " ", "\n", "\r\n", "\t", " dim ", "\u{a0}",
        ]), 0..24),
    ) {
        check(&tokens.concat())?;
    }
}

#[test]
fn most_of_the_made_files_parse() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts = (0..200).map(|_| file().new_tree(&mut runner).unwrap().current());
    let parse = texts.filter(|text| parsed(text).is_some()).count();
    assert!(parse > 100, "{parse} of 200");
}
