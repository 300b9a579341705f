// What was sent, what was saved, and what is left of the limits.
import { bars } from "../charts.js";
import { field, h, select } from "../dom.js";
import { compact, count, dollars, percent, plural } from "../format.js";
import { showing } from "./parts.js";

const SPANS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];
export const LIMITS = [
  ["requests_per_minute", "Requests a minute", count],
  ["tokens_per_minute", "Tokens a minute", count],
  ["daily_token_budget", "Tokens today", count],
  ["monthly_token_budget", "Tokens this month", count],
  ["daily_cost_budget_usd", "Money today", dollars],
  ["monthly_cost_budget_usd", "Money this month", dollars],
];

export const make = (shell) => new Usage(shell);

class Usage {
  constructor(shell) {
    this.shell = shell;
    this.span = select(SPANS, "30");
    this.span.addEventListener("change", () => this.enter());
    this.place = h("div");
    this.element = h("div.page", {}, h("header.page-head", {}, h("h1", {}, "Usage"), field("Over", this.span)), this.place);
  }

  enter() {
    return showing(this.place, async () => usagePictures(await this.shell.api.get(`/v1/usage?days=${this.span.value}`), this.shell.config));
  }
}

export function usagePictures(usage, config) {
  return [tiles(usage.totals, config), charts(usage.days), usage.limits ? limits(usage.limits) : null];
}

function tiles(totals, config) {
  const share = totals.answers ? percent(totals.answers_with_memory / totals.answers) : "–";
  const cut = totals.tokens_before ? percent(totals.tokens_saved / totals.tokens_before) : "–";
  const priced = config.prices_usd_per_million !== null || totals.cost_saved_usd !== null;
  return h(
    "ul.tiles",
    { "aria-label": "Totals" },
    tile(compact(totals.tokens_saved), "tokens saved", `${cut} of what would have been sent`),
    tile(priced ? dollars(totals.cost_saved_usd ?? 0) : "–", "money saved", priced ? `${dollars(totals.cost_usd ?? 0)} spent, at the price set here` : "no price is set here"),
    tile(count(totals.requests), totals.requests === 1 ? "request" : "requests", plural(totals.answers, "answer")),
    tile(share, "of answers with memory", `${count(totals.answers_with_memory)} of ${count(totals.answers)}`),
  );
}

function tile(value, words, note) {
  return h("li.tile", {}, h("strong", {}, value), h("span", {}, words), h("small", {}, note));
}

function charts(days) {
  const by = (...names) => days.map((one) => ({ date: one.date, values: names.map((name) => one[name] ?? 0) }));
  if (!days.some((one) => one.requests)) return h("p.empty", {}, "Nothing was sent in this time.");
  return [
    bars("Tokens by day", ["sent", "saved"], by("tokens_after", "tokens_saved")),
    bars("Requests by day", ["requests"], by("requests")),
    bars(
      "Answers by day",
      ["with memory", "without"],
      days.map((one) => ({ date: one.date, values: [one.answers_with_memory, one.answers - one.answers_with_memory] })),
    ),
  ];
}

function limits(given) {
  const rows = LIMITS.filter(([name]) => given[name]);
  return h("section", { "aria-label": "Limits" }, h("h2", {}, "What is left"), h("ul.limits", {}, rows.map(([name, words, say]) => limit(words, given[name], say))));
}

function limit(words, { limit: most, remaining }, say) {
  if (!most) return h("li", {}, h("span", {}, words), h("span.quiet", {}, "no limit"));
  const left = remaining ?? most;
  const meter = h("meter", { min: 0, max: most, low: most * 0.15, "aria-label": `${words}: ${say(left)} of ${say(most)} left` });
  meter.value = Math.max(0, left);
  return h("li", {}, h("span", {}, words), meter, h("span.quiet", {}, `${say(left)} of ${say(most)} left`));
}
