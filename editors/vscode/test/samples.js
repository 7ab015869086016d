// All rule files and examples of the repository, each with whether the program reads it without complaint.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const ROOT = path.join(__dirname, "../../..");

// Codes of messages that are about the text alone, where the highlighting may mark what is wrong.
const WRITTEN_WRONG = /error\[(syntax|unknown-verb|unknown-option|unknown-kind|not-yet)\]/;

function read(file) {
  return fs.readFileSync(path.join(ROOT, file), "utf8");
}

// The files below a folder whose name ends so.
function below(folder, end) {
  return fs
    .readdirSync(path.join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return below(file, end);
      return file.endsWith(end) ? [file] : [];
    })
    .sort();
}

// The rule files: those that are shipped, and those of the golden cases with their messages.
function files() {
  const shipped = below("rules", ".rules").map((name) => ({ name, text: read(name), valid: true }));
  const cases = below("tests/cases", "/r.rules").map((name) => {
    const error = path.join(ROOT, path.dirname(name), "error.txt");
    const refused = fs.existsSync(error) && WRITTEN_WRONG.test(fs.readFileSync(error, "utf8"));
    return { name, text: read(name), valid: !refused };
  });
  return [...shipped, ...cases];
}

// The blocks of `rules` in the pages; the block below one says what comes of it.
function examples() {
  return below("docs", ".md").flatMap((page) => {
    const blocks = [...read(page).matchAll(/^```(\w*)\n([^]*?)^```$/gm)];
    return blocks.flatMap(([, word, text], index) => {
      if (word !== "rules") return [];
      const outcome = blocks[index + 1]?.[1] === "keys" ? blocks[index + 1][2] : "";
      const line = read(page).slice(0, blocks[index].index).split("\n").length;
      return [{ name: `${page}:${line}`, text, valid: !WRITTEN_WRONG.test(outcome) }];
    });
  });
}

module.exports = { examples, files, read };

// As a program, it writes them as JSON, for the test of Vim.
if (require.main === module) process.stdout.write(JSON.stringify([...files(), ...examples()]));
