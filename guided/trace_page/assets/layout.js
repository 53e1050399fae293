// Where nodes stand. Every layout gives the nodes to be seen with their `x` and `y`, the edges
// between them, the size of it all, and whether nodes can be folded; what it costs is linear in the number of nodes.

const PITCH_X = 236, PITCH_Y = 34, NODE_W = 190, NODE_H = 26;

/** A tree from left to right: one row for every leaf, parents in the middle of their children. */
function treeLayout(problem) {
  const nodes = [], edges = [];
  let rows = 0, columns = 0;
  if (problem.root === null) return { nodes, edges, width: 0, height: 0, folds: true };
  // Depth first without recursion: a chain may be thousands of segments long.
  const stack = [[problem.root, false]];
  while (stack.length > 0) {
    const [node, isDone] = stack.pop();
    const shown = node.folded ? [] : node.children;
    if (isDone) {
      node.y = (shown[0].y + shown[shown.length - 1].y) / 2;
      continue;
    }
    node.x = node.depth * PITCH_X;
    columns = Math.max(columns, node.depth + 1);
    nodes.push(node);
    if (node.up !== null) edges.push({ from: node.up, to: node, onWay: node.onWay });
    if (shown.length === 0) {
      node.y = rows++ * PITCH_Y;
      continue;
    }
    stack.push([node, true]);
    for (let i = shown.length - 1; i >= 0; i--) stack.push([shown[i], false]);
  }
  return { nodes, edges, width: columns * PITCH_X, height: rows * PITCH_Y, folds: true };
}

/** Particles: one column for every round, one row for every slot; who lives on keeps a line. */
function roundsLayout(problem) {
  const nodes = [], edges = [], spots = new Map(), filled = new Map();
  if (problem.root === null) return { nodes, edges, width: 0, height: 0, folds: false };
  const take = (node, column) => {
    const row = filled.get(column) ?? 0;
    filled.set(column, row + 1);
    const spot = { column, x: column * PITCH_X, y: row * PITCH_Y };
    if (spots.has(node)) {
      const own = spots.get(node);
      edges.push({ from: own[own.length - 1], to: spot, onWay: node.onWay, isSame: true });
      own.push(spot);
    } else {
      [node.x, node.y] = [spot.x, spot.y];
      spots.set(node, [spot]);
      nodes.push(node);
    }
  };
  take(problem.root, 0);
  problem.rounds.forEach((round, index) => {
    for (const id of new Set(round.alive)) {
      const node = problem.byId.get(id);
      if (node !== undefined && node !== problem.root) take(node, index + 1);
    }
  });
  // Nodes that no round has named stand below, in the column after their parent's.
  for (const node of problem.nodes) {
    if (!spots.has(node)) take(node, spots.get(node.up)[0].column + 1);
  }
  for (const node of problem.nodes) {
    if (node.up === null) continue;
    const column = spots.get(node)[0].column, before = spots.get(node.up);
    const from = before.findLast((spot) => spot.column < column) ?? before[0];
    edges.push({ from, to: node, onWay: node.onWay });
  }
  const counts = [...filled.values()];
  const columns = 1 + [...filled.keys()].reduce((a, b) => Math.max(a, b), 0);
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  return { nodes, edges, width: columns * PITCH_X, height: most * PITCH_Y, folds: false };
}

/** Folds everything but the way to the result, or nothing. */
function foldAll(problem, isFolded) {
  for (const node of problem.nodes) {
    node.folded = isFolded && node.children.length > 0 && !node.onWay;
  }
}

/** Unfolds what stands above a node. */
function unfoldTo(node) {
  for (const each of way(node.up)) each.folded = false;
}

/** The nearest node of a layout in a direction: "up", "down", "left" or "right"; null: none. */
function neighbour(layout, node, direction) {
  if (direction === "left") return node.up;
  if (direction === "right") return node.children.length > 0 && !node.folded ? node.children[0] : null;
  const sign = direction === "down" ? 1 : -1;
  let best = null, least = Infinity;
  for (const other of layout.nodes) {
    const dy = sign * (other.y - node.y);
    if (other === node || dy <= 0) continue;
    // The same column first.
    const distance = dy + 4 * Math.abs(other.x - node.x);
    if (distance < least) [best, least] = [other, distance];
  }
  return best;
}
