// The page: what is searched, filtered, folded and picked, and what each click does.

const $ = (id) => document.getElementById(id);
const plan = JSON.parse($("plan").textContent);
// How many rows of a side are opened where they differ, and where they do not.
const ROOM = { all: { mixed: 46, same: 26 }, found: { mixed: 90, same: 90 } };

const state = {
  words: [],
  statements: new Set(),
  hidden: new Set(),
  picked: null,
  finds: ({ search }) => state.words.every((word) => search.includes(word)),
};
const panes = { old: new Pane("old", redraw), new: new Pane("new", redraw) };
let model;
let fates = [];
let bundles = [];
let lines = [];
let asked = false;

// Draws once before the next picture, however often it is asked for.
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(draw);
}

function draw() {
  asked = false;
  panes.old.draw(state);
  panes.new.draw(state);
  const svg = $("lines");
  lines = drawLines(svg, inSight(bundles, panes.old, panes.new, svg.clientHeight), state.picked);
  $("tip").hidden = true;
}

function lay() {
  panes.old.lay();
  panes.new.lay();
  bundles = bundlesOf(fates, panes.old, panes.new);
  redraw();
}

const isFiltered = () => state.words.length > 0 || state.statements.size > 0 || state.hidden.size > 0;

// Shows what the search and the filters let through, folded anew.
function filter() {
  const found = (fate) => {
    if (state.words.length === 0) return true;
    return fate.from.some((place) => state.finds(model.old[place])) || (fate.to >= 0 && state.finds(model.now[fate.to]));
  };
  const ruled = ({ by }) => state.statements.size === 0 || by.some((number) => state.statements.has(number));
  fates = model.fates.filter((fate) => !state.hidden.has(fate.kind) && ruled(fate) && found(fate));
  const shown = new Set(fates);
  for (const pane of Object.values(panes)) {
    showLeaves(pane.tree, (leaf) => pane.tensors[leaf].fates.some((fate) => shown.has(fate)));
    pane.root.scrollTop = 0;
  }
  openSome(panes.old, panes.new, fates, state.words.length > 0 || state.statements.size > 0 ? ROOM.found : ROOM.all);
  pick(null);
  const counts = `${counted(model.old.length, "old key")}, ${counted(model.now.length, "new key")}: ${headline(model.fates)}`;
  $("summary").textContent = isFiltered() ? `${counted(fates.length, "line")} of ${counts}` : counts;
  $("clear").hidden = state.statements.size === 0;
  for (const button of document.querySelectorAll("#statements button")) {
    button.setAttribute("aria-pressed", state.statements.has(Number(button.dataset.statement)));
  }
  for (const button of document.querySelectorAll("#kinds button")) {
    button.setAttribute("aria-pressed", !state.hidden.has(button.dataset.kind));
  }
  lay();
}

// Marks fates and tells of them below. What they begin and end in comes into sight, and what was picked stays there.
function pick(picked) {
  state.picked = picked;
  $("details").hidden = !picked;
  if (picked) {
    $("details-title").textContent = [picked.title, headline(picked.fates)].filter(Boolean).join(": ");
    $("details-body").replaceChildren(detailsOf(picked.fates, model));
    $("details").scrollTop = 0;
    for (const pane of Object.values(panes)) {
      const places = picked.fates.flatMap((fate) => (pane === panes.old ? fate.from : fate.to >= 0 ? [fate.to] : []));
      const rows = places.map((place) => pane.rowOf[place]).filter((row) => row >= 0);
      const first = rows.reduce((a, b) => Math.min(a, b), Infinity);
      if (picked.pane === pane) pane.scrollTo(pane.cursor);
      else if (rows.length > 0) pane.scrollTo(first);
    }
  }
  redraw();
}

function fatesOf(pane, row) {
  const shown = new Set(fates);
  return [...new Set(pane.leaves(row).flatMap((leaf) => pane.tensors[leaf].fates))].filter((fate) => shown.has(fate));
}

function pickRow(pane, row) {
  pane.cursor = row.place;
  pick({ pane, id: row.id, title: short(row.label), fates: fatesOf(pane, row) });
}

function toggle(pane, row) {
  if (row.isLeaf) return;
  if (!pane.open.delete(row.id)) pane.open.add(row.id);
  lay();
}

function toggleApart(pane, row) {
  const { id } = row.group;
  if (!pane.apart.delete(id)) pane.apart.add(id);
  pane.open.add(id);
  lay();
}

// What the pointer is over: a row with its pane, or a line.
function under(target) {
  const row = target.closest?.(".row");
  if (row) {
    const pane = panes[row.closest(".pane").id];
    return { pane, row: pane.rows[Number(row.dataset.row)] };
  }
  const line = target.closest?.("[data-line]");
  return line ? { line: lines[Number(line.dataset.line)] } : {};
}

