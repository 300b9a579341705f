// Google Identity Services. Loaded once the page is there: nothing waits for it.
// https://developers.google.com/identity/gsi/web/reference/js-reference

const SCRIPT = "https://accounts.google.com/gsi/client";

export class Google {
  constructor(clientId) {
    this.clientId = clientId;
    this.waiting = null;
    this.api = null;
  }

  // Resolves when the button can be drawn; rejects where the script cannot be had.
  load(onToken) {
    this.onToken = onToken;
    this.loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = SCRIPT;
      script.async = true;
      script.onload = () => {
        this.begin();
        resolve();
      };
      script.onerror = () => {
        this.loading = null;
        script.remove();
        reject(new Error("Google's sign-in could not be loaded."));
      };
      document.head.append(script);
    });
    return this.loading;
  }

  begin() {
    this.api = globalThis.google.accounts.id;
    this.api.initialize({
      client_id: this.clientId,
      auto_select: true,
      cancel_on_tap_outside: false,
      use_fedcm_for_prompt: true,
      callback: ({ credential }) => this.received(credential),
    });
  }

  received(token) {
    const waiting = this.waiting;
    this.waiting = null;
    if (waiting) waiting(token);
    else this.onToken(token);
  }

  draw(place, theme) {
    this.api.renderButton(place, {
      type: "standard",
      theme: theme === "dark" ? "filled_black" : "outline",
      size: "large",
      text: "signin_with",
      shape: "pill",
      width: 260,
    });
  }

  oneTap() {
    this.api.prompt();
  }

  silently() {
    return new Promise((resolve) => {
      this.waiting = resolve;
      this.api.prompt((moment) => {
        const none = moment.isSkippedMoment?.() || moment.isNotDisplayed?.();
        if (none && this.waiting === resolve) {
          this.waiting = null;
          resolve(null);
        }
      });
    });
  }

  leave() {
    this.api?.cancel?.();
    this.api?.disableAutoSelect();
  }
}
