// The cleanup: what it would do, and doing it.
import { confirm } from "../../dialog.js";
import { busy, fill, h } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { count, duration, plural } from "../../format.js";
import { icon } from "../../icons.js";
import { announce } from "../../notice.js";

const LINES = [
  ["owners", "Memories seen to"],
  ["archived", "Messages to the archive"],
  ["expired", "Messages at their own end"],
  ["deleted", "Documents deleted"],
  ["skipped", "Memories with nothing to do"],
  ["held", "Memories on hold"],
  ["rolled_up", "Days of usage summed up"],
  ["documents_read", "Documents read"],
];

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
  const { failed, cursor } = report;
  return h(
    "section.receipt",
    { "aria-label": "Report" },
    h("h2", {}, dry ? "What would happen" : "What happened"),
    figures([...LINES.map(([name, words]) => [words, count(report[name])]), ["Took", duration(report.seconds * 1000)]]),
    failed.length ? h("p.note", { role: "alert" }, `${plural(failed.length, "memory", "memories")} could not be seen to; the next round tries again.`) : null,
    cursor ? h("p.note", {}, dry ? "Its time was over before every memory was counted." : "There is more than one run has time for. Run it again: it goes on from here.") : null,
  );
}

export function figures(lines) {
  return h("dl.figures", {}, lines.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
