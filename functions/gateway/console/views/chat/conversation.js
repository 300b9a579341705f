// One conversation: read back, said on, streamed, stopped, asked again.
import { segment } from "../../api.js";
import { fill, h } from "../../dom.js";
import { Fault, faultBox, wasStopped } from "../../faults.js";
import { plural } from "../../format.js";
import { announce, failed } from "../../notice.js";
import { Answer } from "./answer.js";
import { Question } from "./question.js";
import { streamed } from "./streaming.js";

const PAGE = 200;
const SHOWN_AT_ONCE = 60;
const RESENT = 6; // messages before a question that is asked again: they say where it stands
const TAKEN_OUT = /\[REDACTED_[A-Z_]+\]/;
const AT_END_PIXELS = 120;
const ANNOUNCED_CHARACTERS = 400;

export class Conversation extends EventTarget {
  constructor(shell, { began, told }) {
    super();
    Object.assign(this, { shell, began, told });
    this.session = null;
    this.entries = []; // questions and answers as they stand on the page
    this.hidden = []; // earlier messages that are not on the page yet
    this.stopper = null;
    this.reading = 0;
    this.preparing = false;
    this.log = h("div.log", { role: "log", "aria-live": "off", "aria-label": "Messages" });
    this.element = h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Conversation" }, this.log);
    this.clear();
  }

  get busy() {
    return this.stopper !== null;
  }

  get empty() {
    return this.entries.length === 0 && this.hidden.length === 0;
  }

  firstWords() {
    const first = this.hidden[0]?.content ?? this.entries.find((one) => one.role === "user")?.text;
    return first?.slice(0, 80);
  }

  clear() {
    this.stop();
    this.reading += 1;
    this.session = null;
    this.entries = [];
    this.hidden = [];
    fill(this.log, this.welcome());
  }

  leave() {
    for (const one of this.entries) one.leave?.();
  }

  welcome() {
    const { preview } = this.shell.config;
    const tries = ["My dog is called Rex and he likes apples.", "What does my dog like?", "What do you know about me?"];
    return h(
      "div.welcome",
      {},
      h("h2", {}, `Hello, ${this.shell.identity.name.split(" ")[0]}.`),
      h("p", {}, "Tell something, start another conversation, and ask. Every answer can say what it was given."),
      preview ? h("p.note", {}, "This service has no model provider yet: a preview shows what would have been sent.") : null,
      h("ul.tries", {}, tries.map((text) => h("li", {}, h("button", { type: "button", onclick: () => this.say(text) }, text)))),
    );
  }

  async read(session) {
    this.clear();
    this.session = session;
    const reading = this.reading;
    const note = h("p.quiet", { role: "status" }, "Reading …");
    fill(this.log, note);
    try {
      const messages = await this.messages(session, (count) => {
        note.textContent = `Reading … ${plural(count, "message")}`;
      });
      if (reading !== this.reading) return;
      this.lay(messages.filter((one) => one.active));
    } catch (fault) {
      if (reading === this.reading) fill(this.log, faultBox(fault, () => this.read(session)));
    }
  }

  async messages(session, progress = () => {}) {
    const found = [];
    let after = "";
    do {
      const path = `/v1/sessions/${segment(session)}/messages?limit=${PAGE}${after && `&after=${after}`}`;
      const page = await this.shell.api.get(path);
      found.push(...page.data);
      after = page.has_more ? page.next : "";
      progress(found.length);
    } while (after);
    return found;
  }

  lay(messages) {
    const said = messages.filter((one) => one.role === "user" || one.role === "assistant");
    this.hidden = said.slice(0, -SHOWN_AT_ONCE);
    fill(this.log);
    this.entries = this.drawn(said.slice(-SHOWN_AT_ONCE));
    this.log.append(...this.entries.map((one) => one.element));
    this.offerEarlier();
    if (this.empty) fill(this.log, h("p.quiet", {}, "Nothing is left of this conversation."));
    this.toEnd();
  }

  drawn(messages) {
    let receipt = null;
    return messages.map((one) => {
      if (one.role === "user") {
        receipt = one.receipt_id ?? null;
        return new Question(this, one.content, one);
      }
      const answer = new Answer(this, one);
      answer.past(one.receipt_id ?? receipt);
      return answer;
    });
  }

  offerEarlier() {
    this.log.querySelector(".earlier")?.remove();
    if (!this.hidden.length) return;
    const button = h("button.earlier", { type: "button", onclick: () => this.earlier() }, `Show earlier messages (${this.hidden.length})`);
    this.log.prepend(button);
  }

