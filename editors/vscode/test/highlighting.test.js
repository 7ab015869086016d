// What the words of rule files are to the grammar.
"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { load, tokenise } = require("./grammar.js");
const { examples, files, read } = require("./samples.js");

// The scope of each class of editors/lines.json, without the `.migrate` at its end.
const SCOPES = {
  verb: ["keyword.other.verb"],
  optional: ["keyword.operator.optional"],
  directive: ["keyword.control.directive", "keyword.control.import", "storage.type.let"],
  condition: ["keyword.control.where", "keyword.control.except"],
  arrow: ["storage.type.function.arrow"],
  comma: ["punctuation.separator.sequence", "punctuation.separator.list", "punctuation.separator.arguments"],
  key: ["meta.key"],
  dot: ["punctuation.separator.segment"],
  wildcard: ["variable.language.wildcard"],
  brace: ["punctuation.section.embedded.begin", "punctuation.section.embedded.end"],
  block: ["punctuation.section.block.begin", "punctuation.section.block.end"],
  bracket: ["brackets", "parens", "braces", "arguments"].flatMap((kind) =>
    ["begin", "end"].map((side) => `punctuation.section.${kind}.${side}`),
  ),
  capture: ["variable.parameter.capture"],
  forget: ["variable.language.forget"],
  colon: ["punctuation.separator.kind"],
  kind: ["support.type.kind"],
  range: ["keyword.operator.range"],
  text: ["string.unquoted.alternative", "string.unquoted.list"],
  bar: ["keyword.operator.alternation"],
  option: ["keyword.control.option"],
  name: ["variable.other"],
  definition: ["variable.other.definition"],
  tensor: ["variable.language.tensor"],
  dtype: ["support.type.dtype"],
  constant: ["constant.language"],
  number: ["constant.numeric"],
  arithmetic: ["keyword.operator.arithmetic"],
  comparison: ["keyword.operator.comparison"],
  logical: ["keyword.operator.wordlike"],
  assign: ["keyword.operator.assignment"],
  slice: ["punctuation.separator.slice"],
  function: ["support.function", "support.function.keys", "support.function.tensor"],
  string: ["string.quoted.double"],
  quote: ["punctuation.definition.string.begin", "punctuation.definition.string.end"],
  escape: ["constant.character.escape", "constant.character.escape.regexp"],
  regex: ["string.regexp"],
  group: ["punctuation.definition.group.regexp"],
  class: ["constant.other.character-class.set.regexp"],
  quantifier: ["keyword.operator.quantifier.regexp"],
  or: ["keyword.operator.or.regexp"],
  anchor: ["keyword.control.anchor.regexp"],
  comment: ["comment.line.number-sign", "punctuation.definition.comment"],
  version: ["entity.name.type.version"],
  module: ["entity.name.type.module"],
  illegal: ["verb", "unexpected", "unquoted", "kind", "option"].map((kind) => `invalid.illegal.${kind}`),
};

test("each word of the table has its scope", async (t) => {
  const grammar = await load();
  for (const { title, text, words } of JSON.parse(read("editors/lines.json"))) {
    await t.test(title, () => {
      const scopes = scopeOfEachCharacter(tokenise(grammar, text));
      let at = 0;
      for (const [word, kind] of words) {
        const start = find(text, word, at);
        at = start + word.length;
        const wanted = SCOPES[kind].map((scope) => `${scope}.migrate`);
        for (let place = start; place < at; place++) {
          const scope = scopes[place];
          assert.ok(wanted.includes(scope), `\`${word}\` at ${start} is ${scope}, not ${wanted.join(" or ")}`);
        }
      }
    });
  }
});

// Where a word stands next, and is no part of a longer one.
function find(text, word, from) {
  const part = /\w/;
  for (let at = text.indexOf(word, from); at >= 0; at = text.indexOf(word, at + 1)) {
    const [before, behind] = [text[at - 1] ?? "", text[at + word.length] ?? ""];
    if (part.test(word[0]) && part.test(before)) continue;
    if (part.test(word.at(-1)) && part.test(behind)) continue;
    return at;
  }
  throw new Error(`\`${word}\` does not stand in the text behind ${from}`);
}

function scopeOfEachCharacter(lines) {
  const scopes = [];
  for (const tokens of lines) {
    for (const { text, scope } of tokens) scopes.push(...Array(text.length).fill(scope));
    scopes.push(undefined); // the newline
  }
  return scopes;
}

test("nothing but white space is without a scope, and what is right is not marked as wrong", async () => {
  const grammar = await load();
  const samples = [...files(), ...examples()];
  assert.ok(samples.filter(({ valid }) => valid).length > 200, "too few samples were found");
  const wrong = [];
  for (const { name, text, valid } of samples) {
    tokenise(grammar, text).forEach((tokens, index) => {
      for (const { text, scope, scopes } of tokens) {
        if (text.trim() === "") continue;
        const bare = scopes.length === 1;
        const noKey = scope === "meta.key.migrate" && /[\s,.*{}"()[\]]/.test(text);
        const marked = valid && scope.startsWith("invalid.");
        if (bare || noKey || marked) wrong.push(`${name}, line ${index + 1}: \`${text}\` is ${scope}`);
      }
    });
  }
  assert.deepStrictEqual(wrong, []);
});

test("after each file the grammar is where it began", async () => {
  const grammar = await load();
  for (const { name, text, valid } of [...files(), ...examples()]) {
    if (!valid) continue;
    const last = tokenise(grammar, `${text}\ndrop probe`).at(-1);
    const scopes = last.filter(({ text }) => text.trim()).map(({ scope }) => scope);
    assert.deepStrictEqual(scopes, ["keyword.other.verb.migrate", "meta.key.migrate"], name);
  }
});
