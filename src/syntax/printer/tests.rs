//! What the canonical text looks like, and that made trees parse to what they are.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::syntax::parse;

/// Formats a text whose canonical form is canonical too.
fn formatted(text: &str) -> String {
    let canonical = format(text).unwrap();
    assert_eq!(format(&canonical).unwrap(), canonical, "{text}");
    assert_eq!(meaning(&canonical), meaning(text), "{text}");
    canonical
}

/// What a text says, without the places.
fn meaning(text: &str) -> String {
    let (ast, errors) = parse(text, 0);
    assert_eq!(errors, [], "{text}");
    let places = regex::Regex::new(r"Span \{[^}]*\}").unwrap();
    places.replace_all(&format!("{ast:?}"), "").into_owned()
}

#[test]
fn one_space_stands_between_tokens_but_for_patterns_and_small_arithmetic() {
    let table = [
        ("migration v1->v2 \"why\"", "migration v1 -> v2 \"why\""),
        ("let  depths=[ 1,2 ,3, ]", "let depths = [1, 2, 3]"),
        ("let a = sum( depths )-2*( b+1 ) //3", "let a = sum(depths) - 2 * (b + 1) // 3"),
        ("let a = shape( **.w )[ 0 ]/count(x.*)", "let a = shape(**.w)[0] / count(x.*)"),
        ("let a = b[ i + 1 ][-1]", "let a = b[i+1][-1]"),
        ("let a = - b - -1e-3", "let a = -b - -1e-3"),
        ("let a = config.hidden_size", "let a = config.hidden_size"),
        ("include   \"a b.rules\"", "include \"a b.rules\""),
        ("use   data_parallel", "use data_parallel"),
        ("optimizer   follow", "optimizer follow"),
        ("unwrap   a.b", "unwrap a.b"),
        ("in  a.b,c", "in a.b, c"),
        ("drop   a ,b", "drop a, b"),
        ("drop ? a", "drop? a"),
        ("rename a.{ i }->b.{ i + 1 }", "rename a.{i} -> b.{i+1}"),
        ("rename {i : int}.{j:0 .. 3}.{r :**} -> x", "rename {i:int}.{j:0..3}.{r:**} -> x"),
        ("rename { a b | c| }.x -> { p : d | e |}.x", "rename {a b|c|}.x -> {p:d|e|}.x"),
        ("split x -> { q , k,v }.w dim -1", "split x -> {q,k,v}.w dim -1"),
        ("rename b.{i}.* -> {group( i,d )}.*", "rename b.{i}.* -> {group(i, d)}.*"),
        ("rename \"a  ->  b\".\"{\"*x -> c#d", "rename \"a  ->  b\".\"{\"*x -> c#d"),
        ("rename /a, +(?<n>b  c)/ -> {n}", "rename /a, +(?<n>b  c)/ -> {n}"),
        ("rename a-b/c:d->e", "rename a-b/c:d -> e"),
        (
            "drop a where i<3 and(not rank==2)or p!=\"x\"",
            "drop a where i < 3 and (not rank == 2) or p != \"x\"",
        ),
        ("slice w at[0 : 5,: ,1: , : - 1]", "slice w at [0:5, :, 1:, :-1]"),
        ("select w at [shape[0] / 2 : ] dim 0", "select w at [shape[0]/2:] dim 0"),
        ("rearrange w by \"a  b\" with h = d / 2,two=2", "rearrange w by \"a  b\" with h=d/2, two=2"),
        ("set a.b ={ \"x\" :[ true,-1 , ],\"y\":none , }", "set a.b = {\"x\": [true, -1], \"y\": none}"),
        ("compute w = w + 0.5*( b@a )-sum( c,dim  0 )", "compute w = w + 0.5 * (b@a) - sum(c, dim 0)"),
        ("compute w = ( b   @ a )", "compute w = (b @ a)"),
        ("cast ** to bf16   except **.norm.* ,a", "cast ** to bf16 except **.norm.*, a"),
    ];
    for (text, wanted) in table {
        assert_eq!(formatted(text), wanted.to_owned() + "\n");
    }
}

#[test]
fn nothing_is_the_canonical_text_of_nothing() {
    for text in ["", "\n", " \r\n\t\n"] {
        assert_eq!(formatted(text), "");
    }
    assert_eq!(formatted("\n\n# a \r\n\r\n\r\n\r\n  # b"), "# a\n\n# b\n");
}

