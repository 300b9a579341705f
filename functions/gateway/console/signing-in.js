// The page before anybody is signed in, and the dialog where a sign-in ran out.
import { Development } from "./development.js";
import { busy, field, fill, h } from "./dom.js";
import { dialog } from "./dialog.js";
import { Google } from "./google.js";
import { icon } from "./icons.js";
import { isDark } from "./theme.js";

export class SigningIn {
  constructor(config, identity) {
    this.config = config;
    this.identity = identity;
    this.google = config.google_client_id ? new Google(config.google_client_id) : null;
  }

  page(message) {
    const box = h("div.signin-box", {}, this.ways(), message ? this.refusal(message) : null);
    return h(
      "main.signin",
      { id: "main", tabindex: "-1" },
      h("div.signin-words", {}, h("h1.wordmark", {}, "memory-ops"), h("p.lead", {}, "A conversation that remembers, and can say why."), points()),
      box,
    );
  }

  // Over the page as it stands, so that nothing that was being written is lost.
  again() {
    const box = dialog("Your sign-in has run out", [
      h("p", {}, "What you were writing is still here. Sign in again to go on."),
      this.ways(),
    ]);
    box.addEventListener("cancel", (event) => event.preventDefault());
    return box;
  }

  refusal(message) {
    const domain = this.config.google_hosted_domain;
    const next = domain
      ? `This service takes accounts of ${domain} alone. Choose another account.`
      : "Choose another account, or try again.";
    return h("div.fault", { role: "alert" }, icon("warning"), h("div", {}, h("p", {}, h("strong", {}, message)), h("p", {}, next)));
  }

  ways() {
    const google = this.google ? this.googleWay() : null;
    const development = this.config.development_sign_in ? this.developmentWay() : null;
    if (google || development) return h("div.ways", {}, google, development);
    return h("p", {}, "This service signs nobody in with Google: GOOGLE_CLIENT_ID is not set. Its API takes keys. ", h("a", { href: "/docs" }, "Read how"), ".");
  }

  googleWay() {
    const place = h("div.google-button", {}, h("p.quiet", {}, "Waiting for Google …"));
    this.showGoogle(place);
    const domain = this.config.google_hosted_domain;
    return h("section", {}, h("h2", {}, "Sign in"), place, domain ? h("p.quiet", {}, `With an account of ${domain}.`) : null);
  }

  async showGoogle(place) {
    try {
      await this.google.load((token) => this.identity.accept(token, this.google));
      fill(place);
      this.google.draw(place, isDark() ? "dark" : "light");
      this.google.oneTap();
    } catch {
      const again = h("button", { type: "button", onclick: () => this.showGoogle(place) }, "Try again");
      fill(place, h("p", { role: "alert" }, "Google's sign-in could not be loaded. Check the connection, or whether something blocks accounts.google.com."), again);
    }
  }

  developmentWay() {
    const input = h("input", { name: "name", autocomplete: "username", required: true, maxlength: 64 });
    const button = h("button.primary", { type: "submit" }, "Sign in");
    const trouble = h("p.trouble", { role: "alert" });
    const form = h("form", {}, field("Your name", input), button, trouble);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(button, async () => {
        const source = new Development(input.value.trim());
        try {
          this.identity.accept(await source.silently(), source);
        } catch (fault) {
          trouble.textContent = fault.message;
        }
      });
    });
    return h("section", {}, h("h2", {}, "Sign in on this machine"), h("p.quiet", {}, "A local run takes any name; each has a memory of its own."), form);
  }
}

function points() {
  const said = [
    ["memory", "Remembers word for word", "Nothing is summarised away. Every message is kept as it was said."],
    ["search", "Brings in what matters", "Each question gets only the lines that help, and fewer tokens to pay for."],
    ["check", "Says why", "Every answer lists what it was given, and you can correct, pin or forget each line."],
  ];
  return h("ul.points", {}, said.map(([name, title, text]) => h("li", {}, icon(name), h("div", {}, h("strong", {}, title), h("p", {}, text)))));
}
