// Requests to this service as the person who is signed in. A token is in memory and in no storage.
import { Fault, wasStopped } from "./faults.js";

export class Api {
  constructor(identity) {
    this.identity = identity;
    this.workspace = null;
  }

  // The response of a request that succeeded; a sign-in that ran out is renewed, once, on the way.
  async send(path, { method = "GET", body, headers = {}, signal, raw = false } = {}) {
    if (!this.identity.token && !(await this.identity.renewed())) {
      this.identity.expire();
      throw new Fault("You are signed out.", { status: 401 });
    }
    let response = await this.attempt(path, { method, body, headers, signal, raw });
    if (response.status === 401 && (await this.identity.renewed())) {
      response = await this.attempt(path, { method, body, headers, signal, raw });
    }
    if (response.status === 401) this.identity.expire();
    if (!response.ok) throw await Fault.of(response);
    return response;
  }

  async attempt(path, { method, body, headers, signal, raw }) {
    const json = body === undefined || raw ? {} : { "content-type": "application/json" };
    try {
      return await fetch(path, {
        method,
        headers: { ...this.credentials(), ...json, ...headers },
        body: body === undefined || raw ? body : JSON.stringify(body),
        signal,
        cache: "no-store",
        credentials: "omit",
      });
    } catch (error) {
      if (wasStopped(error)) throw error;
      throw new Fault("No connection.");
    }
  }

  credentials() {
    const headers = { authorization: `Bearer ${this.identity.token}` };
    if (this.workspace) headers["x-workspace-id"] = this.workspace;
    return headers;
  }

  async get(path, options) {
    return (await this.send(path, options)).json();
  }

  async post(path, body = {}, options = {}) {
    return (await this.send(path, { ...options, method: "POST", body })).json();
  }

  async put(path, body = {}) {
    return (await this.send(path, { method: "PUT", body })).json();
  }

  async patch(path, body) {
    return (await this.send(path, { method: "PATCH", body })).json();
  }

  async remove(path) {
    return (await this.send(path, { method: "DELETE" })).json();
  }

  // Whether something needed is away is an answer too, not a fault.
  async health() {
    const response = await this.attempt("/health/detailed", { method: "GET", headers: {} });
    return response.json();
  }

  // Every page of a list, up to `most` entries.
  async all(path, most = 1000) {
    const found = [];
    let after = null;
    do {
      const joint = path.includes("?") ? "&" : "?";
      const page = await this.get(after ? `${path}${joint}after=${encodeURIComponent(after)}` : path);
      found.push(...page.data);
      after = page.has_more ? page.next : null;
    } while (after && found.length < most);
    return found;
  }
}

export const segment = encodeURIComponent;

export function query(given) {
  const kept = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}
