//! `include` and `use`: the statements of another text stand where the line stands.
//!
//! Where texts come from is the caller's affair: a [`Loader`] finds those of `include`, so that rules can be
//! read without a file system.

use std::collections::HashMap;

use super::error::{RuleError, RuleErrorKind};
use super::shipped;
use crate::keyset::nearest_word;
use crate::source::{Sources, Span};
use crate::syntax::ast::{Ast, Item, Spanned, Word};
use crate::syntax::{self, SyntaxError};

/// How many texts one rule file may take in, all told: a text that includes the next one twice, and so on,
/// would else grow without end.
const MAX_TEXTS: usize = 1000;
/// How deep they may nest.
const MAX_DEPTH: usize = 16;

/// Finds the texts that `include` names.
pub trait Loader {
    /// Where a text lies; equal places are one text.
    type Place: PartialEq;

    /// The text that a line of the text at `from` names by `path`.
    ///
    /// # Errors
    /// The reason why there is none, as the end of a sentence.
    fn load(&mut self, path: &str, from: &Self::Place) -> Result<Text<Self::Place>, String>;
}

/// A text that was found.
#[derive(Clone, Debug)]
pub struct Text<P> {
    /// What messages call it.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Where it lies.
    pub place: P,
}

/// Texts by the names that `include` gives them, wherever the line stands.
impl Loader for HashMap<String, String> {
    type Place = String;

    fn load(&mut self, path: &str, _: &String) -> Result<Text<String>, String> {
        let text = self.get(path).ok_or_else(|| "there is no such text".to_owned())?;
        Ok(Text { name: path.to_owned(), text: text.clone(), place: path.to_owned() })
    }
}

/// Rules with everything that they take in.
#[derive(Debug)]
pub struct TakenIn {
    /// The rules, without `include` and `use`.
    pub ast: Ast,
    /// What is wrong with the text of those that were taken in, each with its text's number.
    pub syntax_errors: Vec<(u32, SyntaxError)>,
    /// Lines that could not be followed.
    pub errors: Vec<RuleError>,
}

/// Follows each `include` and `use` of a syntax tree, whose text has that number and that place.
///
/// A `let` of a shipped set is the value that it has where nothing else is said: one of that name above the
/// `use` goes before. Texts that are taken in are added to `sources`, so that spans can point into them.
pub fn take_in<L: Loader>(
    ast: Ast,
    (file, place): (u32, L::Place),
    sources: &mut Sources,
    loader: &mut L,
) -> TakenIn {
    let taken = TakenIn { ast: Ast::default(), syntax_errors: Vec::new(), errors: Vec::new() };
    let mut walk = Walk { loader, sources, taken, way: vec![(file, place)], texts: 0, lets: Vec::new() };
    let items = walk.items(ast.items, Level::Own);
    walk.taken.ast = Ast { items };
    walk.taken
}

/// Which text a line stands in.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// The one that is run.
    Own,
    /// One that `include` takes in.
    Included,
    /// A shipped set.
    Shipped,
}

struct Walk<'a, L: Loader> {
    loader: &'a mut L,
    sources: &'a mut Sources,
    taken: TakenIn,
    /// The files from the one that is run to the one that the walk is in, by number and place.
    way: Vec<(u32, L::Place)>,
    /// How many texts were taken in.
    texts: usize,
    /// The names that `let` lines have defined so far.
    lets: Vec<String>,
}

