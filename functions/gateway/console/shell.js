// The frame around the views: navigation, who is signed in, what is away, which address shows what.
import { fill, h, select } from "./dom.js";
import { faultBox } from "./faults.js";
import { icon } from "./icons.js";
import { announce, clearNotices } from "./notice.js";
import { isDark, toggleTheme } from "./theme.js";

const HEALTH_MILLISECONDS = 60_000;
const VIEWS = {
  chat: { title: "Chat", icon: "chat", load: () => import("./views/chat.js") },
  memory: { title: "Memory", icon: "memory", load: () => import("./views/memory.js") },
  usage: { title: "Usage", icon: "usage", load: () => import("./views/usage.js") },
  keys: { title: "Keys", icon: "key", load: () => import("./views/keys.js") },
  admin: { title: "Admin", icon: "admin", load: () => import("./views/admin.js"), admin: true },
};

export class Shell {
  constructor({ api, config, identity, workspaces, me }) {
    Object.assign(this, { api, config, identity, workspaces, me });
    this.views = new Map();
    this.current = null;
    this.turn = 0;
    this.banner = h("div.banners", { role: "region", "aria-label": "Service status" });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.links = Object.entries(VIEWS)
      .filter(([, view]) => !view.admin || me.admin)
      .map(([name, view]) => h("a", { href: `#/${name}`, data: { view: name } }, icon(view.icon), h("span", {}, view.title)));
    this.element = h(
      "div.shell",
      {},
      h("header.top", {}, h("a.wordmark", { href: "#/chat", "aria-label": "memory-ops, to the chat" }, "memory-ops"), this.navigation(), this.account()),
      this.banner,
      this.main,
    );
    this.route = () => this.show();
  }

  begin() {
    addEventListener("hashchange", this.route);
    this.show();
    this.watch();
    this.watching = setInterval(() => this.watch(), HEALTH_MILLISECONDS);
  }

  end() {
    this.turn += 1; // what is being shown is shown no more
    removeEventListener("hashchange", this.route);
    clearInterval(this.watching);
    clearNotices();
    for (const view of this.views.values()) view.leave?.();
  }

  navigation() {
    return h("nav.views", { "aria-label": "Views" }, this.links);
  }

  account() {
    const theme = h("button.plain", { type: "button" });
    const tell = () => {
      fill(theme, icon(isDark() ? "sun" : "moon"));
      theme.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    };
    theme.addEventListener("click", () => {
      toggleTheme();
      tell();
    });
    tell();
    const leave = h("button", { type: "button", onclick: () => this.identity.leave() }, "Sign out");
    const details = h(
      "details.account",
      {},
      h("summary", { "aria-label": `Account of ${this.identity.name}` }, icon("person"), h("span", {}, this.identity.name)),
      h("div.menu", {}, h("p", {}, h("strong", {}, this.identity.name), this.identity.claims.email ? h("small", {}, this.identity.claims.email) : null), this.workspaceChoice(), h("a", { href: "/docs" }, "API reference"), leave),
    );
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open) return;
      details.open = false;
      details.querySelector("summary").focus();
    });
    details.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !details.contains(event.relatedTarget)) details.open = false;
    });
    return h("div.tools", {}, theme, details);
  }

  workspaceChoice() {
    if (this.workspaces.length < 2) return null;
    const named = this.workspaces.map((one) => [one.id, one.id === "personal" ? "My own" : `${one.name} (${one.role})`]);
    const choice = select(named, this.api.workspace ?? "personal");
    choice.addEventListener("change", () => {
      this.api.workspace = choice.value === "personal" ? null : choice.value;
      for (const view of this.views.values()) view.leave?.();
      this.views.clear();
      this.current = null;
      announce("Another memory is open now.");
      if (location.hash.startsWith("#/chat/")) location.hash = "#/chat";
      else this.show();
    });
    return h("label.stacked", {}, "Whose memory", choice);
  }

  async show() {
    const turn = (this.turn += 1);
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
    const known = VIEWS[name] && (!VIEWS[name].admin || this.me.admin) ? name : "chat";
    for (const link of this.links) {
      if (link.dataset.view === known) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${VIEWS[known].title} · memory-ops`;
    try {
      const view = await this.view(known);
      if (turn !== this.turn) return;
      if (this.current !== view) {
        const moved = this.current !== null;
        this.current?.leave?.();
        this.current = view;
        this.main.className = known;
        fill(this.main, view.element);
        if (moved) this.main.focus({ preventScroll: true });
      }
      await view.enter(known === name ? rest : []);
    } catch (fault) {
      if (turn !== this.turn) return;
      this.current = null;
      fill(this.main, faultBox(fault, () => this.show()));
    }
  }

  async view(name) {
    if (!this.views.has(name)) {
      const { make } = await VIEWS[name].load();
      this.views.set(name, make(this));
    }
    return this.views.get(name);
  }

  // What is away, and what works all the same.
  async watch() {
    let told = [];
    try {
      const { checks = {} } = await this.api.health();
      told = away(checks);
    } catch {
      told = ["The service cannot be reached. What you write stays here; try again when the connection is back."];
    }
    const said = told.join(" ");
    if (said === this.said) return;
    this.said = said;
    fill(this.banner, told.map((text) => h("p.banner", {}, icon("warning"), h("span", {}, text))));
    if (said) announce(said);
  }
}

function away(checks) {
  const ill = (name) => checks[name]?.status === "unhealthy";
  return [
    ill("documents") ? "The store is away: nothing can be read or remembered until it is back." : null,
    ill("upstream") ? "The model provider cannot be reached: answers have to wait. Your memory can be read and changed as always." : null,
    ill("retriever") ? "The GPU tier is away: shared words choose what is remembered instead. Answers go on." : null,
    ill("certificates") ? "Google's certificates cannot be fetched: a new sign-in may have to wait." : null,
  ].filter(Boolean);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