function showTip(event) {
  const { pane, row, line } = under(event.target);
  const tip = $("tip");
  tip.hidden = !row && !line;
  if (tip.hidden) return;
  tip.textContent = row ? tipOf(row.isLeaf ? "" : short(row.label), fatesOf(pane, row), model) : tipOf("", line.fates, model);
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? Math.max(4, event.clientY - height - 10) : event.clientY + 18}px`;
}

function onClick(event) {
  const { pane, row, line } = under(event.target);
  if (line) pick({ title: "", fates: line.fates });
  if (!row) return;
  if (event.target.closest(".apart")) toggleApart(pane, row);
  else if (event.target.closest(".twisty")) toggle(pane, row);
  else pickRow(pane, row);
}

function onKey(event, pane) {
  const row = pane.rows[pane.cursor];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    pane.cursor = Math.max(0, Math.min(pane.rows.length - 1, pane.cursor + step));
    pane.scrollTo(pane.cursor);
    redraw();
  } else if (row && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    if (row.isOpen !== (event.key === "ArrowRight")) toggle(pane, row);
  } else if (row && (event.key === "Enter" || event.key === " ")) pickRow(pane, row);
  else return;
  event.preventDefault();
}

function button(parent, text, data, act) {
  const made = element("button", data.kind ?? "", text);
  Object.assign(made.dataset, data);
  made.addEventListener("click", act);
  parent.append(made);
  return made;
}

function toggled(set, value) {
  if (!set.delete(value)) set.add(value);
  filter();
}

// `line 3` where all statements stand in one file, and else the file too.
function lineName({ place }, { statements }) {
  const file = (place) => place.slice(0, place.lastIndexOf(":") + 1);
  const one = statements.every((other) => file(other.place) === file(place));
  return one ? `line ${place.slice(file(place).length)}` : short(place);
}

// Shows one dict of the plan.
function open(dict) {
  dict.statements.forEach((statement) => {
    statement.doubts = dict.unproved.filter(({ place }) => place === statement.place).map(({ check }) => check);
  });
  model = modelOf(dict);
  state.statements.clear();
  panes.old.take(model.old);
  panes.new.take(model.now);
  $("old-name").textContent = `old: ${short(plan.source)}`;
  $("new-name").textContent = dict.target === null ? "new (no target: nothing shows that a model will load it)" : `new: ${short(dict.target)}`;
  $("statements").replaceChildren(
    ...dict.statements.map((statement, number) => {
      const item = element("li");
      const made = button(item, "", { statement: number }, () => toggled(state.statements, number));
      const matched = statement.matched > 0 ? ` · ${counted(statement.matched, "key")}` : "";
      made.append(element("small", "", `${lineName(statement, dict)}${matched}`));
      if (statement.doubts.length > 0) made.append(element("small", "doubt", " · check by eye"));
      made.append(element("code", "", short(statement.text.replace(/\s+/g, " "), 300)));
      return item;
    }),
  );
  if (dict.mirrors) $("statements").append(element("li", "empty", unmoved(dict)));
  $("kinds").replaceChildren();
  for (const { name, text } of KINDS) {
    const count = model.fates.filter((fate) => fate.kind === name).length;
    if (count > 0) button($("kinds"), `${count.toLocaleString("en")} ${text}`, { kind: name }, () => toggled(state.hidden, name));
  }
  filter();
}

function start() {
  const title = `Plan of ${short(plan.source)}`;
  document.title = title;
  $("title").textContent = title;
  plan.dicts.forEach(({ at }, number) => $("dict").append(new Option(short(at), number)));
  $("dict").hidden = plan.dicts.length < 2;
  $("dict").addEventListener("change", () => open(plan.dicts[Number($("dict").value)]));
  $("search").addEventListener("input", () => {
    state.words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    filter();
  });
  $("clear").addEventListener("click", () => (state.statements.clear(), filter()));
  $("close").addEventListener("click", () => pick(null));
  $("overview").addEventListener("click", () => {
    for (const pane of Object.values(panes)) pane.apart.clear();
    filter();
  });
  $("fold").addEventListener("click", () => (Object.values(panes).forEach((pane) => pane.open.clear()), lay()));
  $("unfold").addEventListener("click", () => {
    for (const pane of Object.values(panes)) pane.open = everything(pane.top, pane.apart);
    lay();
  });
  $("trees").addEventListener("click", onClick);
  $("trees").addEventListener("dblclick", (event) => {
    const { pane, row } = under(event.target);
    if (row && event.target.closest(".label, .spec")) toggle(pane, row);
  });
  $("trees").addEventListener("mousemove", showTip);
  $("trees").addEventListener("mouseleave", () => ($("tip").hidden = true));
  for (const pane of Object.values(panes)) {
    pane.root.addEventListener("keydown", (event) => onKey(event, pane));
    pane.root.addEventListener("focus", redraw);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== $("search")) {
      event.preventDefault();
      $("search").focus();
    } else if (event.key === "Escape") pick(null);
  });
  new ResizeObserver(redraw).observe($("trees"));
  open(plan.dicts[0]);
  draw();
  // What a test waits for.
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();