impl<L: Loader> Walk<'_, L> {
    fn error(&mut self, kind: RuleErrorKind, span: Span) {
        self.taken.errors.push(Spanned::new(kind, span));
    }

    fn items(&mut self, items: Vec<Item>, level: Level) -> Vec<Item> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Include(path) => out.extend(self.include(&path)),
                Item::Use(name) => out.extend(self.shipped(&name)),
                Item::Under { prefix, body, span } => {
                    out.push(Item::Under { prefix, body: self.items(body, level), span });
                }
                Item::In { dicts, body: Some(body), span } => {
                    out.push(Item::In { dicts, body: Some(self.items(body, level)), span });
                }
                Item::Migration { span, .. } if level != Level::Own => {
                    self.error(RuleErrorKind::HeaderInside, span);
                }
                Item::Let { name, .. } if level == Level::Shipped && self.lets.contains(&name.node) => {}
                item => {
                    if let Item::Let { name, .. } = &item {
                        self.lets.push(name.node.clone());
                    }
                    out.push(item);
                }
            }
        }
        out
    }

    fn include(&mut self, path: &Word) -> Vec<Item> {
        let Some((_, from)) = self.way.last().filter(|_| self.texts < MAX_TEXTS) else {
            return self.too_many(path.span);
        };
        let Text { name, text, place } = match self.loader.load(&path.node, from) {
            Ok(text) => text,
            Err(reason) => {
                self.error(RuleErrorKind::Include { path: path.node.clone(), reason }, path.span);
                return Vec::new();
            }
        };
        if let Some(first) = self.way.iter().position(|(_, own)| *own == place) {
            let round = self.way.iter().skip(first).chain(self.way.get(first));
            let names =
                round.filter_map(|(file, _)| self.sources.get(*file)).map(|source| source.name.clone());
            let way = names.collect();
            self.error(RuleErrorKind::IncludesItself { path: path.node.clone(), way }, path.span);
            return Vec::new();
        }
        if self.way.len() > MAX_DEPTH {
            return self.too_many(path.span);
        }
        let (file, ast) = self.parse(name, &text, path.span);
        self.way.push((file, place));
        let items = self.items(ast.items, Level::Included);
        self.way.pop();
        items
    }

    fn shipped(&mut self, name: &Word) -> Vec<Item> {
        let Some(shipped) = shipped::find(&name.node) else {
            let nearest = nearest_word(&name.node, shipped::names());
            self.error(RuleErrorKind::UnknownRuleSet { name: name.node.clone(), nearest }, name.span);
            return Vec::new();
        };
        if self.texts >= MAX_TEXTS {
            return self.too_many(name.span);
        }
        let (_, ast) = self.parse(format!("use {}", shipped.name), shipped.text, name.span);
        self.items(ast.items, Level::Shipped)
    }

    /// Adds a text that a line takes in, and gives its number and its tree.
    fn parse(&mut self, name: String, text: &str, line: Span) -> (u32, Ast) {
        self.texts += 1;
        let file = self.sources.add_taken_in(name, text, Some(line));
        // The sources may have dropped a byte order mark, which would shift every span.
        let text = self.sources.get(file).map(|source| source.text.clone()).unwrap_or_default();
        let (ast, errors) = syntax::parse(&text, file);
        self.taken.syntax_errors.extend(errors.into_iter().map(|error| (file, error)));
        (file, ast)
    }

    /// Says once that there are too many texts.
    fn too_many(&mut self, span: Span) -> Vec<Item> {
        let told = |error: &RuleError| matches!(error.node, RuleErrorKind::TooManyTexts { .. });
        if !self.taken.errors.iter().any(told) {
            self.error(RuleErrorKind::TooManyTexts { most: MAX_TEXTS, deepest: MAX_DEPTH }, span);
        }
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    /// A text and its name.
    type Named = (&'static str, &'static str);

    /// Follows the lines of `r` through texts by name; gives the codes and messages of what is wrong.
    fn follow(texts: &[(&str, &str)]) -> (Ast, Sources, Vec<String>) {
        let mut texts: HashMap<String, String> =
            texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mut sources = Sources::new();
        let file = sources.add("r", texts["r"].clone());
        let (ast, errors) = syntax::parse(&texts["r"], file);
        assert_eq!(errors, []);
        let taken = take_in(ast, (file, "r".to_owned()), &mut sources, &mut texts);
        let wrong = taken.errors.iter().map(|error| format!("{}: {}", error.node.code(), error.node));
        let wrong =
            wrong.chain(taken.syntax_errors.iter().map(|(file, error)| format!("{file}: {}", error.kind)));
        let wrong = wrong.collect();
        (taken.ast, sources, wrong)
    }

    #[test]
    fn statements_stand_where_the_line_stands_and_point_into_their_own_text() {
        let (ast, sources, wrong) = follow(&[
            ("r", "drop a\nunder x {\n  include \"c\"\n}\ndrop d\n"),
            ("c", "\u{feff}drop b\ndrop c\n"),
        ]);
        assert!(wrong.is_empty(), "{wrong:?}");
        let [Item::Statement(_), Item::Under { body, .. }, Item::Statement(last)] = ast.items.as_slice()
        else {
            panic!("{ast:?}")
        };
        let places: Vec<String> = body
            .iter()
            .map(|item| match item {
                Item::Statement(statement) => {
                    format!("{} {}", sources.place(statement.span), sources.slice(statement.span))
                }
                item => panic!("{item:?}"),
            })
            .collect();
        assert_eq!(places, ["c:1 drop b", "c:2 drop c"]);
        assert_eq!(sources.place(last.span), "r:5");
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        let table: &[(&[Named], &[&str])] = &[
            (&[("r", "include \"c\"")], &["include: cannot include `c`: there is no such text"]),
            (&[("r", "include \"r\"")], &["include: `r` includes itself: r → r"]),
            (
                &[("r", "include \"a\""), ("a", "include \"b\""), ("b", "include \"a\"")],
                &["include: `a` includes itself: a → b → a"],
            ),
            (&[("r", "use lightening")], &["unknown-rule-set: there is no shipped rule set `lightening`"]),
            (
                &[("r", "include \"c\""), ("c", "migration a -> b")],
                &["directive: a text that is taken in has no `migration` line of its own"],
            ),
            (&[("r", "include \"c\""), ("c", "drop a b")], &["1: `b` stands alone"]),
        ];
        for (texts, expected) in table {
            assert_eq!(follow(texts).2, *expected, "{texts:?}");
        }
    }

    #[test]
    fn texts_that_multiply_are_bounded() {
        let names: Vec<String> = (0..40).map(|index| format!("t{index}")).collect();
        let doubling: Vec<String> =
            (1..41).map(|next| format!("include \"t{next}\"\ninclude \"t{next}\"")).collect();
        let mut texts: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(doubling.iter().map(String::as_str)).collect();
        texts.push(("r", "include \"t0\""));
        let (_, sources, wrong) = follow(&texts);
        assert_eq!(wrong, ["include: rules take in more than 1000 texts, or nest deeper than 16"]);
        assert_eq!(sources.taken_in_among(0..sources.next()).count(), MAX_TEXTS);
    }

    #[test]
    fn a_let_above_goes_before_that_of_a_shipped_set() {
        let lets = |text: &str| -> Vec<String> {
            let (ast, sources, wrong) = follow(&[("r", text)]);
            assert!(wrong.is_empty(), "{wrong:?}");
            let lets = ast.items.iter().filter_map(|item| match item {
                Item::Let { name, .. } => Some(format!("{} {}", sources.place(name.span), name.node)),
                _ => None,
            });
            lets.collect()
        };
        let all = ["use llama_hf:7 head_dim", "use llama_hf:8 heads", "use llama_hf:9 kv_heads"];
        assert_eq!(lets("use llama_hf"), all);
        assert_eq!(lets("let head_dim = 64\nuse llama_hf"), ["r:1 head_dim", all[1], all[2]]);
    }

    #[test]
    fn shipped_sets_parse_and_have_neither_a_header_nor_a_path() {
        for shipped in shipped::SHIPPED {
            let (ast, errors) = syntax::parse(shipped.text, 0);
            assert_eq!(errors, [], "{}", shipped.name);
            let alien =
                ast.items.iter().any(|item| matches!(item, Item::Include(_) | Item::Migration { .. }));
            assert!(!alien && shipped.text.starts_with("# "), "{}", shipped.name);
        }
    }
}
