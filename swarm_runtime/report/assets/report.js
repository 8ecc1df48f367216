// Draws the report's charts. The page is complete without it but for the pictures: text and tables
// are HTML already. All names reach the page as text (textContent), never as markup. choices.js goes
// on from here.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const ARM_WORDS = { on: "with memory", off: "without memory" };
const REASON_WORDS = {
  applied: "recommended by the memory and applied",
  withheld: "explored: a recommendation was withheld",
  abstained: "explored: nothing cleared the gate",
  no_memory: "explored without a memory",
};
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SEPARATOR = "\u00a0· "; // never at the beginning of a line
const COLOURS = 8;
const FEW_AGENTS = 6;

// --- small helpers -----------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const armWords = (arm) => ARM_WORDS[arm.name] ?? arm.name;
const dateText = (second) => new Date(second * 1000).toISOString().slice(0, 10);
const upper = (words) => words[0].toUpperCase() + words.slice(1);

/** Undo the differences in which curves are stored: [5, 1, -2] is 5, 6, 4. */
function sums(deltas, unit = 1) {
  let total = 0;
  return deltas.map((delta) => (total += delta) / unit);
}

/** A percentage with a real minus: "+12.3 %". */
function percentText(value, signed = true, digits = 1) {
  const sign = value < 0 ? "−" : signed && value > 0 ? "+" : "";
  return `${sign}${Math.abs(value).toFixed(digits)}\u202f%`;
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A line or a box in the colour of the CSS variable `name`, to stand before a label. */
function swatch(name, { dash = "", width = 0, hollow = false } = {}) {
  const made = shape("svg", { class: "swatch", "aria-hidden": "true", focusable: "false" });
  const stroke = `var(--${name})`;
  const inner = width
    ? shape("line", { x1: 0, x2: 18, y1: 6, y2: 6 })
    : shape("rect", { x: 3, y: 0.5, width: 12, height: 11 });
  inner.style.stroke = stroke;
  inner.style.strokeWidth = width || 1;
  if (dash) inner.style.strokeDasharray = dash;
  if (!width) inner.style.fill = stroke;
  if (hollow) inner.style.fillOpacity = 0.18;
  made.append(inner);
  return made;
}

// --- line charts -------------------------------------------------------------------------------

const redraws = [];
const charts = {};

function axis(extra = {}) {
  const line = { stroke: colour("faint"), width: 1 };
  return { stroke: colour("soft"), grid: line, ticks: line, font: "12px system-ui, sans-serif", ...extra };
}

/** Mark where the period learnt on ends. */
function markSplit(chart, labelled) {
  const x = chart.valToPos(data.split, "x", true);
  const { left, top, width, height } = chart.bbox;
  if (x <= left || x >= left + width) return;
  const { ctx } = chart;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("soft");
  ctx.lineWidth = scale;
  ctx.setLineDash([2 * scale, 3 * scale]);
  ctx.beginPath();
  ctx.moveTo(Math.round(x), top);
  ctx.lineTo(Math.round(x), top + height);
  ctx.stroke();
  if (labelled) {
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "right";
    ctx.fillText("learnt on", x - 6 * scale, top + 2 * scale);
    ctx.textAlign = "left";
    ctx.fillText("walk-forward", x + 6 * scale, top + 2 * scale);
  }
  ctx.restore();
}

/**
 * Draw a chart into #id, again whenever its size or the colour scheme changes.
 * `make()` gives {data, series, y, bands}; `describe(index)` the words for the readout.
 */
function chart(id, make, describe) {
  const place = byId(id);
  if (!place) return;
  const readout = byId(`${id}-readout`);
  let drawn = null;
  let at = null;

  function draw() {
    const made = make();
    const zoom = drawn && { min: drawn.scales.x.min, max: drawn.scales.x.max };
    const whole = made.data[0];
    drawn?.destroy();
    drawn = new uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        padding: [8, 20, 0, 0],
        legend: { show: false },
        tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
        cursor: { sync: { key: "time", scales: ["x", null] }, y: false, points: { size: 6 } },
        scales: { y: made.range ? { range: made.range } : {} },
        axes: [
          axis({ space: 70, size: 42 }),
          axis({ size: 66, values: (_, ticks) => ticks.map((tick) => percentText(tick, Boolean(made.signed), ticks[1] - ticks[0] < 1 ? 1 : 0)) }),
        ],
        series: [{}, ...made.series],
        bands: made.bands ?? [],
        hooks: { draw: [(self) => markSplit(self, made.labelled)], setCursor: [(self) => show(self.cursor.idx)] },
      },
      made.data,
      place,
    );
    // A zoomed chart stays so when a series is toggled or the window resized.
    if (zoom && (zoom.min > whole[0] || zoom.max < whole[whole.length - 1])) drawn.setScale("x", zoom);
    charts[id] = drawn;
    drawn.retell = () => show(at);
    show(null);
  }

  function show(index) {
    at = index;
    readout.textContent = describe(index ?? drawn.data[0].length - 1);
  }

  place.addEventListener("keydown", (event) => {
    const last = drawn.data[0].length - 1;
    const step = event.shiftKey ? Math.max(1, Math.round(last / 40)) : 1;
    const now = at ?? last;
    const target = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const index = Math.min(Math.max(target, 0), last);
    drawn.setCursor({ left: drawn.valToPos(drawn.data[0][index], "x"), top: 0 });
    show(index);
  });
  draw();
  redraws.push(draw);
  new ResizeObserver(() => {
    if (place.clientWidth && place.clientWidth !== drawn.width) {
      drawn.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }).observe(place);
}