  earlier() {
    const before = this.element.scrollHeight;
    const more = this.drawn(this.hidden.splice(-SHOWN_AT_ONCE));
    this.log.querySelector(".earlier").after(...more.map((one) => one.element));
    this.entries.unshift(...more);
    this.offerEarlier();
    this.element.scrollTop += this.element.scrollHeight - before;
    more[0].element.focus();
  }

  // The place of a remembered line: in view, marked, with the focus.
  show(id) {
    while (!this.entries.some((one) => one.id === id) && this.hidden.length) this.earlier();
    const entry = this.entries.find((one) => one.id === id);
    if (!entry) {
      announce("That message is not in this conversation any more.");
      return;
    }
    for (const one of this.log.querySelectorAll(".found")) one.classList.remove("found");
    entry.element.classList.add("found");
    entry.element.scrollIntoView({ block: "center" });
    entry.element.focus({ preventScroll: true });
  }

  say(text) {
    if (this.busy) return;
    if (this.empty) fill(this.log);
    const question = new Question(this, text);
    this.entries.push(question);
    this.log.append(question.element);
    this.answer(question, [{ role: "user", content: text }]);
  }

  async again(answer) {
    const place = this.entries.indexOf(answer);
    const question = this.entries[place - 1];
    if (this.busy || this.preparing || question?.role !== "user") return;
    this.preparing = true;
    try {
      const messages = await this.anew(question, answer);
      this.entries.splice(place).forEach((one) => one.element.remove());
      this.answer(question, messages);
    } catch (fault) {
      failed(fault);
    } finally {
      this.preparing = false;
    }
  }

  // The service knows a question asked again by the messages before it, as they were said. A first
  // one stands alone, and what had something taken out is not known by what is kept of it: there
  // the earlier turn is taken back.
  async anew(question, answer) {
    const alone = [{ role: "user", content: question.text }];
    const stored = answer.stored && this.session ? await this.storedTurn(question) : null;
    if (!stored) return alone;
    const { before, turn } = stored;
    if (before.length && ![...before, ...turn].some((one) => TAKEN_OUT.test(one.content))) {
      return [...before.map(({ role, content }) => ({ role, content })), ...alone];
    }
    for (const one of turn) await this.shell.api.remove(`/v1/messages/${one.id}`);
    return alone;
  }

  async storedTurn(question) {
    const all = (await this.messages(this.session)).filter((one) => one.active);
    const last = all.findLastIndex((one) => one.role === "user");
    if (last < 0) return null;
    if (!question.taken && all[last].content.trim() !== question.text.trim()) return null;
    return { before: all.slice(Math.max(0, last - RESENT), last), turn: all.slice(last) };
  }

  async answer(question, messages) {
    const answer = new Answer(this);
    this.entries.push(answer);
    this.log.append(answer.element);
    this.stopper = new AbortController();
    this.dispatchEvent(new Event("busy"));
    this.toEnd();
    announce("Waiting for the answer.");
    await this.stream(question, answer, messages);
    this.stopper = null;
    this.dispatchEvent(new Event("busy"));
    this.told();
  }

  async stream(question, answer, messages) {
    const stopper = this.stopper;
    const { model, mode } = this.options();
    try {
      const call = { model, mode, session: this.session, messages, signal: stopper.signal };
      for await (const event of streamed(this.shell.api, call)) {
        if (event.headers) this.arrived(question, answer, event, mode);
        else answer.add(event.text, event.elapsed);
        this.follow();
      }
      answer.done();
      announce(`Answer: ${answer.text.slice(0, ANNOUNCED_CHARACTERS)}`);
    } catch (error) {
      if (wasStopped(error)) {
        answer.stopped();
        announce("Stopped.");
      } else if (error instanceof Fault) {
        answer.failed(error);
      } else {
        answer.failed(new Fault("The answer was cut short.", { status: 502 }));
      }
    }
    this.follow();
  }

  arrived(question, answer, { headers }, mode) {
    answer.head(headers, mode);
    const taken = Number(headers.get("x-redactions"));
    if (taken && answer.stored) question.redacted(taken);
    const id = headers.get("x-session-id");
    if (this.session === null && id && mode !== "off") {
      this.session = id;
      this.began(id);
    }
  }

  stop() {
    this.stopper?.abort();
  }

  follow() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    if (scrollHeight - scrollTop - clientHeight < AT_END_PIXELS) this.toEnd();
  }

  toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }
}
