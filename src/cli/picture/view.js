// How trees and lines are drawn: only what is in sight is ever in the page.

const ROW = 22;
const SVG = "http://www.w3.org/2000/svg";

// Text in which nothing is left that cannot be seen or turns the reading direction, as messages write it.
function printable(text) {
  const hidden = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\ud800-\udfff]/gu;
  const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return text.replace(hidden, (char) => named[char] ?? `\\u{${char.codePointAt(0).toString(16)}}`);
}

// The same, with the middle of a long text left out.
function short(text, most = 160) {
  const half = Math.floor(most / 2);
  return text.length <= most ? printable(text) : `${printable(text.slice(0, half))}…${printable(text.slice(-half))}`;
}

function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function specOf({ dtype, shape }) {
  return dtype === undefined ? "" : `${dtype} [${shape.join(", ")}]`;
}

function counted(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// One side: the rows of a tree, of which those in sight are in the page.
class Pane {
  constructor(id, changed) {
    this.id = id;
    this.root = document.getElementById(id);
    this.sheet = this.root.querySelector(".rows");
    this.apart = new Set();
    this.open = new Set();
    this.rows = [];
    this.cursor = -1;
    this.root.addEventListener("scroll", () => changed(), { passive: true });
  }

  // Takes the tensors and the tree of another model.
  take(tensors) {
    this.tensors = tensors;
    this.tree = treeOf(tensors);
    this.apart.clear();
    this.top = { id: this.id, nodes: [this.tree.root], several: false, isLeaf: false };
  }

  // Lays the rows out anew, from what is shown and what is open.
  lay() {
    this.rows = [];
    this.rowOf = new Int32Array(this.tensors.length).fill(-1);
    if (this.tree.root.shown > 0) this.#lay(this.top, 0);
    this.cursor = Math.min(this.cursor, this.rows.length - 1);
    this.sheet.style.height = `${this.rows.length * ROW}px`;
  }

  #lay(stack, depth) {
    for (const found of rowsBelow(stack, this.apart)) {
      const row = { ...found, depth, place: this.rows.length };
      row.isOpen = !row.isLeaf && this.open.has(row.id);
      this.rows.push(row);
      if (row.isOpen) this.#lay(row, depth + 1);
      else for (const leaf of this.leaves(row)) this.rowOf[leaf] = row.place;
    }
  }

  // The leaves of a row, looked for once, and not before they are asked for.
  leaves(row) {
    return (row.leaves ??= leavesOf(row));
  }

  kinds(row) {
    return (row.kinds ??= new Set(this.leaves(row).flatMap((leaf) => this.tensors[leaf].fates.map(({ kind }) => kind))));
  }

  // Where the middle of a row is, from the upper edge of the pane.
  middle(place) {
    return place * ROW + ROW / 2 - this.root.scrollTop;
  }

  scrollTo(place) {
    const at = this.middle(place);
    if (at < 0 || at > this.root.clientHeight) this.root.scrollTop += at - this.root.clientHeight / 3;
  }

  draw(state) {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - 2);
    const last = Math.min(this.rows.length, first + Math.ceil(this.root.clientHeight / ROW) + 5);
    const drawn = this.rows.slice(first, last).map((row) => {
      row.drawn ??= this.#make(row, state);
      row.drawn.classList.toggle("picked", state.picked?.pane === this && state.picked.id === row.id);
      row.drawn.classList.toggle("cursor", this.cursor === row.place && document.activeElement === this.root);
      return row.drawn;
    });
    if (this.rows.length === 0) drawn.push(element("div", "empty", "no keys here"));
    // What is drawn already is not touched: a button that goes away while it is pressed is never clicked.
    for (const old of [...this.sheet.children]) if (!drawn.includes(old)) old.remove();
    drawn.forEach((one, at) => this.sheet.children[at] === one || this.sheet.insertBefore(one, this.sheet.children[at] ?? null));
  }

  #make(row, state) {
    const made = element("div", `row ${row.isLeaf ? "leaf" : "module"}`);
    made.dataset.row = row.place;
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", row.depth + 1);
    if (!row.isLeaf) made.setAttribute("aria-expanded", row.isOpen);
    made.style.top = `${row.place * ROW}px`;
    made.style.paddingLeft = `${Math.min(row.depth, 24) * 14}px`;
    made.classList.toggle("found", row.isLeaf && state.words.length > 0 && this.leaves(row).some((leaf) => state.finds(this.tensors[leaf])));
    made.append(element("span", "twisty", row.isLeaf ? "" : row.isOpen ? "▾" : "▸"));
    const marks = element("span", "marks");
    for (const { name, text } of KINDS.filter(({ name }) => this.kinds(row).has(name))) {
      marks.append(element("span", `mark ${name}`));
      marks.setAttribute("aria-label", `${marks.getAttribute("aria-label") ?? ""} ${text}`.trim());
    }
    marks.setAttribute("role", "img");
    made.append(marks, element("span", "label", short(row.label) || "(no name)"));
    if (row.group) {
      const apart = this.apart.has(row.group.id);
      const button = element("button", "apart", apart ? "together" : "apart");
      button.title = apart ? "Show layers of one structure as one row" : "Show these one by one";
      button.tabIndex = -1;
      made.append(button);
    }
    const { length } = this.leaves(row);
    const many = length > 1 ? `${length.toLocaleString("en")}×` : "";
    const spec = row.isLeaf ? `${many} ${specOf(this.tensors[this.leaves(row)[0]])}` : counted(length, "key");
    made.append(element("span", "spec", spec.trim()));
    return made;
  }
}

