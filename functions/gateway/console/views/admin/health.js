// What the service depends on, and the state of the retriever.
import { fill, h } from "../../dom.js";
import { duration } from "../../format.js";
import { icon } from "../../icons.js";
import { act, showing } from "../parts.js";
import { flat } from "./retention.js";

const NAMES = { documents: "Store", retriever: "Retriever", upstream: "Model provider", certificates: "Google's certificates" };

export class Health {
  constructor(shell) {
    this.shell = shell;
    this.place = h("div");
    this.element = h("div", {}, h("div.bar", {}, act("Look again", "retry", () => this.enter().then(() => "Looked.")) ), this.place);
  }

  enter() {
    return showing(this.place, async () => {
      const found = await this.shell.api.get("/v1/admin/health");
      const { checks = {}, ...rest } = found;
      return [h("ul.checks", { "aria-label": "What was looked at" }, Object.entries(checks).map(([name, one]) => check(name, one))), more(rest)];
    });
  }
}

function check(name, one) {
  const well = one.status === "healthy";
  const state = h("span.tag", { class: well ? "well" : one.status === "unhealthy" ? "ill" : "" });
  fill(state, icon(well ? "check" : "warning"), one.status);
  return h(
    "li.card",
    {},
    h("h2", {}, NAMES[name] ?? name, state),
    one.detail ? h("p", {}, one.detail) : null,
    h("p.quiet", {}, [one.required ? "nothing goes without it" : "answers go on without it", one.latency_ms === null || one.latency_ms === undefined ? null : duration(one.latency_ms), one.last_success ? `last well ${new Date(one.last_success).toLocaleString()}` : null].filter(Boolean).join(" · ")),
  );
}

function more(rest) {
  const lines = flat(rest).filter(([name]) => name !== "object");
  return lines.length ? h("dl.figures", {}, lines.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value ?? "–"))))) : null;
}
