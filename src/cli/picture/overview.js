// What is open at first: modules in which different things happen, then the highest ones, while there is room.

// The one folded row on the other side to which all of a row's lines lead, and which leads nowhere else.
function partners(bundles) {
  const rights = new Map();
  const lefts = new Map();
  const add = (map, from, to) => map.set(from, (map.get(from) ?? new Set()).add(to));
  for (const { left, right } of bundles) {
    if (left < 0 || right < 0) continue;
    add(rights, left, right);
    add(lefts, right, left);
  }
  const only = (map, from) => (map.get(from)?.size === 1 ? [...map.get(from)][0] : -1);
  const pairs = new Map();
  for (const left of rights.keys()) {
    const right = only(rights, left);
    if (right >= 0 && only(lefts, right) === left) pairs.set(left, right);
  }
  return pairs;
}

// Opens rows of both panes. Two rows that belong together are opened together, so that lines stay level.
function openSome(old, now, fates, room) {
  for (const pane of [old, now]) pane.open = new Set();
  // Each round opens one level at most, and there are only so many.
  for (let round = 0; round <= MAX_SEGMENTS; round++) {
    old.lay();
    now.lay();
    const pairs = partners(bundlesOf(fates, old, now));
    const paired = new Set(pairs.values());
    const wholes = old.rows.map((row) => [[old, row], ...(pairs.has(row.place) ? [[now, now.rows[pairs.get(row.place)]]] : [])]);
    wholes.push(...now.rows.filter(({ place }) => !paired.has(place)).map((row) => [[now, row]]));
    const folded = wholes.map((whole) => whole.filter(([, row]) => !row.isLeaf && !row.isOpen)).filter(({ length }) => length > 0);
    const level = ([[, row]]) => row.depth;
    folded.sort((a, b) => level(a) - level(b));
    const count = new Map([old, now].map((pane) => [pane, pane.rows.length]));
    let opened = false;
    for (const isMixed of [true, false]) {
      for (const whole of folded) {
        if (whole.some(([, row]) => row.nodes[0].fate === MIXED) !== isMixed) continue;
        const sizes = whole.map(([pane, row]) => [pane, rowsBelow(row, pane.apart).length]);
        const limit = isMixed ? room.mixed : room.same;
        if (sizes.some(([pane, size]) => count.get(pane) + size > limit)) continue;
        for (const [pane, size] of sizes) count.set(pane, count.get(pane) + size);
        for (const [pane, row] of whole) pane.open.add(row.id);
        opened = true;
      }
    }
    if (!opened) return;
  }
}