#[test]
fn columns_of_adjacent_statements_stand_below_one_another() {
    let text = "
migration v1 -> v2
rename model.decoder.blocks.* -> model.decoder.aspp.* # one
rename **.bn.* -> **.norm.* # two
drop  model.decoder.grid.which.is.longer # three
drop? x.y

rename a -> b
# A comment parts them, too.
transpose a.b.c -> d
rename {
  a -> bc # four
  a.b.c -> d
  set = e # five
  x.y = 1
} # six
";
    insta::assert_snapshot!(formatted(text), @r#"
    migration v1 -> v2
    rename model.decoder.blocks.* -> model.decoder.aspp.*  # one
    rename **.bn.*                -> **.norm.*             # two
    drop   model.decoder.grid.which.is.longer              # three
    drop?  x.y

    rename a -> b
    # A comment parts them, too.
    transpose a.b.c -> d
    rename {
      a     -> bc  # four
      a.b.c -> d
      set = e  # five
      x.y = 1
    }  # six
    "#);
}

#[test]
fn columns_are_given_up_where_a_line_would_be_too_wide() {
    let long = "a_rather_long_name".repeat(4);
    let text = format!("rename {long} -> b\nsplit a -> {{q,k,v}}.{} dim 0\n", "x".repeat(40));
    assert_eq!(formatted(&text), text.replace("split a", "split  a"));
    let text = format!("rename {long} -> {}\ntranspose a\n", "x".repeat(15));
    assert_eq!(formatted(&text), text);
    let text = format!("drop a # {}\ndrop a.b # {}\n", "x".repeat(10), "x".repeat(90));
    assert_eq!(formatted(&text), text.replace(" #", "  #"));
}

#[test]
fn long_lines_go_on_before_arrows_and_conditions_and_after_commas() {
    let name = |letter: &str| letter.repeat(30);
    let (a, b, c, d) = (name("a"), name("b"), name("c"), name("d"));
    let numbers = (0..40).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let text = format!(
        "rename {a}.{b} -> {c}.{d} where i<3 except {a}.x
merge {a},{b},{c},{d} -> x dim 0
under a {{
  split {a} -> {b},{c} dim 0 sizes [{numbers}]
}}
let numbers = [{numbers}]
in {a},{b},{c} {{
}}
drop {a}{a}{a}{a}.{{{a},{b}}}
"
    );
    insta::assert_snapshot!(formatted(&text), @r#"
    rename aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        -> cccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddd
        where i < 3
        except aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x
    merge aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,
        cccccccccccccccccccccccccccccc, dddddddddddddddddddddddddddddd
        -> x dim 0
    under a {
      split aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          -> bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccccc dim 0 sizes [0, 1, 2, 3, 4,
          5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
          30, 31, 32, 33, 34, 35, 36, 37, 38, 39]
    }
    let numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
        24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39]
    in aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccccc {
    }
    drop aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}
    "#);
}

#[test]
fn comments_inside_a_statement_keep_their_lines() {
    let text = "
rename a.* # why
  # and how

  -> b.*
  where i < 3 # less
drop x,# one
   y, # two
   z
reshape w to [ # rows
  1, 2, # columns
  3, # last
] where rank == 2
split a -> {q, # the query
   k,v}.w dim 0
set a = [{\"a\": 1, # first
  \"b\": 2 # second
  }]
";
    insta::assert_snapshot!(formatted(text), @r#"
    rename a.*  # why
        # and how
        -> b.*
        where i < 3  # less
    drop x,  # one
        y,  # two
        z
    reshape w to [  # rows
        1, 2,  # columns
        3      # last
    ] where rank == 2
    split a -> {q,  # the query
        k,v}.w dim 0
    set a = [{"a": 1,  # first
        "b": 2  # second
    }]
    "#);
}

#[test]
fn what_does_not_parse_has_no_canonical_text() {
    // The second would have one that does not parse: its word is parted from what follows.
    for text in ["rename a -> b\ndrop\ndrop \"c", "drop a\n where$\n", "drop a\n  except'b c.d\n"] {
        assert_eq!(format(text), Err(parse(text, 0).1), "{text}");
    }
}

#[test]
fn trees_are_printed_as_texts_that_mean_them() {
    let lines = [
        "migration v1 -> v2 \"w\\\"\\\\\\n\\ty\"",
        "let a = (b + 1) * -c // 2 % (3 - (4 - 5))",
        "let a = not (b and (c or d)) and (e < 1) == f",
        "let a = [1.5, 1e300, 1e400, \"t\", [b[i+1], -x[0]], (1 + 2)[0]]",
        "let a = shape(**.w)[0] / count({x}.*)",
        "include \"a\"\nuse b\noptimizer drop\nunwrap a\nin a.b, c\nin d {\n  drop e\n}",
        "under \"a.b\".c {\n  rename? {\n    where -> a\n    \"where\" -> b\n    \"except\", d -> c\n  }\n}",
        "rename {\n}",
        "rename {i:int}.{j:0..3}.{r:**}.{x}.{a|b|}.{p:c|d e} -> {i+1}.{(n)}.{group(i, d)}.*",
        "drop a\"b\"c.\"\".\"d.e\".f*.**, \"#x\", \"/y/\", a/b, \"?z\", \"-\", 0.1, é, \"a\u{a0}\"",
        "rename /a\\/(?<n>b)/ -> {n}",
        "split x -> {q,k}.w dim -1 sizes [shape[0] - 2, -1] where i < 3 except a.*, b",
        "slice w at [0:5, :, 1:, :-1]",
        "rearrange w by \"a b\" with h=d/2, two=2",
        "set a = {\"x\": [true, false, none, -1, -0.5], \"y\": {}}",
        "set a = \"b\"",
        "compute w = w + 0.5 * (b @ a) - -(c / 2) + sum(d, dim [0, 1], keep 1)",
        "compute w = 1 - \"1\" + \"dim\".x",
        "compute w = (\"a\")",
        "compute w = (true)",
    ];
    for text in lines {
        let printed = print(&parse(text, 0).0);
        assert_eq!(meaning(&printed), meaning(text), "{text}\n{printed}");
        assert_eq!(format(&printed).unwrap(), printed);
    }
}

#[test]
fn a_tree_that_no_text_means_is_printed_all_the_same() {
    let (mut ast, _) = parse("drop a", 0);
    if let Some(crate::syntax::ast::Item::Statement(statement)) = ast.items.first_mut() {
        statement.clauses[0].patterns.clear();
    }
    assert_eq!(print(&ast), "drop \n");
}
