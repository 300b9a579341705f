// Everybody's keys, or one person's: whose, for what, until when; revoked by an admin.
import { query, segment } from "../../api.js";
import { confirm } from "../../dialog.js";
import { field, h } from "../../dom.js";
import { icon } from "../../icons.js";
import { keyFacts } from "../keys.js";
import { act, Pages } from "../parts.js";

export class EverybodysKeys {
  constructor(shell) {
    this.shell = shell;
    this.subject = h("input", { placeholder: "google:… or key:…", autocapitalize: "none", spellcheck: false });
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/admin/keys${query({ subject: this.subject.value.trim(), after, limit: 50 })}`),
      row: (one) => this.row(one),
      empty: "There are no such keys.",
      label: "Everybody's keys",
    });
    const form = h("form.bar", {}, field("Whose; empty: everybody's", this.subject), h("button", { type: "submit" }, icon("search"), "Show"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter();
    });
    this.element = h("div", {}, h("p.explain", {}, "Nobody sees a key itself: it was shown once, to its maker."), form, this.pages.element);
  }

  enter() {
    return this.pages.begin();
  }

  row(one) {
    const { ended, head, told } = keyFacts(one);
    return h("li.row", { class: ended ? "ended" : "", tabindex: "-1" }, head, h("h2", {}, one.name), h("p.quiet", {}, "of ", h("code", {}, one.subject), ` · ${told}`), ended ? null : h("p.row-foot", {}, act("Revoke", "trash", () => this.revoke(one))));
  }

  async revoke(one) {
    if (!(await confirm(`Revoke “${one.name}”?`, `Apps that use it in the name of ${one.subject} are refused from now on. It cannot be taken back.`, "Revoke"))) return null;
    await this.shell.api.remove(`/v1/admin/keys/${segment(one.id)}`);
    await this.enter();
    return "Revoked.";
  }
}
