// What the cleanup has put aside: brought back, or deleted before its time.
import { segment } from "../../api.js";
import { confirm } from "../../dialog.js";
import { h } from "../../dom.js";
import { date, moment } from "../../format.js";
import { act, leaveRow, Pages } from "../parts.js";

export class Archive {
  constructor(shell, changed) {
    Object.assign(this, { shell, changed });
    const { max_age_days: age, delete_after_days: later } = shell.config.retention;
    this.pages = new Pages({
      read: (after) => shell.api.get(`/v1/memory/archive${after ? `?after=${segment(after)}` : ""}`),
      row: (one) => this.row(one),
      empty: "Nothing is archived.",
      label: "Archived messages",
    });
    this.element = h(
      "div",
      {},
      h("p.explain", {}, `What nobody used for ${age} days and does not matter much comes here, and is deleted ${later} days later. Nothing here is brought into an answer. What you restore is pinned, and stays.`),
      this.pages.element,
    );
  }

  enter() {
    return this.pages.begin();
  }

  row(message) {
    const row = h("li.row", { tabindex: "-1" });
    const path = `/v1/messages/${segment(message.id)}`;
    row.append(
      h("p.row-head", {}, h("time", {}, moment(message.created_at)), h("span.tag", {}, message.role === "user" ? "You" : "Answer"), message.deleted_at ? h("span.tag", {}, `deleted on ${date(message.deleted_at)}`) : null),
      h("p.words", {}, message.content),
      h(
        "p.row-foot",
        {},
        act("Restore", "restore", async () => {
          await this.shell.api.post(`${path}/restore`);
          leaveRow(row);
          this.changed();
          return "Restored and pinned.";
        }),
        act("Forget", "trash", async () => {
          if (!(await confirm("Forget this?", message.content.slice(0, 300), "Forget"))) return null;
          await this.shell.api.remove(path);
          leaveRow(row);
          this.changed();
          return "Forgotten.";
        }),
      ),
    );
    return row;
  }
}
