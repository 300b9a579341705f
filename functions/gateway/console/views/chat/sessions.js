// The list of conversations: found, opened, renamed, deleted.
import { segment } from "../../api.js";
import { confirm, prompt } from "../../dialog.js";
import { fill, h } from "../../dom.js";
import { faultBox } from "../../faults.js";
import { plural, when } from "../../format.js";
import { icon } from "../../icons.js";
import { announce, failed, notice } from "../../notice.js";

const TITLE_CHARACTERS = 80;
const HITS = 30;

// A title is the first words, cut where it is full.
const named = ({ title, id }) => (title.length >= TITLE_CHARACTERS ? `${title}…` : title || id);

export class Sessions {
  constructor(shell, { gone, renamed, chosen }) {
    Object.assign(this, { shell, gone, renamed, chosen });
    this.found = [];
    this.current = null;
    this.holding = null; // ids of sessions that a search in their text has found
    this.search = h("input", { type: "search", placeholder: "Search conversations", "aria-label": "Search conversations; Enter searches in what was said" });
    this.list = h("ul", { "aria-label": "Conversations" });
    this.note = h("p.quiet", { role: "status" });
    this.closer = h("button.plain.closer", { type: "button", "aria-label": "Close the conversations" }, icon("close"));
    const form = h("form", { role: "search" }, icon("search"), this.search);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.searchText();
    });
    this.search.addEventListener("input", () => {
      this.holding = null;
      this.draw();
    });
    this.element = h(
      "aside.sessions",
      { id: "sessions", "aria-label": "Conversations" },
      h("div.sessions-head", {}, h("a.button.primary.new", { href: "#/chat", onclick: () => this.chosen() }, icon("plus"), h("span", {}, "New conversation")), this.closer),
      form,
      this.note,
      this.list,
    );
  }

  titleOf(id) {
    const found = this.found.find((one) => one.id === id);
    return found ? named(found) : null;
  }

  choose(id) {
    this.current = id;
    this.draw();
  }

  async load() {
    try {
      this.found = await this.shell.api.all("/v1/sessions?limit=200");
      this.found.sort((a, b) => b.updated_at - a.updated_at);
      this.draw();
    } catch (fault) {
      fill(this.list, h("li", {}, faultBox(fault, () => this.load())));
    }
  }

  async searchText() {
    const words = this.search.value.trim();
    if (!words) return;
    try {
      const { data } = await this.shell.api.post("/v1/memory/search", { query: words, top_k: HITS });
      this.holding = new Set(data.map((one) => one.session_id));
      this.draw();
      announce(this.note.textContent);
    } catch (fault) {
      failed(fault);
    }
  }

  shown() {
    if (this.holding) return this.found.filter((one) => this.holding.has(one.id));
    const words = this.search.value.trim().toLowerCase();
    return this.found.filter((one) => `${one.title} ${one.id}`.toLowerCase().includes(words));
  }

  draw() {
    const shown = this.shown();
    this.note.textContent = this.remark(shown);
    fill(this.list, shown.map((one) => this.row(one)));
  }

  remark(shown) {
    if (this.holding) return `${plural(shown.length, "conversation")} with words like these.`;
    if (this.search.value.trim()) return `${plural(shown.length, "title")}. Enter searches in what was said.`;
    return this.found.length ? "" : "What you say begins the first one.";
  }

  row(one) {
    const title = named(one);
    const link = h(
      "a",
      { href: `#/chat/${segment(one.id)}`, "aria-current": one.id === this.current ? "page" : null, onclick: () => this.chosen() },
      h("span.title", {}, title),
      h("small", {}, `${when(one.updated_at)} · ${plural(one.messages, "message")}`),
    );
    return h(
      "li",
      {},
      link,
      h("span.row-actions", {}, h("button.plain", { type: "button", "aria-label": `Rename ${title}`, title: "Rename", onclick: () => this.rename(one) }, icon("pencil")), h("button.plain", { type: "button", "aria-label": `Delete ${title}`, title: "Delete", onclick: () => this.remove(one) }, icon("trash"))),
    );
  }

  async rename(one) {
    const title = await prompt("Rename the conversation", "Title", one.title, { maxlength: TITLE_CHARACTERS });
    if (!title) return;
    await this.changed(async () => {
      const now = await this.shell.api.patch(`/v1/sessions/${segment(one.id)}`, { title });
      this.renamed(now);
      return "Renamed.";
    });
  }

  async remove(one) {
    const text = `“${one.title || one.id}” and its ${plural(one.messages, "message")} are deleted for good. No later answer will know of them.`;
    if (!(await confirm("Delete the conversation?", text, "Delete"))) return;
    await this.changed(async () => {
      const { messages } = await this.shell.api.remove(`/v1/sessions/${segment(one.id)}`);
      this.gone(one.id);
      return `Deleted, with ${plural(messages, "message")}.`;
    });
  }

  async changed(work) {
    try {
      notice(await work());
    } catch (fault) {
      failed(fault);
    }
    await this.load();
  }
}
