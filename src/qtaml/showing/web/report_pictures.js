// Pictures of networks: what they cost and how good they are, in other memories, over reads and chips.
"use strict";

qtaml.networkPictures = (view, choose) => {
  const { brief, number, percent, plot, color, symbols, dashes } = qtaml;
  const { data, state, network, scale, unit, metricLabel, value, ends, above, nearBar } = view;

  function drawFront(width) {
    const stored = data.networks.map((one, index) => ({ kind: "stored", name: one.name, cells: one.cells, metric: one.metric, index, note: `${one.asked}\nmemory ${one.fault}` }));
    const limits = data.references.filter((one) => one.kind === "limit");
    const soft = { fill: "var(--soft)", stroke: "var(--surface)", strokeWidth: 4 };
    const rules = [
      Plot.ruleX(limits, { x: "cells", stroke: "var(--soft)", strokeDasharray: "4 4" }),
      Plot.text(limits, { x: "cells", text: (one) => brief(one.name, 40), frameAnchor: "bottom", rotate: -90, textAnchor: "start", dx: -8, dy: -6, ...soft }),
    ];
    if (!data.metric) {
      return plot(width, {
        height: 110 + 36 * stored.length,
        marginLeft: Math.min(170, width * 0.3),
        marginTop: 44,
        x: { label: "cells, as a share of a plain memory", domain: [0, 1.08 * Math.max(1, ...stored.map((one) => one.cells), ...limits.map((one) => one.cells))] },
        y: { label: null, tickFormat: (one) => brief(one, Math.floor(Math.min(170, width * 0.3) / 8)), tickSize: 0 },
        marks: [
          Plot.barX(stored, { y: "name", x: "cells", fill: "var(--c0)", title: (one) => `${brief(one.name, 80)}\n${number(one.cells, 4)} cells\n${one.note}`, tip: true }),
          Plot.text(stored, { y: "name", x: "cells", text: (one) => number(one.cells), dx: 6, textAnchor: "start" }),
          Plot.ruleX([1], { stroke: "var(--ink)" }),
          rules[0],
          Plot.text(limits, { x: "cells", text: (one) => brief(one.name, 40), frameAnchor: "top", textAnchor: "end", dy: -12, ...soft }),
        ],
      });
    }
    const measured = stored.filter((one) => one.metric);
    const baselines = data.references.filter((one) => one.metric).map((one) => ({ ...one }));
    const known = measured.flatMap((one) => one.metric).concat(data.trained ?? []).filter((one) => one !== null);
    const bar = nearBar(known);
    const shown = bar === null ? known : [...known, bar];
    const span = Math.max(...shown) - Math.min(...shown) || 1;
    const low = Math.min(...shown) - (above ? 0.8 : 0.15) * span;
    const high = Math.max(...shown) + (above ? 0.15 : 0.8) * span;
    const inside = (one) => one.metric[0] >= low && one.metric[0] <= high;
    const text = (one) => `${brief(one.name, 80)}\n${number(one.cells, 4)} of the cells, ${data.metric} ${ends(one.metric)}\n${one.note}`;
    const place = (one) => scale * Math.min(Math.max(one.metric[0], low), high);
    const end = (one, at, other) => scale * Math.min(Math.max(one.metric[at] ?? other, low), high);
    const interval = (stroke) => ({ x: "cells", y1: (one) => end(one, 1, low), y2: (one) => end(one, 2, high), stroke, strokeWidth: 1.6 });
    const best = qtaml.front([...measured, ...baselines.filter(inside)], (one) => one.cells, (one) => one.metric[0], true, above);
    const most = 1.1 * Math.max(1, ...[...measured, ...data.references].map((one) => one.cells));
    // Words beside horizontal lines stand where no limit crosses them.
    const stops = [0, ...limits.map((one) => one.cells).sort(d3.ascending), most];
    const gap = d3.greatest(d3.pairs(stops), (pair) => pair[1] - pair[0]);
    const free = (gap[0] + gap[1]) / 2;
    // Names of neighbours stand above each other.
    const lines = [];
    const lineOf = new Map();
    for (const one of [...measured].sort((a, b) => a.cells - b.cells)) {
      const half = (3.9 * Math.min(one.name.length, 30) * most) / (width - 60);
      const line = lines.findIndex((end) => end < one.cells - half);
      lineOf.set(one, line < 0 ? lines.length : line);
      lines[lineOf.get(one)] = one.cells + half;
    }
    const outside = baselines.filter((one) => !inside(one));
    const brand = (one) => brief(one.name.replace("Uniform-MSP, ", ""), 12);
    const drawn = plot(width, {
      height: Math.min(470, Math.max(320, width * 0.5)) + 16 * lines.length,
      marginTop: 12 + 16 * lines.length,
      x: { label: "cells, as a share of a plain memory", domain: [0, most], grid: true },
      y: { label: metricLabel, domain: [scale * low, scale * high], grid: true },
      marks: [
        bar === null ? null : Plot.ruleY([scale * bar], { stroke: "var(--ink)", strokeDasharray: "2 4" }),
        bar === null ? null : Plot.text([0], { x: () => free, y: () => scale * bar, text: () => `good chip: ${value(data.bar)}`, dy: above ? 9 : -9, ...soft }),
        data.trained ? Plot.ruleY([scale * data.trained[0]], { stroke: "var(--soft)" }) : null,
        data.trained ? Plot.text([0], { x: () => free, y: () => scale * data.trained[0], text: () => `trained: ${value(data.trained[0])}`, dy: -8, ...soft }) : null,
        ...rules,
        Plot.line(best, { x: "cells", y: place, curve: "step-after", stroke: "var(--line)", strokeWidth: 5 }),
        Plot.ruleX(baselines.filter(inside), interval("var(--soft)")),
        Plot.dot(baselines.filter(inside), { x: "cells", y: place, stroke: "var(--soft)", fill: "var(--surface)", r: 4.5, strokeWidth: 1.6 }),
        width < 480 ? null : Plot.text(baselines.filter(inside), { x: "cells", y: place, text: brand, dx: 8, textAnchor: "start", ...soft }),
        ...outside.map((one, index) => Plot.text([one], { x: "cells", y: place, text: () => `${above ? "↓" : "↑"} ${brand(one)}: ${value(one.metric[0])}`, dy: (above ? -1 : 1) * (8 + 15 * (outside.length - 1 - index)), textAnchor: "start", ...soft })),
        ...measured.flatMap((one) => [
          Plot.ruleX([one], { ...interval(color(one.index)), strokeWidth: 2.4 }),
          Plot.dot([one], { x: "cells", y: place, fill: color(one.index), symbol: symbols[one.index % symbols.length], r: 7 }),
          Plot.text([one], { x: "cells", y: (at) => end(at, 2, high), text: (at) => brief(at.name, 30), textAnchor: one.cells < 0.2 * most ? "start" : "middle", dx: one.cells < 0.2 * most ? -8 : 0, dy: -10 - 16 * lineOf.get(one), fill: color(one.index), fontWeight: 700, stroke: "var(--surface)", strokeWidth: 4 }),
        ]),
        qtaml.tip([...baselines, ...measured], Plot.pointer({ x: "cells", y: place, title: text, maxRadius: 40 })),
      ],
    });
    const svg = drawn.tagName === "svg" ? drawn : drawn.querySelector("svg");
    svg.classList.add("clickable");
    svg.addEventListener("click", () => {
      const at = drawn.value;
      if (at && at.kind === "stored") {
        choose(at.index);
      }
    });
    return drawn;
  }

  // Of places on a logarithmic axis, those that leave room for their numbers.
  function ticksOf(places, width) {
    const reach = Math.log(places.at(-1) / places[0]) || 1;
    const kept = [];
    for (const at of places) {
      if (!kept.length || (Math.log(at / kept.at(-1)) / reach) * (width - 80) > 42) kept.push(at);
    }
    return kept;
  }

  function drawCurve(width, y, label, log) {
    const points = data.networks.flatMap((one, index) => one.curve.map((point) => ({ ...point, index, name: one.name }))).filter((point) => y(point) !== null && (!log || y(point)[0] > 0));
    const at = data.networks[0].curve[state.place].at;
    const factor = log ? 1 : scale;
    const [low, high] = [1, 2].map((end) => (point) => factor * (y(point)[end] ?? y(point)[0]));
    const each = (draw) => data.networks.map((one, index) => draw(points.filter((point) => point.index === index), index));
    return plot(width, {
      height: 300,
      x: { label: data.axis, type: "log", tickFormat: (one) => number(one, 3), ticks: ticksOf(data.networks[0].curve.map((point) => point.at), width) },
      y: log ? { label, grid: true, type: "log", ticks: qtaml.tens(...d3.extent(points, (point) => y(point)[0])), tickFormat: (one) => number(one, 1) } : { label, grid: true },
      marks: [
        log || nearBar(points.map((point) => y(point)[0])) === null ? null : Plot.ruleY([factor * data.bar], { stroke: "var(--ink)", strokeDasharray: "2 4" }),
        data.planned === null ? null : Plot.ruleX([data.planned], { stroke: "var(--soft)", strokeDasharray: "4 4" }),
        data.planned === null ? null : Plot.text([data.planned], { x: (one) => one, text: () => "planned", frameAnchor: "bottom", textAnchor: "start", dx: 4, dy: -4, fill: "var(--soft)" }),
        Plot.ruleX([at], { stroke: "var(--accent)", strokeWidth: 2.5 }),
        ...each((own, index) => Plot.areaY(own, { x: "at", y1: low, y2: high, fill: color(index), fillOpacity: 0.16 })),
        ...each((own, index) => Plot.line(own, { x: "at", y: (point) => factor * y(point)[0], stroke: color(index), strokeWidth: 2, strokeDasharray: dashes[index % dashes.length] })),
        ...each((own, index) => Plot.dot(own, { x: "at", y: (point) => factor * y(point)[0], fill: color(index), symbol: symbols[index % symbols.length], r: 4.5 })),
        qtaml.tip(points, Plot.pointer({ x: "at", y: (point) => factor * y(point)[0], title: (point) => `${brief(point.name, 60)}\n${data.axis} = ${number(point.at, 4)}\n${log ? number(y(point)[0]) : ends(y(point))}` })),
      ],
    });
  }

  function drawSpread(width) {
    const one = network();
    const rows = [["each read", one.reads], ["each chip", one.chips?.values ?? []]].filter((row) => row[1].length);
    const points = rows.flatMap(([kind, values]) => values.map((at) => ({ kind, at: scale * at })));
    const bar = nearBar(rows.flatMap((row) => row[1]));
    const ends = d3.extent([...points.map((point) => point.at), ...(bar === null ? [] : [scale * bar])]);
    const reach = ends[1] - ends[0] || 1;
    // As large as the highest pile allows.
    const pile = (r) => Math.max(...rows.flatMap((row) => [...d3.rollup(row[1], (own) => own.length, (at) => Math.round((scale * at * (width - 120)) / reach / (2 * r))).values()]));
    const radius = [4.5, 3.5, 2.5].find((r) => 2 * r * pile(r) < 80) ?? 1.6;
    return plot(width, {
      height: 40 + 150 * rows.length,
      marginLeft: 76,
      x: { label: metricLabel, grid: true, nice: true, inset: 8 },
      fy: { label: null, domain: rows.map((row) => row[0]) },
      marks: [
        bar === null ? null : Plot.ruleX([scale * bar], { stroke: "var(--ink)", strokeDasharray: "2 4" }),
        points.length <= 400
          ? Plot.dot(points, Plot.dodgeY("bottom", { x: "at", fy: "kind", fill: "var(--c0)", fillOpacity: 0.8, r: radius, title: (point) => `${point.kind}: ${number(point.at, 4)}${unit}`, tip: true }))
          : Plot.rectY(points, Plot.binX({ y: "count" }, { x: "at", fy: "kind", fill: "var(--c0)" })),
      ],
    });
  }

  function drawYield(width) {
    const { chips } = network();
    const points = chips.at.map((at, index) => ({ at: scale * at, share: 100 * chips.reach[index][0], low: 100 * chips.reach[index][1], high: 100 * chips.reach[index][2] }));
    return plot(width, {
      height: 300,
      x: { label: metricLabel, nice: true, inset: 8 },
      y: { label: above ? "chips that reach it (%)" : "chips that stay within it (%)", domain: [0, 104], grid: true },
      marks: [
        nearBar(chips.at) === null ? null : Plot.ruleX([scale * data.bar], { stroke: "var(--ink)", strokeDasharray: "2 4" }),
        Plot.areaY(points, { x: "at", y1: "low", y2: "high", curve: above ? "step-before" : "step-after", fill: "var(--c0)", fillOpacity: 0.18 }),
        Plot.line(points, { x: "at", y: "share", curve: above ? "step-before" : "step-after", stroke: "var(--c0)", strokeWidth: 2 }),
        points.length < 2 ? Plot.dot(points, { x: "at", y: "share", fill: "var(--c0)" }) : null,
        qtaml.tip(points, Plot.pointerX({ x: "at", y: "share", title: (point) => `${number(point.share)}% [${number(point.low)}, ${number(point.high)}] of the chips ${above ? "reach" : "stay within"} ${number(point.at, 4)}${unit}` })),
      ],
    });
  }

  return { drawFront, drawCurve, drawSpread, drawYield };
};
