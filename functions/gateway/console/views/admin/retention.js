// The cleanup: what it would do, and doing it.
import { confirm } from "../../dialog.js";
import { busy, fill, h } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { icon } from "../../icons.js";
import { announce } from "../../notice.js";

export class Retention {
  constructor(shell) {
    this.shell = shell;
    const { max_age_days: age, importance_threshold: threshold, delete_after_days: later } = shell.config.retention;
    this.place = h("div", { role: "status" });
    const dry = h("button.primary", { type: "button" }, icon("search"), "Dry run");
    dry.addEventListener("click", () => busy(dry, () => this.run(true)));
    const real = h("button.danger", { type: "button" }, icon("restore"), "Run now");
    real.addEventListener("click", () =>
      busy(real, async () => {
        if (await confirm("Run the cleanup now?", "What has had its time goes to the archive, and what was long enough there is deleted. It runs daily anyway.", "Run")) await this.run(false);
      }),
    );
    this.element = h("div", {}, h("p.explain", {}, `Messages older than ${age} days that matter less than ${threshold} go to the archive, and are deleted ${later} days later.`), h("div.bar", {}, dry, real), this.place);
  }

  async enter() {}

  async run(dry) {
    fill(this.place, h("progress", { "aria-label": "The cleanup is running" }), h("p.quiet", {}, "Going through every memory …"));
    try {
      const report = await this.shell.api.post("/v1/admin/retention", { dry_run: dry });
      fill(this.place, shown(report, dry));
      announce(dry ? "The dry run is done." : "The cleanup is done.");
    } catch (fault) {
      fill(this.place, faultBox(fault, () => this.run(dry)));
    }
  }
}

function shown(report, dry) {
  const lines = flat(report).filter(([name]) => name !== "object");
  return h("section.receipt", { "aria-label": "Report" }, h("h2", {}, dry ? "What would happen" : "What happened"), h("dl.figures", {}, lines.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value ?? "–"))))));
}

export function flat(value, prefix = "") {
  return Object.entries(value).flatMap(([name, inner]) => (inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, `${prefix}${name} `) : [[`${prefix}${name}`, Array.isArray(inner) ? inner.length : inner]]));
}
