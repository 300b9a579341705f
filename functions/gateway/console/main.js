// The beginning: what the service says of itself, who is signed in, then the shell.
import { Api } from "./api.js";
import { fill, h } from "./dom.js";
import { Fault, faultBox } from "./faults.js";
import { Identity } from "./identity.js";
import { Shell } from "./shell.js";
import { SigningIn } from "./signing-in.js";
import { applyTheme } from "./theme.js";

const app = document.getElementById("app");

class Main {
  constructor(config) {
    this.config = config;
    this.identity = new Identity();
    this.api = new Api(this.identity);
    this.signing = new SigningIn(config, this.identity);
    this.shell = null;
    this.dialog = null;
    this.identity.addEventListener("accepted", () => this.enter());
    this.identity.addEventListener("changed", () => {
      this.close();
      this.enter();
    });
    this.identity.addEventListener("expired", () => this.expired());
    this.identity.addEventListener("left", () => {
      this.close();
      this.outside();
    });
  }

  outside(message) {
    fill(app, this.signing.page(message));
  }

  // A renewed token of the same person changes nothing on the page.
  async enter() {
    this.dialog?.close();
    this.dialog = null;
    if (this.shell) return;
    try {
      const [workspaces, me] = await Promise.all([this.api.all("/v1/workspaces"), this.api.get("/v1/me")]);
      this.shell = new Shell({ ...this, workspaces, me });
      fill(app, this.shell.element);
      this.shell.begin();
    } catch (fault) {
      this.refused(fault);
    }
  }

  refused(fault) {
    if (fault.status === 401 || fault.status === 403) {
      this.identity.leave();
      this.outside(fault.message);
    } else {
      fill(app, h("main", { id: "main", class: "waiting" }, faultBox(fault, () => this.enter())));
    }
  }

  expired() {
    if (this.shell && !this.dialog) this.dialog = this.signing.again();
  }

  close() {
    this.shell?.end();
    this.shell = null;
  }
}

async function start() {
  applyTheme();
  try {
    const response = await fetch("/console/config.json", { credentials: "omit" });
    if (!response.ok) throw await Fault.of(response);
    new Main(await response.json()).outside();
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("The service cannot be reached.");
    fill(app, h("main", { id: "main", class: "waiting" }, faultBox(fault, start)));
  }
}

start();
