// A plan as two lists of keys, and fates: what becomes of which.

const KINDS = [
  { name: "kept", sign: "=", text: "as they are" },
  { name: "renamed", sign: "→", text: "renamed" },
  { name: "split", sign: "<", text: "split" },
  { name: "merged", sign: ">", text: "merged" },
  { name: "computed", sign: "~", text: "computed" },
  { name: "tied", sign: "≡", text: "tied" },
  { name: "filled", sign: "+", text: "made from nothing" },
  { name: "left", sign: "○", text: "left to the model" },
  { name: "dropped", sign: "×", text: "dropped" },
];
const KIND = new Map(KINDS.map((kind) => [kind.name, kind]));

// The source keys in an expression, each once, and whether a part of a tensor is taken in it.
function insides(expression) {
  const keys = new Set();
  let part = false;
  const todo = [expression];
  while (todo.length > 0) {
    const at = todo.pop();
    if (typeof at === "string") keys.add(at);
    else if (at) {
      part ||= at.op === "narrow";
      for (const operand of at.of ?? []) todo.push(operand);
    }
  }
  return { keys, part };
}

// Follows names through the statements, top to bottom: which statements made what a name holds, and of which keys.
function follow(statements, places) {
  const made = new Map();
  const went = new Map();
  const holds = (name) => made.get(name) ?? { by: [], of: places.has(name) ? [places.get(name)] : [] };
  const union = (lists) => (lists.length === 1 ? lists[0] : [...new Set(lists.flat())]);
  statements.forEach((statement, number) => {
    // All of a statement is read before any of it is done: swaps are safe.
    const after = [];
    for (const { from, to } of statement.moves) {
      const held = from.map(holds);
      const by = [...union(held.map((one) => one.by)).filter((other) => other !== number), number];
      const of = union(held.map((one) => one.of));
      after.push([to, { by, of }]);
    }
    for (const name of statement.dropped) {
      const { by, of } = holds(name);
      for (const place of of) went.set(place, [...by, number]);
    }
    for (const [to, held] of after) {
      made.set(to, held);
      for (const place of held.of) went.set(place, held.by);
    }
  });
  return { by: (name) => holds(name).by, went: (place) => went.get(place) ?? [] };
}

function kindOf(output, inside, uses, verbs) {
  if (output.tied || (verbs.includes("tie") && typeof output.from === "string")) return "tied";
  if (typeof output.from === "string") return output.from === output.key ? "kept" : "renamed";
  if (inside.keys.size === 0) return "filled";
  if (inside.keys.size > 1) return "merged";
  const [only] = inside.keys;
  return inside.part && uses.get(only) > 1 ? "split" : "computed";
}

// The keys of both sides and their fates, of one dict of the plan.
function modelOf(dict) {
  const tensor = ({ key, dtype, shape }) => ({ key, dtype, shape, fates: [], search: key.toLowerCase() });
  const old = dict.sources.map(tensor);
  const now = [...dict.outputs, ...dict.left.map((key) => ({ key }))].map(tensor);
  const places = new Map(old.map(({ key }, place) => [key, place]));
  const way = follow(dict.statements, places);
  const insideOf = dict.outputs.map((output) => insides(output.from));
  const uses = new Map();
  for (const { keys } of insideOf) for (const key of keys) uses.set(key, (uses.get(key) ?? 0) + 1);

  const fates = [];
  const add = (fate) => {
    for (const place of fate.from) old[place].fates.push(fate);
    if (fate.to >= 0) now[fate.to].fates.push(fate);
    fate.form = `${fate.kind}:${fate.by.join()}`;
    fates.push(fate);
  };
  dict.outputs.forEach((output, to) => {
    const inside = insideOf[to];
    const from = [...inside.keys].map((key) => places.get(key)).filter((place) => place !== undefined);
    const by = way.by(output.key);
    const verbs = by.map((number) => dict.statements[number].verb);
    add({ kind: kindOf(output, inside, uses, verbs), from, to, by, how: output.from });
  });
  const leaving = dict.statements.flatMap(({ verb }, number) => (verb === "leave" ? [number] : []));
  dict.left.forEach((_, index) => {
    // Which of several statements left a key, the plan does not tell: it is one of these.
    add({ kind: "left", from: [], to: dict.outputs.length + index, by: leaving });
  });
  old.forEach(({ fates: own }, place) => {
    if (own.length === 0) add({ kind: "dropped", from: [place], to: -1, by: way.went(place) });
  });
  return { dict, old, now, fates, statements: dict.statements };
}
