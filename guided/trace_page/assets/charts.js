// Two figures: the best score against what was spent, and what rounds tell.

const SVG = "http://www.w3.org/2000/svg";
const FRAME = { width: 640, height: 240, left: 60, right: 18, top: 14, bottom: 42 };

const MOST_DOTS = 120; // a line of more points is drawn without them

/** An element with attributes and children; texts become text, never markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** About `count` round numbers from `low` to `high`. */
function ticks(low, high, count = 5) {
  const rough = (high - low) / count, size = 10 ** Math.floor(Math.log10(rough));
  const step = size * ([1, 2, 5, 10].find((each) => each * size >= rough) ?? 10);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at++) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}

/** The ends of an axis that holds all values, a little apart if they are equal. */
function span(values, withZero) {
  let low = withZero ? 0 : Infinity, high = -Infinity;
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return high > low ? [low, high] : [low - (withZero ? 0 : 0.5), low + (withZero ? 1 : 0.5)];
}

/**
 * A line through points `[x, y, words]`, as steps or straight.
 * `events` are the x of triangles on the axis; `pick(index)` is called for a point.
 */
function lineChart({ points, x: xName, y: yName, steps = false, events = [], pick = null, end = null }) {
  const [x0, x1] = span([...points.map((p) => p[0]), ...(end === null ? [] : [end])], steps);
  const [y0, y1] = span(points.map((p) => p[1]), false);
  const { width, height, left, right, top, bottom } = FRAME;
  const px = (x) => left + (x - x0) / (x1 - x0) * (width - left - right);
  const py = (y) => height - bottom - (y - y0) / (y1 - y0) * (height - top - bottom);
  const chart = shape("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart",
    "aria-label": `${yName} against ${xName}, ${points.length} points`,
  });
  for (const y of ticks(y0, y1)) {
    chart.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }));
    chart.append(shape("text", { class: "tick", x: left - 6, y: py(y) + 4, "text-anchor": "end" }, number(y)));
  }
  for (const x of ticks(x0, x1)) {
    chart.append(shape("text", { class: "tick", x: px(x), y: height - bottom + 16, "text-anchor": "middle" }, number(x)));
  }
  chart.append(shape("text", { class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xName));
  let path = "";
  points.forEach(([x, y], i) => {
    if (i === 0) path += `M${px(x)} ${py(y)}`;
    else path += steps ? `H${px(x)}V${py(y)}` : `L${px(x)} ${py(y)}`;
  });
  if (end !== null && points.length > 0) path += `H${px(end)}`;
  chart.append(shape("path", { class: "curve", d: path }));
  for (const x of events) {
    const at = px(x), y = height - bottom;
    chart.append(shape("path", { class: "event", d: `M${at - 5} ${y}h10l-5 -9z` }));
  }
  if (points.length > MOST_DOTS) return chart;
  points.forEach(([x, y, words], i) => {
    const dot = shape("circle", { class: pick ? "dot pick" : "dot", cx: px(x), cy: py(y), r: 4 });
    dot.append(shape("title", {}, words ?? `${number(x)}: ${number(y)}`));
    if (pick) dot.addEventListener("click", () => pick(i));
    chart.append(dot);
  });
  return chart;
}

/** The numbers of a figure, for those who cannot see it, or want them; made when opened. */
function numbersBelow(heads, cells) {
  const row = (kind, values) => element("tr", {}, ...values.map((value) => element(kind, {}, told(value))));
  const fill = () => {
    if (below.children.length > 1) return;
    below.append(element("table", {}, element("thead", {}, row("th", heads)),
      element("tbody", {}, ...cells.map((values) => row("td", values)))));
  };
  const below = element("details", { ontoggle: fill }, element("summary", {}, "Numbers"));
  return below;
}

/** A choice that draws anew; drawn at once with the first. */
function chosenFigure(title, names, draw) {
  const place = element("div");
  const select = element("select", { "aria-label": `${title}: which` },
    ...names.map((name) => element("option", { value: name }, name.replaceAll("_", " "))));
  const show = () => place.replaceChildren(...draw(select.value));
  select.addEventListener("change", show);
  const figure = element("figure", {}, element("figcaption", {}, title, " ", names.length > 1 ? select : ""), place);
  show();
  return figure;
}

/** The best complete text against tokens or reward passes. */
function budgetFigure(problem, choose) {
  const names = ["tokens", "reward_passes"];
  if (bestSoFar(problem, "tokens").length === 0) return null;
  return chosenFigure("Best score of a complete text against", names, (name) => {
    const curve = bestSoFar(problem, name);
    const end = Math.max(problem.result?.spent?.[name] ?? 0, curve[curve.length - 1][0]);
    const points = curve.map(([x, y, node]) => [x, y, `${number(y)} after ${number(x)}: node ${node.id}`]);
    return [
      lineChart({
        points, x: name.replaceAll("_", " "), y: "best score", steps: true, end,
        pick: (i) => choose(curve[i][2]),
      }),
      numbersBelow([name.replaceAll("_", " "), "best score", "node"], curve.map(([x, y, node]) => [x, y, node.id])),
    ];
  });
}

/** A figure of the rounds: effective sample size and whatever else the method tells. */
function roundsFigure(problem) {
  const { numbers, events } = figures(problem);
  if (numbers.length === 0 || problem.rounds.length < 2) return null;
  const first = numbers.filter((name) => /^ess/i.test(name));
  const names = [...first, ...numbers.filter((name) => !first.includes(name))];
  const title = `By round${events.length > 0 ? ` (▲ ${events.join(", ").replaceAll("_", " ")})` : ""}:`;
  return chosenFigure(title, names, (name) => {
    const rounds = problem.rounds.filter((round) => Number.isFinite(round.info?.[name]));
    const marked = problem.rounds.filter((round) => events.some((event) => happened(round.info?.[event])));
    return [
      lineChart({
        points: rounds.map((round) => [round.number, round.info[name]]), x: "round",
        y: name, events: marked.map((round) => round.number),
      }),
      numbersBelow(["round", name, ...events], rounds.map((round) => [
        round.number, round.info[name], ...events.map((event) => happened(round.info[event]))])),
    ];
  });
}
