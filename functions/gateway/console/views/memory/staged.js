// What a model proposes to record of a conversation: read by a person, then accepted or dropped.
import { segment } from "../../api.js";
import { busy, field, fill, h, select } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { date, moment, plural } from "../../format.js";
import { icon } from "../../icons.js";
import { announce, notice } from "../../notice.js";
import { act, showing } from "../parts.js";
import { changes } from "./changes.js";

const WORDS = { create: "makes", add: "adds to", replace: "replaces in", remove: "takes from" };

export class Staged {
  constructor(shell, changed) {
    Object.assign(this, { shell, changed });
    this.session = select([["", "Choose a conversation"]], "");
    this.button = h("button.primary", { type: "submit" }, icon("search"), "Find facts");
    this.progress = h("div", { role: "status" });
    const form = h("form.bar", {}, field("Conversation", this.session), this.button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.propose();
    });
    this.list = h("div");
    this.element = h("div", {}, h("p.explain", {}, "A model reads a conversation and proposes what to record. Nothing of it is used before you accept it; what you leave is dropped after a week."), form, this.progress, this.list);
  }

  async enter() {
    await Promise.all([this.offer(), this.read()]);
  }

  async offer() {
    try {
      const found = await this.shell.api.all("/v1/sessions?limit=200");
      found.sort((a, b) => b.updated_at - a.updated_at);
      fill(this.session, h("option", { value: "" }, "Choose a conversation"), found.map((one) => h("option", { value: one.id }, (one.title || one.id).slice(0, 60))));
    } catch {
      // The list beneath says what is wrong.
    }
  }

  read() {
    return showing(this.list, async () => {
      const { data } = await this.shell.api.get("/v1/memory/staging");
      if (!data.length) return h("p.empty", {}, "Nothing is proposed.");
      const shown = await Promise.all(data.map((one) => this.shell.api.get(`/v1/memory/staging/${segment(one.session_id)}`)));
      return shown.map((one) => this.staged(one));
    });
  }

  async propose() {
    const id = this.session.value;
    if (!id) return;
    await busy(this.button, async () => {
      fill(this.progress, h("progress", { "aria-label": "A model is reading the conversation" }), h("p.quiet", {}, "A model is reading the conversation. This may take a minute."));
      try {
        const staged = await this.shell.api.post("/v1/memory/process-session", { session_id: id });
        fill(this.progress);
        announce(`${plural(staged.operations.length, "change")} proposed.`);
        if (!staged.operations.length) notice("There was nothing to record in it.");
        await this.read();
      } catch (fault) {
        fill(this.progress, faultBox(fault));
      }
    });
  }

  staged(one) {
    const path = `/v1/memory/staging/${segment(one.session_id)}`;
    const box = h("section.staged", { "aria-label": `Proposed of ${one.session_id}` });
    fill(
      box,
      h("p.row-head", {}, h("a", { href: `#/chat/${segment(one.session_id)}` }, icon("link"), "The conversation"), h("span.tag", {}, `proposed ${moment(one.created_at)}`), h("span.tag", {}, `dropped ${date(one.expires_at)}`)),
      one.base_moved ? h("p.fault", { role: "alert" }, icon("warning"), "A fact has changed since: this can no longer be accepted. Drop it and find facts anew.") : null,
      h("ol.operations", {}, one.operations.map((operation) => this.operation(one, operation, path, box))),
      h(
        "p.row-foot",
        {},
        one.base_moved || !one.operations.length
          ? null
          : act(`Accept ${one.operations.length === 1 ? "it" : "all"}`, "check", async () => {
              const commit = await this.shell.api.post("/v1/memory/commit-session", { session_id: one.session_id });
              box.remove();
              this.changed();
              await this.read();
              return `Recorded: ${plural(commit.changes.length, "fact")} changed.`;
            }, { class: "primary" }),
        act("Drop all", "trash", async () => {
          await this.shell.api.remove(path);
          await this.read();
          return "Dropped.";
        }),
      ),
    );
    return box;
  }

  operation(one, operation, path, box) {
    return h(
      "li",
      {},
      h("p", {}, h("strong", {}, operation.entity_name ?? operation.entity), h("span.quiet", {}, ` · ${WORDS[operation.op] ?? operation.op} it`)),
      changes(operation.diff),
      act("Drop", "close", async () => {
        const left = await this.shell.api.remove(`${path}/operations/${segment(operation.id)}`);
        if (left.operations.length) box.replaceWith(this.staged(left));
        else await this.read();
        return "Dropped.";
      }),
    );
  }
}
