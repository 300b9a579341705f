// Talking: the sessions at one side, one conversation and the field to write in at the other.
import { segment } from "../api.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { announce } from "../notice.js";
import { Composer } from "./chat/composer.js";
import { Conversation } from "./chat/conversation.js";
import { Sessions } from "./chat/sessions.js";

export function make(shell) {
  return new Chat(shell);
}

class Chat {
  constructor(shell) {
    this.shell = shell;
    this.sessions = new Sessions(shell, {
      gone: (id) => id === this.conversation.session && this.fresh(),
      renamed: (one) => one.id === this.conversation.session && this.titled(one.title),
      chosen: () => this.open(false),
    });
    this.conversation = new Conversation(shell, { began: (id) => this.began(id), told: () => this.sessions.load() });
    this.composer = new Composer(shell, this.conversation);
    this.title = h("h1", {}, "New conversation");
    this.opener = h("button.plain.opener", { type: "button", "aria-expanded": "false", "aria-controls": "sessions", onclick: () => this.open(true) }, icon("menu"), h("span", {}, "Conversations"));
    this.element = h(
      "div.chat-layout",
      {},
      this.sessions.element,
      h("section.talk", { "aria-labelledby": "talk-title" }, h("div.talk-head", {}, this.opener, this.title, h("a.button.new-small", { href: "#/chat", "aria-label": "New conversation" }, icon("plus"))), this.conversation.element, this.composer.element),
    );
    this.title.id = "talk-title";
    this.sessions.closer.addEventListener("click", () => this.open(false));
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.element.classList.contains("listing")) this.open(false);
    });
  }

  async enter([session, message]) {
    this.open(false);
    this.sessions.choose(session ?? null);
    this.sessions.load().then(() => this.retitle());
    this.composer.prepare();
    if (!session) return this.fresh();
    if (session !== this.conversation.session) {
      this.titled("Conversation");
      await this.conversation.read(session);
    }
    this.retitle();
    if (message) this.conversation.show(message);
    return undefined;
  }

  leave() {
    this.conversation.leave();
  }

  fresh() {
    if (location.hash.startsWith("#/chat/")) location.hash = "#/chat";
    this.composer.focus();
    if (this.conversation.session === null && this.conversation.empty) return;
    this.conversation.clear();
    this.titled("New conversation");
    this.sessions.choose(null);
  }

  // The address follows without the view being entered again.
  began(id) {
    history.replaceState(null, "", `#/chat/${segment(id)}`);
    this.sessions.choose(id);
    this.titled(this.conversation.firstWords());
  }

  // The list, the conversation: whichever comes later knows the title.
  retitle() {
    const { session } = this.conversation;
    if (session) this.titled(this.sessions.titleOf(session) ?? this.conversation.firstWords() ?? "Conversation");
  }

  titled(text) {
    this.title.textContent = text;
  }

  open(shown) {
    const was = this.element.classList.contains("listing");
    this.element.classList.toggle("listing", shown);
    this.opener.setAttribute("aria-expanded", String(shown));
    if (shown) {
      this.sessions.search.focus();
      announce("Conversations are open.");
    } else if (was) this.opener.focus();
  }
}
