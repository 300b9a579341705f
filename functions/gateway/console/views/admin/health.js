// What the service depends on, and the state of the retriever.
import { fill, h } from "../../dom.js";
import { count, duration, moment } from "../../format.js";
import { icon } from "../../icons.js";
import { act, showing } from "../parts.js";
import { figures } from "./retention.js";

const NAMES = { documents: "Store", retriever: "Retriever", upstream: "Model provider", certificates: "Google's certificates" };

const TITLES = { service: "Service", python: "Python", schema: "Stored documents", store: "Kind of store" };
const OUTCOMES = { gpu: "answered", prefill: "read ahead", forget: "asked to forget" };

export class Health {
  constructor(shell) {
    this.shell = shell;
    this.place = h("div");
    this.element = h("div", {}, h("div.bar", {}, act("Look again", "retry", () => this.enter().then(() => "Looked."))), this.place);
  }

  enter() {
    return showing(this.place, async () => {
      const found = await this.shell.api.get("/v1/admin/health");
      return [
        h("ul.checks", { "aria-label": "What was looked at" }, Object.entries(found.checks).map(([name, one]) => check(name, one))),
        retriever(found.retriever),
        part("Limits", [["Without the store", found.limiter.failure === "open" ? "lets everybody in" : "lets nobody in"], ["Let in that way", count(found.limiter.fail_opens)], ["Counts that were lost", count(found.limiter.lost_writes)]]),
        part("Versions", Object.entries(found.versions).map(([name, value]) => [TITLES[name] ?? name, String(value)])),
      ];
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
    h("p.quiet", {}, [one.required ? "nothing goes without it" : "answers go on without it", one.latency_ms === null || one.latency_ms === undefined ? null : duration(one.latency_ms), one.last_success ? `last well ${moment(Date.parse(one.last_success) / 1000)}` : null].filter(Boolean).join(" · ")),
  );
}

// Numbers are this instance's own, since it started.
function retriever({ kind, outcomes }) {
  const asked = Object.entries(outcomes).map(([name, times]) => [OUTCOMES[name] ?? name, count(times)]);
  return part("Ranking", [["Done by", kind === "gpu" ? "the GPU tier" : "shared words alone"], ...asked]);
}

function part(title, lines) {
  return h("section.card", { "aria-label": title }, h("h2", {}, title), figures(lines));
}
