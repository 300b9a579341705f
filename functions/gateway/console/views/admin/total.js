// What everybody together used.
import { bars } from "../../charts.js";
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
    return showing(this.place, async () => {
      const usage = await this.shell.api.get(`/v1/admin/usage?days=${this.span.value}`);
      return [partial(usage.days), usagePictures(usage, this.shell.config), people(usage.days)];
    });
  }
}

function people(days) {
  if (!days.some((one) => one.identities)) return null;
  return bars("People by day", ["people"], days.map((one) => ({ date: one.date, values: [one.identities ?? 0] })));
}

function partial(days) {
  if (days.every((one) => one.complete)) return null;
  return h("p.note", {}, "Some days had more people than one answer adds up. Once the cleanup has seen to such a day it is whole.");
}