// Fates that lead from one row to another, and are of one kind, are one line.
function bundlesOf(fates, old, now) {
  const bundles = new Map();
  for (const fate of fates) {
    const right = fate.to >= 0 ? now.rowOf[fate.to] : -1;
    for (const left of fate.from.length > 0 ? new Set(fate.from.map((place) => old.rowOf[place])) : [-1]) {
      const key = `${left} ${right} ${fate.kind}`;
      if (!bundles.has(key)) bundles.set(key, { left, right, kind: fate.kind, fates: [] });
      bundles.get(key).fates.push(fate);
    }
  }
  return [...bundles.values()];
}

// Lines that leave the sight at one place in one direction are one line, so that thousands cost no time.
function inSight(bundles, old, now, height) {
  const gathered = new Map();
  for (const bundle of bundles) {
    const { left, right, kind, fates } = bundle;
    const ends = [left < 0 ? null : old.middle(left), right < 0 ? null : now.middle(right)];
    const out = ends.map((y) => (y === null ? 0 : y < 0 ? -1 : y > height ? 1 : 0));
    const seen = ends.some((y, side) => y !== null && out[side] === 0);
    if (!seen) continue;
    const [from, to] = ends.map((y, side) => (out[side] === 0 ? y : out[side] < 0 ? -8 : height + 8));
    const off = out.some((side) => side !== 0);
    const key = off ? `${from} ${to} ${kind}` : `${left} ${right} ${kind} in sight`;
    if (!gathered.has(key)) gathered.set(key, { from, to, kind, off, fates: [] });
    gathered.get(key).fates.push(fates);
  }
  return [...gathered.values()].map((line) => ({ ...line, fates: line.fates.flat() }));
}

function curve({ from, to }, width) {
  if (to === null) return `M0,${from} H${width * 0.2}`;
  if (from === null) return `M${width * 0.8},${to} H${width}`;
  return `M0,${from} C${width / 2},${from} ${width / 2},${to} ${width},${to}`;
}

// Draws lines and gives those that were drawn, in the order of their `data-line`.
function drawLines(svg, lines, picked) {
  const width = svg.clientWidth;
  const hot = picked && new Set(picked.fates);
  svg.classList.toggle("chosen", Boolean(picked));
  const order = KINDS.map(({ name }) => name);
  lines.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const drawn = lines.map((line, number) => {
    const group = document.createElementNS(SVG, "g");
    group.dataset.line = number;
    group.classList.add(line.kind);
    group.classList.toggle("off", line.off);
    group.classList.toggle("hot", Boolean(hot) && line.fates.some((fate) => hot.has(fate)));
    const way = curve(line, width);
    for (const name of ["", "hit"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", way);
      if (name) path.classList.add(name);
      else path.style.strokeWidth = `${1.4 + Math.min(4.5, Math.log2(line.fates.length) * 0.6)}px`;
      group.append(path);
    }
    if (line.from === null || line.to === null) {
      const sign = document.createElementNS(SVG, "text");
      sign.textContent = KIND.get(line.kind).sign;
      sign.setAttribute("x", width * (line.to === null ? 0.2 : 0.8) + (line.to === null ? 8 : -8));
      sign.setAttribute("y", line.from ?? line.to);
      group.append(sign);
    }
    return group;
  });
  svg.replaceChildren(...drawn);
  return lines;
}
