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
  const detail = Object.entries(line.detail).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`);
  return h("li.row", { tabindex: "-1" }, h("p.row-head", {}, h("time", {}, moment(line.at)), h("span.tag.kind", {}, line.act)), h("p", {}, h("code", {}, line.actor), " → ", h("code", {}, line.target)), detail.length ? h("p.quiet", {}, detail.join(" · ")) : null);
}
