// What the person said, as it was said.
import { h } from "../../dom.js";
import { moment, plural } from "../../format.js";

export class Question {
  constructor(_, text, stored = null) {
    this.role = "user";
    this.taken = 0;
    this.text = text;
    this.id = stored?.id ?? null;
    this.meta = stored ? h("p.meta", {}, h("time", { datetime: new Date(stored.created_at * 1000).toISOString() }, moment(stored.created_at)), stored.pin ? " · pinned" : "") : h("p.meta");
    this.element = h(
      "article.question",
      { tabindex: "-1", "aria-label": "You" },
      h("p.words", {}, text),
      this.meta,
    );
  }

  // `x-redactions`: keys, addresses and numbers that no memory is to hold.
  redacted(count) {
    this.taken = count;
    this.meta.textContent = `${plural(count, "thing")} ${count === 1 ? "was" : "were"} taken out before storing.`;
  }
}
