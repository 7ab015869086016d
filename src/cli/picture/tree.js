// Keys as a tree of modules in which layers of one structure are one row: `layers.{0…11}`.

// Keys with more segments than this stay whole, so that a hostile key costs no time.
const MAX_SEGMENTS = 64;
// The fate of a node in which different things happen.
const MIXED = "mixed";
const INDEX = /^(0|[1-9]\d{0,14})$/;

// The tree of one side. Equal forms have equal children, dtypes, shapes and fates, in one order.
function treeOf(tensors) {
  const root = { name: "", up: null, parts: [], modules: new Map(), leaf: -1 };
  const nodes = [root];
  const leaves = [];
  tensors.forEach(({ key }, leaf) => {
    let segments = key.split(".");
    if (segments.length > MAX_SEGMENTS) segments = [key];
    const name = segments.pop();
    let at = root;
    for (const segment of segments) {
      let next = at.modules.get(segment);
      if (!next) {
        next = { name: segment, up: at, parts: [], modules: new Map(), leaf: -1 };
        at.modules.set(segment, next);
        at.parts.push(next);
        nodes.push(next);
      }
      at = next;
    }
    const node = { name, up: at, parts: [], leaf };
    at.parts.push(node);
    nodes.push(node);
    leaves.push(node);
  });
  const forms = new Map();
  // A node comes after the one above it, so that from the end on, parts have their forms already.
  for (let at = nodes.length - 1; at >= 0; at--) {
    const node = nodes[at];
    const tensor = tensors[node.leaf];
    const fates = new Set(tensor ? tensor.fates.map((fate) => fate.form) : node.parts.map((part) => part.fate));
    node.fate = fates.size > 1 ? MIXED : [...fates][0];
    const text = tensor
      ? [tensor.dtype, tensor.shape, [...fates].sort()]
      : node.parts.map((part) => [part.name, part.form, part.leaf >= 0]);
    const form = JSON.stringify(text);
    if (!forms.has(form)) forms.set(form, forms.size);
    node.form = forms.get(form);
  }
  return { root, nodes, leaves };
}

// Says which leaves are shown: `shown` counts those at and below each node.
function showLeaves(tree, isShown) {
  for (const node of tree.nodes) node.shown = 0;
  tree.leaves.forEach((leaf, index) => {
    if (isShown(index)) for (let at = leaf; at; at = at.up) at.shown += 1;
  });
}

// Ascending indices as runs: `0…3,7`.
function runs(indices) {
  const found = [];
  for (const index of indices) {
    const last = found[found.length - 1];
    if (last && last[1] + 1 === index) last[1] = index;
    else found.push([index, index]);
  }
  const texts = found.map(([first, last]) => (first === last ? `${first}` : `${first}…${last}`));
  return texts.length > 6 ? [texts[0], texts[1], "…", texts[texts.length - 1]].join(",") : texts.join(",");
}

// A stack is what a row shows: nodes of one form, the same place of several layers.
function stackOf(id, nodes) {
  const names = [...new Set(nodes.map((node) => node.name))];
  const several = names.length > 1;
  const label = several ? `{${runs(names.map(Number).sort((a, b) => a - b))}}` : names[0];
  return { id, nodes, label, several, isLeaf: nodes[0].leaf >= 0 };
}

// What stands below a stack; `apart` has those stacks whose layers are shown one by one.
function below(stack, apart) {
  if (stack.several && apart.has(stack.id)) {
    const byName = new Map();
    for (const node of stack.nodes) {
      if (!byName.has(node.name)) byName.set(node.name, []);
      byName.get(node.name).push(node);
    }
    return [...byName].map(([name, nodes]) => stackOf(`${stack.id}\u0000=${name}`, nodes));
  }
  const groups = new Map();
  stack.nodes[0].parts.forEach((part, place) => {
    const kind = part.leaf >= 0 ? "leaf" : "module";
    const own = INDEX.test(part.name) ? `#${kind} ${part.form}` : `.${kind} ${part.name}`;
    if (!groups.has(own)) groups.set(own, []);
    groups.get(own).push(place);
  });
  const stacks = [];
  for (const [own, places] of groups) {
    const nodes = stack.nodes.flatMap((node) => places.map((place) => node.parts[place]));
    const shown = nodes.filter((node) => node.shown > 0);
    if (shown.length > 0) stacks.push(stackOf(`${stack.id}\u0000${own}`, shown));
  }
  return stacks;
}

// A module with one thing in it is one row with that: `model.layers.{0…11}`. `group` is what its layers are, if any.
function joined(stack, apart) {
  const labels = [stack.label];
  let at = stack;
  let group = stack.several ? stack : null;
  while (!at.isLeaf && !(at.several && apart.has(at.id))) {
    const parts = below(at, apart);
    if (parts.length !== 1) break;
    at = parts[0];
    if (at.several) group = at;
    labels.push(at.label);
  }
  return { ...at, label: labels.join("."), group };
}

function rowsBelow(stack, apart) {
  return below(stack, apart).map((part) => joined(part, apart));
}

// All leaves of a stack that are shown, as indices of tensors.
function leavesOf(stack) {
  const found = [];
  const todo = [...stack.nodes].reverse();
  while (todo.length > 0) {
    const node = todo.pop();
    if (node.shown === 0) continue;
    if (node.leaf >= 0) found.push(node.leaf);
    for (let at = node.parts.length - 1; at >= 0; at--) todo.push(node.parts[at]);
  }
  return found;
}

// Every stack that can be opened.
function everything(root, apart) {
  const open = new Set();
  const todo = [root];
  while (todo.length > 0) {
    for (const row of rowsBelow(todo.pop(), apart)) {
      if (row.isLeaf) continue;
      open.add(row.id);
      todo.push(row);
    }
  }
  return open;
}
