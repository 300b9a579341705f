// What is switched on, for the whole service or one workspace. "As set" is what its settings say.
import { segment } from "../../api.js";
import { field, fill, h, select } from "../../dom.js";
import { notice } from "../../notice.js";
import { showing } from "../parts.js";

const STATES = [["", "As set"], ["true", "On"], ["false", "Off"]];

export class Flags {
  constructor(shell) {
    this.shell = shell;
    this.place = h("div");
    this.workspace = h("input", { placeholder: "ws_… ; empty: the whole service" });
    const form = h("form.bar", {}, field("Workspace", this.workspace), h("button", { type: "submit" }, "Show"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter();
    });
    this.element = h("div", {}, form, this.place);
  }

  get path() {
    const workspace = this.workspace.value.trim();
    return workspace ? `/v1/admin/flags/${segment(workspace)}` : "/v1/admin/flags";
  }

  enter() {
    return showing(this.place, async () => this.table(this.path, await this.shell.api.get(this.path)));
  }

  table(path, { flags, effective = {} }) {
    const names = Object.keys(flags).sort();
    if (!names.length) return h("p.empty", {}, "There are no flags.");
    return h("ul.rows", { "aria-label": "Flags" }, names.map((name) => this.row(path, name, flags[name], effective[name])));
  }

  row(path, name, value, effective) {
    const choice = select(STATES, value === null ? "" : String(value), { "aria-label": name });
    choice.addEventListener("change", async () => {
      try {
        await this.shell.api.put(path, { flags: { [name]: choice.value === "" ? null : choice.value === "true" } });
        notice("Set. Within a minute every instance knows.");
      } catch (fault) {
        choice.value = value === null ? "" : String(value);
        notice(fault.message, "bad");
      }
    });
    const now = h("span");
    if (effective !== undefined) fill(now, h("span.tag", {}, effective ? "on" : "off"));
    return h("li.row.flag", {}, h("code", {}, name), now, choice);
  }
}
