// What the person said, as it was said.
import { h } from "../../dom.js";
import { moment } from "../../format.js";

export class Question {
  constructor(_, text, stored = null) {
    this.role = "user";
    this.text = text;
    this.id = stored?.id ?? null;
    this.element = h(
      "article.question",
      { tabindex: "-1", "aria-label": "You" },
      h("p.words", {}, text),
      stored ? h("p.meta", {}, h("time", { datetime: new Date(stored.created_at * 1000).toISOString() }, moment(stored.created_at)), stored.pin ? " · pinned" : "") : null,
    );
  }
}
