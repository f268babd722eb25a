// What both pages share: unpacking the data, numbers as text, names as text, pictures that follow the page.
"use strict";

const qtaml = {};

// The data of the page: base64 of gzip of JSON.
qtaml.data = async () => {
  const packed = atob(document.getElementById("data").textContent.trim());
  const bytes = Uint8Array.from(packed, (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

// An element; text is always set as text, so no name can be markup.
qtaml.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
};

// A name in text that may run the other way.
qtaml.name = (text) => qtaml.element("bdi", {}, text);
// The same inside of a picture, cut in its middle if it is long: the ends of names of tensors tell them apart.
qtaml.brief = (text, most = 26) => {
  const letters = Array.from(text.replace(/[\p{Cc}\p{Cf}]/gu, " "));
  const cut = letters.length <= most
    ? letters
    : [...letters.slice(0, Math.ceil(most / 2) - 1), "…", ...letters.slice(-Math.floor(most / 2))];
  return `\u2068${cut.join("")}\u2069`;
};

qtaml.number = (value, digits = 3) => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return Number(value.toPrecision(digits)).toExponential().replace("e+", "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 10, maximumSignificantDigits: Math.max(digits, Math.trunc(size).toString().length) });
};
qtaml.count = (value) => Math.round(value).toLocaleString("en");
qtaml.percent = (value, digits = 1) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)}%`);

// A picture that is drawn anew when its place gets another width.
qtaml.picture = (place, label, caption, draw) => {
  const figure = qtaml.element("figure", {});
  const inside = qtaml.element("div", {});
  figure.append(inside);
  if (caption) figure.append(qtaml.element("figcaption", {}, caption));
  place.append(figure);
  let width = 0;
  const redraw = () => {
    width = Math.floor(figure.getBoundingClientRect().width) || 600;
    const drawn = draw(width);
    const svg = drawn.tagName === "svg" ? drawn : drawn.querySelector("svg");
    svg.setAttribute("role", "img");
    // Plot labels its groups; a label needs a role.
    for (const group of svg.querySelectorAll("g[aria-label]")) group.setAttribute("role", "group");
    svg.setAttribute("aria-label", typeof label === "function" ? label() : label);
    inside.replaceChildren(drawn);
  };
  redraw();
  new ResizeObserver(() => {
    if (Math.abs(Math.floor(figure.getBoundingClientRect().width) - width) > 2) redraw();
  }).observe(figure);
  return { redraw, figure };
};

// What all pictures share.
qtaml.plot = (width, options) =>
  Plot.plot({
    width,
    marginLeft: 52,
    marginBottom: 42,
    marginTop: 24,
    style: { background: "transparent", fontSize: "12.5px", color: "var(--ink)" },
    ...options,
  });
qtaml.colors = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"];
qtaml.color = (index) => qtaml.colors[index % qtaml.colors.length];
qtaml.symbols = ["circle", "square", "triangle", "diamond", "cross", "star"];
qtaml.dashes = ["none", "6 3", "2 3", "8 3 2 3", "12 3", "1 2"];

qtaml.fact = (list, name, ...value) => {
  list.append(qtaml.element("dt", {}, name), qtaml.element("dd", {}, ...value));
};

// Those of which no other is both cheaper and at least as good: {x, y} by ascending x.
qtaml.front = (points, x, y, lowX = true, highY = true) => {
  const toX = (one) => (lowX ? x(one) : -x(one));
  const toY = (one) => (highY ? y(one) : -y(one));
  let best = -Infinity;
  return [...points].sort((one, other) => toX(one) - toX(other) || toY(other) - toY(one)).filter((one) => {
    const better = toY(one) > best;
    if (better) best = toY(one);
    return better;
  });
};

// Powers of ten on a logarithmic axis, with twos and fives where there are few; not more than eight.
qtaml.tens = (low, high) => {
  const powers = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
  const ticks = powers.length < 4 ? powers.flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power)) : powers.filter((_, index) => index % Math.ceil(powers.length / 8) === 0).map((power) => 10 ** power);
  return ticks.filter((tick) => tick >= low / 1.2 && tick <= high * 1.2);
};

// What is said of the point that is pointed at.
qtaml.tip = (rows, options) => Plot.tip(rows, { ...options, lineHeight: 1.25 });
