// Lists that grow page by page, and rows of remembered messages: what several views share.
import { segment } from "../api.js";
import { confirm, prompt } from "../dialog.js";
import { busy, fill, h } from "../dom.js";
import { faultBox } from "../faults.js";
import { moment } from "../format.js";
import { icon } from "../icons.js";
import { failed, notice } from "../notice.js";

// `read(after)` resolves to a page of the API's; `row` makes an element of an entry. A page may
// hold few entries of a large memory: pages are read until `enough` are there.
export class Pages {
  constructor({ read, row, empty, label, enough = 20 }) {
    Object.assign(this, { read, row, empty, enough });
    this.list = h("ul.rows", { "aria-label": label });
    this.foot = h("div.foot", { role: "status" });
    this.element = h("div.pages", {}, this.list, this.foot);
    this.turn = 0;
  }

  async begin() {
    this.turn += 1;
    fill(this.list);
    await this.more(null, this.turn);
  }

  async more(after, turn) {
    fill(this.foot, h("p.quiet", {}, "Reading …"));
    let next = after;
    let added = 0;
    try {
      do {
        const page = await this.read(next);
        if (turn !== this.turn) return;
        this.list.append(...page.data.map(this.row));
        added += page.data.length;
        next = page.has_more ? page.next : null;
      } while (next && added < this.enough);
    } catch (fault) {
      if (turn === this.turn) fill(this.foot, faultBox(fault, () => this.more(next, turn)));
      return;
    }
    this.end(next, turn);
  }

  end(next, turn) {
    if (next) fill(this.foot, h("button", { type: "button", onclick: () => this.more(next, turn) }, "Show more"));
    else fill(this.foot, this.list.childElementCount ? null : h("p.empty", {}, this.empty));
  }
}

// Shows what `read` brings, or what went wrong with a way to try again.
export async function showing(place, read) {
  fill(place, h("p.quiet", { role: "status" }, "Reading …"));
  try {
    fill(place, await read());
  } catch (fault) {
    fill(place, faultBox(fault, () => showing(place, read)));
  }
}

// Does what a button says and tells how it went; true where it did.
export async function doing(button, work) {
  return busy(button, async () => {
    try {
      const said = await work();
      if (said) notice(said);
      return said !== null;
    } catch (fault) {
      failed(fault);
      return false;
    }
  });
}

export function act(label, name, work, given = {}) {
  const button = h("button", { type: "button", ...given }, icon(name), h("span", {}, label));
  button.addEventListener("click", () => doing(button, () => work(button)));
  return button;
}

// `message`: id, session_id, role, content, created_at, pin.
export function messageRow(shell, message, extra = {}) {
  const row = h("li.row", { tabindex: "-1" });
  const path = `/v1/messages/${segment(message.id)}`;
  const draw = () => fill(row, rowHead(message, extra), h("p.words", {}, message.content), h("p.row-foot", {}, place(message), buttons()));
  const buttons = () => [
    act(message.pin ? "Unpin" : "Pin", "pin", async () => {
      message.pin = (await shell.api.patch(path, { pin: !message.pin })).pin;
      draw();
      row.focus();
      return message.pin ? "Pinned: it is kept for good." : "No longer pinned.";
    }),
    act("Edit", "pencil", async () => {
      const content = await prompt("Edit what is remembered", "Text", message.content, { long: true, maxlength: shell.config.max_message_characters, hint: "The next prompt has the new text." });
      if (!content) return null;
      message.content = (await shell.api.patch(path, { content })).content;
      draw();
      row.focus();
      return "Changed.";
    }),
    act("Forget", "trash", async () => {
      if (!(await confirm("Forget this?", message.content.slice(0, 300), "Forget"))) return null;
      await shell.api.remove(path);
      leaveRow(row);
      return "Forgotten.";
    }),
  ];
  draw();
  return row;
}

export function leaveRow(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  next?.focus();
}

function rowHead(message, { kind, score }) {
  return h(
    "p.row-head",
    {},
    h("time", {}, moment(message.created_at)),
    h("span.tag", {}, message.role === "user" ? "You" : message.role === "assistant" ? "Answer" : message.role),
    kind && kind !== "message" ? h("span.tag.kind", {}, kind) : null,
    message.pin ? h("span.tag.pinned", {}, icon("pin"), "Pinned") : null,
    score === undefined ? null : h("span.tag", { title: "How well it matches" }, score.toFixed(2)),
  );
}

function place(message) {
  if (!message.session_id) return h("span.quiet", {}, "Its conversation is deleted.");
  return h("a", { href: `#/chat/${segment(message.session_id)}/${message.id}` }, icon("link"), "Where it was said");
}
