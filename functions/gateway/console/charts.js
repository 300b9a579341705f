// Bars by day, drawn by us: a picture for the eye, a table beside it for everybody.
import { h, svg } from "./dom.js";
import { compact, count, dayName, dayShort, plural } from "./format.js";

const NARROW = "(max-width: 45rem)"; // text in a picture shrinks with it
const HEIGHT = 180;
const FOOT = 22;
const SIDE = 44;

// `days`: [{date, values: [..]}], one value a series, stacked from the bottom.
export function bars(title, series, days, say = count) {
  const totals = days.map((one) => one.values.reduce((sum, value) => sum + Math.max(0, value), 0));
  const top = rounded(Math.max(1, ...totals));
  const height = (value) => ((HEIGHT - FOOT - 8) * Math.max(0, value)) / top;
  const whole = matchMedia(NARROW).matches ? 340 : 640;
  const width = (whole - SIDE) / Math.max(1, days.length);
  const drawn = svg(
    "svg",
    { viewBox: `0 0 ${whole} ${HEIGHT}`, class: "chart", role: "img", "aria-label": `${title}: ${told(series, days, say)}` },
    [0, 0.5, 1].map((share) => line(whole, HEIGHT - FOOT - height(top * share), compact(top * share))),
    days.map((one, place) => column(one, SIDE + place * width, width, height, series, say)),
    labels(days, width, whole),
  );
  return h("figure.figure", {}, h("figcaption", {}, h("h2", {}, title), legend(series)), drawn, table(series, days, say));
}

function column(one, x, width, height, series, say) {
  let y = HEIGHT - FOOT;
  const parts = one.values.map((value, place) => {
    const tall = height(value);
    y -= tall;
    return svg("rect", { x: x + width * 0.14, y, width: Math.max(1, width * 0.72), height: tall, class: `series-${place}`, rx: 1.5 });
  });
  const words = series.map((name, place) => `${name} ${say(one.values[place])}`).join(", ");
  return svg("g", {}, svg("title", {}, `${dayName(one.date)}: ${words}`), parts);
}

function line(whole, y, label) {
  return svg("g", { class: "scale" }, svg("line", { x1: SIDE, x2: whole, y1: y, y2: y }), svg("text", { x: SIDE - 6, y: y + 4, "text-anchor": "end" }, label));
}

function labels(days, width, whole) {
  const every = Math.max(1, Math.ceil((days.length * 100) / whole));
  return days
    .map((one, place) => [one, place])
    .filter(([, place]) => (days.length - 1 - place) % every === 0)
    .map(([one, place]) => svg("text", { class: "day", x: SIDE + (place + 0.5) * width, y: HEIGHT - 6, "text-anchor": place === days.length - 1 ? "end" : "middle" }, dayShort(one.date)));
}

function legend(series) {
  if (series.length < 2) return null;
  return h("ul.legend", {}, series.map((name, place) => h("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { width: 10, height: 10, rx: 2, class: `series-${place}` })), name)));
}

function table(series, days, say) {
  return h(
    "details",
    {},
    h("summary", {}, "As a table"),
    h(
      "div.scrolls",
      { tabindex: "0", role: "group", "aria-label": "Table" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Day"), series.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, days.map((one) => h("tr", {}, h("th", { scope: "row" }, dayName(one.date)), one.values.map((value) => h("td", {}, say(value)))))),
      ),
    ),
  );
}

function told(series, days, say) {
  const sums = series.map((name, place) => `${name} ${say(days.reduce((sum, one) => sum + one.values[place], 0))}`);
  return `${plural(days.length, "day")}, ${sums.join(", ")}. The table below has each day.`;
}

function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= value);
}
