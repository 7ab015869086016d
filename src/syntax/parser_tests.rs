//! What the parser makes of lines, and where it points when it cannot.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::ast::ExprKind;
use super::super::ast::{Clause, Item, Statement};
use super::super::expressions::MAX_OPERATORS;
use super::*;

fn slice(text: &str, span: Span) -> &str {
    &text[span.start..span.end]
}

/// A text that must parse.
fn parsed(text: &str) -> Vec<Item> {
    let (ast, errors) = parse(text, 7);
    assert_eq!(errors, [], "{text}");
    ast.items
}

fn statement(item: &Item) -> &Statement {
    match item {
        Item::Statement(statement) => statement,
        item => panic!("no statement: {item:?}"),
    }
}

/// A clause as its parts are sliced from the text: `patterns -> templates | options | where | except`.
fn outline(text: &str, clause: &Clause) -> String {
    let globs =
        |globs: &[Glob]| globs.iter().map(|glob| slice(text, glob.span)).collect::<Vec<_>>().join(" & ");
    let options: Vec<&str> = clause.options.iter().map(|option| option.name.node.as_str()).collect();
    let condition =
        clause.condition.as_ref().map(|condition| slice(text, condition.span)).unwrap_or_default();
    format!(
        "{} -> {} | {} | {condition} | {}",
        globs(&clause.patterns),
        globs(&clause.templates),
        options.join(" "),
        globs(&clause.except)
    )
}

#[test]
fn lines_are_long_within_reason() {
    let (indices, words) = (vec!["12345"; 100_000].join(", "), vec!["a+a"; 100_000].join(", "));
    assert!(parse(&format!("select w at [{indices}] dim 0"), 0).1.is_empty());
    let (_, errors) = parse(&format!("let a = [{words}]\nlet b = 1"), 0);
    assert_eq!(errors, [SyntaxError { kind: SyntaxErrorKind::LongLine, range: 0..3 }]);
}

#[test]
fn a_slash_begins_a_regular_expression_and_no_key() {
    // With a key that begins with a slash, a slash in the comment behind it would make an expression of both.
    for text in ["drop /a", "drop/a # /", "rename a ->/a # /"] {
        let (_, errors) = parse(text, 0);
        assert!(errors.iter().any(|error| matches!(&error.kind, SyntaxErrorKind::Unexpected { found, .. } if found.starts_with("`/a"))), "{text}: {errors:?}");
    }
    assert!(parse("drop \"/a\", a/b", 0).1.is_empty());
}

#[test]
fn every_statement_has_one_shape() {
    let table = [
        ("rename a -> b", "a -> b |  |  | "),
        ("drop a, b.*,c", "a & b.* & c ->  |  |  | "),
        ("split x -> a, b dim 0 sizes [1, -1]", "x -> a & b | dim sizes |  | "),
        (
            "drop a.{i}.* where i < 3 and rank == 2 except a.1.w, b",
            "a.{i}.* ->  |  | i < 3 and rank == 2 | a.1.w & b",
        ),
        ("cast ** to bf16 except **.norm.*", "** ->  | to |  | **.norm.*"),
        ("rename dim -> value", "dim -> value |  |  | "),
        ("rename \"a -> b, c\" -> d", "\"a -> b, c\" -> d |  |  | "),
        ("rename /a, (b)/ -> d", "/a, (b)/ -> d |  |  | "),
        ("rename a-b/c:d -> e", "a-b/c:d -> e |  |  | "),
        ("drop a\n  where rank == 1\n  except b", "a ->  |  | rank == 1 | b"),
        ("drop? a # why", "a ->  |  |  | "),
    ];
    for (text, wanted) in table {
        let items = parsed(text);
        assert_eq!(outline(text, &statement(&items[0]).clauses[0]), wanted, "{text}");
    }
}

#[test]
fn spans_are_those_of_the_file() {
    let text = "# first\n\nrename? a.{i} -> b.{i+1}\nunder x.y {\n  drop é, {q|k}.w\n}\n";
    let items = parsed(text);
    let rename = statement(&items[0]);
    assert_eq!((slice(text, rename.verb.span), rename.optional), ("rename", true));
    assert_eq!(slice(text, rename.span), "rename? a.{i} -> b.{i+1}");
    assert_eq!((rename.span.file, rename.span.start), (7, 9));
    let Item::Under { prefix, body, .. } = &items[1] else { panic!("{items:?}") };
    assert_eq!(slice(text, prefix.span), "x.y");
    assert_eq!(outline(text, &statement(&body[0]).clauses[0]), "é & {q|k}.w ->  |  |  | ");
}

