// Keys for apps: made, shown once, named, revoked.
import { segment } from "../api.js";
import { ask, confirm, dialog, prompt } from "../dialog.js";
import { busy, field, h } from "../dom.js";
import { faultBox } from "../faults.js";
import { date } from "../format.js";
import { icon } from "../icons.js";
import { copying } from "../markdown.js";
import { notice } from "../notice.js";
import { limitWords } from "./limits.js";
import { act, showing } from "./parts.js";

const SCOPES = [
  ["chat", "Chat", true],
  ["memory:read", "Read the memory", true],
  ["memory:write", "Change the memory", true],
  ["admin", "Administer this service", false],
];

const WORDS = Object.fromEntries(SCOPES.map(([scope, words]) => [scope, words.toLowerCase()]));

export const make = (shell) => new Keys(shell);

class Keys {
  constructor(shell) {
    this.shell = shell;
    this.place = h("div");
    const button = h("button.primary", { type: "button" }, icon("plus"), "New key");
    button.addEventListener("click", () => this.add(button));
    this.element = h("div.page", {}, h("header.page-head", {}, h("h1", {}, "Keys"), button), h("p.explain", {}, "A key lets an app talk in your name, to this address, with any OpenAI client. Whoever has it is you, as far as its rights go."), this.place);
  }

  enter() {
    return showing(this.place, async () => {
      const keys = await this.shell.api.all("/v1/keys");
      if (!keys.length) return h("p.empty", {}, "No keys yet.");
      keys.sort((a, b) => Boolean(a.revoked_at) - Boolean(b.revoked_at));
      return h("ul.rows", { "aria-label": "Keys" }, keys.map((one) => this.row(one)));
    });
  }

  async add(button) {
    const name = h("input", { required: true, maxlength: 100, placeholder: "What it is for" });
    const offered = SCOPES.filter(([scope]) => scope !== "admin" || this.shell.me.admin);
    const boxes = offered.map(([scope, words, on]) => h("label.check", {}, h("input", { type: "checkbox", name: "scope", value: scope, checked: on }), words));
    const until = h("input", { type: "date" });
    const parts = [field("Name", name), h("fieldset", {}, h("legend", {}, "It may"), boxes), field("Until", until, "Empty: until it is revoked.")];
    const given = await ask("A new key", parts, { action: "Make", ready: () => name.focus(), answer: (form) => asked(form, name, until) });
    if (!given) return;
    if (!given.scopes.length) {
      notice("A key has to be for something: choose at least one right.", "bad");
      return;
    }
    await busy(button, async () => {
      try {
        this.show(await this.shell.api.post("/v1/keys", { ...given, ...(this.shell.api.workspace ? { workspace: this.shell.api.workspace } : {}) }));
      } catch (fault) {
        dialog("The key could not be made", faultBox(fault));
      }
    });
    await this.enter();
  }

  show(made) {
    const secret = h("output.secret", { "aria-label": "The key" }, made.key);
    const example = `curl ${location.origin}/v1/chat/completions \\\n  -H "Authorization: Bearer ${made.key}" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "…", "messages": [{"role": "user", "content": "Hello"}]}'`;
    const box = dialog(`“${made.name}” is made`, [
      h("p", {}, h("strong", {}, "Copy it now: it is shown this once.")),
      h("div.copy-line", {}, secret, copying(() => made.key, "Copy the key")),
      h("div.code", {}, h("pre", { tabindex: "0", role: "group", "aria-label": "Example" }, example)),
      h("div.actions", {}, h("button.primary", { type: "button", onclick: () => box.close() }, "I have it")),
    ]);
  }

  row(one) {
    const path = `/v1/keys/${segment(one.id)}`;
    const { ended, head, told } = keyFacts(one);
    return h(
      "li.row",
      { class: ended ? "ended" : "", tabindex: "-1" },
      head,
      h("h2", {}, one.name),
      h("p.quiet", {}, told),
      ended
        ? null
        : h(
            "p.row-foot",
            {},
            act("Rename", "pencil", async () => {
              const name = await prompt("Rename the key", "Name", one.name, { maxlength: 100 });
              if (!name) return null;
              await this.shell.api.patch(path, { name });
              await this.enter();
              return "Renamed.";
            }),
            act("Revoke", "trash", async () => {
              if (!(await confirm(`Revoke “${one.name}”?`, "Apps that use it are refused from now on. It cannot be taken back.", "Revoke"))) return null;
              await this.shell.api.remove(path);
              await this.enter();
              return "Revoked.";
            }),
          ),
    );
  }
}

function asked(form, name, until) {
  const scopes = [...form.querySelectorAll("input[name=scope]:checked")].map((one) => one.value);
  const given = { name: name.value.trim(), scopes };
  if (until.value) given.expires_at = new Date(`${until.value}T23:59:59`).toISOString();
  return given;
}

// What a row says of a key, here and among the admins' keys.
export function keyFacts(one) {
  const ended = one.revoked_at ? "revoked" : one.expires_at && one.expires_at * 1000 < Date.now() ? "expired" : null;
  const told = [
    one.workspace === "personal" ? null : `for ${one.workspace}`,
    `made ${date(one.created_at)}`,
    one.last_used_at ? `last used ${date(one.last_used_at)}` : "never used",
    one.expires_at ? `until ${date(one.expires_at)}` : null,
    ...limitWords({ ...one.limits, ...one.budgets }),
  ];
  const head = h("p.row-head", {}, h("code", {}, `${one.prefix}…`), one.scopes.map((scope) => h("span.tag", {}, WORDS[scope] ?? scope)), ended ? h("span.tag.pinned", {}, ended) : null);
  return { ended, head, told: told.filter(Boolean).join(" · ") };
}
