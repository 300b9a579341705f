// What is different between two versions, told by sign and word, never by colour alone.
import { h } from "../../dom.js";

const KINDS = [
  ["added", "+", "new", "plus"],
  ["reopened", "+", "holds again", "plus"],
  ["superseded", "−", "contradicted", "minus"],
  ["ended", "−", "holds no more", "minus"],
  ["removed", "−", "taken out", "minus"],
];

export function changes(diff) {
  const lines = [
    ...Object.entries(diff.attributes ?? {}).map(([name, { from, to }]) => line("~", `${name}: ${shown(from)} → ${shown(to)}`, "changed", "both")),
    ...KINDS.flatMap(([kind, sign, word, look]) => (diff[kind] ?? []).map((one) => line(sign, one.text, word, look))),
  ];
  return lines.length ? h("ul.diff", { "aria-label": "Changes" }, lines) : h("p.quiet", {}, "Nothing is different.");
}

function line(sign, text, word, look) {
  return h("li", { class: look }, h("span.sign", { "aria-hidden": "true" }, sign), h("span", {}, text), h("small", {}, word));
}

const shown = (value) => (value === null || value === undefined ? "nothing" : Array.isArray(value) ? value.join(", ") || "nothing" : String(value));
