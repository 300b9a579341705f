// For those whom ADMIN_SUBJECTS names. The service checks each request again.
import { fill, h } from "../dom.js";
import { AuditLog } from "./admin/audit.js";
import { Flags } from "./admin/flags.js";
import { Health } from "./admin/health.js";
import { Holds } from "./admin/holds.js";
import { EverybodysKeys } from "./admin/keys.js";
import { People } from "./admin/people.js";
import { Retention } from "./admin/retention.js";
import { Total } from "./admin/total.js";

const PARTS = {
  people: ["People", People],
  usage: ["Usage", Total],
  keys: ["Keys", EverybodysKeys],
  flags: ["Flags", Flags],
  retention: ["Retention", Retention],
  holds: ["Holds", Holds],
  health: ["Health", Health],
  audit: ["Audit", AuditLog],
};

export const make = (shell) => new Admin(shell);

class Admin {
  constructor(shell) {
    this.shell = shell;
    this.parts = {};
    this.links = Object.entries(PARTS).map(([name, [title]]) => h("a", { href: `#/admin/${name}`, data: { part: name } }, title));
    this.place = h("div.part");
    this.element = h("div.page", {}, h("header.page-head", {}, h("h1", {}, "Admin")), h("nav.tabs", { "aria-label": "Parts of the administration" }, this.links), this.place);
  }

  async enter([name = "people"]) {
    const known = PARTS[name] ? name : "people";
    for (const link of this.links) {
      if (link.dataset.part === known) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.parts[known] ??= new PARTS[known][1](this.shell);
    fill(this.place, this.parts[known].element);
    await this.parts[known].enter();
  }
}
