// The receipt of an answer: each remembered line that it was given, where it comes from, and what
// the person wants of it from now on.
import { segment } from "../../api.js";
import { busy, fill, h } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { count, date, dollars, duration, plural } from "../../format.js";
import { icon } from "../../icons.js";
import { failed, notice } from "../../notice.js";

const SHOWN_AT_ONCE = 6;
const WIDEST_REM = 5;
const REASONS = {
  configured: "chosen by the words they share with the question",
  small: "chosen by shared words: so little is remembered that no GPU needs asking",
  loading: "chosen by shared words, as the GPU tier was still loading",
  timeout: "chosen by shared words, as the GPU tier was late",
  unreachable: "chosen by shared words, as the GPU tier could not be reached",
  overloaded: "chosen by shared words, as the GPU tier was overloaded",
  "circuit-open": "chosen by shared words, as the GPU tier has failed lately",
  "no-memory": "nothing was remembered yet",
  "no-question": "there was no question to choose by",
  "tool-loop": "a tool was being used: the lines of its question stay",
  "memory-off": "memory was off",
};

export class Why {
  constructor(shell, place) {
    this.shell = shell;
    this.place = place;
  }

  async show(id) {
    fill(this.place, h("p.quiet", { role: "status" }, "Reading the receipt …"));
    try {
      const receipt = await this.shell.api.get(`/v1/memory/receipts/${segment(id)}`);
      fill(this.place, this.summary(receipt), this.lines(receipt), this.figures(receipt));
    } catch (fault) {
      fill(this.place, fault.status === 404 ? h("p", {}, "The receipt is gone: it went with the last message of its turn.") : faultBox(fault, () => this.show(id)));
    }
  }

  summary(receipt) {
    const [who, reason] = receipt.retriever.split("; reason=");
    const how = who === "gpu" ? "chosen by the retriever on the GPU together with shared words" : (REASONS[reason] ?? "chosen by shared words");
    const lines = receipt.lines.length;
    const text = lines ? `This answer was given ${plural(lines, "remembered line")}, ${how}.` : `Nothing was brought in: ${who === "none" ? (REASONS[reason] ?? "no memory was asked") : "nothing that is remembered mattered to the question"}.`;
    return h("p.why-summary", {}, text, receipt.segments_skipped ? ` ${plural(receipt.segments_skipped, "part")} of a large memory were not read.` : "");
  }

  lines(receipt) {
    if (!receipt.lines.length) return null;
    const ranked = receipt.lines.toSorted((a, b) => b.score - a.score);
    const most = Math.max(ranked[0].score, 1e-9);
    const list = h("ol.why-lines", { "aria-label": "Remembered lines" });
    const show = (lines) => list.append(...lines.map((one) => this.line(one, most)));
    show(ranked.slice(0, SHOWN_AT_ONCE));
    const rest = ranked.slice(SHOWN_AT_ONCE);
    if (!rest.length) return list;
    const more = h("button", { type: "button" }, `Show ${rest.length} more`);
    more.addEventListener("click", () => {
      more.remove();
      show(rest);
      list.children[SHOWN_AT_ONCE].querySelector("a,button")?.focus();
    });
    return h("div", {}, list, more);
  }

  line(line, most) {
    const item = h("li.why-line", { "aria-busy": "true" }, h("p.quiet", {}, "…"));
    this.fetch(item, line, most);
    return item;
  }

  async fetch(item, line, most) {
    const strength = h("span.strength", { title: `Score ${line.score.toFixed(3)}, rank ${line.rank}` }, h("i"), h("span", {}, line.score.toFixed(2)));
    strength.firstChild.style.inlineSize = `${Math.max(0.25, (WIDEST_REM * line.score) / most)}rem`;
    try {
      if (line.deleted) throw Object.assign(new Error("gone"), { status: 404 });
      const message = await this.shell.api.get(`/v1/messages/${segment(line.id)}`);
      fill(item, this.head(message, strength), h("blockquote", {}, message.content), this.notes(line), this.actions(item, message));
    } catch (fault) {
      fill(item, h("p.quiet", {}, fault.status === 404 ? "A line that has been forgotten since." : `This line could not be read: ${fault.message}`), strength);
    }
    item.removeAttribute("aria-busy");
  }

  head(message, strength) {
    const who = message.role === "user" ? "You" : "Answer";
    return h("p.line-head", {}, h("time", {}, date(message.created_at)), ` · ${who} `, strength);
  }

  notes(line) {
    const told = [line.changed ? "edited since" : null, line.archived ? "in the archive" : null].filter(Boolean);
    return told.length ? h("p.remark", {}, `This line was ${told.join(" and is ")}.`) : null;
  }

  actions(item, message) {
    const place = message.session_id ? h("a", { href: `#/chat/${segment(message.session_id)}/${message.id}` }, icon("link"), "Where it was said") : null;
    const pin = h("button", { type: "button", "aria-pressed": String(message.pin) }, icon("pin"), h("span", {}, message.pin ? "Pinned" : "Pin"));
    pin.addEventListener("click", () => busy(pin, () => this.pin(pin, message)));
    const forget = h("button", { type: "button" }, icon("trash"), "Forget");
    forget.addEventListener("click", () => busy(forget, () => this.forget(item, message)));
    return h("p.line-actions", {}, place, message.archived ? null : pin, forget);
  }

  async pin(button, message) {
    try {
      const { pin } = await this.shell.api.patch(`/v1/messages/${segment(message.id)}`, { pin: !message.pin });
      message.pin = pin;
      button.setAttribute("aria-pressed", String(pin));
      button.querySelector("span").textContent = pin ? "Pinned" : "Pin";
      notice(pin ? "Pinned: it is kept for good." : "No longer pinned.");
    } catch (fault) {
      failed(fault);
    }
  }

  async forget(item, message) {
    try {
      await this.shell.api.remove(`/v1/messages/${segment(message.id)}`);
      fill(item, h("p.quiet", { tabindex: "-1" }, "Forgotten. No later answer will know of it."));
      item.firstChild.focus();
      notice("Forgotten.");
    } catch (fault) {
      failed(fault);
    }
  }

  figures(receipt) {
    const { tokens, seconds = {}, money_usd: money } = receipt;
    const told = [
      ["Before", `${count(tokens.before)} tokens`],
      ["Sent", `${count(tokens.after)} tokens`],
      ["Saved", `${count(tokens.saved)} tokens`],
      ["Answer", tokens.completion ? `${count(tokens.completion)} tokens` : null],
      ["Recall", seconds.recall === undefined ? null : duration(seconds.recall * 1000)],
      ["Whole turn", seconds.total === undefined ? null : duration(seconds.total * 1000)],
      ["Money saved", money?.saved === undefined || money?.saved === null ? null : dollars(money.saved)],
      ["Model", receipt.model],
    ].filter(([, value]) => value !== null && value !== undefined);
    return h("dl.figures", {}, told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}