// --- equity and drawdown -----------------------------------------------------------------------

const times = sums(data.times);
const kinds = [...new Set(data.agents.map((agent) => agent.kind))];
const kindColour = (agent) => `c${kinds.indexOf(agent.kind) % COLOURS}`;
/** An agent's id, with its kind where there is room and the id doesn't tell it. */
const agentWords = (agent) =>
  data.agents.length > FEW_AGENTS || agent.id.includes(agent.kind) ? agent.id : `${agent.id} ${agent.kind}`;
const visible = {
  swarm: data.arms.map(() => true),
  agents: data.agents.map(() => data.agents.length <= FEW_AGENTS),
  arms: data.arms.map((_, at) => at === 0),
};

/** All lines of the two charts, those of the swarm last, so that they lie on top. */
const lines = [
  ...data.arms.flatMap((arm, armAt) =>
    data.agents.map((agent, at) => ({
      label: data.arms.length > 1 ? `${agent.id} ${armWords(arm)}` : agent.id,
      colour: kindColour(agent),
      width: 1.25,
      dash: armAt ? [4, 3] : [],
      shown: () => visible.agents[at] && visible.arms[armAt],
      equity: sums(arm.agents[at].equity, 100),
      drawdown: sums(arm.agents[at].drawdown, 100),
    })),
  ),
  ...data.arms
    .map((arm, armAt) => ({
      label: `swarm ${armWords(arm)}`,
      colour: armAt ? "off" : "accent",
      width: armAt ? 2.25 : 2.75,
      dash: armAt ? [7, 4] : [],
      shown: () => visible.swarm[armAt],
      equity: sums(arm.swarm.equity, 100),
      drawdown: sums(arm.swarm.drawdown, 100),
    }))
    .reverse(),
];

function curves(what) {
  return () => ({
    data: [times, ...lines.map((line) => line[what])],
    signed: what === "equity",
    labelled: what === "equity",
    series: lines.map((line) => ({
      stroke: colour(line.colour),
      width: innerWidth < 600 ? line.width * 0.7 : line.width,
      dash: line.dash,
      show: line.shown(),
      points: { show: false },
    })),
  });
}

function describeCurves(what) {
  return (index) => {
    const shown = [...lines.slice(-data.arms.length).reverse(), ...lines.slice(0, -data.arms.length)].filter((line) => line.shown());
    const told = shown.slice(0, 8).map((line) => `${line.label} ${percentText(line[what][index], what === "equity")}`);
    if (shown.length > 8) told.push(`and ${shown.length - 8} more`);
    return `${dateText(times[index])}: ${told.join(SEPARATOR)}`;
  };
}

function redrawCurves() {
  for (const id of ["equity-chart", "drawdown-chart"]) {
    lines.forEach((line, at) => {
      if (charts[id].series[at + 1].show !== line.shown()) charts[id].setSeries(at + 1, { show: line.shown() });
    });
    charts[id].retell();
  }
}

