// Persons, places, projects and preferences with what is known of them.
import { query, segment } from "../../api.js";
import { ask } from "../../dialog.js";
import { field, fill, h, select } from "../../dom.js";
import { date, plural } from "../../format.js";
import { icon } from "../../icons.js";
import { failed } from "../../notice.js";
import { Pages } from "../parts.js";
import { Fact } from "./fact.js";

export const KINDS = ["person", "place", "project", "preference", "other"];

export class Facts {
  constructor(shell, changed) {
    Object.assign(this, { shell, changed });
    this.asOf = h("input", { type: "date" });
    this.asOf.addEventListener("change", () => this.pages.begin());
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/memory/entities${query({ limit: 50, after, as_of: this.asOf.value })}`),
      row: (one) => card(one),
      empty: "No facts yet. Make one, or have them found in a conversation under Proposed.",
      label: "Facts",
    });
    const add = h("button", { type: "button", onclick: () => this.add() }, icon("plus"), "New");
    this.listing = h("div.stack", {}, h("div.bar", {}, field("As it was on", this.asOf), add), this.pages.element);
    this.element = h("div");
  }

  async enter([id]) {
    if (!id) {
      fill(this.element, this.listing);
      await this.pages.begin();
      return;
    }
    const fact = new Fact(this.shell, id, this.changed);
    fill(this.element, fact.element);
    await fact.read();
  }

  async add() {
    const name = h("input", { required: true, maxlength: 200 });
    const kind = select(KINDS.map((one) => [one, one]), "person");
    const text = h("textarea", { rows: 3 });
    const given = await ask("Somebody or something new", [field("Name", name), field("Kind", kind), field("What is so", text, "May stay empty.")], {
      action: "Make",
      answer: () => ({ kind: kind.value, name: name.value.trim(), statements: text.value.trim() ? [{ text: text.value.trim() }] : [] }),
      ready: () => name.focus(),
    });
    if (!given?.name) return;
    try {
      const made = await this.shell.api.post("/v1/memory/entities", given);
      this.changed();
      location.hash = `#/memory/facts/${segment(made.id)}`;
    } catch (fault) {
      failed(fault);
    }
  }
}

function card(one) {
  return h(
    "li.row",
    { tabindex: "-1" },
    h("p.row-head", {}, h("span.tag.kind", {}, one.kind), one.always_load ? h("span.tag.pinned", {}, "always loaded") : null, one.valid_to ? h("span.tag", {}, `ended ${date(one.valid_to)}`) : null),
    h("h2", {}, h("a", { href: `#/memory/facts/${segment(one.id)}` }, one.name)),
    h("p.quiet", {}, `${plural(one.statements, "statement")} · version ${one.version} · changed ${date(one.updated_at)}`),
  );
}