#[test]
fn a_verbs_block_is_one_statement() {
    let text = "rename {\n  a -> b # swap\n\n  b -> a\n}\ndrop c";
    let items = parsed(text);
    let clauses = &statement(&items[0]).clauses;
    assert_eq!(
        clauses.iter().map(|clause| outline(text, clause)).collect::<Vec<_>>(),
        ["a -> b |  |  | ", "b -> a |  |  | "]
    );
    assert_eq!(items.len(), 2);
}

#[test]
fn a_number_beside_an_operator_is_no_key() {
    let table = [
        ("compute w = 1 - a", "Integer(1)"),
        ("compute w = 0.5 + a", "Float(0.5)"),
        ("compute w = 1-a", "Keys"),
        ("compute w = 1.5.a", "Keys"),
    ];
    for (text, first) in table {
        let items = parsed(text);
        let value = statement(&items[0]).clauses[0].assigned.as_ref().map(|value| &value.kind);
        let operand = match value {
            Some(ExprKind::Binary(left, ..)) => Some(&left.kind),
            whole => whole,
        };
        assert!(format!("{operand:?}").starts_with(&format!("Some({first}")), "{text}: {operand:?}");
    }
}

#[test]
fn errors_stand_where_they_are_made() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("drop a b", &[("`b` stands alone", "b")]),
        ("rename a b -> c", &[("expected a value or a name, found `->`", "->")]),
        (
            "rename a -> b -> c",
            &[("expected the end of the line, an option, `where`, `except`, `=` or `,`, found `->`", "->")],
        ),
        ("drop", &[("`drop` names no key", "drop")]),
        (
            "under a",
            &[("`under` opens a block: end the line with `{` and close it with a line `}`", "under a")],
        ),
        ("drop a#b, {#c|d}", &[]),
        ("rename a->#b", &[("expected a key, found `#b`", "#b")]),
        ("migration v1->#v2", &[("expected a version, found `#v2`", "#v2")]),
        ("let a 3", &[("expected `=`, found `3`", "3")]),
        ("let a = ", &[("expected a value, found the end of the line", "")]),
        ("migration v1", &[("expected `->`, found the end of the line", "")]),
        ("let a = 1 {\n}", &[("this line does not open a block", "let a = 1")]),
        ("rename {\n drop {\n }\n}", &[("this line does not open a block", "drop")]),
        ("drop {a|*b}", &[("`*b` is not plain text: alternatives stand for themselves alone", "*b")]),
        ("drop {i:float}", &[("`float` is no kind of capture", "float")]),
        (
            "drop {i:0..99999999999999999999}",
            &[("the number does not fit into 64 bits", "99999999999999999999")],
        ),
        ("drop \"a\\q\"", &[("unknown escape `\\q`", "\"a\\q\"")]),
        (
            "drop a\ndrop\nlet = 1\ndrop b",
            &[("`drop` names no key", "drop"), ("expected a name, found `=`", "=")],
        ),
        ("in a {\n drop\n}\nrename", &[("`drop` names no key", "drop"), ("`rename` names no key", "rename")]),
    ];
    for (text, wanted) in table {
        let (_, errors) = parse(text, 0);
        let got: Vec<(String, &str)> =
            errors.iter().map(|error| (error.kind.to_string(), &text[error.range.clone()])).collect();
        let wanted: Vec<(String, &str)> = wanted.iter().map(|(kind, at)| ((*kind).to_owned(), *at)).collect();
        assert_eq!(got, wanted, "{text}");
    }
}

#[test]
fn what_parses_is_kept_beside_what_does_not() {
    let (ast, errors) = parse("rename a -> b\ndrop\nunder x {\n  drop\n  drop c\n}\n", 0);
    assert_eq!(errors.len(), 2);
    let Item::Under { body, .. } = &ast.items[1] else { panic!("{:?}", ast.items) };
    assert_eq!((ast.items.len(), body.len()), (2, 1));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("let a = {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(30), 0).1.is_empty());
    let row = |count: usize| format!("let a = 1{}", "+1".repeat(count));
    assert!(parse(&row(MAX_OPERATORS), 0).1.is_empty());
    let blocks = "under a {\n".repeat(5_000) + &"}\n".repeat(5_000);
    for text in [
        nested(10_000),
        row(100_000),
        format!("let a = {}1", "-".repeat(100_000)),
        format!("drop a where {}b", "not ".repeat(50_000)),
        blocks,
    ] {
        assert!(!parse(&text, 0).1.is_empty());
    }
}

#[test]
fn values_stand_by_themselves() {
    assert!(parse_value("[1, 2 * 3]", 0).is_ok());
    for text in ["", "1 +", "[1", "a b", ")"] {
        assert!(parse_value(text, 0).is_err(), "{text}");
    }
}
