// What went wrong, and what to do next, in words for a person.
import { h } from "./dom.js";
import { ahead } from "./format.js";
import { icon } from "./icons.js";

export class Fault extends Error {
  constructor(message, { status = 0, code = null, param = null, retryAfter = null, requestId = null } = {}) {
    super(message);
    Object.assign(this, { status, code, param, retryAfter, requestId });
  }

  static async of(response) {
    let told = {};
    try {
      told = (await response.json()).error ?? {};
    } catch {
      // An answer of a proxy on the way: its status is all there is.
    }
    return new Fault(told.message ?? `The service answered ${response.status}.`, {
      status: response.status,
      code: told.code,
      param: told.param,
      retryAfter: Number(response.headers.get("retry-after")) || null,
      requestId: response.headers.get("x-request-id"),
    });
  }
}

export const wasStopped = (fault) => fault?.name === "AbortError";

const BY_CODE = {
  memory_erasing: "This memory is just being erased. Try again in a moment.",
  legal_hold: "This memory is under a legal hold: nothing of it can be deleted or changed until an administrator lifts it.",
  message_archived: "It is in the archive. Restore it there first, then change it.",
  role_insufficient: "Your role in this workspace does not allow this. Ask one of its owners.",
  base_moved: "Something it builds on has changed meanwhile. Drop it and ask for new proposals.",
  model_not_found: "Choose another model: this one is not offered any more.",
  no_model: "Choose a model to answer first.",
  context_length_exceeded: "Choose a model that reads more, begin a new conversation, or send less at once.",
  message_too_large: "Send it in parts.",
  already_running: "Another run is at it. Look again in a minute.",
  admin_required: "This is for the admins of the service. Reload the page if you are one.",
  too_many_keys: "Revoke keys that nobody needs; they count for a month more.",
  memory_not_found: "Nothing was ever stored there, so there is nothing to hold.",
  identity_not_found: "Take the id from the list of people.",
  workspace_not_found: "Take the id from the list of workspaces.",
  feature_disabled: "An admin can switch it on under Flags.",
  limiter_unavailable: "What you have left cannot be counted just now. Try again shortly.",
};

const BY_STATUS = {
  0: "The service cannot be reached. Check the connection, then try again.",
  401: "Sign in again to go on.",
  403: "This account may not do that.",
  404: "It is not there any more. Reload the view.",
  409: "Somebody else changed it at the same moment. Try again.",
  413: "It is too large. Send it in parts.",
  502: "The model provider did not answer properly. Your memory is safe: try again, or choose another model.",
  503: "A part of the service is away for a moment. Try again shortly.",
  504: "The model provider took too long. Try again, or choose another model.",
};

export function advice(fault) {
  if (fault.code === "insufficient_quota") return spent(fault);
  if (fault.status === 429) {
    const wait = fault.retryAfter ? ahead(fault.retryAfter) : "in a moment";
    return `That was more than your limit allows. Try again ${wait}; Usage shows what is left.`;
  }
  return BY_CODE[fault.code] ?? BY_STATUS[fault.status] ?? "Try again; if it stays, tell whoever runs this service.";
}

// A budget of this service's own says when it begins anew; the model provider's does not.
function spent({ retryAfter }) {
  if (!retryAfter) return "The model provider's quota is used up, not yours: choose another model, or tell whoever runs this service.";
  return `It begins anew ${ahead(retryAfter)}. Your memory can be read and changed as always; Usage shows what is left, and whoever runs this service can allow more.`;
}

export function faultBox(fault, again) {
  return h(
    "div.fault",
    { role: "alert" },
    icon("warning"),
    h(
      "div",
      {},
      h("p", {}, h("strong", {}, fault.message)),
      h("p", {}, advice(fault)),
      fault.requestId ? h("p.quiet", {}, "Request ", h("code", {}, fault.requestId)) : null,
      again ? h("button", { type: "button", onclick: again }, "Try again") : null,
    ),
  );
}
