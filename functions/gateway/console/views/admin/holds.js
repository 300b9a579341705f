// Legal holds: which memories are kept as they are, by whom and since when; placed and lifted.
import { query, segment } from "../../api.js";
import { confirm } from "../../dialog.js";
import { field, h } from "../../dom.js";
import { moment } from "../../format.js";
import { icon } from "../../icons.js";
import { act, doing, Pages } from "../parts.js";

export class Holds {
  constructor(shell) {
    this.shell = shell;
    this.id = h("input", { required: true, placeholder: "A person's id, or ws_…", autocapitalize: "none", spellcheck: false });
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/admin/holds${query({ after, limit: 50 })}`),
      row: (one) => this.row(one),
      empty: "No memory is held.",
      label: "Legal holds",
    });
    const button = h("button.primary", { type: "submit" }, icon("pin"), "Place a hold");
    const form = h("form.bar", {}, field("Memory", this.id), button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      doing(button, () => this.place());
    });
    this.element = h("div", {}, h("p.explain", {}, "A held memory stays as it is: the cleanup passes it by, and nothing in it can be edited, forgotten or erased. New turns are kept as ever. Those of people can be held from their list too."), form, this.pages.element);
  }

  enter() {
    return this.pages.begin();
  }

  async place() {
    if (!(await placed(this.shell, this.id.value.trim()))) return null;
    this.id.value = "";
    await this.enter();
    return "Held.";
  }

  row(one) {
    const lift = act("Lift the hold", "close", async () => {
      if (!(await lifted(this.shell, one.id))) return null;
      await this.enter();
      return "Lifted.";
    });
    return h("li.row", { tabindex: "-1" }, h("p.row-head", {}, h("span.tag.pinned", {}, icon("pin"), "Held"), h("time", {}, `since ${moment(one.since)}`)), h("p", {}, h("code", {}, one.id)), h("p.quiet", {}, "by ", h("code", {}, one.by)), h("p.row-foot", {}, lift));
  }
}

// Both ask first; false where the answer is no.
export async function placed(shell, id) {
  if (!(await confirm("Place a legal hold?", "Nothing of this memory can be deleted or changed until it is lifted.", "Place it"))) return false;
  await shell.api.put(path(id));
  return true;
}

export async function lifted(shell, id) {
  if (!(await confirm("Lift the legal hold?", "The cleanup and the person may delete again.", "Lift it"))) return false;
  await shell.api.remove(path(id));
  return true;
}

const path = (id) => `/v1/admin/holds/${segment(id)}`;
