// Questions in a modal dialog. The browser keeps the focus inside and gives it back afterwards.
import { field, h, unique } from "./dom.js";

export function dialog(title, content, { wide = false } = {}) {
  const name = unique("dialog");
  const box = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": name }, h("h2", { id: name }, title), content);
  document.body.append(box);
  const before = document.activeElement;
  box.addEventListener("close", () => {
    box.remove();
    if (before?.isConnected) before.focus();
  });
  box.showModal();
  return box;
}

// Resolves to what `answer` makes of the form, or to null.
export function ask(title, parts, { action, dangerous = false, answer = () => true, ready }) {
  return new Promise((resolve) => {
    let given = null;
    const go = h("button.primary", { type: "submit", class: dangerous ? "danger" : "" }, action);
    const stop = h("button", { type: "button", onclick: () => box.close() }, "Cancel");
    const form = h("form", {}, parts, h("div.actions", {}, stop, go));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (go.disabled) return;
      given = answer(form);
      box.close();
    });
    const box = dialog(title, form);
    if (ready) ready(form, go);
    box.addEventListener("close", () => resolve(given));
  });
}

export function confirm(title, text, action, { dangerous = true } = {}) {
  return ask(title, h("p", {}, text), { action, dangerous });
}

export function prompt(title, label, value, { action = "Save", long = false, maxlength = null, hint } = {}) {
  const input = long ? h("textarea", { rows: 8, required: true, maxlength }) : h("input", { required: true, maxlength });
  input.value = value;
  return ask(title, field(label, input, hint), {
    action,
    answer: () => input.value.trim() || null,
    ready: () => {
      input.focus();
      input.select?.();
    },
  });
}

// The button works once the words stand there.
export function typed(title, parts, words, action) {
  const input = h("input", { autocomplete: "off", autocapitalize: "none", spellcheck: false });
  return ask(title, [parts, field(`Type “${words}” to go on`, input)], {
    action,
    dangerous: true,
    ready: (_, go) => {
      go.disabled = true;
      input.addEventListener("input", () => {
        go.disabled = input.value.trim().toLowerCase() !== words;
      });
      input.focus();
    },
  });
}
