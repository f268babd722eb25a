// The explorer: rows of results over any two of their numbers. The axes, the filters and the open row are all the state.
"use strict";

(async () => {
  const { element, name, brief, number, count, fact } = qtaml;
  const byId = (id) => document.getElementById(id);
  const data = await qtaml.data();
  const MOST_CHOICES = 40;
  const MOST_LEVELS = 12;
  const MOST_POINTS = 4000;
  const columns = new Map(data.columns.map((one) => [one.name, one]));
  const rows = d3.range(data.rows);
  const numbers = data.columns.filter((one) => one.number && !one.end);
  // What rows can be told apart by: texts that several rows share, and numbers of a few values, such as budgets.
  const sorts = data.columns.filter((one) => !one.end).map((one) => {
    if (!one.number) return { name: one.name, known: one.known, codes: one.values, most: MOST_CHOICES };
    const known = [...new Set(one.values.filter((value) => value !== null))].sort(d3.ascending);
    const place = new Map(known.map((value, code) => [value, code]));
    return { name: one.name, known: known.map((value) => number(value, 5)), codes: one.values.map((value) => place.get(value) ?? -1), most: MOST_LEVELS };
  }).filter((one) => one.known.length > 1 && one.known.length <= Math.min(one.most, Math.max(data.rows / 2, 3)));
  const sortOf = new Map(sorts.map((one) => [one.name, one]));
  const at = (column, row) => (column.number ? column.values[row] : column.known[column.values[row]] ?? null);
  const low = (column) => columns.get(`${column.name}_low`);
  const high = (column) => columns.get(`${column.name}_high`);
  const state = { x: data.x, y: data.y, by: sortOf.has("method") ? "method" : sorts[0]?.name ?? "", lowX: data.low_x, lowY: data.low_y, kept: new Map(), ranges: {}, row: null };

  byId("title").textContent = data.title;
  byId("lead").textContent = `${count(data.rows)} rows of ${data.source}.`;

  // ---- what is drawn ------------------------------------------------------------------------------------------------
  function chooser(id, label, choices, chosen, change) {
    const select = element("select", { id }, ...choices.map((one) => element("option", { value: one, selected: one === chosen }, brief(one || "nothing", 40))));
    select.addEventListener("change", () => change(select.value));
    return element("label", { class: "stacked" }, label, select);
  }
  for (const axis of ["x", "y"]) {
    const better = `low${axis.toUpperCase()}`;
    const box = element("fieldset", {}, element("legend", {}, axis === "x" ? "Across" : "Upwards"));
    const pick = chooser(`better-${axis}`, "Better is", ["less", "more"], state[better] ? "less" : "more", (value) => {
      state[better] = value === "less";
      update();
    });
    const axisPick = chooser(`axis-${axis}`, "Number", numbers.map((one) => one.name), state[axis], (value) => {
      state[axis] = value;
      state.ranges[axis] = null;
      for (const input of box.querySelectorAll("input")) input.value = "";
      update();
    });
    box.append(axisPick, pick);
    const range = element("div", { class: "range" });
    for (const end of ["from", "to"]) {
      const input = element("input", { type: "number", step: "any", id: `${axis}-${end}` });
      input.addEventListener("change", () => {
        readRanges();
        update();
      });
      range.append(element("label", { class: "stacked" }, end, input));
    }
    box.append(range);
    byId("axes").append(box);
  }
  const look = element("fieldset", {}, element("legend", {}, "Told apart"));
  look.append(chooser("by", "By symbol and colour", ["", ...sorts.map((one) => one.name)], state.by, (value) => {
    state.by = value;
    update();
  }));
  byId("axes").append(look);

  function readRanges() {
    for (const axis of ["x", "y"]) {
      const ends = ["from", "to"].map((end) => byId(`${axis}-${end}`).value);
      state.ranges[axis] = ends.some((end) => end !== "") ? [ends[0] === "" ? -Infinity : Number(ends[0]), ends[1] === "" ? Infinity : Number(ends[1])] : null;
    }
  }

  // ---- which rows ---------------------------------------------------------------------------------------------------
  for (const column of sorts) {
    // -1: rows of which it is not known, which no tick is for, are kept.
    const kept = new Set([-1, ...column.known.keys()]);
    state.kept.set(column.name, kept);
    const box = element("fieldset", {}, element("legend", {}, column.name));
    column.known.forEach((text, code) => {
      const input = element("input", { type: "checkbox", checked: true, "data-column": column.name, value: code });
      input.addEventListener("change", () => {
        if (input.checked) kept.add(code);
        else kept.delete(code);
        update();
      });
      box.append(element("label", {}, input, name(text.length > 90 ? `${text.slice(0, 90)}…` : text)));
    });
    byId("filters").append(box);
  }
  byId("reset").addEventListener("click", () => {
    for (const column of sorts) column.known.forEach((_, code) => state.kept.get(column.name).add(code));
    for (const input of byId("filters").querySelectorAll("input")) input.checked = true;
    for (const input of byId("axes").querySelectorAll("input")) input.value = "";
    state.ranges = {};
    update();
  });

  function chosenRows() {
    const tests = sorts.map((column) => [column.codes, state.kept.get(column.name), column.known.length]).filter(([, kept, all]) => kept.size <= all);
    const ranges = Object.entries(state.ranges).filter(([, range]) => range).map(([axis, range]) => [columns.get(state[axis]).values, range]);
    return rows.filter((row) => tests.every(([codes, kept]) => kept.has(codes[row])) && ranges.every(([values, [from, to]]) => values[row] !== null && values[row] >= from && values[row] <= to));
  }

  // ---- picture ------------------------------------------------------------------------------------------------------
  const codeOf = (row) => (state.by ? Math.max(sortOf.get(state.by).codes[row], 0) : 0);
  const symbolOf = (code) => qtaml.symbols[(code + Math.floor(code / qtaml.colors.length)) % qtaml.symbols.length];
  const shapes = { circle: d3.symbolCircle, square: d3.symbolSquare, triangle: d3.symbolTriangle, diamond: d3.symbolDiamond, cross: d3.symbolCross, star: d3.symbolStar };
  let shown = [];

  function told(row) {
    return [...numbers.filter((one) => one.name === state.x || one.name === state.y), ...data.columns.filter((one) => !one.number).slice(0, 5)]
      .map((column) => `${column.name}: ${column.number ? withEnds(column, row) : brief(String(at(column, row) ?? "–"), 60)}`)
      .join("\n");
  }
  function withEnds(column, row) {
    const ends = low(column) ? ` [${number(low(column).values[row], 4)}, ${number(high(column).values[row], 4)}]` : "";
    return number(column.values[row], 4) + ends;
  }

  function draw(width) {
    const x = columns.get(state.x);
    const y = columns.get(state.y);
    const points = shown.filter((row) => x.values[row] !== null && y.values[row] !== null);
    const px = (row) => x.values[row];
    const py = (row) => y.values[row];
    const front = qtaml.front(points, px, py, state.lowX, !state.lowY);
    const many = points.length > MOST_POINTS;
    const groups = [...d3.group(points, codeOf)].sort(d3.ascending);
    const curve = state.lowX === state.lowY ? "step-before" : "step-after";
    const drawn = qtaml.plot(width, {
      height: Math.max(340, Math.min(560, width * 0.55)),
      marginLeft: 62,
      x: { label: state.x, grid: true, nice: true, inset: 10, tickFormat: (one) => number(one, 3) },
      y: { label: state.y, grid: true, nice: true, inset: 10, tickFormat: (one) => number(one, 3) },
      r: { range: [2, 9] },
      marks: [
        Plot.line(front, { x: px, y: py, curve: state.lowX ? "step-after" : curve, stroke: "var(--line)", strokeWidth: 5 }),
        low(y) && !many ? Plot.ruleX(points.filter((row) => low(y).values[row] !== null), { x: px, y1: (row) => low(y).values[row], y2: (row) => high(y).values[row] ?? py(row), stroke: (row) => qtaml.color(codeOf(row)), strokeOpacity: 0.45 }) : null,
        ...(many
          ? [Plot.dot(points, Plot.hexbin({ r: "count" }, { x: px, y: py, fill: "var(--c0)", fillOpacity: 0.6 }))]
          : groups.map(([code, own]) => Plot.dot(own, { x: px, y: py, symbol: symbolOf(code), fill: qtaml.color(code), fillOpacity: 0.85, r: own.length > 500 ? 2.5 : 4.5 }))),
        Plot.dot(front, { x: px, y: py, stroke: "var(--ink)", r: 7, strokeWidth: 1.4 }),
        state.row === null || px(state.row) === null ? null : Plot.dot([state.row], { x: px, y: py, stroke: "var(--accent)", r: 11, strokeWidth: 3 }),
        qtaml.tip(many ? front : points, Plot.pointer({ x: px, y: py, title: told })),
      ],
    });
    brush(drawn, drawn.tagName === "svg" ? drawn : drawn.querySelector("svg"));
    return drawn;
  }

  // A drag keeps what lies in its rectangle; a click opens the point that is pointed at.
  function brush(drawn, svg) {
    let start = null;
    const box = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
    box.setAttribute("fill", "var(--accent)");
    box.setAttribute("fill-opacity", "0.15");
    box.setAttribute("stroke", "var(--accent)");
    box.setAttribute("visibility", "hidden");
    const place = (event) => {
      const bounds = svg.getBoundingClientRect();
      const factor = svg.viewBox.baseVal.width / bounds.width;
      return [(event.clientX - bounds.left) * factor, (event.clientY - bounds.top) * factor];
    };
    svg.classList.add("clickable");
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse") start = place(event);
      // Before the tip, which keeps the event to itself where it points at something.
    }, { capture: true });
    svg.addEventListener("pointermove", (event) => {
      if (!start) return;
      const end = place(event);
      box.setAttribute("visibility", "visible");
      for (const [side, extent, index] of [["x", "width", 0], ["y", "height", 1]]) {
        box.setAttribute(side, Math.min(start[index], end[index]));
        box.setAttribute(extent, Math.abs(start[index] - end[index]));
      }
    });
    svg.addEventListener("pointerup", (event) => {
      const begun = start;
      start = null;
      const end = place(event);
      if (!begun || Math.hypot(end[0] - begun[0], end[1] - begun[1]) < 6) {
        box.setAttribute("visibility", "hidden");
        if (typeof drawn.value === "number") open(drawn.value);
        return;
      }
      for (const [axis, index] of [["x", 0], ["y", 1]]) {
        const ends = [begun[index], end[index]].map((one) => drawn.scale(axis).invert(one)).sort(d3.ascending);
        byId(`${axis}-from`).value = Number(ends[0].toPrecision(4));
        byId(`${axis}-to`).value = Number(ends[1].toPrecision(4));
      }
      readRanges();
      update();
    });
    svg.addEventListener("pointerleave", () => {
      start = null;
      box.setAttribute("visibility", "hidden");
    });
  }

  function showLegend() {
    const codes = state.by ? [...new Set(shown.map(codeOf))].sort(d3.ascending) : [];
    byId("legend").replaceChildren(...codes.map((code) => {
      const svg = d3.create("svg").attr("width", 16).attr("height", 16).attr("viewBox", "-8 -8 16 16").attr("aria-hidden", "true");
      svg.append("path").attr("d", d3.symbol(shapes[symbolOf(code)], 80)()).attr("fill", qtaml.color(code));
      return element("span", {}, svg.node(), name(brief(sortOf.get(state.by).known[code] ?? "–", 60)));
    }));
  }

  // ---- one row, all rows --------------------------------------------------------------------------------------------
  function open(row) {
    state.row = row;
    const list = element("dl", { class: "facts" });
    for (const column of data.columns.filter((one) => !one.end)) {
      if (column.number) fact(list, column.name, withEnds(column, row));
      else fact(list, column.name, element("code", {}, String(at(column, row) ?? "–")));
    }
    byId("row").replaceChildren(list);
    table.choose(row);
    pictures.redraw();
    byId("row-title").focus({ preventScroll: true });
    byId("row-title").scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  const table = new qtaml.VirtualTable(byId("rows"), {
    label: "Rows that are kept",
    columns: [
      { name: "row", value: (row) => row + 1, open: true, number: true },
      ...data.columns.filter((one) => !one.end).map((column) => ({
        name: column.name,
        value: (row) => at(column, row),
        text: column.number ? (row) => withEnds(column, row) : null,
        number: column.number,
      })),
    ],
    rows,
    open,
  });
  const pictures = qtaml.picture(byId("picture"), () => `${state.y} over ${state.x} of ${count(shown.length)} rows; the table below has them`, null, draw);

  function update() {
    shown = chosenRows();
    byId("count").textContent = `${count(shown.length)} of ${count(data.rows)} rows are kept`;
    byId("picture-hint").textContent = `Ringed and joined: the Pareto front, ${state.lowX ? "less" : "more"} ${state.x} and ${state.lowY ? "less" : "more"} ${state.y}. ${low(columns.get(state.y)) ? "Lines: 95% intervals. " : ""}${shown.length > MOST_POINTS ? "Of so many rows, dots stand for several." : ""}`;
    showLegend();
    pictures.redraw();
    table.filter(shown);
  }

  // ---- files --------------------------------------------------------------------------------------------------------
  function save(blob, ending) {
    const link = element("a", { href: URL.createObjectURL(blob), download: `explorer.${ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  }
  byId("csv").addEventListener("click", () => {
    const cell = (one) => (one === null || one === undefined ? "" : /[",\r\n]/.test(String(one)) ? `"${String(one).replaceAll('"', '""')}"` : String(one));
    const lines = [data.columns.map((one) => one.name), ...shown.map((row) => data.columns.map((column) => at(column, row)))];
    save(new Blob([lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }), "csv");
  });
  // A file knows nothing of this page's style: what it says is written into every part of the picture.
  function picture() {
    const drawn = byId("picture").querySelector("svg");
    const copy = drawn.cloneNode(true);
    const from = [drawn, ...drawn.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((one, index) => {
      const style = getComputedStyle(from[index]);
      for (const key of ["fill", "stroke", "color", "font-family", "font-size", "font-weight", "visibility"]) one.style.setProperty(key, style.getPropertyValue(key));
    });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.style.background = getComputedStyle(document.body).backgroundColor;
    return { text: new XMLSerializer().serializeToString(copy), width: drawn.viewBox.baseVal.width, height: drawn.viewBox.baseVal.height };
  }
  byId("svg").addEventListener("click", () => save(new Blob([picture().text], { type: "image/svg+xml" }), "svg"));
  byId("png").addEventListener("click", async () => {
    const { text, width, height } = picture();
    const image = new Image(width, height);
    image.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    await image.decode();
    const canvas = element("canvas", { width: 2 * width, height: 2 * height });
    const paint = canvas.getContext("2d");
    paint.fillStyle = getComputedStyle(document.body).backgroundColor;
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(image.src);
    canvas.toBlob((blob) => save(blob, "png"));
  });

  update();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
