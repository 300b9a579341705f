// Everything remembered, in five parts.
import { fill, h } from "../dom.js";
import { count, plural } from "../format.js";
import { Archive } from "./memory/archive.js";
import { Belongings } from "./memory/belongings.js";
import { Everything } from "./memory/everything.js";
import { Facts } from "./memory/facts.js";
import { Staged } from "./memory/staged.js";

const PARTS = {
  everything: ["Everything", Everything],
  facts: ["Facts", Facts],
  staged: ["Proposed", Staged],
  archive: ["Archive", Archive],
  data: ["Your data", Belongings],
};

export const make = (shell) => new Memory(shell);

class Memory {
  constructor(shell) {
    this.shell = shell;
    this.parts = {};
    this.links = Object.entries(PARTS).map(([name, [title]]) => h("a", { href: `#/memory/${name}`, data: { part: name } }, title));
    this.counts = h("p.counts", { role: "status" });
    this.place = h("div.part");
    this.element = h("div.page", {}, h("header.page-head", {}, h("h1", {}, "Memory"), this.counts), h("nav.tabs", { "aria-label": "Parts of the memory" }, this.links), this.place);
  }

  async enter([name = "everything", ...rest]) {
    const known = PARTS[name] ? name : "everything";
    for (const link of this.links) {
      if (link.dataset.part === known) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.parts[known] ??= new PARTS[known][1](this.shell, () => this.recount());
    const part = this.parts[known];
    if (this.place.firstChild !== part.element) fill(this.place, part.element);
    this.recount();
    await part.enter(rest);
  }

  async recount() {
    try {
      const status = await this.shell.api.get("/v1/memory/status");
      const told = [
        plural(status.messages, "message"),
        plural(status.sessions, "conversation"),
        plural(status.entities, "fact"),
        `${count(status.archived.messages)}${status.archived.complete ? "" : "+"} archived`,
      ];
      fill(this.counts, told.join(" · "), status.legal_hold ? h("strong.tag.pinned", {}, "Legal hold: nothing can be deleted") : null);
    } catch {
      fill(this.counts); // the part beneath says what is wrong
    }
  }
}
