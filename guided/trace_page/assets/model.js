// The trace as the other parts see it, and how its numbers and texts are written.

const ENDS = new Set(["stop", "complete", "budget", "stop_string"]);

const REASONS = {
  stop: "complete: the model ended it",
  complete: "complete: the grammar left nothing to add",
  budget: "complete: closed to fit into the token limit",
  stop_string: "complete: a stop string",
  length: "cut by the token limit",
  cut: "cut: the search ended",
  interrupt: "cut: interrupted",
  memory: "cut: no memory left",
  closed: "given up",
};

/** A problem with its nodes linked: children, depth, way to the result. */
function link(problem) {
  const byId = new Map();
  for (const node of problem.nodes) {
    node.children = [];
    node.up = node.parent === undefined ? null : byId.get(node.parent);
    node.depth = node.up === null ? 0 : node.up.depth + 1;
    node.folded = false;
    node.onWay = false;
    byId.set(node.id, node);
    if (node.up !== null) node.up.children.push(node);
  }
  const result = problem.result === null ? null : byId.get(problem.result.best);
  for (const node of way(result)) node.onWay = true;
  const values = problem.nodes.map((node) => node.value).filter(Number.isFinite);
  return {
    ...problem, byId, result: problem.result, best: result, root: problem.nodes[0] ?? null,
    range: range(values), texts: new Map(),
  };
}

/** The values between which colours run: 0 to 1 for rewards in there, else from least to most. */
function range(values) {
  if (values.length === 0) return null;
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low >= 0 && high <= 1 ? [0, 1] : [low, high > low ? high : low + 1];
}

/** From the root to a node. */
function way(node) {
  const nodes = [];
  for (let at = node; at !== null && at !== undefined; at = at.up) nodes.push(at);
  return nodes.reverse();
}

/** The whole text of a node's path. */
function wholeText(node) {
  return way(node).map((each) => each.text).join("");
}

/** The sum of a number over a node's path; text where it is not finite. */
function pathSum(node, name) {
  let sum = 0;
  for (const each of way(node)) {
    if (!Number.isFinite(each[name])) return each[name];
    sum += each[name];
  }
  return sum;
}

const isComplete = (node) => ENDS.has(node.reason);

/** Complete, cut or growing, as one character: colours alone must not tell. */
function mark(node) {
  if (isComplete(node)) return "✓";
  return node.reason === undefined || node.reason === "closed" ? "" : "✂";
}

function reasonText(node) {
  return node.reason === undefined ? "partial" : REASONS[node.reason] ?? node.reason;
}

/** A number with about `digits` digits. */
function number(value, digits = 4) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (!Number.isFinite(value)) return value === undefined || value === null ? "–" : String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 2);
  return value.toFixed(Math.max(0, digits - Math.max(1, Math.ceil(Math.log10(size + 1e-12)))));
}

/** Any recorded value as text. */
function told(value) {
  if (typeof value === "number" || typeof value === "boolean") return number(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A text in one line, with its line breaks to be seen, cut to `most` characters. */
function oneLine(text, most) {
  const line = text.replace(/\r?\n/g, "↵").replace(/\t/g, "⇥").trim();
  return line.length <= most ? line : line.slice(0, most - 1) + "…";
}

/** A token with its blanks to be seen. */
function visible(text) {
  return text === "" ? "∅" : text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/ /g, "␣");
}

// From dark blue over grey to yellow: the order of lightness is the order of values, so that it can
// be read with every kind of colour vision, and in grey.
const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [253, 231, 55]];

/** The colour of a value, as [red, green, blue]. */
function colour(value, [low, high]) {
  const at = Math.min(1, Math.max(0, (value - low) / (high - low))) * (RAMP.length - 1);
  const step = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[step].map((part, i) => Math.round(part + (at - step) * (RAMP[step + 1][i] - part)));
}

const rgb = (parts) => `rgb(${parts.join(" ")})`;

/** Black or white, whichever can be read on a colour. */
function inkOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 120 ? "#000" : "#fff";
}

/** The best value of complete texts against what was spent, `[[spent, value, node], …]`. */
function bestSoFar(problem, name) {
  const scored = problem.nodes.filter((n) => n.spent && Number.isFinite(n.value) && isComplete(n));
  scored.sort((a, b) => a.spent[name] - b.spent[name] || a.id - b.id);
  const curve = [];
  for (const node of scored) {
    const last = curve[curve.length - 1];
    if (last !== undefined && node.value <= last[1]) continue;
    if (last !== undefined && node.spent[name] === last[0]) curve.pop();
    curve.push([node.spent[name], node.value, node]);
  }
  return curve;
}

/** Whether a round tells of something that happened in it: yes, or a list of what. */
const happened = (value) => value === true || (Array.isArray(value) && value.length > 0);

/** The names of the figures that rounds tell: numbers, and events (yes or no, or `resampled`). */
function figures(problem) {
  const numbers = new Set(), events = new Set();
  for (const round of problem.rounds) {
    for (const [name, value] of Object.entries(round.info ?? {})) {
      if (typeof value === "boolean" || (name === "resampled" && Array.isArray(value))) events.add(name);
      else if (typeof value === "number") numbers.add(name);
    }
  }
  return { numbers: [...numbers], events: [...events] };
}

/** The nodes whose segment holds a text, in the order of their making. */
function search(problem, wanted) {
  const needle = wanted.toLowerCase();
  return problem.nodes.filter((node) => node.text.toLowerCase().includes(needle));
}
