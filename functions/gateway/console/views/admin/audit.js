// What administrators did: lines that are only ever added.
import { query } from "../../api.js";
import { h } from "../../dom.js";
import { moment } from "../../format.js";
import { Pages } from "../parts.js";

export class AuditLog {
  constructor(shell) {
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/admin/audit${query({ after, limit: 50 })}`),
      row,
      empty: "Nothing was done yet.",
      label: "Audit lines",
    });
    this.element = this.pages.element;
  }

  enter() {
    return this.pages.begin();
  }
}

function row(line) {
  const detail = Object.entries(line.detail ?? {}).map(([name, value]) => `${name} ${value}`);
  const at = typeof line.at === "number" ? line.at : Date.parse(line.at ?? line.created_at) / 1000;
  return h("li.row", { tabindex: "-1" }, h("p.row-head", {}, h("time", {}, moment(at)), h("span.tag.kind", {}, line.act ?? line.action)), h("p", {}, h("code", {}, line.actor), line.target ? [" → ", h("code", {}, line.target)] : null), detail.length ? h("p.quiet", {}, detail.join(" · ")) : null);
}
