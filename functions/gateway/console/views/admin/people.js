// Who used the service on a day, how much, and what they may.
import { query, segment } from "../../api.js";
import { ask } from "../../dialog.js";
import { field, h } from "../../dom.js";
import { compact, dollars, plural } from "../../format.js";
import { BUDGETS, limitWords, PER_MINUTE } from "../limits.js";
import { act, Pages, showing } from "../parts.js";
import { usagePictures } from "../usage.js";
import { lifted, placed } from "./holds.js";

const DAYS = 30;

export class People {
  constructor(shell) {
    this.shell = shell;
    this.day = h("input", { type: "date", max: today() });
    this.day.value = today();
    this.day.addEventListener("change", () => this.enter());
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/admin/identities${query({ day: this.day.value, after, limit: 100 })}`),
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
      `${compact(one.tokens)} tokens`,
      `${compact(one.tokens_saved)} saved`,
      one.cost_usd === null ? null : dollars(one.cost_usd),
    ].filter(Boolean);
    const may = limitWords(one.limits);
    const pictures = h("div");
    return h(
      "li.row",
      { tabindex: "-1" },
      h("h2.subject", {}, h("code", {}, one.subject ?? one.id), one.legal_hold ? h("span.tag.pinned", {}, "legal hold") : null),
      h("p", {}, figures.join(" · ")),
      h("p.quiet", {}, may.length ? `may ${may.join(", ")}` : "no limits"),
      h("p.row-foot", {}, act(`${DAYS} days`, "usage", (button) => this.unfold(button, pictures, one), { "aria-expanded": "false" }), act("Limits", "pencil", () => this.limit(one)), act(one.legal_hold ? "Lift the hold" : "Legal hold", "pin", () => this.hold(one))),
      pictures,
    );
  }

  async unfold(button, place, one) {
    const shown = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!shown));
    if (shown) place.replaceChildren();
    else await showing(place, async () => usagePictures(await this.shell.api.get(`/v1/admin/usage${query({ days: DAYS, identity: one.id })}`), this.shell.config));
  }

  async limit(one) {
    const path = `/v1/admin/limits/${segment(one.id)}`;
    const now = await this.shell.api.get(path);
    const inputs = [...PER_MINUTE, ...BUDGETS].map(([name, words]) => {
      const input = h("input", { type: "number", min: 0, step: name.endsWith("usd") ? "0.01" : "1", name, placeholder: "the service's" });
      input.value = now.limits[name] ?? now.budgets[name] ?? "";
      return field(words, input);
    });
    const given = await ask(`Limits of ${one.subject ?? one.id}`, [h("p", {}, "Empty: as the service says for everybody. 0: no limit."), h("div.two", {}, inputs)], { action: "Set", answer: read });
    if (!given) return null;
    const said = ({ limits, budgets }) => [...Object.values(limits), ...Object.values(budgets)].some((value) => value !== null);
    const nothing = !said(given);
    if (!nothing) await this.shell.api.put(path, given);
    else if (said(now)) await this.shell.api.remove(path);
    await this.enter();
    return nothing ? "As for everybody again." : "Set.";
  }

  async hold(one) {
    if (!(await (one.legal_hold ? lifted : placed)(this.shell, one.id))) return null;
    await this.enter();
    return one.legal_hold ? "Lifted." : "Held.";
  }
}

function read(form) {
  const of = (names) => Object.fromEntries(names.map(([name]) => [name, form.elements[name].value === "" ? null : Number(form.elements[name].value)]));
  return { limits: of(PER_MINUTE), budgets: of(BUDGETS) };
}

const today = () => new Date().toISOString().slice(0, 10);
