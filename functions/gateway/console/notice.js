// What is said beside the page: to screen readers always, to eyes as a note that leaves again.
import { h } from "./dom.js";
import { advice } from "./faults.js";
import { icon } from "./icons.js";

const SHOWN_MILLISECONDS = 6000;
const TROUBLE_MILLISECONDS = 15_000; // two sentences to read

export function announce(text, { urgent = false } = {}) {
  const region = document.getElementById(urgent ? "assertive" : "polite");
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}

export function notice(text, kind = "good") {
  announce(text, { urgent: kind === "bad" });
  let shelf = document.querySelector(".notices");
  if (!shelf) document.body.append((shelf = h("div.notices")));
  shelf.setAttribute("aria-hidden", "true"); // it was announced
  const note = h("div.notice", { class: kind }, icon(kind === "bad" ? "warning" : "check"), h("span", {}, text));
  shelf.append(note);
  setTimeout(() => note.remove(), kind === "bad" ? TROUBLE_MILLISECONDS : SHOWN_MILLISECONDS);
}

// What went wrong, and what to do next.
export const failed = (fault) => notice(`${fault.message} ${advice(fault)}`, "bad");

export function clearNotices() {
  document.querySelector(".notices")?.replaceChildren();
}
