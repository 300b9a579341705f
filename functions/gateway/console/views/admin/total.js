// What everybody together used.
import { field, h, select } from "../../dom.js";
import { showing } from "../parts.js";
import { usagePictures } from "../usage.js";

export class Total {
  constructor(shell) {
    this.shell = shell;
    this.span = select([["7", "7 days"], ["30", "30 days"], ["90", "90 days"]], "30");
    this.span.addEventListener("change", () => this.enter());
    this.place = h("div");
    this.element = h("div", {}, h("div.bar", {}, field("Over", this.span)), this.place);
  }

  enter() {
    return showing(this.place, async () => usagePictures(await this.shell.api.get(`/v1/admin/usage?days=${this.span.value}`), this.shell.config));
  }
}
