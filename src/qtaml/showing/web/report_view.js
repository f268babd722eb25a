// What is looked at, and numbers of the metric as text.
"use strict";

qtaml.reportView = (data) => {
  const { number, percent } = qtaml;
  const state = { network: 0, place: 0, tensor: "" };
  const network = () => data.networks[state.network];
  const scale = data.share ? 100 : 1;
  const unit = data.share ? "%" : "";
  const metricLabel = data.share ? `${data.metric} (%)` : data.metric;
  const value = (one) => (one === null || one === undefined ? "–" : data.share ? percent(one) : number(one, 4));
  const ends = (one, digits = 1) => {
    if (!one) return "–";
    const end = (at) => (at === null ? "∞" : data.share ? (100 * at).toFixed(digits).replace(/^-(0\.?0*)$/, "$1") : number(at, 4));
    return `${end(one[0])}${unit} [${end(one[1])}, ${end(one[2])}]`;
  };
  const above = data.better === "higher";
  const curves = data.networks[0].curve;
  // The planned memory, as the slider begins.
  state.place = Math.max(curves.findIndex((point) => point.at === data.planned), 0);
  // The bar, if it is so near to what is shown that both fit into one picture.
  const nearBar = (values) => {
    const [low, high] = d3.extent(values);
    const room = 2 * (high - low || Math.abs(high) / 20);
    return data.bar !== null && data.bar > low - room && data.bar < high + room ? data.bar : null;
  };

  return { data, state, network, scale, unit, metricLabel, value, ends, above, curves, nearBar };
};