function toggle(label, mark, isOn, flip) {
  const button = element("button", "", { type: "button", "aria-pressed": String(isOn()) });
  if (mark) button.append(mark);
  button.append(label);
  button.refresh = () => button.setAttribute("aria-pressed", String(isOn()));
  button.addEventListener("click", () => {
    flip();
    place.querySelectorAll("button").forEach((other) => other.refresh());
    redrawCurves();
  });
  return button;
}

const place = byId("toggles");
function group(label, buttons) {
  const made = element("div", "", { class: "group", role: "group", "aria-label": label });
  made.append(...buttons);
  place.append(made);
}
const flip = (list, at) => () => (list[at] = !list[at]);
group(
  "The swarm",
  data.arms.map((arm, at) =>
    toggle(
      `Swarm ${armWords(arm)}`,
      swatch(at ? "off" : "accent", { width: 3, dash: at ? "5 3" : "" }),
      () => visible.swarm[at],
      flip(visible.swarm, at),
    ),
  ),
);
const all = () => visible.agents.every(Boolean);
group("Agents", [
  ...data.agents.map((agent, at) =>
    toggle(
      agentWords(agent),
      swatch(kindColour(agent), { width: 2 }),
      () => visible.agents[at],
      flip(visible.agents, at),
    ),
  ),
  toggle("All agents", null, all, () => {
    visible.agents.fill(!all());
  }),
]);
if (data.arms.length > 1) {
  group(
    "Arms of the agents shown",
    data.arms.map((arm, at) =>
      toggle(
        `Agents ${armWords(arm)}`,
        swatch("soft", { width: 2, dash: at ? "3 2" : "" }),
        () => visible.arms[at],
        flip(visible.arms, at),
      ),
    ),
  );
}
chart("equity-chart", curves("equity"), describeCurves("equity"));
chart("drawdown-chart", curves("drawdown"), describeCurves("drawdown"));

// --- knowledge and its use ---------------------------------------------------------------------

const main = data.arms[0];
const plain = { points: { show: false } };
if (main.spread) {
  const opened = data.rounds.slice(1);
  const [least, mean, most] = ["least", "mean", "most"].map((name) => main.spread[name].map((value) => value / 100));
  const make = () => ({
    data: [opened, most, least, mean],
    range: [0, 102],
    series: [
      { stroke: colour("accent"), width: 1, ...plain },
      { stroke: colour("accent"), width: 1, ...plain },
      { stroke: colour("accent"), width: 2.5, ...plain },
    ],
    bands: [{ series: [1, 2], fill: `${colour("accent")}26` }],
  });
  const tell = (at) =>
    `${dateText(opened[at])}: least ${percentText(least[at], false)} · mean ${percentText(mean[at], false)} · most ${percentText(most[at], false)}`;
  chart("spread-chart", make, tell);
} else if (byId("spread-chart")) {
  byId("spread-chart").replaceWith(element("p", "No knowledge had spread in this run.", { class: "note" }));
}

const USES = [
  ["applied", "applied", "accent"],
  ["withheld", "withheld", "c3"],
  ["abstained", "abstained", "flat"],
];
if (byId("use-chart")) {
  const levels = [];
  for (const [name] of USES) {
    const below = levels[levels.length - 1];
    levels.push(main.use[name].map((value, at) => value / 100 + (below ? below[at] : 0)));
  }
  const stepped = uPlot.paths.stepped({ align: 1 });
  const make = () => ({
    data: [data.rounds, ...[...levels].reverse()],
    range: [0, 100],
    // The highest sum first: each further area covers the part below it.
    series: [...USES].reverse().map(([, , name]) => ({ fill: colour(name), width: 0, paths: stepped, ...plain })),
  });
  const tell = (at) =>
    `${dateText(data.rounds[at])}: ` +
    USES.map(([name, words]) => `${words} ${percentText(main.use[name][at] / 100, false)}`).join(SEPARATOR);
  for (const [, words, name] of USES) {
    const entry = element("span");
    entry.append(swatch(name), upper(words));
    byId("use-legend").append(entry);
  }
  chart("use-chart", make, tell);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((draw) => draw()));
