// The field to write in, with the model and what of the memory is used.
import { fill, h, select } from "../../dom.js";
import { icon } from "../../icons.js";
import { notice } from "../../notice.js";

const MODEL_KEY = "model";
const MODES = [
  ["on", "Remember and recall"],
  ["read", "Recall, store nothing"],
  ["write", "Store, recall nothing"],
  ["off", "No memory"],
];

export class Composer {
  constructor(shell, conversation) {
    this.shell = shell;
    this.conversation = conversation;
    this.text = h("textarea", { rows: 1, placeholder: "Say or ask something", "aria-label": "Message", enterkeyhint: "send" });
    this.model = h("select", { "aria-label": "Model" });
    this.mode = select(MODES, "on", { "aria-label": "Memory" });
    this.button = h("button.primary.send", { type: "submit", "aria-label": "Send" }, icon("send"));
    this.element = h("form.composer", {}, this.text, h("div.composer-tools", {}, this.model, this.mode, this.button));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.act();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.conversation.busy) this.act();
    });
    this.text.addEventListener("input", () => this.grow());
    this.model.addEventListener("change", () => localStorage.setItem(MODEL_KEY, this.model.value));
    conversation.addEventListener("busy", () => this.working());
    conversation.options = () => ({ model: this.model.value, mode: this.mode.value });
  }

  async prepare() {
    if (this.model.options.length > 0) return;
    try {
      const { data } = await this.shell.api.get("/v1/models");
      const kept = localStorage.getItem(MODEL_KEY);
      const ids = data.map((one) => one.id).sort();
      fill(this.model, ids.map((id) => h("option", { value: id, selected: id === kept }, id)));
      this.model.disabled = ids.length === 0;
      this.trouble(null);
    } catch (fault) {
      this.trouble(fault);
    }
  }

  trouble(fault) {
    this.element.querySelector(".trouble")?.remove();
    if (!fault) return;
    const again = h("button", { type: "button", onclick: () => this.prepare() }, "Try again");
    this.element.prepend(h("p.trouble", { role: "alert" }, `The models cannot be listed: ${fault.message} `, again));
  }

  act() {
    if (this.conversation.busy) {
      this.conversation.stop();
      return;
    }
    const text = this.text.value.trim();
    if (!text) return;
    if (!this.model.value) {
      notice("No model is there to answer yet.", "bad");
      this.prepare();
      return;
    }
    this.text.value = "";
    this.grow();
    this.conversation.say(text);
  }

  // One button: send, and while an answer comes, stop.
  working() {
    const busy = this.conversation.busy;
    fill(this.button, icon(busy ? "stop" : "send"));
    this.button.setAttribute("aria-label", busy ? "Stop the answer" : "Send");
    this.button.classList.toggle("stopping", busy);
  }

  grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 240)}px`;
  }

  // Not on a touch screen, where the keyboard would cover half of the page; and not away from
  // somebody who is elsewhere by now.
  focus() {
    const idle = document.activeElement === document.body || document.activeElement?.closest("main");
    if (idle && matchMedia("(hover: hover)").matches) this.text.focus({ preventScroll: true });
  }
}
