// All messages: searched by meaning, or listed the newest first; by date, conversation and kind.
import { query } from "../../api.js";
import { ask } from "../../dialog.js";
import { field, fill, h, select } from "../../dom.js";
import { icon } from "../../icons.js";
import { failed, notice } from "../../notice.js";
import { messageRow, Pages } from "../parts.js";

const KINDS = [["", "Any kind"], ["message", "Said in a chat"], ["note", "Note"], ["fact", "Fact"], ["summary", "Summary"]];
const HITS = 50;
const DAY_SECONDS = 86_400;

export class Everything {
  constructor(shell, changed) {
    Object.assign(this, { shell, changed });
    this.words = h("input", { type: "search", placeholder: "What to look for", "aria-label": "Search the memory" });
    this.since = h("input", { type: "date" });
    this.until = h("input", { type: "date" });
    this.session = select([["", "Any conversation"]], "");
    this.kind = select(KINDS, "");
    this.note = h("p.quiet", { role: "status" });
    this.pages = new Pages({ read: (after) => this.read(after), row: (one) => this.row(one), empty: "Nothing like that is remembered.", label: "Remembered messages" });
    const form = h(
      "form.filters",
      { role: "search" },
      h("div.search", {}, icon("search"), this.words, h("button.primary", { type: "submit" }, "Search")),
      h("div.filter-row", {}, field("From", this.since), field("To", this.until), field("Conversation", this.session), field("Kind", this.kind)),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
    for (const one of [this.since, this.until, this.session, this.kind]) one.addEventListener("change", () => this.begin());
    const add = h("button", { type: "button", onclick: () => this.add() }, icon("plus"), "Add a note");
    this.element = h("div", {}, form, h("div.bar", {}, this.note, add), this.pages.element);
  }

  async enter([words]) {
    if (words) this.words.value = words;
    await Promise.all([this.offerSessions(), this.begin()]);
  }

  async offerSessions() {
    try {
      const found = await this.shell.api.all("/v1/sessions?limit=200");
      found.sort((a, b) => b.updated_at - a.updated_at);
      const chosen = this.session.value;
      fill(this.session, h("option", { value: "" }, "Any conversation"), found.map((one) => h("option", { value: one.id, selected: one.id === chosen }, (one.title || one.id).slice(0, 60))));
    } catch {
      // The list beneath says what is wrong.
    }
  }

  begin() {
    this.note.textContent = this.words.value.trim() ? "The best match first." : "The newest first.";
    return this.pages.begin();
  }

  // The search ranks what was said in chats; notes and facts are few, and are looked through.
  async read(after) {
    const words = this.words.value.trim();
    const kind = this.kind.value;
    if (words && (!kind || kind === "message")) return this.search(words);
    const page = await this.shell.api.get(`/v1/items${query({ limit: 50, after, ...this.bounds(), thread_id: this.session.value, item_type: kind })}`);
    return { ...page, data: page.data.map(asMessage).filter((one) => holds(one.content, words)) };
  }

  async search(words) {
    const found = await this.shell.api.post("/v1/memory/search", { query: words, top_k: HITS, session_id: this.session.value || null, ...this.bounds() });
    if (!found.relevant && found.data.length) this.note.textContent = "The best match first; none would have been brought into an answer.";
    const data = found.data.map((one) => ({ ...one, content: one.text, pin: one.importance.reason === "pinned" }));
    return { data, has_more: false, next: null };
  }

  bounds() {
    const since = secondsOf(this.since.value);
    const until = secondsOf(this.until.value);
    return { since, until: until === null ? null : until + DAY_SECONDS };
  }

  row(one) {
    return messageRow(this.shell, one, { kind: one.item_type, score: one.score });
  }

  async add() {
    const text = h("textarea", { rows: 5, required: true, maxlength: this.shell.config.max_message_characters });
    const kind = select(KINDS.filter(([value]) => value === "note" || value === "fact"), "note");
    const given = await ask("Add to the memory", [field("Text", text), field("Kind", kind)], { action: "Remember", answer: () => ({ content: text.value.trim(), item_type: kind.value }), ready: () => text.focus() });
    if (!given?.content) return;
    try {
      await this.shell.api.post("/v1/items", given);
      notice("Remembered.");
      this.changed();
      await this.begin();
    } catch (fault) {
      failed(fault);
    }
  }
}

const asMessage = (item) => ({ ...item, session_id: item.thread_id });

function holds(text, words) {
  const lower = text.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => lower.includes(word));
}

// A day begins at midnight where the reader is.
function secondsOf(day) {
  return day ? new Date(`${day}T00:00:00`).getTime() / 1000 : null;
}
