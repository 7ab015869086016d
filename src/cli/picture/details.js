// What is said of fates: in a few lines beside the pointer, and in full below the trees.

const MOST_FATES = 300;
const MOST_KEYS = 12;

// An expression as it is computed: `narrow(x; dim=0, start=0, len=64)`.
function formula(expression, depth = 0) {
  if (typeof expression === "string") return short(expression, 400);
  if (!expression || depth > 20) return "…";
  const { op, of = [], ...rest } = expression;
  const options = Object.entries(rest).map(([name, value]) => `${name}=${short(Array.isArray(value) ? `[${value.join(", ")}]` : String(value))}`);
  const operands = of.slice(0, MOST_KEYS).map((operand) => formula(operand, depth + 1));
  if (of.length > MOST_KEYS) operands.push(`… ${of.length - MOST_KEYS} more`);
  return `${op}(${[operands.join(", "), options.join(", ")].filter(Boolean).join("; ")})`;
}

function headline(fates) {
  const counts = KINDS.map((kind) => [kind, fates.filter((fate) => fate.kind === kind.name).length]);
  return counts.filter(([, count]) => count > 0).map(([{ text }, count]) => `${count.toLocaleString("en")} ${text}`).join(", ");
}

// What the pointer is told of a line or a row.
function tipOf(title, fates, model) {
  const lines = title ? [title] : [];
  const [fate] = fates;
  if (fates.length === 1) {
    const name = ({ key, dtype, shape }) => `${short(key)}  ${specOf({ dtype, shape })}`.trim();
    const from = fate.from.slice(0, 4).map((place) => name(model.old[place]));
    if (fate.from.length > 4) from.push(`… ${fate.from.length - 4} more`);
    lines.push(...from);
    if (fate.to >= 0) lines.push(`${KIND.get(fate.kind).sign} ${name(model.now[fate.to])}`);
  }
  lines.push(headline(fates));
  const numbers = [...new Set(fates.flatMap(({ by }) => by))].sort((a, b) => a - b);
  for (const number of numbers.slice(0, 4)) {
    const { place, text } = model.statements[number];
    lines.push(`${short(place)}  ${short(text.replace(/\s+/g, " "))}`);
  }
  if (numbers.length > 4) lines.push(`… and ${counted(numbers.length - 4, "more statement")}`);
  return lines.join("\n");
}

// What is said where no statement is named: a mirror goes where the dict goes that it mirrors.
function unmoved({ mirrors }) {
  return mirrors ? `These mirror ${short(mirrors)} and follow it.` : "No statement moves these.";
}

function namesIn(tensors, places) {
  const made = element("span");
  for (const place of places.slice(0, MOST_KEYS)) {
    const { key } = tensors[place];
    made.append(element("span", "", printable(key) || "(no name)"), " ", element("i", "", specOf(tensors[place])), element("br"));
  }
  if (places.length > MOST_KEYS) made.append(`… and ${places.length - MOST_KEYS} more`);
  if (places.length === 0) made.append("–");
  return made;
}

function fateLine(fate, model) {
  const { sign, text } = KIND.get(fate.kind);
  const made = element("div", `fate ${fate.kind}`);
  const mark = element("b", "", sign);
  mark.title = text;
  made.append(mark, namesIn(model.old, fate.from), element("i", "", fate.to >= 0 ? "→" : ""));
  made.append(fate.to >= 0 ? namesIn(model.now, [fate.to]) : element("i", "", text));
  if (fate.how && typeof fate.how === "object") made.append(element("span", "how", formula(fate.how)));
  return made;
}

// All that is known of fates, those of the same statements together.
function detailsOf(fates, model) {
  const groups = new Map();
  for (const fate of fates) {
    const key = `${fate.by.join()} ${fate.kind === "left"}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(fate);
  }
  const made = document.createDocumentFragment();
  let room = MOST_FATES;
  for (const group of groups.values()) {
    const { by, kind } = group[0];
    if (kind === "left" && by.length > 1) made.append(element("h3", "", "One of these statements says so:"));
    for (const number of by) {
      const { place, text, doubts } = model.statements[number];
      made.append(element("h3", "place", printable(place)), element("pre", "rule", text.split("\n").map(printable).join("\n")));
      for (const doubt of doubts) made.append(element("p", "doubt", `The shapes do not prove it: ${printable(doubt)}`));
    }
    if (by.length === 0) made.append(element("h3", "", unmoved(model.dict)));
    for (const fate of group.slice(0, room)) made.append(fateLine(fate, model));
    if (group.length > room) made.append(element("p", "", `… and ${counted(group.length - room, "more key")}`));
    room = Math.max(0, room - group.length);
    if (room === 0) break;
  }
  return made;
}
