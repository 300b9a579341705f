// One entity: what holds, what held, and its versions as a time line with what each changed.
import { query, segment } from "../../api.js";
import { confirm, prompt } from "../../dialog.js";
import { field, fill, h } from "../../dom.js";
import { date, moment } from "../../format.js";
import { icon } from "../../icons.js";
import { act, showing } from "../parts.js";
import { changes } from "./changes.js";

export class Fact {
  constructor(shell, id, changed) {
    Object.assign(this, { shell, id, changed });
    this.path = `/v1/memory/entities/${segment(id)}`;
    this.asOf = h("input", { type: "date" });
    this.asOf.addEventListener("change", () => this.read());
    this.place = h("div");
    this.element = h("div.fact", {}, h("div.bar", {}, h("a", { href: "#/memory/facts" }, "All facts"), field("As it was on", this.asOf)), this.place);
  }

  read() {
    return showing(this.place, async () => {
      const entity = await this.known();
      if (!entity) return h("p.empty", {}, "Nothing was so of it then.");
      const versions = await this.shell.api.all(`${this.path}/versions?limit=100`, 300);
      return [this.now(entity), this.superseded(entity), this.timeline(versions, entity)];
    });
  }

  // Null where it was not there yet on the day that is asked about.
  async known() {
    try {
      return await this.shell.api.get(`${this.path}${query({ as_of: this.asOf.value })}`);
    } catch (fault) {
      if (fault.status === 404 && this.asOf.value) return null;
      throw fault;
    }
  }

  now(entity) {
    const past = this.asOf.value !== "";
    return h(
      "section",
      { "aria-label": entity.name },
      h("p.row-head", {}, h("span.tag.kind", {}, entity.kind), h("span.tag", {}, `version ${entity.version}`), entity.valid_to ? h("span.tag", {}, `ended ${date(entity.valid_to)}`) : null),
      h("h2.entity", {}, entity.name),
      entity.blocks.map((block) => h("div.block", {}, h("h3", {}, block.name), h("ul.statements", {}, block.statements.map((one) => this.statement(one, entity, past))))),
      entity.blocks.length ? null : h("p.empty", {}, "Nothing holds of it here."),
      past ? h("p.note", {}, "This is the past: go to today to change it.") : this.tools(entity),
    );
  }

  tools(entity) {
    return h(
      "p.row-foot",
      {},
      act("Add", "plus", async () => {
        const text = await prompt("What else is so?", "Statement", "", { long: true, action: "Add" });
        return text ? this.change(entity, { add: [{ text }] }) : null;
      }),
      act("Rename", "pencil", async () => {
        const name = await prompt("Rename", "Name", entity.name);
        return name ? this.change(entity, { name }) : null;
      }),
      act("End", "stop", async () => {
        if (!(await confirm(`Does ${entity.name} hold no more?`, "It is in no answer from now on. Its history stays.", "End it"))) return null;
        return this.leave(`?version=${entity.current_version}`, "Ended. Its history stays.");
      }),
      act("Erase", "trash", async () => {
        if (!(await confirm(`Erase ${entity.name}?`, "Nothing of it is left, its history neither.", "Erase"))) return null;
        return this.leave("?history=erase", "Erased.");
      }),
    );
  }

  statement(one, entity, past) {
    return h(
      "li",
      {},
      h("p.words", {}, one.text),
      h("p.quiet", {}, `since ${date(one.valid_from)}`, this.sources(one)),
      past
        ? null
        : h(
            "p.row-foot",
            {},
            act("Replace", "pencil", async () => {
              const text = await prompt("What is so now?", "Statement", one.text, { long: true, hint: "The old one stays in the history." });
              return text && text !== one.text ? this.change(entity, { replace: [{ statement: one.id, text }] }) : null;
            }),
            act("No longer so", "close", () => this.change(entity, { remove: [one.id] })),
          ),
    );
  }

  sources(one) {
    return one.sources.map((id, place) => {
      const link = h("button.link", { type: "button" }, icon("link"), one.sources.length > 1 ? `source ${place + 1}` : "source");
      link.addEventListener("click", () => this.follow(link, id));
      return [" · ", link];
    });
  }

  async follow(link, id) {
    try {
      const message = await this.shell.api.get(`/v1/messages/${segment(id)}`);
      if (!message.session_id) throw new Error("Its conversation is deleted.");
      location.hash = `#/chat/${segment(message.session_id)}/${message.id}`;
    } catch (fault) {
      link.replaceWith(h("span", {}, fault.status === 404 ? "a message that is forgotten" : fault.message));
    }
  }

  async change(entity, fields) {
    await this.shell.api.patch(this.path, { version: entity.current_version, ...fields });
    this.read();
    return "Changed: a new version.";
  }

  async leave(asked, said) {
    await this.shell.api.remove(`${this.path}${asked}`);
    this.changed();
    location.hash = "#/memory/facts";
    return said;
  }

  superseded(entity) {
    if (!entity.superseded.length) return null;
    return h(
      "details",
      {},
      h("summary", {}, `What held before (${entity.superseded.length})`),
      h("ul.statements", {}, entity.superseded.map((one) => h("li", {}, h("p.words", {}, h("del", {}, one.text)), h("p.quiet", {}, `${date(one.valid_from)} to ${one.valid_to ? date(one.valid_to) : "today"}`)))),
    );
  }

  timeline(versions, entity) {
    return h("section", { "aria-label": "Versions" }, h("h3", {}, "Time line"), h("ol.timeline", {}, versions.map((one) => this.mark(one, entity))));
  }

  mark(version, entity) {
    const place = h("div");
    const details = h("details", {}, h("summary", {}, h("strong", {}, `Version ${version.version}`), version.version === entity.current_version ? h("span.tag", {}, "now") : null, h("span.quiet", {}, ` holds from ${date(version.valid_from)} · recorded ${moment(version.recorded_at)}`)), place);
    details.addEventListener("toggle", () => {
      if (!details.open || place.childElementCount) return;
      showing(place, async () => changes(await this.shell.api.get(`${this.path}/diff?to=${version.version}`)));
    });
    return h("li", {}, details);
  }
}
