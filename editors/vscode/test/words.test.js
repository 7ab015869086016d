// The words that are highlighted are those that the program has.
"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { read } = require("./samples.js");

// What the program has, from its source.
function program() {
  const table = between(read("src/rules/verbs/mod.rs"), "pub static VERBS", "];");
  const rows = found(table, /&(?:r#)?(\w+)::VERB/g).map((file) =>
    between(read(`src/rules/verbs/${file}.rs`), "static VERB: Verb = Verb {", "\n};"),
  );
  const grammar = read("grammar/migrate.pest");
  return {
    verbs: rows.map((row) => found(row, /\bname: "(\w+)",\n\s*summary/g)[0]),
    options: rows.flatMap((row) => found(row, /OptionRow \{\s*name: "(\w+)"/g)),
    directives: found(between(grammar, "\ndirective ", "\n"), /kw_(\w+)/g),
    dtypes: found(between(read("src/tensor.rs"), "const TABLE", "];"), /\(Dtype::\w+, "(\w+)"/g),
    constants: [
      ...found(between(read("src/rules/options.rs"), "Fill => &[", "]"), /"(\w+)"/g),
      ...found(between(grammar, "\nconstant_word ", "\n"), /"(\w+)"/g),
    ],
    functions: [
      ...found(between(read("docs/language.md"), "### Functions", "\n```"), /^\|.*?`(\w+)\(.*$/gm),
      ...found(between(read("docs/language.md"), "### Functions", "\n```"), /, `(\w+)[(`]/g),
    ],
    tensorFunctions: found(read("src/rules/formula.rs"), /^ {20}"(\w+)" =>/gm),
  };
}

// What VS Code highlights: the alternatives of words in a rule of the grammar.
function vscode() {
  const { repository } = JSON.parse(read("editors/vscode/syntaxes/migrate.tmLanguage.json"));
  const words = (rule) => alternatives(rule.begin ?? rule.match);
  const inExpressions = (scope) => repository.expression.patterns.find((rule) => JSON.stringify(rule).includes(scope));
  const inTerms = (scope) => repository["tensor-term"].patterns.find((rule) => JSON.stringify(rule).includes(scope));
  return {
    verbs: words(repository.statement),
    options: [repository.option, repository.with, repository.mode].flatMap(words),
    directives: ["migration", "let", "include", "use", "optimizer", "place"].flatMap((rule) => words(repository[rule])),
    dtypes: words(inExpressions("support.type.dtype")),
    constants: words(inExpressions("constant.language")),
    functions: [...words(inExpressions("support.function.keys")), ...words(inExpressions("support.function.migrate"))],
    tensorFunctions: words(inTerms("support.function.tensor")),
  };
}

// The words of the first group of a regular expression that holds words alone: `(a|b|c)`.
function alternatives(regex) {
  return /\((?:\?:)?(\w+(?:\|\w+)*)\)/.exec(regex)[1].split("|");
}

// What Vim highlights: lists that stand above its rules.
function vim() {
  const source = read("editors/vim/syntax/migrate.vim");
  const list = (name) => found(source, new RegExp(`^let s:${name} = '([^']*)'$`, "gm"))[0].split(" ");
  return {
    verbs: list("verbs"),
    options: list("options"),
    directives: list("directives"),
    dtypes: list("dtypes"),
    constants: list("constants"),
    functions: list("functions"),
    tensorFunctions: list("tensor_functions"),
  };
}

function between(text, start, end) {
  const from = text.indexOf(start);
  assert.ok(from >= 0, `the source has no \`${start}\``);
  return text.slice(from, text.indexOf(end, from + start.length));
}

function found(text, regex) {
  return [...text.matchAll(regex)].map((match) => match[1]);
}

for (const [editor, words] of Object.entries({ vscode, vim })) {
  test(`${editor} highlights the words that the program has`, () => {
    const highlighted = words();
    for (const [kind, wanted] of Object.entries(program())) {
      assert.ok(wanted.length > 3, `only ${wanted.length} ${kind} were found in the source`);
      assert.deepStrictEqual([...new Set(highlighted[kind])].sort(), [...new Set(wanted)].sort(), kind);
    }
  });
}
