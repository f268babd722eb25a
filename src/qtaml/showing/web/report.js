// The report: one record of what was measured, drawn. Which network, tensor and place are looked at is all the state.
"use strict";

(async () => {
  const { element, name, number, count, percent, picture, fact } = qtaml;
  const byId = (id) => document.getElementById(id);
  const data = await qtaml.data();
  const view = qtaml.reportView(data);
  const { state, network, metricLabel, value, ends, above, curves } = view;
  const { drawFront, drawCurve, drawSpread, drawYield } = qtaml.networkPictures(view, (index) => {
    choose(index);
    byId("tensors-title").scrollIntoView({ behavior: "smooth" });
  });
  const { showTensors, listTensors, redraw } = qtaml.tensorPictures(view);

  // ---- first screen -------------------------------------------------------------------------------------------------
  function showVerdict() {
    const one = network();
    byId("title").replaceChildren(name(one.name));
    byId("verdict").textContent = one.verdict;
    const tiles = [["Cells", number(one.cells, 4), "of a plain memory"]];
    if (one.metric) {
      tiles.push([data.metric, value(one.metric[0]), `${ends(one.metric).split(" ").slice(1).join(" ")} for 95% over ${one.covers}`]);
    }
    if (one.chips) tiles.push(["Good chips", percent(one.chips.good[0], 0), `${percent(one.chips.good[1], 0)} to ${percent(one.chips.good[2], 0)} of all chips; good: ${above ? "at least" : "at most"} ${value(data.bar)}`]);
    if (one.metric && data.planned !== null && one.curve.length) {
      tiles.push(["Holds to", one.holds === null ? "not even planned" : number(one.holds), `${data.axis}; planned for ${number(data.planned)}`]);
    }
    if (one.predicted !== null) {
      tiles.push(["Predicted output error", number(one.predicted), one.power ? `${percent(one.predicted / one.power, 2)} of the outputs' power` : "mean square"]);
    }
    byId("tiles").replaceChildren(
      ...tiles.map(([title, big, small]) => element("div", {}, element("dt", {}, title), element("dd", {}, big, element("small", {}, small)))),
    );
    byId("missing").replaceChildren(...[...data.missing, ...one.remarks].map((text) => element("li", {}, text)));
  }

  if (data.networks.length > 1) {
    byId("networks").hidden = false;
    data.networks.forEach((one, index) => {
      const input = element("input", { type: "radio", name: "network", value: index, checked: index === 0 });
      input.addEventListener("change", () => choose(index));
      byId("networks").append(element("label", {}, input, name(one.name)));
    });
  }

  function choose(index) {
    state.network = index;
    const radio = byId("networks").querySelectorAll("input")[index];
    if (radio) radio.checked = true;
    showVerdict();
    showPlace();
    showTensors();
    listTensors();
    showPlan();
    for (const one of pictures) one.redraw();
  }
  const pictures = [];

  // ---- cells and metric ---------------------------------------------------------------------------------------------
  function showCompared() {
    const difference = new Map(data.comparisons.map((one) => [one.first, one]));
    const columns = ["stored network", "method", "cells"];
    const several = data.networks.length > 1;
    if (data.metric) columns.push(metricLabel, ...(several ? ["difference from the first, paired"] : []), "good chips", data.axis ? `holds to (${data.axis})` : "holds to");
    const rows = data.networks.map((one) => {
      const other = difference.get(one.name);
      const cells = [[name(one.name)], [one.method], [number(one.cells, 4), true]];
      if (data.metric) {
        cells.push([ends(one.metric), true]);
        if (several) cells.push([other ? ends(other.difference, 2).replace("%", " points") : "–", true]);
        cells.push([one.chips ? `${percent(one.chips.good[0], 0)} [${(100 * one.chips.good[1]).toFixed(0)}, ${(100 * one.chips.good[2]).toFixed(0)}]` : "–", true]);
        cells.push([one.holds === null ? "–" : number(one.holds), true]);
      }
      return cells;
    });
    const note = data.metric ? `[95% intervals]${several ? "; differences are paired read by read, so they are sharper than two columns beside each other" : ""}` : "Nothing was measured.";
    byId("compared").append(plainTable(columns, rows, note));
    const others = data.references.map((one) => [[name(one.name)], [one.note], [number(one.cells, 4), true], ...(data.metric ? [[ends(one.metric), true]] : [])]);
    byId("references").append(element("summary", {}, "Baselines and limits"), element("div", { class: "scroll" }, plainTable(["name", "what it is", ...columns.slice(2, 4)], others)));
  }

  function plainTable(columns, rows, caption) {
    const right = rows.length ? rows[0].map((cell) => cell[1]) : [];
    const head = element("tr", {}, ...columns.map((one, index) => element("th", { scope: "col", class: right[index] ? "number" : null }, one)));
    const line = (cells) => element("tr", {}, ...cells.map(([text, number], index) => element(index ? "td" : "th", { scope: index ? null : "row", class: number ? "number" : null }, text)));
    return element("table", {}, caption ? element("caption", {}, caption) : null, element("thead", {}, head), element("tbody", {}, ...rows.map(line)));
  }

  // ---- other memories -----------------------------------------------------------------------------------------------
  function showPlace() {
    if (byId("curve-section").hidden) return;
    const one = network();
    const point = one.curve[state.place];
    const told = [`${data.axis} = ${number(point.at, 4)}${point.at === data.planned ? " (planned)" : ""}`];
    if (point.metric) told.push(`${data.metric} ${ends(point.metric)}`);
    if (point.noise !== null) told.push(`predicted output error from read to read ${number(point.noise)}`);
    byId("place").value = state.place;
    byId("place").setAttribute("aria-valuetext", told.join("; "));
    byId("readout").replaceChildren(name(one.name), `: ${told.join("; ")}.`);
  }

  if (curves.some((point) => point.metric || point.noise)) {
    const slider = byId("place");
    slider.max = curves.length - 1;
    byId("place-label").textContent = data.axis;
    byId("curve-hint").textContent = `The same stored words, read from memories that fail more or less often than planned. ${data.networks.length > 1 ? "Networks are told apart by symbol and dashes. " : ""}The slider also moves the shares of the error below.`;
    slider.addEventListener("input", () => {
      state.place = Number(slider.value);
      showPlace();
      for (const one of pictures) one.redraw();
      redraw();
    });
    if (curves.some((point) => point.metric)) {
      pictures.push(picture(byId("curves"), `${data.metric} over ${data.axis}`, `${data.metric}, 95% intervals as bands; dotted: what a good chip ${above ? "reaches" : "stays within"}`, (width) => drawCurve(width, (point) => point.metric, metricLabel, false)));
    }
    if (curves.some((point) => point.noise)) {
      pictures.push(picture(byId("curves"), `Predicted output error over ${data.axis}`, "The part of the predicted output error that differs from read to read, to first order", (width) => drawCurve(width, (point) => (point.noise ? [point.noise, point.noise, point.noise] : null), "predicted output error", true)));
    }
  } else byId("curve-section").hidden = true;

  // ---- reads and chips ----------------------------------------------------------------------------------------------
  if (data.networks.some((one) => one.reads.length)) {
    const { chips } = data.networks[0];
    byId("spread-hint").textContent = `Each dot is one read${chips ? `, or one chip (mean of ${chips.reads} reads)` : ""}. A good chip ${above ? "reaches" : "stays within"} ${value(data.bar)}: the dotted line, where it is near.`;
    pictures.push(picture(byId("spread"), "Distribution over reads and chips", "Every read, and every chip", drawSpread));
    if (chips) pictures.push(picture(byId("spread"), "Share of the chips over the metric", "Yield: the share of chips on the good side of a value, with 95% intervals", drawYield));
  } else byId("spread-section").hidden = true;

  // ---- plan table and the rest --------------------------------------------------------------------------------------
  let table = null;
  function showPlan() {
    const { tensors } = network();
    const column = (key) => (row) => tensors[key][row];
    const columns = [
      { name: "tensor", value: column("name"), open: true },
      { name: "shape", value: column("shape") },
      { name: "weights", value: column("weights"), text: (row) => count(tensors.weights[row]), number: true },
      { name: "bits", value: column("bits"), number: true },
      { name: "levels", value: column("levels") },
      { name: "protection", value: (row) => protections(tensors)[row] },
      { name: "correction", value: column("correction") },
      { name: "gain", value: column("gain"), text: (row) => (tensors.gain[row] === null ? "–" : `${number(tensors.gain[row])} ± ${number(tensors.error[row], 1)}`), number: true },
      { name: "error share", value: column("share"), text: (row) => percent(tensors.share[row]), number: true },
      { name: "cells", value: column("cells"), text: (row) => count(tensors.cells[row]), number: true },
    ];
    byId("plan").replaceChildren();
    table = new qtaml.VirtualTable(byId("plan"), { label: "The plan, a row for each tensor", columns, rows: tensors.name.map((_, row) => row), open: openTensor });
    const all = table.arrange.bind(table);
    table.arrange = () => {
      all();
      byId("count").textContent = `${count(table.shown.length)} of ${count(table.rows.length)} tensors`;
    };
    table.search(byId("search").value);
  }
  byId("search").addEventListener("input", (event) => table.search(event.target.value));

  // Which protections a tensor has, and of how many bits; for all tensors once.
  function protections(tensors) {
    tensors.kept ??= tensors.parts.map((own) => {
      const bits = new Map();
      for (let at = 0; at < own.length; at += 3) {
        const text = tensors.protections[own[at + 1]];
        bits.set(text, (bits.get(text) ?? new Set()).add(own[at]));
      }
      return [...bits].map(([text, places]) => `${places.size} ${text}`).join(", ") || "nothing stored";
    });
    return tensors.kept;
  }

  function openTensor(row) {
    table.choose(row);
    const found = network().details.find((one) => one.row === row);
    if (!found) return;
    state.tensor = found.name;
    listTensors();
    byId("weights-title").scrollIntoView({ behavior: "smooth" });
  }

  function showAgain() {
    const place = byId("again");
    const general = element("dl", { class: "facts" });
    fact(general, "seed", String(data.again.seed));
    if (data.again.trials) fact(general, "reads of each measurement", String(data.again.trials));
    fact(general, "versions", data.again.versions);
    place.append(general);
    if (data.again.command) place.append(element("h3", {}, "Command"), element("pre", {}, data.again.command));
    for (const one of data.again.networks) {
      const list = element("dl", { class: "facts" });
      for (const [key, text] of Object.entries(one).slice(1)) fact(list, key, element("code", {}, text));
      place.append(element("h3", {}, name(one.name)), list);
    }
  }

  byId("front-hint").textContent = data.metric
    ? `${above ? "Up" : "Down"} and to the left is better. Filled: the stored networks, with 95% intervals. Hollow: Uniform-MSP with the paper's ideal code. Dashed: limits that no code passes. Hover for the plan, click for its tensors.`
    : "Nothing was measured: what each network costs, beside a plain memory (1) and limits.";
  addEventListener("beforeprint", () => byId("references").setAttribute("open", ""));
  showVerdict();
  picture(byId("front"), () => `Cells and ${data.metric || "limits"}: ${data.networks.map((one) => `${one.name} ${number(one.cells)} cells ${ends(one.metric)}`).join("; ")}`, null, drawFront);
  showCompared();
  showPlace();
  showTensors();
  listTensors();
  showPlan();
  showAgain();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
