// Pictures of tensors: where the cells go and the errors come from, and the weights of one of them.
"use strict";

qtaml.tensorPictures = (view) => {
  const { element, brief, number, count, percent, picture, plot } = qtaml;
  const { state, network } = view;
  const byId = (id) => document.getElementById(id);
  const MOST_BARS = 22;
  const shades = 6;
  let tensorPictures = [];

  function bars() {
    const one = network();
    const { tensors } = one;
    const rows = tensors.name.map((_, index) => index);
    const weight = tensors.share.some((share) => share) ? tensors.share : tensors.cells;
    const chosen = rows.length <= MOST_BARS ? rows : [...rows].sort((a, b) => (weight[b] ?? 0) - (weight[a] ?? 0)).slice(0, MOST_BARS).sort((a, b) => a - b);
    const kept = new Set(chosen);
    const rest = rows.length > chosen.length ? rows.filter((row) => !kept.has(row)) : [];
    const parts = [];
    const add = (label, indices) => {
      const sums = new Map();
      let words = 0;
      for (const index of indices) {
        const own = tensors.parts[index];
        for (let at = 0; at < own.length; at += 3) {
          const key = `${own[at]} ${own[at + 1]}`;
          sums.set(key, (sums.get(key) ?? 0) + own[at + 2]);
          words += own[at + 2];
        }
      }
      const side = indices.reduce((total, index) => total + tensors.side[index], 0);
      let start = 0;
      for (const [key, cells] of [...sums].sort((a, b) => Number(b[0].split(" ")[0]) - Number(a[0].split(" ")[0]))) {
        const [bit, protection] = key.split(" ").map(Number);
        parts.push({ label, bit, protection, start, cells, of: words + side });
        start += cells;
      }
      if (side) parts.push({ label, bit: null, protection: null, start, cells: side, of: words + side });
    };
    for (const index of chosen) add(String(index), [index]);
    if (rest.length) add("rest", rest);
    const shareOf = new Map(one.details.map((detail, index) => [detail.row, one.curve[state.place]?.shares[index]]));
    const moved = one.details.length === tensors.name.length && one.curve[state.place]?.shares.length;
    const share = (index) => (moved ? shareOf.get(index) ?? tensors.share[index] : tensors.share[index]);
    const lines = chosen.map((index) => ({ label: String(index), share: share(index), gain: tensors.gain[index], error: tensors.error[index], index }));
    if (rest.length) lines.push({ label: "rest", share: rest.reduce((sum, index) => sum + (tensors.share[index] ?? 0), 0), gain: null, error: null });
    const names = new Map(chosen.map((index) => [String(index), tensors.name[index]]));
    names.set("rest", `${count(rest.length)} others`);
    return { parts, lines, names, moved, order: [...chosen.map(String), ...(rest.length ? ["rest"] : [])] };
  }

  const narrow = () => matchMedia("(max-width: 760px)").matches;
  const letter = (index) => String.fromCharCode(97 + (index % 26));
  const shade = (index) => `var(--k${Math.round((Math.min(index, shades - 1) * (shades - 1)) / Math.max(Math.min(network().tensors.protections.length, shades) - 1, 1)) || 0})`;
  const inkOn = (index) => (Number(shade(index).match(/\d/)[0]) < 3 ? "var(--on-light)" : "var(--on-dark)");

  function rowsOf({ names, order }, width, labels) {
    return {
      height: 52 + 27 * order.length,
      marginLeft: labels ? Math.min(190, width * 0.38) : 12,
      marginTop: 8,
      y: { label: null, domain: order, axis: labels ? "left" : null, tickFormat: (key) => brief(names.get(key), Math.floor(Math.min(190, width * 0.38) / 8)), tickSize: 0 },
    };
  }

  function drawCells(width) {
    const found = bars();
    const single = Math.max(...found.parts.filter((part) => part.label !== "rest").map((part) => part.of));
    // All others together may dwarf every single one: then only their number is written.
    const rest = found.parts.filter((part) => part.label === "rest" && part.of > 3 * single);
    if (rest.length) found.parts = found.parts.filter((part) => part.label !== "rest");
    const most = Math.max(...found.parts.map((part) => part.of));
    const wide = (part) => (part.cells / most) * width * 0.6 > 20;
    const protections = network().tensors.protections;
    const told = (part) => `${brief(found.names.get(part.label), 60)}\n${part.bit === null ? "scales, tables and other side values" : `bit ${part.bit}, ${protections[part.protection]}`}\n${number(part.cells, 4)} of ${number(part.of, 4)} cells`;
    const words = found.parts.filter((part) => part.bit !== null);
    return plot(width, {
      ...rowsOf(found, width, true),
      x: { label: "cells", grid: true, ticks: width / 90, tickFormat: "~s" },
      marks: [
        Plot.barX(words, { y: "label", x1: "start", x2: (part) => part.start + part.cells, fill: (part) => shade(part.protection), insetLeft: 0.5, insetRight: 0.5, insetTop: 3, insetBottom: 3, rx: 2 }),
        Plot.barX(found.parts.filter((part) => part.bit === null), { y: "label", x1: "start", x2: (part) => part.start + part.cells, fill: "var(--surface)", stroke: "var(--soft)", strokeDasharray: "2 2", insetTop: 3, insetBottom: 3 }),
        Plot.text(rest.slice(0, 1), { y: "label", x: () => 0, text: (part) => `${count(part.of)} cells`, textAnchor: "start", dx: 4, fill: "var(--soft)" }),
        Plot.text(words.filter(wide), { y: "label", x: (part) => part.start + part.cells / 2, text: (part) => `${part.bit}${protections.length > 1 ? letter(part.protection) : ""}`, fill: (part) => inkOn(part.protection), fontSize: 11.5 }),
        qtaml.tip(found.parts, Plot.pointer({ y: "label", x: (part) => part.start + part.cells / 2, title: told })),
      ],
    });
  }

  function drawShares(width) {
    const found = bars();
    return plot(width, {
      ...rowsOf(found, width, narrow()),
      marginRight: 46,
      x: { label: "share of the predicted output error (%)", domain: [0, Math.max(5, ...found.lines.map((line) => 100 * (line.share ?? 0)))], grid: true, ticks: width / 70 },
      marks: [
        Plot.barX(found.lines, { y: "label", x: (line) => 100 * (line.share ?? 0), fill: "var(--c1)", insetTop: 5, insetBottom: 5 }),
        Plot.text(found.lines, { y: "label", x: (line) => 100 * (line.share ?? 0), text: (line) => percent(line.share), textAnchor: "start", dx: 4 }),
      ],
    });
  }

  function drawGains(width) {
    const found = bars();
    const known = found.lines.filter((line) => line.gain > 0);
    return plot(width, {
      ...rowsOf(found, width, narrow()),
      x: { label: "gain ± 2 standard errors", type: "log", grid: true, ticks: qtaml.tens(...d3.extent(known, (line) => line.gain)), tickFormat: (one) => number(one, 1) },
      marks: [
        Plot.ruleY(known, { y: "label", x1: (line) => Math.max(line.gain - 2 * line.error, line.gain / 100), x2: (line) => line.gain + 2 * line.error, stroke: "var(--c0)", strokeWidth: 2 }),
        Plot.dot(known, { y: "label", x: "gain", fill: "var(--c0)", r: 4 }),
        qtaml.tip(known, Plot.pointerY({ y: "label", x: "gain", title: (line) => `${brief(found.names.get(line.label), 60)}\ngain ${number(line.gain)} ± ${number(line.error, 1)}` })),
      ],
    });
  }

  function showTensors() {
    const { tensors } = network();
    byId("legend").replaceChildren(
      ...tensors.protections.map((text, index) => {
        const swatch = element("i", { "aria-hidden": "true" }, letter(index));
        swatch.style.background = shade(index);
        swatch.style.color = inkOn(index);
        return element("span", {}, swatch, text);
      }),
      ...(tensors.side.some((one) => one) ? [element("span", {}, element("i", { "aria-hidden": "true" }, "□"), "scales and tables")] : []),
    );
    const gains = tensors.gain.some((one) => one);
    byId("tensors-hint").textContent = `Each part of a bar is one bit, the most significant at the left: its number, and the letter of its protection. ${tensors.name.length > MOST_BARS ? `The ${MOST_BARS} tensors that matter most of ${count(tensors.name.length)}; the table below has all. ` : ""}${gains ? "Gain: squared output error for each unit of squared weight error." : "No gains were measured: how the error is shared out is not known."}`;
    byId("tensors").replaceChildren();
    tensorPictures = [picture(byId("tensors"), "Cells of each tensor by bit and protection", null, drawCells)];
    if (tensors.share.some((one) => one !== null)) tensorPictures.push(picture(byId("tensors"), "Share of the predicted output error of each tensor", null, drawShares));
    if (gains) tensorPictures.push(picture(byId("tensors"), "Gain of each tensor with its error", null, drawGains));
  }

  function detail() {
    return network().details.find((one) => one.name === state.tensor);
  }

  function listTensors() {
    const { details } = network();
    byId("weights-section").hidden = !details.length;
    if (!details.length) return;
    if (!detail()) {
      const shares = network().curve[state.place]?.shares ?? [];
      state.tensor = details[Math.max(d3.greatestIndex(shares), 0)].name;
    }
    byId("tensor").replaceChildren(...details.map((one) => element("option", { value: one.name, selected: one.name === state.tensor }, brief(one.name, 70))));
    showWeights();
  }
  byId("tensor").addEventListener("change", (event) => {
    state.tensor = event.target.value;
    showWeights();
  });

  function showWeights() {
    const one = detail();
    byId("weights").replaceChildren();
    const left = element("div", {});
    byId("weights").append(left);
    const domain = [Math.min(one.levels[0], one.edges[0] ?? Infinity), Math.max(one.levels.at(-1), one.edges.at(-1) ?? -Infinity)];
    const x = { label: "weight, in units of the scale", domain };
    if (one.trained.length) {
      const bins = one.trained.map((share, index) => ({ share: 100 * share, low: one.edges[index], high: one.edges[index + 1] }));
      picture(left, `Histogram of the trained weights of ${brief(one.name, 60)}`, "The trained weights", (width) => plot(width, {
        height: 190, x: { ...x, label: null }, y: { label: "weights (%)", grid: true },
        marks: [Plot.rectY(bins, { x1: "low", x2: "high", y: "share", fill: "var(--c0)", fillOpacity: 0.75, inset: 0.5 }), Plot.ruleY([0])],
      }));
    }
    const levels = one.levels.map((level, index) => ({ level, share: 100 * one.shares[index] }));
    picture(left, `Share of the weights of ${brief(one.name, 60)} at each level`, `The stored weights at their ${one.levels.length} levels`, (width) => plot(width, {
      height: 210, x, y: { label: "weights (%)", grid: true },
      marks: [Plot.ruleX(levels, { x: "level", y: "share", stroke: "var(--c1)", strokeWidth: levels.length > 64 ? 1.4 : 3 }), Plot.ruleY([0]), levels.length > 64 ? null : Plot.dot(levels, { x: "level", y: "share", fill: "var(--c1)", r: 3.5 }), qtaml.tip(levels, Plot.pointerX({ x: "level", y: "share", title: (at) => `level ${number(at.level, 4)}\n${number(at.share, 3)}% of the weights` }))],
    }));
    const { errors } = one;
    if (!errors) {
      byId("weights-hint").textContent = "The law of the errors is shown for words of up to 10 bits.";
      return;
    }
    byId("weights-hint").textContent = `Read as another value: ${number(100 * errors.wrong)}% of the weights by the exact law, ${number(100 * errors.wrong_seen)}% of ${count(errors.read)} that were read.`;
    const bins = errors.expected.map((expected, index) => ({ expected, seen: errors.seen[index], low: errors.low[index], high: errors.high[index], from: errors.edges[index], to: errors.edges[index + 1], at: (errors.edges[index] + errors.edges[index + 1]) / 2 })).filter((bin) => bin.expected > 0 || bin.seen > 0);
    const shares = bins.flatMap((bin) => [bin.expected, bin.seen]).filter((share) => share > 0);
    const floor = Math.max(Math.min(...shares) / 3, 1e-7 * Math.max(...shares));
    const told = (bin) => `errors from ${number(bin.from)} to ${number(bin.to)}\nlaw ${number(bin.expected)}\nread ${number(bin.seen)} [${number(bin.low)}, ${number(bin.high)}]`;
    picture(byId("weights"), `Errors of the weights of ${brief(one.name, 60)}, law and reads`, "Share of the weights with each error, those read right left out. Bars: the exact law; dots: reads, with 95% intervals as if weights erred independently", (width) => plot(width, {
      height: 410, marginLeft: 62,
      x: { label: "error, read minus stored, in units of the scale" },
      y: { label: "share of the weights", type: "log", domain: [floor, 1.6 * Math.max(...bins.flatMap((bin) => [bin.expected, bin.high]))], grid: true, tickFormat: (share) => number(share, 1), ticks: qtaml.tens(floor, 2 * Math.max(...bins.map((bin) => bin.high))), clamp: true },
      marks: [
        Plot.rect(bins.filter((bin) => bin.expected > 0), { x1: "from", x2: "to", y1: () => floor, y2: "expected", fill: "var(--c0)", fillOpacity: 0.35, stroke: "var(--c0)", inset: 0.5 }),
        Plot.ruleX(bins.filter((bin) => bin.seen > 0), { x: "at", y1: (bin) => Math.max(bin.low, floor), y2: "high", stroke: "var(--c1)", strokeWidth: 1.6 }),
        Plot.dot(bins.filter((bin) => bin.seen > 0), { x: "at", y: "seen", fill: "var(--c1)", r: 3.4 }),
        qtaml.tip(bins, Plot.pointerX({ x: "at", y: (bin) => Math.max(bin.expected, floor), title: told })),
      ],
    }));
  }

  return { showTensors, listTensors, redraw: () => tensorPictures.forEach((one) => one.redraw()) };
};
