// What is switched on, for the whole service or one workspace. "As set" is what its settings say.
import { segment } from "../../api.js";
import { field, h, select } from "../../dom.js";
import { failed, notice } from "../../notice.js";
import { showing } from "../parts.js";

const STATES = [["", "As set"], ["true", "On"], ["false", "Off"]];
const MEANING = {
  ENABLE_CONTEXT_MEMORY: "Off: nothing is stored, and nothing brought into a prompt.",
  ENABLE_USAGE_ANALYTICS: "Off: nothing is counted beyond what the limits need.",
  ENABLE_REDACTION: "Off: keys, addresses and numbers are stored as they were said.",
  ENABLE_ORCHESTRATED_SEARCH: "Off: no model words a search.",
  ENABLE_RESPONSE_CACHE: "On: an identical request is answered from the store.",
};

export class Flags {
  constructor(shell) {
    this.shell = shell;
    this.place = h("div");
    this.workspace = h("input", { placeholder: "ws_… or a person's id", autocapitalize: "none", spellcheck: false });
    const form = h("form.bar", {}, field("Workspace; empty: the whole service", this.workspace), h("button", { type: "submit" }, "Show"));
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

  // `flags` is what holds, `overrides` what was set in this place.
  table(path, { flags, overrides }) {
    return h("ul.rows", { "aria-label": "Flags" }, Object.keys(flags).sort().map((name) => this.row(path, name, overrides[name] ?? null, flags[name])));
  }

  row(path, name, value, holds) {
    const choice = select(STATES, value === null ? "" : String(value), { "aria-label": name });
    const now = h("span.tag");
    const tell = (on) => {
      now.textContent = on ? "on" : "off";
      now.classList.toggle("well", on);
    };
    tell(holds);
    choice.addEventListener("change", async () => {
      try {
        const told = await this.shell.api.put(path, { flags: { [name]: choice.value === "" ? null : choice.value === "true" } });
        value = told.overrides[name] ?? null;
        tell(told.flags[name]);
        notice("Set. Within a minute every instance knows.");
      } catch (fault) {
        choice.value = value === null ? "" : String(value);
        failed(fault);
      }
    });
    return h("li.row.flag", {}, h("div", {}, h("code", {}, name), h("p.quiet", {}, MEANING[name] ?? "")), now, choice);
  }
}
