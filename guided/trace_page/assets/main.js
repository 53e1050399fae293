// The page: which prompt, which node, which view; keys and buttons.

const KEYS = [
  ["← →", "to the parent, to the first child"], ["↑ ↓", "to the node above, below"],
  ["space", "fold or unfold"], ["b", "to the result"], ["n  p", "to the next, previous node of the result's path"],
  ["+  −  0", "closer, farther, fit"], ["f  u", "fold all but the way to the result, unfold"],
  ["l", "the other layout"], ["[  ]", "the previous, next prompt"], ["/", "find (Enter: the next)"],
  ["d", "to the details of the node"], ["t", "dark or light"], ["?", "these keys"],
];

const byName = (id) => document.getElementById(id);
const trace = JSON.parse(byName("trace").textContent);
const state = { problem: null, layout: null, kind: "tree", selected: null, hits: [], hit: -1 };
const picture = new Picture(byName("canvas"), select, fold);
const linked = [];

/** All prompts of all runs, linked when they are first shown. */
function listProblems() {
  const menu = byName("problems");
  trace.runs.forEach((run, r) => {
    const group = element("optgroup", { label: trace.runs.length > 1 ? `${r + 1}. ${run.method}` : run.method });
    for (const problem of run.problems) {
      group.append(element("option", { value: linked.length }, `${problem.number + 1}. ${oneLine(problem.prompt, 60)}`));
      linked.push({ run, problem, made: null });
    }
    menu.append(group);
  });
  menu.addEventListener("change", () => open(Number(menu.value)));
}

function open(index) {
  const entry = linked[index];
  byName("problems").value = String(index);
  entry.made ??= { ...link(entry.problem), run: entry.run, vocabulary: entry.run.vocabulary };
  const problem = state.problem = entry.made;
  const isParticles = problem.rounds.length > 1 && figures(problem).numbers.some((name) => /^ess/i.test(name));
  state.kind = isParticles ? "rounds" : "tree";
  byName("layout").value = state.kind;
  state.hits = [];
  byName("found").textContent = "";
  summarize(problem);
  byName("charts").replaceChildren(...[budgetFigure(problem, select), roundsFigure(problem)].filter((each) => each !== null));
  state.selected = problem.best ?? problem.root;
  arrange();
  picture.fit();
  // Rather a part that can be read than the whole that cannot.
  if (picture.scale < 0.6) picture.scale = 0.85;
  select(state.selected);
}

function summarize({ run, result, nodes, best, rounds }) {
  const settings = Object.entries(run.settings ?? {}).map(([key, value]) => `${key} = ${told(value)}`).join(", ");
  const spent = Object.entries(result?.spent ?? {}).map(([key, value]) => `${number(value)} ${key.replaceAll("_", " ")}`).join(" · ");
  byName("summary").replaceChildren(rows([
    ["method", `${run.method}${settings ? ` (${settings})` : ""}`],
    ["tree", `${number(nodes.length)} nodes, ${number(rounds.length)} rounds`],
    ["result", result === null ? "none: the trace ends before it" : `node ${best.id}, score ${number(best.value)}${result.stopped ? `; stopped by ${result.stopped}` : ""}`],
    ["spent", spent || undefined],
    ["certificate", result?.certificate ?? undefined],
  ]), result === null ? "" : element("pre", {}, result.text));
}

function arrange() {
  const { problem, kind } = state;
  state.layout = kind === "tree" ? treeLayout(problem) : roundsLayout(problem);
  picture.show(problem, state.layout, state.selected);
  for (const id of ["fold", "unfold"]) byName(id).disabled = !state.layout.folds;
  byName("legend").replaceChildren(...legend(problem));
}

function legend({ range: values }) {
  const words = element("span", {}, "thick: way to the result · ✓ complete · ✂ cut");
  if (values === null) return [words];
  const ramp = element("span", { class: "ramp" });
  ramp.style.background = `linear-gradient(to right, ${RAMP.map(rgb).join(", ")})`;
  return [number(values[0]), ramp, number(values[1]), " score · ", words];
}

