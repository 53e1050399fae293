// What is known about one node, and about its tokens.

function rows(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    if (value === undefined || value === null) continue;
    list.append(element("dt", {}, name), element("dd", {}, value instanceof Node ? value : told(value)));
  }
  return list;
}

/** A bar from 0 to 1 with its number. */
function bar(share, words) {
  const inner = element("span", { class: "filled" });
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return element("span", { class: "bar" }, inner, element("span", { class: "words" }, words));
}

/** The node's facts and texts, as children of the panel. */
function nodeDetails(problem, node, choose) {
  const name = node.up === null ? "Prompt" : `Node ${node.id}`;
  const parts = [
    element("h2", {}, name, " ", element("small", {}, `depth ${node.depth} · made in round ${told((node.round ?? 0) + 1)} · ${reasonText(node)}`)),
    ways(problem, node, choose),
  ];
  if (node.up === null) return [...parts, element("h3", {}, "Prompt"), element("pre", {}, problem.prompt)];
  parts.push(rows([
    ["score", node.value],
    ["log p of segment", node.log_p],
    ["log p of path", pathSum(node, "log_p")],
    ["log q of segment", node.log_q],
    ["log q of path", pathSum(node, "log_q")],
    ["tokens of segment", node.tokens],
    ["tokens of path", pathSum(node, "tokens")],
    ...Object.entries(node.facts ?? {}).map(([key, value]) => [key.replaceAll("_", " "), value]),
  ]));
  if ((node.steps ?? []).length > 1) parts.push(...stepRewards(problem, node));
  parts.push(element("h3", {}, "Segment"), element("pre", {}, node.text));
  parts.push(element("h3", {}, "Path"), pathText(node));
  parts.push(...tokenDetails(problem, node));
  return parts;
}

/** Buttons to the parent and the children. */
function ways(problem, node, choose) {
  const list = element("p", { class: "ways" });
  const button = (other, words) => element("button", { type: "button", onclick: () => choose(other) }, words);
  if (node.up !== null) list.append(button(node.up, "↰ parent"));
  for (const child of node.children.slice(0, 12)) {
    list.append(button(child, `${child.onWay ? "★ " : ""}${child.id} ${child.value === undefined ? "" : number(child.value, 3)} ${mark(child)}`.trim()));
  }
  if (node.children.length > 12) list.append(element("span", {}, `and ${node.children.length - 12} more`));
  return list;
}

function stepRewards(problem, node) {
  const [low, high] = problem.range ?? [0, 1];
  // Where every segment of the path is one step, the step can be told beside its reward.
  const texts = way(node).map((each) => each.text.trim()).filter((text) => text !== "");
  const list = element("ol", { class: "steps" });
  node.steps.forEach((value, i) => {
    const text = texts.length === node.steps.length ? `  ${oneLine(texts[i], 60)}` : "";
    list.append(element("li", {}, Number.isFinite(value) ? bar((value - low) / (high - low), number(value) + text) : told(value)));
  });
  return [element("h3", {}, "Reward of each step"), list];
}

/** The path's text; the node's own part is marked. */
function pathText(node) {
  const before = way(node.up).map((each) => each.text).join("");
  return element("pre", {}, before, element("mark", {}, node.text));
}

// --- tokens

/** The tokens of the path; one can be chosen, and shows what else could have come. */
function tokenDetails(problem, node) {
  if (!problem.nodes.some((each) => each.details)) return [];
  const strip = element("div", { class: "tokens", role: "group", "aria-label": "Tokens of the path" });
  const place = element("div", { "aria-live": "polite" });
  let own = 0;
  for (const each of way(node)) {
    if (each.tokens > 0 && !each.details) continue;
    for (const token of each.details ?? []) {
      strip.append(tokenButton(token, each === node, problem.vocabulary, (button) => {
        for (const other of strip.children) other.removeAttribute("aria-pressed");
        button.setAttribute("aria-pressed", "true");
        place.replaceChildren(alternatives(token, problem.vocabulary));
      }));
      own += each === node;
    }
  }
  if (own === 0 && node.tokens > 0) {
    return [element("h3", {}, "Tokens"), element("p", {}, "Recorded for the result and the complete candidates only.")];
  }
  return [element("h3", {}, "Tokens ", element("small", {}, "darker: less likely; underlined: the only one allowed")), strip, place];
}

function tokenButton(token, isOwn, vocabulary, show) {
  const p = Math.exp(token.log_p);
  const button = element("button", {
    type: "button", class: isOwn ? "own" : null,
    "aria-label": `${visible(token.text)}, p ${number(p, 3)}, ${allowedText(token, vocabulary)}`,
    title: `p ${number(p, 3)} · ${allowedText(token, vocabulary)}`,
  }, visible(token.text));
  if (token.allowed === 1) button.classList.add("forced");
  const doubt = Math.min(1, -token.log_p / 4);
  button.style.setProperty("--doubt", `${Math.round(100 * doubt)}%`);
  if (doubt > 0.55) button.classList.add("doubtful");
  button.addEventListener("click", () => show(button));
  button.addEventListener("focus", () => show(button));
  return button;
}

function allowedText(token, vocabulary) {
  return `${number(token.allowed)}${vocabulary ? ` of ${number(vocabulary)}` : ""} allowed`;
}

function alternatives(token, vocabulary) {
  const table = element("table", {}, element("caption", {}, `“${visible(token.text)}”: log p ${number(token.log_p)}, log q ${number(token.log_q)}, ${allowedText(token, vocabulary)}`),
    element("thead", {}, element("tr", {}, ...["token", "p (model)", "q (controlled)"].map((head) => element("th", { scope: "col" }, head)))));
  const body = element("tbody");
  for (const [text, p, q] of token.alternatives) {
    const isForbidden = q === null || q === undefined;
    body.append(element("tr", { class: text === token.text ? "drawn" : null },
      element("td", {}, `${text === token.text ? "▸ " : ""}${visible(text)}`),
      element("td", {}, bar(p, number(p, 3))),
      element("td", {}, isForbidden ? element("span", { class: "forbidden" }, "⊘ forbidden") : bar(q, number(q, 3)))));
  }
  table.append(body);
  return table;
}
