// An answer, with what it cost, what it saved, and why it is as it is.
import { busy, fill, h } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { count, dollars, duration, moment, percent } from "../../format.js";
import { icon } from "../../icons.js";
import { copying, rendered } from "../../markdown.js";
import { Why } from "./why.js";

export class Answer {
  constructor(conversation, stored = null) {
    this.conversation = conversation;
    this.role = "assistant";
    this.id = stored?.id ?? null;
    this.text = stored?.content ?? "";
    this.stored = stored !== null;
    this.facts = {};
    this.body = h("div.prose");
    this.meta = h("div.meta");
    this.why = h("div.why");
    this.element = h("article.answer", { tabindex: "-1", "aria-label": "Answer", "aria-busy": stored ? "false" : "true" }, this.body, this.meta, this.why);
    if (stored) this.draw();
    else fill(this.body, h("p.thinking", {}, h("span"), h("span"), h("span")));
    if (stored?.interrupted) this.remark("This answer was cut short.");
    if (stored) this.at = stored.created_at;
  }

  draw() {
    fill(this.body, rendered(this.text));
  }

  // At most once a frame: a fast model sends hundreds of pieces a second.
  add(text, elapsed) {
    if (this.facts.first === undefined) this.facts.first = elapsed;
    this.text += text;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
      this.conversation.follow();
    });
  }

  head(headers, mode) {
    this.stored = mode === "on" || mode === "write";
    const whole = (name) => (headers.has(name) ? Number(headers.get(name)) : null);
    Object.assign(this.facts, {
      before: whole("x-tokens-before"),
      after: whole("x-tokens-after"),
      saved: whole("x-tokens-saved"),
      dollars: whole("x-cost-saved-usd"),
      receipt: this.stored ? headers.get("x-memory-receipt") : null,
      status: headers.get("x-memory-status"),
      warning: headers.get("x-budget-warning"),
    });
  }

  end() {
    cancelAnimationFrame(this.frame);
    this.draw();
    this.element.setAttribute("aria-busy", "false");
    this.tell();
    if (this.facts.warning) this.body.append(warned(this.facts.warning));
  }

  done() {
    this.end();
    if (!this.text) this.remark("The answer was empty.");
  }

  stopped() {
    this.end();
    this.remark(this.text ? "Stopped. What had come is kept." : "Stopped before anything came.");
  }

  failed(fault) {
    cancelAnimationFrame(this.frame);
    if (this.text) this.draw();
    else fill(this.body);
    this.element.setAttribute("aria-busy", "false");
    this.body.append(faultBox(fault, () => this.conversation.again(this)));
    this.stored = this.stored && this.text !== "";
  }

  remark(text) {
    this.body.append(h("p.remark", {}, text));
  }

  // Read back: its figures stand in the receipt, which is read once the answer is in view.
  past(receipt) {
    this.facts.receipt = receipt;
    this.tell();
    if (!receipt) return;
    this.seen = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      this.seen.disconnect();
      this.recount(receipt);
    });
    this.seen.observe(this.element);
  }

  async recount(receipt) {
    try {
      const told = await this.conversation.shell.api.get(`/v1/memory/receipts/${receipt}`);
      const { before, after, saved } = told.tokens;
      const lines = told.lines.length;
      Object.assign(this.facts, { before, after, saved, dollars: told.money_usd?.saved ?? null, status: told.status, lines });
      this.facts.total = told.seconds?.total * 1000 || undefined;
      this.tell();
    } catch {
      // The receipt went with its turn: the answer stands without figures.
    }
  }

  leave() {
    this.seen?.disconnect();
  }

  tell() {
    const { before, after, saved, first, total, receipt } = this.facts;
    const known = before !== null && before !== undefined;
    fill(
      this.meta,
      known ? balance(before, after, saved) : null,
      this.facts.dollars ? h("span", {}, money(this.facts.dollars)) : null,
      first === undefined ? null : h("span", { title: "Until the first word" }, `first word after ${duration(first)}`),
      first === undefined && total ? h("span", {}, `took ${duration(total)}`) : null,
      this.at ? h("span", {}, moment(this.at)) : null,
      h("span.meta-actions", {}, receipt ? this.whyButton(receipt) : null, copying(() => this.text), this.retryButton()),
    );
  }

  whyButton(receipt) {
    const open = this.why.childElementCount > 0;
    const button = h("button.why-button", { type: "button", "aria-expanded": String(open) }, h("span", {}, "Why"), icon("down"));
    button.addEventListener("click", () =>
      busy(button, async () => {
        const shown = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!shown));
        if (shown) fill(this.why);
        else await new Why(this.conversation.shell, this.why).show(receipt);
      }),
    );
    return button;
  }

  retryButton() {
    const button = h("button.retry", { type: "button", title: "Ask again" }, icon("retry"), h("span", {}, "Retry"));
    button.addEventListener("click", () => this.conversation.again(this));
    return button;
  }
}

const BUDGETS = { daily_tokens: "today's tokens", monthly_tokens: "this month's tokens", daily_cost_usd: "today's money", monthly_cost_usd: "this month's money" };

// `daily_tokens 85%, monthly_cost_usd 92%`
function warned(header) {
  const told = header.split(", ").map((one) => {
    const [name, used] = one.split(" ");
    return `${percent(parseInt(used, 10) / 100)} of ${BUDGETS[name] ?? name}`;
  });
  return h("p.remark", { role: "status" }, `You have used ${told.join(" and ")}. `, h("a", { href: "#/usage" }, "See what is left"), ".");
}

const money = (saved) => (saved > 0 ? `${dollars(saved)} saved` : `${dollars(-saved)} more`);

function balance(before, after, saved) {
  const most = Math.max(before, after, 1);
  const bar = h("span.balance-bar", { "aria-hidden": "true" }, h("i"));
  bar.firstChild.style.inlineSize = `${Math.max(2, (100 * after) / most)}%`;
  const words = saved >= 0 ? `${count(saved)} saved` : `${count(-saved)} added by memory`;
  return h("span.balance", {}, bar, h("span", {}, `${count(before)} → ${count(after)} tokens, `, h("b", { class: saved > 0 ? "good" : "" }, words)));
}
