// Who used the service on a day, how much, and what they may.
import { query, segment } from "../../api.js";
import { ask, confirm } from "../../dialog.js";
import { field, h } from "../../dom.js";
import { compact, count, dollars, plural } from "../../format.js";
import { act, Pages } from "../parts.js";

const PER_MINUTE = [["requests_per_minute", "Requests a minute"], ["tokens_per_minute", "Tokens a minute"]];
const BUDGETS = [["daily_tokens", "Tokens a day"], ["monthly_tokens", "Tokens a month"], ["daily_cost_usd", "Dollars a day"], ["monthly_cost_usd", "Dollars a month"]];

export class People {
  constructor(shell) {
    this.shell = shell;
    this.day = h("input", { type: "date", max: today() });
    this.day.value = today();
    this.day.addEventListener("change", () => this.enter());
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/admin/identities${query({ day: this.day.value, after, limit: 50 })}`),
      row: (one) => this.row(one),
      empty: "Nobody was here on that day.",
      label: "People",
    });
    this.element = h("div", {}, h("div.bar", {}, field("Day, in UTC", this.day)), this.pages.element);
  }

  enter() {
    return this.pages.begin();
  }

  row(one) {
    const figures = [
      plural(one.requests, "request"),
      `${compact(one.tokens ?? one.tokens_after)} tokens`,
      one.tokens_saved === undefined ? null : `${compact(one.tokens_saved)} saved`,
      one.cost_usd === undefined || one.cost_usd === null ? null : dollars(one.cost_usd),
    ].filter(Boolean);
    return h(
      "li.row",
      { tabindex: "-1" },
      h("p.row-head", {}, one.legal_hold ? h("span.tag.pinned", {}, "legal hold") : null, limitTags(one.limits)),
      h("h2", {}, h("code", {}, one.subject ?? one.id)),
      h("p.quiet", {}, figures.join(" · ")),
      h("p.row-foot", {}, act("Limits", "pencil", () => this.limit(one)), act(one.legal_hold ? "Lift the hold" : "Legal hold", "pin", () => this.hold(one))),
    );
  }

  async limit(one) {
    const path = `/v1/admin/limits/${segment(one.id)}`;
    const now = await this.shell.api.get(path);
    const inputs = [...PER_MINUTE, ...BUDGETS].map(([name, words]) => {
      const input = h("input", { type: "number", min: 0, step: name.endsWith("usd") ? "0.01" : "1", name, placeholder: "the service's" });
      input.value = now.limits?.[name] ?? now.budgets?.[name] ?? "";
      return field(words, input);
    });
    const given = await ask(`Limits of ${one.subject ?? one.id}`, [h("p", {}, "Empty: as the service says for everybody. 0: none."), h("div.two", {}, inputs)], { action: "Set", answer: read });
    if (!given) return null;
    const nothing = [...Object.values(given.limits), ...Object.values(given.budgets)].every((value) => value === null);
    if (nothing) await this.shell.api.remove(path);
    else await this.shell.api.put(path, given);
    await this.enter();
    return nothing ? "As for everybody again." : "Set.";
  }

  async hold(one) {
    const path = `/v1/admin/holds/${segment(one.id)}`;
    const words = one.legal_hold ? "The cleanup and the person may delete again." : "Nothing of this memory can be deleted or changed until it is lifted.";
    if (!(await confirm(one.legal_hold ? "Lift the legal hold?" : "Place a legal hold?", words, one.legal_hold ? "Lift it" : "Place it"))) return null;
    if (one.legal_hold) await this.shell.api.remove(path);
    else await this.shell.api.put(path);
    await this.enter();
    return one.legal_hold ? "Lifted." : "Held.";
  }
}

function limitTags(limits) {
  if (!limits) return null;
  const flat = { ...limits, ...limits.limits, ...limits.budgets };
  return [...PER_MINUTE, ...BUDGETS].filter(([name]) => typeof flat[name] === "number").map(([name, words]) => h("span.tag", {}, `${words.toLowerCase()}: ${flat[name] ? count(flat[name]) : "none"}`));
}

function read(form) {
  const of = (names) => Object.fromEntries(names.map(([name]) => [name, form.elements[name].value === "" ? null : Number(form.elements[name].value)]));
  return { limits: of(PER_MINUTE), budgets: of(BUDGETS) };
}

const today = () => new Date().toISOString().slice(0, 10);
