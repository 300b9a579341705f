// Who is signed in. The token lives here and nowhere else: a reload forgets it.
//
// A Google ID token lasts an hour. Well before its end a new one is asked for without a word; where
// that does not work, the page says so and keeps what was being written.

const RENEW_BEFORE_SECONDS = 300;
const SOONEST_SECONDS = 30;
const LONGEST_TIMER = 2 ** 31 - 1;
const PATIENCE_MILLISECONDS = 8000;

export class Identity extends EventTarget {
  constructor() {
    super();
    this.token = null;
    this.claims = {};
    this.source = null; // what a new token is asked of: `silently()` resolves to one or to null
    this.timer = null;
    this.renewal = null;
  }

  get name() {
    return this.claims.name ?? this.claims.email ?? "You";
  }

  accept(token, source) {
    const before = this.claims.sub;
    this.token = token;
    this.claims = claimsOf(token);
    this.source = source;
    this.plan();
    const changed = before !== undefined && before !== this.claims.sub;
    this.dispatchEvent(new CustomEvent(changed ? "changed" : "accepted"));
  }

  plan() {
    clearTimeout(this.timer);
    if (!this.claims.exp) return;
    const left = this.claims.exp - RENEW_BEFORE_SECONDS - Date.now() / 1000;
    this.timer = setTimeout(() => this.renewed(), Math.min(LONGEST_TIMER, Math.max(SOONEST_SECONDS, left) * 1000));
  }

  // True once a new token is there. Asked by many at once, it asks once.
  renewed() {
    this.renewal ??= this.renew().finally(() => {
      this.renewal = null;
    });
    return this.renewal;
  }

  async renew() {
    const source = this.source;
    if (!source) return false;
    const late = new Promise((resolve) => setTimeout(() => resolve(null), PATIENCE_MILLISECONDS));
    const token = await Promise.race([source.silently(), late]).catch(() => null);
    if (!token || this.source !== source) return false;
    this.accept(token, source);
    return true;
  }

  expire() {
    if (!this.source) return;
    this.token = null;
    clearTimeout(this.timer);
    this.dispatchEvent(new CustomEvent("expired"));
  }

  leave() {
    this.source?.leave();
    clearTimeout(this.timer);
    this.token = null;
    this.claims = {};
    this.source = null;
    this.dispatchEvent(new CustomEvent("left"));
  }
}

// For the name on the page and the time of renewal alone: the service checks the signature.
function claimsOf(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const text = Uint8Array.from(atob(part), (one) => one.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(text));
  } catch {
    return {};
  }
}