function select(node) {
  if (node === null) return;
  unfoldTo(node);
  state.selected = node;
  if (!state.layout.nodes.includes(node)) arrange();
  picture.show(state.problem, state.layout, node);
  picture.reveal(node);
  byName("details").replaceChildren(...nodeDetails(state.problem, node, select));
  byName("where").textContent =
    `Node ${node.id}, depth ${node.depth}, score ${number(node.value)}, ${reasonText(node)}, ${node.children.length} children: ${oneLine(node.text, 80)}`;
}

function fold(node) {
  if (node.children.length === 0 || !state.layout.folds) return;
  node.folded = !node.folded;
  arrange();
}

function foldEverything(isFolded) {
  if (!state.layout.folds) return;
  foldAll(state.problem, isFolded);
  arrange();
  if (!state.layout.nodes.includes(state.selected)) select(state.problem.best ?? state.problem.root);
  picture.reveal(state.selected);
}

function along(step) {
  const path = way(state.problem.best), at = path.indexOf(state.selected);
  const next = at < 0 ? path[path.length - 1] : path[at + step];
  if (next !== undefined) select(next);
}

function setLayout(kind) {
  state.kind = byName("layout").value = kind;
  arrange();
  picture.reveal(state.selected);
}

function find(isNext) {
  const wanted = byName("find").value;
  if (!isNext) {
    state.hits = wanted === "" ? [] : search(state.problem, wanted);
    state.hit = -1;
  }
  const count = state.hits.length;
  if (count > 0) {
    state.hit = (state.hit + 1) % count;
    select(state.hits[state.hit]);
  }
  byName("found").textContent = wanted === "" ? "" : count === 0 ? "nothing found" : `${state.hit + 1} of ${count}`;
}

function otherTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  picture.ask();
}

function showKeys() {
  const place = byName("keys");
  place.hidden = !place.hidden;
  byName("help").setAttribute("aria-expanded", String(!place.hidden));
}

const ACTIONS = {
  ArrowLeft: () => step("left"), ArrowRight: () => step("right"), ArrowUp: () => step("up"), ArrowDown: () => step("down"),
  " ": () => fold(state.selected), Enter: () => fold(state.selected), b: () => select(state.problem.best),
  n: () => along(1), p: () => along(-1), "+": () => picture.zoom(1.25), "=": () => picture.zoom(1.25),
  "-": () => picture.zoom(0.8), 0: () => picture.fit(), f: () => foldEverything(true), u: () => foldEverything(false),
  l: () => setLayout(state.kind === "tree" ? "rounds" : "tree"), "[": () => turn(-1), "]": () => turn(1),
  "/": () => byName("find").focus(), d: () => byName("details").focus(), t: otherTheme, "?": showKeys,
};
/** Keys that other controls need for themselves. */
const CANVAS_ONLY = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", " ", "Enter"]);

function step(direction) {
  if (direction === "right" && state.selected.folded) fold(state.selected);
  select(neighbour(state.layout, state.selected, direction));
}

function turn(count) {
  const next = Number(byName("problems").value) + count;
  if (next >= 0 && next < linked.length) open(next);
}

function press(event) {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || at.matches("input, select, textarea")) return;
  if (CANVAS_ONLY.has(event.key) && at !== byName("canvas") && at !== document.body) return;
  const action = ACTIONS[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}

function begin() {
  listProblems();
  byName("keys").append(rows(KEYS));
  if (trace.note) {
    byName("note").textContent = trace.note;
    byName("note").hidden = false;
  }
  document.addEventListener("keydown", press);
  byName("find").addEventListener("input", () => find(false));
  byName("find").addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(true);
    if (event.key === "Escape") byName("canvas").focus();
  });
  const clicks = {
    theme: otherTheme, help: showKeys, best: ACTIONS.b, fit: ACTIONS[0], closer: ACTIONS["+"],
    farther: ACTIONS["-"], fold: ACTIONS.f, unfold: ACTIONS.u,
  };
  for (const [id, action] of Object.entries(clicks)) byName(id).addEventListener("click", action);
  byName("layout").addEventListener("change", (event) => setLayout(event.target.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => picture.ask());
  if (linked.length > 0) open(0);
  else byName("summary").textContent = "The trace holds no prompt.";
}

begin();
