// The picture of the tree: drawn on a canvas, only what is in sight, so that thousands of nodes can
// be moved and zoomed.

const LEAST_SCALE = 0.002, MOST_SCALE = 3;
const READABLE = 0.42; // below that no text is drawn
const CURVED = 0.12; // below that edges are straight
const MARGIN = 24;

class Picture {
  /** `choose(node)` is called when a node is clicked, `fold(node)` for its folding knob. */
  constructor(canvas, choose, fold) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.choose = choose;
    this.fold = fold;
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.layout = { nodes: [], edges: [], width: 0, height: 0 };
    this.drawn = 0;
    this.isAsked = false;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(problem, layout, selected) {
    this.problem = problem;
    this.layout = layout;
    this.selected = selected;
    this.ask();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    this.ratio = ratio;
    this.ask();
  }

  /** Draws with the next frame, once for any number of requests. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.draw();
    });
  }

  // --- moving

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, this.scale * factor));
    this.left += x / this.scale - x / scale;
    this.top += y / this.scale - y / scale;
    this.scale = scale;
    this.ask();
  }

  fit() {
    if (this.width === undefined) this.resize();
    const { width, height } = this.layout;
    this.scale = Math.min(
      1, (this.width - 2 * MARGIN) / Math.max(width, 1), (this.height - 2 * MARGIN) / Math.max(height, 1));
    this.scale = Math.max(LEAST_SCALE, this.scale);
    this.left = (width - this.width / this.scale - (PITCH_X - NODE_W)) / 2;
    this.top = (height - this.height / this.scale - (PITCH_Y - NODE_H)) / 2;
    this.ask();
  }

  /** Moves so that a node is in sight; into the middle if it was not. */
  reveal(node) {
    if (this.width === undefined) this.resize();
    const x = (node.x - this.left) * this.scale, y = (node.y - this.top) * this.scale;
    const inside = x >= 0 && y >= 0 && x + NODE_W * this.scale <= this.width
      && y + NODE_H * this.scale <= this.height;
    if (!inside) {
      this.left = node.x + NODE_W / 2 - this.width / this.scale / 2;
      this.top = node.y + NODE_H / 2 - this.height / this.scale / 2;
    }
    this.ask();
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey) {
      this.left += (event.deltaY || event.deltaX) * lines / this.scale;
      this.ask();
    } else {
      this.zoom(Math.exp(-event.deltaY * lines * 0.0015), event.offsetX, event.offsetY);
    }
  }

  grab(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    let [x, y, moved] = [event.clientX, event.clientY, 0];
    const move = (next) => {
      moved += Math.abs(next.clientX - x) + Math.abs(next.clientY - y);
      this.left -= (next.clientX - x) / this.scale;
      this.top -= (next.clientY - y) / this.scale;
      [x, y] = [next.clientX, next.clientY];
      this.ask();
    };
    const drop = (last) => {
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", drop);
      this.canvas.removeEventListener("pointercancel", drop);
      if (last.type === "pointerup" && moved < 5) this.click(last.offsetX, last.offsetY);
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", drop);
    this.canvas.addEventListener("pointercancel", drop);
  }

  click(offsetX, offsetY) {
    const x = offsetX / this.scale + this.left, y = offsetY / this.scale + this.top;
    const near = 6 / this.scale;
    for (const node of this.layout.nodes) {
      if (y < node.y - near || y > node.y + NODE_H + near) continue;
      const isKnob = this.layout.folds && node.children.length > 0 && x > node.x + NODE_W && x < node.x + NODE_W + 22;
      if (isKnob) return this.fold(node);
      if (x >= node.x - near && x <= node.x + NODE_W + near) return this.choose(node);
    }
    return undefined;
  }

  // --- drawing

  draw() {
    const { context, scale, ratio } = this;
    if (ratio === undefined || !this.problem) return;
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    this.inks = {
      page: ink("--page"), card: ink("--card"), text: ink("--text"), faint: ink("--faint"),
      line: ink("--line"), accent: ink("--accent"),
    };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.setTransform(ratio * scale, 0, 0, ratio * scale, -this.left * ratio * scale, -this.top * ratio * scale);
    const view = {
      left: this.left - PITCH_X, top: this.top - PITCH_Y,
      right: this.left + this.width / scale, bottom: this.top + this.height / scale,
    };
    this.edges(view, false);
    this.edges(view, true);
    this.drawn = 0;
    for (const node of this.layout.nodes) {
      if (node.x < view.left || node.x > view.right || node.y < view.top || node.y > view.bottom) continue;
      this.drawn++;
      if (scale < READABLE) this.dot(node);
      else this.card(node);
    }
  }

  edges(view, onWay) {
    const { context } = this;
    context.beginPath();
    for (const { from, to, onWay: isOn, isSame } of this.layout.edges) {
      if (isOn !== onWay) continue;
      const low = Math.min(from.y, to.y), high = Math.max(from.y, to.y);
      if (from.x > view.right || to.x < view.left || low > view.bottom || high < view.top) continue;
      const x0 = from.x + NODE_W, y0 = from.y + NODE_H / 2, y1 = to.y + NODE_H / 2;
      const x1 = isSame ? to.x + NODE_W : to.x;
      context.moveTo(x0, y0);
      const bend = Math.max(20, Math.min(60, (x1 - x0) / 2));
      if (this.scale < CURVED) context.lineTo(x1, y1);
      else context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    }
    context.strokeStyle = onWay ? this.inks.accent : this.inks.line;
    context.lineWidth = onWay ? 3 : 1.2;
    if (this.scale < READABLE) context.lineWidth = (onWay ? 2 : 0.7) / this.scale;
    context.stroke();
  }

  /** A node from far away: its colour, and a frame if it is chosen or leads to the result. */
  dot(node) {
    const { context, inks } = this, { range: values } = this.problem;
    context.fillStyle = values !== null && Number.isFinite(node.value)
      ? rgb(colour(node.value, values)) : inks.faint;
    context.fillRect(node.x, node.y, NODE_W, Math.max(NODE_H, 1.5 / this.scale));
    if (node !== this.selected && !node.onWay) return;
    context.strokeStyle = inks.accent;
    context.lineWidth = (node === this.selected ? 4 : 2) / this.scale;
    context.strokeRect(node.x, node.y, NODE_W, NODE_H);
  }

  card(node) {
    const { context, inks } = this, { range: values } = this.problem;
    context.beginPath();
    context.roundRect(node.x, node.y, NODE_W, NODE_H, isComplete(node) ? 2 : 8);
    context.fillStyle = inks.card;
    context.fill();
    context.save();
    context.clip();
    context.font = "12px ui-monospace, monospace";
    context.textBaseline = "middle";
    let at = node.x + 8;
    const middle = node.y + NODE_H / 2 + 0.5;
    if (values !== null && node.value !== undefined) {
      const parts = Number.isFinite(node.value) ? colour(node.value, values) : [128, 128, 128];
      context.fillStyle = rgb(parts);
      context.fillRect(node.x, node.y, 46, NODE_H);
      context.fillStyle = inkOn(parts);
      context.fillText(number(node.value, 3), node.x + 6, middle, 36);
      at = node.x + 52;
    }
    context.fillStyle = inks.text;
    const sign = mark(node), room = node.x + NODE_W - at - (sign ? 20 : 6);
    context.fillText(this.label(node, room), at, middle);
    if (sign) context.fillText(sign, node.x + NODE_W - 16, middle);
    context.restore();
    context.strokeStyle = node === this.selected || node.onWay ? inks.accent : inks.line;
    context.lineWidth = node === this.selected ? 4 : node.onWay ? 2.5 : 1;
    context.stroke();
    if (this.layout.folds && node.children.length > 0) this.knob(node);
  }

  /** A node's text as far as there is room, remembered. */
  label(node, room) {
    const key = node.id * 4 + (room < 120 ? 1 : 0) + (mark(node) ? 2 : 0);
    const known = this.problem.texts.get(key);
    if (known !== undefined) return known;
    const text = node.up === null ? "prompt" : node.text === "" ? "(nothing)" : node.text;
    const fits = Math.max(3, Math.floor(room / this.context.measureText("0").width));
    const made = oneLine(text, fits);
    this.problem.texts.set(key, made);
    return made;
  }

  /** Where a node is folded: how many children it hides, or a minus. */
  knob(node) {
    const { context, inks } = this, x = node.x + NODE_W + 11, y = node.y + NODE_H / 2;
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.fillStyle = node.folded ? inks.accent : inks.card;
    context.fill();
    context.strokeStyle = inks.line;
    context.lineWidth = 1;
    context.stroke();
    context.fillStyle = node.folded ? inks.page : inks.faint;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "10px ui-monospace, monospace";
    context.fillText(node.folded ? `${Math.min(99, node.children.length)}` : "−", x, y + 0.5);
    context.textAlign = "left";
  }
}
