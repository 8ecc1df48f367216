// Draws what was chosen when: one strip of cells for each agent. Uses what report.js defines.
"use strict";

const ROW = 16;
const NARROWEST = 6;
const AXIS = 18;
let armShown = 0;

const number = (text, at) => LETTERS.indexOf(text[at] ?? "-");
/** Why the choice at `at` was made; without a memory no reasons are stored. */
const reasonOf = (choices, at) => (choices.reason ? data.reasons[number(choices.reason, at)] : "no_memory");
const approachColour = (at) => (at === 0 ? "flat" : `c${(at - 1) % COLOURS}`);

/** Without the kind's name, which stands above: "momentum(a=1)" is "a=1". */
function shortName(name, kind) {
  return name.startsWith(`${kind}(`) && name.endsWith(")") ? name.slice(kind.length + 1, -1) : name;
}

function strip(details) {
  const agentAt = Number(details.dataset.agent);
  const agent = data.agents[agentAt];
  const place = details.querySelector(".cells");
  const readout = details.querySelector(".readout");
  const rounds = data.rounds.length;
  const cell = { round: rounds - 1, symbol: 0 };
  const names = element("div", "", { class: "names", "aria-hidden": "true" });
  const sheet = element("div", "", { class: "sheet" });
  const area = element("div", "", { class: "area" });
  const canvas = element("canvas", "", { "aria-hidden": "true" });
  const mark = element("div", "", { class: "mark" });
  let width = NARROWEST;

  for (const symbol of agent.symbols) {
    const name = element("div", symbol, { title: symbol });
    name.style.height = name.style.lineHeight = `${ROW}px`;
    names.append(name);
  }
  area.append(canvas, mark);
  sheet.append(area);
  place.append(names, sheet);
  agent.candidates.forEach((name, at) => {
    const entry = element("span");
    entry.append(swatch(approachColour(at)), shortName(name, agent.kind));
    details.querySelector(".legend").append(entry);
  });

  function draw() {
    if (!details.open || !sheet.clientWidth) return;
    const choices = data.arms[armShown].choices[agentAt];
    width = Math.max(NARROWEST, sheet.clientWidth / rounds);
    const height = ROW * agent.symbols.length;
    const scale = devicePixelRatio;
    canvas.width = Math.round(width * rounds * scale);
    canvas.height = Math.round((height + AXIS) * scale);
    canvas.style.width = area.style.width = `${width * rounds}px`;
    canvas.style.height = `${height + AXIS}px`;
    const ctx = canvas.getContext("2d");
    ctx.scale(scale, scale);
    const fills = agent.candidates.map((_, at) => colour(approachColour(at)));
    for (let symbol = 0; symbol < agent.symbols.length; symbol += 1) {
      for (let round = 0; round < rounds; round += 1) {
        const at = symbol * rounds + round;
        const chosen = number(choices.chosen, at);
        if (chosen < 0) continue;
        ctx.fillStyle = ctx.strokeStyle = fills[Math.min(chosen, fills.length - 1)];
        const applied = reasonOf(choices, at) === "applied";
        const [x, y, w, h] = [round * width + 0.5, symbol * ROW + 1, width - 1, ROW - 2];
        ctx.globalAlpha = applied ? 1 : 0.16;
        ctx.fillRect(x, y, w, h);
        if (applied) continue;
        ctx.globalAlpha = 0.75;
        ctx.lineWidth = 1;
        ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
      }
    }
    ctx.globalAlpha = 1;
    years(ctx, height);
    place.dataset.drawn = String(armShown);
  }

  /** Write a year under its first round, wherever there is room. */
  function years(ctx, height) {
    ctx.fillStyle = colour("soft");
    ctx.font = "11px system-ui, sans-serif";
    ctx.textBaseline = "bottom";
    let free = 0;
    data.rounds.forEach((second, round) => {
      const year = dateText(second).slice(0, 4);
      const x = round * width;
      const begins = round === 0 || year !== dateText(data.rounds[round - 1]).slice(0, 4);
      if (!begins || x < free || x + 28 > rounds * width) return;
      ctx.fillRect(x, height, 1, 4);
      ctx.fillText(year, x + 3, height + AXIS - 1);
      free = x + 44;
    });
  }

  function show() {
    const choices = data.arms[armShown].choices[agentAt];
    const at = cell.symbol * rounds + cell.round;
    const chosen = number(choices.chosen, at);
    const told = [`${dateText(data.rounds[cell.round])}`, agent.symbols[cell.symbol]];
    if (chosen < 0) told.push("could not be traded");
    else {
      told.push(agent.candidates[chosen], REASON_WORDS[reasonOf(choices, at)]);
      const sure = number(choices.confidence, at);
      if (sure >= 0) told.push(`confidence ${(sure / (LETTERS.length - 1)).toFixed(2)}`);
    }
    readout.textContent = told.join(SEPARATOR);
    mark.style.display = "block";
    mark.style.left = `${cell.round * width - 1.5}px`;
    mark.style.top = `${cell.symbol * ROW - 0.5}px`;
    mark.style.width = `${width + 3}px`;
    mark.style.height = `${ROW + 1}px`;
  }

  function hide() {
    mark.style.display = "none";
    readout.textContent = "";
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const round = Math.floor((event.clientX - box.left) / width);
    const symbol = Math.floor((event.clientY - box.top) / ROW);
    if (round < 0 || round >= rounds || symbol < 0 || symbol >= agent.symbols.length) return;
    Object.assign(cell, { round, symbol });
    show();
  }

  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", () => document.activeElement !== place && hide());
  place.addEventListener("focus", show);
  place.addEventListener("blur", hide);
  place.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-rounds, 0], End: [rounds, 0] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    cell.round = Math.min(Math.max(cell.round + move[0], 0), rounds - 1);
    cell.symbol = Math.min(Math.max(cell.symbol + move[1], 0), agent.symbols.length - 1);
    show();
    mark.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  details.addEventListener("toggle", draw);
  new ResizeObserver(draw).observe(sheet);
  redraws.push(draw);
  draw();
}

for (const button of document.querySelectorAll("#arm-picks button")) {
  button.addEventListener("click", () => {
    armShown = Number(button.dataset.arm);
    for (const other of button.parentElement.children) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    redraws.forEach((draw) => draw());
  });
}
for (const details of document.querySelectorAll(".strip")) strip(details);
for (const [words, hollow] of [["applied", false], ["explored", true]]) {
  const entry = element("span");
  entry.append(swatch("c1", { hollow }), upper(words));
  byId("cell-legend").append(entry);
}

document.documentElement.dataset.ready = "true";
