"use strict";
// Shows the run in the data block. Text is only ever set as text: nothing here parses HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const { run, lanes, items, messages, lists } = data;
const KINDS = ["model", "tool", "wait", "merge", "plan", "subtask", "turn", "note", "run"];
const ROW = 26, CHUNK = 300;
const get = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const count = (n) => n < 1000 ? String(n) : n < 1e6 ? `${(n / 1e3).toFixed(1)}k` : `${(n / 1e6).toFixed(2)}M`;
const dollars = (c) => c === null || c === undefined ? "?" : `$${c.toFixed(c && c < 0.1 ? 4 : 2)}`;
const span = (s) => {
  if (s < 0.0995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const whole = Math.round(s), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  return h ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(whole % 60).padStart(2, "0")} s`;
};
const clock = (s) => {
  const m = Math.floor(s / 60), rest = (s - 60 * m).toFixed(2).padStart(5, "0");
  return `${m}:${rest}`;
};

// -- head -----------------------------------------------------------------------------------------

const good = ["success", "completed"].includes(run.outcome);
get("kind").textContent = run.kind || "run";
get("id").textContent = run.id || "";
get("title").textContent = run.title || run.id || "an empty run";
get("outcome").textContent = run.outcome || "unfinished";
get("outcome").classList.add(good ? "good" : run.outcome ? "bad" : "none");

const speaking = lanes.filter((lane) => lane.calls);
const total = (key) => lanes.reduce((sum, lane) => sum + lane[key], 0);
const cost = speaking.some((lane) => lane.cost === null) ? null : total("cost");
const sums = [
  ["started", run.started ? new Date(run.started * 1000).toLocaleDateString(undefined, { month: "short", day: "numeric" }) : "–",
    run.started ? new Date(run.started * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }) : ""],
  ["took", span(run.length || 0), ""],
  ["agents", String(lanes.filter((lane) => lane.kind).length), ""],
  ["model calls", count(total("calls")), ""],
  ["tool calls", count(total("tools")), ""],
  ["tokens in", count(total("prompt")), total("cached") ? `${count(total("cached"))} cached` : ""],
  ["tokens out", count(total("completion")), ""],
  ["cost", cost === null ? "unknown" : dollars(cost), ""],
];
for (const [name, value, more] of sums) {
  const box = make("div"), told = make("dd", "", value);
  if (more) told.append(" ", make("small", "", more));
  box.append(make("dt", "", name), told);
  get("sums").append(box);
}

// -- agents ---------------------------------------------------------------------------------------

const cells = (row, values, from) => values.forEach((value, i) => row.append(make("td", i >= from && i <= 7 ? "n" : "", value)));
for (const lane of lanes) {
  if (!lane.kind && !lane.calls) continue;
  const row = make("tr");
  cells(row, [lane.path, lane.model, count(lane.calls), count(lane.tools), count(lane.prompt), count(lane.cached),
    count(lane.completion), dollars(lane.cost), lane.outcome || "–"], 2);
  get("agentrows").append(row);
}
const bottom = make("tr");
cells(bottom, ["all", "", count(total("calls")), count(total("tools")), count(total("prompt")), count(total("cached")),
  count(total("completion")), dollars(cost), ""], 2);
get("agentsum").append(bottom);
get("agentcount").textContent = `${get("agentrows").children.length}, with tokens and cost`;

// -- what is shown --------------------------------------------------------------------------------

const state = { hidden: new Set(), lane: -1, words: "", shown: [], drawn: 0, open: new Set(), at: -1 };
const present = KINDS.filter((kind) => items.some((item) => item.k === kind));
const haystacks = new Map();
const haystack = (item) => {
  let text = haystacks.get(item);
  if (text === undefined) {
    text = [item.t, lanes[item.a].path, ...item.d.map((pair) => pair[1])].join("\n").toLowerCase();
    haystacks.set(item, text);
  }
  return text;
};
const isShown = (item) => !state.hidden.has(item.k) && (state.lane < 0 || item.a === state.lane)
  && (!state.words || state.words.split(/\s+/).every((word) => haystack(item).includes(word)));

const order = items.map((_, i) => i).sort((a, b) => items[a].s - items[b].s || items[a].q - items[b].q);
function refresh() {
  state.shown = order.filter((i) => isShown(items[i]));
  state.drawn = 0;
  state.at = -1;
  get("list").replaceChildren();
  more();
  get("count").textContent = state.shown.length === items.length ? `${items.length}` : `${state.shown.length} of ${items.length}`;
  draw();
}
function more() {
  const part = document.createDocumentFragment();
  const end = Math.min(state.drawn + CHUNK, state.shown.length);
  for (; state.drawn < end; state.drawn++) part.append(entry(state.shown[state.drawn]));
  get("list").append(part);
  get("more").textContent = state.shown.length ? "" : "nothing is like that";
  if (state.drawn < state.shown.length) get("more").textContent = `${state.shown.length - state.drawn} more`;
}
function entry(index) {
  const item = items[index], node = make("li", item.x === "ok" ? "" : item.x), row = make("button", "row");
  node.dataset.index = index;
  row.type = "button";
  row.style.setProperty("--c", `var(--${item.k})`);
  row.append(make("span", "time", clock(item.s)), make("span", "who", lanes[item.a].path), make("span", "kind", item.k),
    make("span", "what", item.x === "ok" ? item.t : `${item.t}${item.x === "error" ? "" : ` (${item.x})`}`),
    make("span", "used", item.u ? `${count(item.u[0])} → ${count(item.u[1])}` : ""),
    make("span", "took", item.e > item.s ? span(item.e - item.s) : ""));
  row.setAttribute("aria-expanded", "false");
  row.addEventListener("click", () => toggle(node));
  node.append(row);
  if (state.open.has(index)) unfold(node);
  return node;
}
function toggle(node) {
  const index = Number(node.dataset.index), body = node.querySelector(".open-body");
  if (body) {
    body.remove();
    state.open.delete(index);
    node.firstChild.setAttribute("aria-expanded", "false");
  } else {
    state.open.add(index);
    unfold(node);
  }
}
function unfold(node) {
  const item = items[Number(node.dataset.index)], body = make("div", "open-body"), facts = make("div", "facts");
  node.firstChild.setAttribute("aria-expanded", "true");
  const told = [`${lanes[item.a].path}`, item.n === undefined ? "" : `step ${item.n}`, `record ${item.q}`, `byte ${item.o}`,
    item.e > item.s ? `${clock(item.s)} to ${clock(item.e)}` : clock(item.s),
    item.u ? `${item.u[0]} tokens in, ${item.u[2]} of them cached, ${item.u[1]} out` : "",
    item.c === undefined ? "" : item.c === null ? "cost unknown" : dollars(item.c)];
  for (const fact of told) if (fact) facts.append(make("span", "", fact));
  body.append(facts);
  if (item.m) body.append(sent(item.m));
  for (const [label, text] of item.d) body.append(make("h3", "", label), marked(text));
  node.append(body);
}
function sent([which, length]) {
  const box = make("details"), name = make("summary", "", `the request: ${length} ${length === 1 ? "message" : "messages"}`);
  box.append(name);
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return;
    for (const number of lists[which].slice(0, length)) {
      const [role, text] = messages[number], one = make("details");
      one.append(make("summary", "", `${role}: ${text.slice(0, 160).replace(/\s+/g, " ")}`));
      one.addEventListener("toggle", () => { if (one.open && one.children.length < 2) one.append(marked(text)); });
      box.append(one);
    }
  });
  return box;
}
function marked(text) {
  const node = make("pre"), words = state.words.split(/\s+/).filter(Boolean), low = text.toLowerCase();
  if (!words.length || low.length !== text.length) {
    node.textContent = text;
    return node;
  }
  let at = 0;
  for (let marks = 0; marks < 200; marks++) {
    let next = -1, length = 0;
    for (const word of words) {
      const found = low.indexOf(word, at);
      if (found >= 0 && (next < 0 || found < next)) [next, length] = [found, word.length];
    }
    if (next < 0) break;
    node.append(text.slice(at, next), make("mark", "", text.slice(next, next + length)));
    at = next + length;
  }
  node.append(text.slice(at));
  return node;
}
function select(position, { unfolded = false } = {}) {
  if (position < 0 || position >= state.shown.length) return;
  while (state.drawn <= position) more();
  state.at = position;
  const node = get("list").children[position];
  if (unfolded && !node.querySelector(".open-body")) toggle(node);
  node.firstChild.focus({ preventScroll: true });
  node.scrollIntoView({ block: "center" });
  draw();
}
new IntersectionObserver((seen) => {
  if (seen.some((entry) => entry.isIntersecting) && state.drawn < state.shown.length) more();
}, { rootMargin: "600px" }).observe(get("more"));

// -- how it ended ---------------------------------------------------------------------------------

const SERIOUS = ["run", "subtask", "merge", "turn"], FAILURES = 8;
const firstText = (item) => { const found = item.d.find((pair) => ["error", "why", "conflicts", "detail"].includes(pair[0])); return found ? `: ${found[1].split("\n")[0].slice(0, 200)}` : ""; };
const failed = order.filter((i) => items[i].x === "error" && SERIOUS.includes(items[i].k)
  && !(items[i].k === "run" && run.error));
const judged = new Set(failed.filter((i) => items[i].k === "subtask").map((i) => items[i].a));
const told = failed.filter((i) => items[i].k !== "turn" || !judged.has(items[i].a)); // the subtask says it
get("error").textContent = run.error || (run.outcome ? "" : "It has no end: it is under way, or was cut off.");
get("answer").textContent = run.answer || "";
for (const index of told.slice(0, FAILURES)) {
  const entry = make("li"), button = make("button", "");
  button.type = "button";
  button.append(make("span", "who", lanes[items[index].a].path), `${items[index].t}${firstText(items[index])}`);
  button.addEventListener("click", () => show(index));
  entry.append(button);
  get("failed").append(entry);
}
if (told.length > FAILURES) get("failed").append(make("li", "muted", `and ${told.length - FAILURES} more; they are red below`));
get("end").hidden = !(get("error").textContent || get("answer").textContent || told.length);
for (const note of run.notes || []) get("notes").append(make("p", "", note));
function show(index) {
  if (!state.shown.includes(index)) {
    state.hidden.clear(); state.lane = -1; state.words = ""; get("search").value = "";
    document.querySelectorAll("#kinds button").forEach((b) => b.setAttribute("aria-pressed", "true"));
    document.querySelectorAll("#names button").forEach((b) => b.setAttribute("aria-pressed", "false"));
    refresh();
  }
  select(state.shown.indexOf(index), { unfolded: true });
}

// -- filters --------------------------------------------------------------------------------------

for (const kind of present) {
  const button = make("button", "", kind);
  button.type = "button";
  button.style.setProperty("--c", `var(--${kind})`);
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    state.hidden.has(kind) ? state.hidden.delete(kind) : state.hidden.add(kind);
    button.setAttribute("aria-pressed", String(!state.hidden.has(kind)));
    refresh();
  });
  get("kinds").append(button);
  const legend = make("li"), dot = make("i");
  dot.style.background = `var(--${kind})`;
  legend.append(dot, kind);
  if (["model", "tool", "wait", "merge"].includes(kind)) get("legend").append(legend);
}
lanes.forEach((lane, number) => {
  const entry = make("li"), button = make("button", "", lane.path);
  button.type = "button";
  button.title = lane.path;
  if (lane.outcome && lane.outcome !== "completed") button.classList.add("bad");
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    state.lane = state.lane === number ? -1 : number;
    [...get("names").querySelectorAll("button")].forEach((other, i) => other.setAttribute("aria-pressed", String(i === state.lane)));
    refresh();
  });
  entry.append(button);
  get("names").append(entry);
});
let waiting = 0;
get("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { state.words = get("search").value.trim().toLowerCase(); refresh(); }, 120);
});

// -- timeline -------------------------------------------------------------------------------------

const chart = get("chart"), axis = get("axis");
const whole = Math.max(run.length || 0, 0.05);
const view = { from: -0.01 * whole, to: 1.02 * whole };
const scale = () => chart.clientWidth / (view.to - view.from);
const x = (s) => (s - view.from) * scale();
function sized(canvas, height) {
  const ratio = Math.min(devicePixelRatio || 1, 2), width = canvas.parentNode.clientWidth;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, width];
}
let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paint(); });
}
function paint() {
  const height = Math.min(lanes.length * ROW + 8, 16000), [pen, width] = sized(chart, height);
  const tone = Object.fromEntries([...KINDS, "error", "line", "soft", "accent", "card", "ink"].map((name) => [name, colour(name)]));
  grid(width, height, pen, tone);
  const chosen = state.at >= 0 ? state.shown[state.at] : -1;
  const rest = new Set(["turn", "note", "run", "plan", "subtask"]);
  items.forEach((item, index) => {
    const left = x(item.s), right = x(item.e), y = item.a * ROW;
    if (right < -8 || left > width + 8) return;
    pen.globalAlpha = isShown(item) ? 1 : 0.13;
    pen.fillStyle = tone[item.k];
    if (item.k === "merge") diamond(pen, left, y + ROW / 2, 6);
    else if (rest.has(item.k)) pen.fillRect(left - 0.75, y + 4, 1.5, ROW - 8);
    else bar(pen, left, y + (item.k === "wait" ? 10 : 6), Math.max(right - left, 2), item.k === "wait" ? 6 : ROW - 12);
    if (item.x !== "ok") { pen.fillStyle = tone[item.x === "error" ? "error" : "merge"]; pen.fillRect(left, y + ROW - 5, Math.max(right - left, 3), 2.5); }
    if (index === chosen) { pen.strokeStyle = tone.ink; pen.lineWidth = 1.5; pen.strokeRect(left - 2, y + 3, Math.max(right - left, 2) + 4, ROW - 6); }
  });
  pen.globalAlpha = 1;
}
function bar(pen, left, top, width, height) {
  pen.beginPath();
  pen.roundRect(left, top, width, height, Math.min(3, width / 2));
  pen.fill();
}
function diamond(pen, cx, cy, size) {
  pen.beginPath();
  pen.moveTo(cx, cy - size); pen.lineTo(cx + size, cy); pen.lineTo(cx, cy + size); pen.lineTo(cx - size, cy);
  pen.fill();
}
function grid(width, height, pen, tone) {
  const [top] = sized(axis, 26), rough = (view.to - view.from) * 90 / Math.max(width, 90);
  const power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  top.font = "11px system-ui, sans-serif";
  top.fillStyle = tone.soft;
  pen.strokeStyle = tone.line;
  pen.lineWidth = 1;
  for (let at = Math.max(0, Math.ceil(view.from / step)) * step; at <= view.to; at += step) {
    const px = Math.round(x(at)) + 0.5;
    pen.beginPath(); pen.moveTo(px, 0); pen.lineTo(px, height); pen.stroke();
    top.fillText(span(at), px + 3, 17);
  }
  for (let lane = 1; lane <= lanes.length; lane++) {
    pen.globalAlpha = 0.5;
    pen.beginPath(); pen.moveTo(0, lane * ROW - 0.5); pen.lineTo(width, lane * ROW - 0.5); pen.stroke();
    pen.globalAlpha = 1;
  }
}
function under(event) {
  const box = chart.getBoundingClientRect(), px = event.clientX - box.left, lane = Math.floor((event.clientY - box.top) / ROW);
  let best = -1, width = Infinity;
  items.forEach((item, index) => {
    if (item.a !== lane || !isShown(item)) return;
    const left = x(item.s) - 4, right = Math.max(x(item.e), x(item.s) + 2) + 4;
    if (px >= left && px <= right && right - left < width) [best, width] = [index, right - left];
  });
  return best;
}
function zoom(factor, at = (view.from + view.to) / 2) {
  const length = Math.min(Math.max((view.to - view.from) * factor, 0.005), 1.1 * whole);
  const share = (at - view.from) / (view.to - view.from);
  view.from = at - share * length;
  view.to = view.from + length;
  pan(0);
}
function pan(share) {
  const length = view.to - view.from, low = -0.03 * whole, high = 1.05 * whole;
  view.from = Math.min(Math.max(view.from + share * length, low), Math.max(high - length, low));
  view.to = view.from + length;
  draw();
}
const fit = () => { view.from = -0.01 * whole; view.to = 1.02 * whole; draw(); };
let drag = null;
chart.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, from: view.from, moved: false }; });
addEventListener("pointerup", (event) => {
  if (drag && !drag.moved && event.target === chart) {
    const index = under(event);
    if (index >= 0) select(state.shown.indexOf(index), { unfolded: true });
  }
  drag = null;
});
chart.addEventListener("pointermove", (event) => {
  if (drag && (drag.moved || Math.abs(event.clientX - drag.x) > 4)) {
    drag.moved = true;
    const length = view.to - view.from;
    view.from = drag.from - (event.clientX - drag.x) / scale();
    view.to = view.from + length;
    pan(0);
    return;
  }
  const index = under(event), tip = get("tip");
  tip.hidden = index < 0;
  if (index < 0) return;
  const item = items[index];
  tip.replaceChildren(make("b", "", item.t), `${item.k} · ${lanes[item.a].path} · ${clock(item.s)}${item.e > item.s ? ` · ${span(item.e - item.s)}` : ""}`);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 10)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 10)}px`;
});
chart.addEventListener("pointerleave", () => { get("tip").hidden = true; });
chart.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
  event.preventDefault();
  const box = chart.getBoundingClientRect();
  if (event.shiftKey) pan((event.deltaY || event.deltaX) / 1000);
  else zoom(event.deltaY > 0 ? 1.25 : 0.8, view.from + (event.clientX - box.left) / scale());
}, { passive: false });
get("in").addEventListener("click", () => zoom(0.6));
get("out").addEventListener("click", () => zoom(1.6));
get("fit").addEventListener("click", fit);
addEventListener("resize", draw);

// -- theme and keys -------------------------------------------------------------------------------

const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
const wear = (name) => { root.dataset.theme = name; draw(); };
dark.addEventListener("change", () => wear(dark.matches ? "dark" : "light"));
const other = () => wear(root.dataset.theme === "dark" ? "light" : "dark");
get("theme").addEventListener("click", other);
const keys = {
  j: () => select(state.at + 1), k: () => select(state.at - 1), "/": () => get("search").focus(),
  "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), 0: fit, t: other,
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === get("search")) {
    if (event.key === "Escape") { get("search").value = ""; state.words = ""; refresh(); get("search").blur(); }
    return;
  }
  const does = keys[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
get("list").addEventListener("focusin", (event) => {
  const node = event.target.closest("#list > li");
  if (node) state.at = state.shown.indexOf(Number(node.dataset.index));
});
wear(dark.matches ? "dark" : "light");
refresh();
root.dataset.ready = "yes";
