// The TextMate grammar, run by the tokeniser of VS Code.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const FILE = path.join(__dirname, "../syntaxes/migrate.tmLanguage.json");

// The grammar, ready to tokenise.
async function load() {
  const wasm = path.join(path.dirname(require.resolve("vscode-oniguruma")), "onig.wasm");
  await oniguruma.loadWASM(fs.readFileSync(wasm));
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(FILE, "utf8"), FILE),
  });
  return registry.loadGrammar("source.migrate");
}

// The tokens of a text, one list a line; each has its `text`, and the innermost of its scopes in `scope`.
function tokenise(grammar, text) {
  let state = textmate.INITIAL;
  return lines(text).map((line) => {
    const result = grammar.tokenizeLine(line, state);
    state = result.ruleStack;
    return result.tokens.map(({ startIndex, endIndex, scopes }) => ({
      start: startIndex,
      text: line.slice(startIndex, endIndex),
      scope: scopes.at(-1),
      scopes,
    }));
  });
}

// The lines of a text, as an editor has them: without its byte order mark and carriage returns.
function lines(text) {
  return text.replace(/^\uFEFF/, "").split(/\r?\n/);
}

module.exports = { FILE, lines, load, tokenise };
