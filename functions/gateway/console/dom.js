// Elements from words. Text is always text: nothing here parses HTML.

export function h(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) set(element, key, value);
  append(element, children);
  return element;
}

export function svg(tag, given = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(given)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  append(element, children);
  return element;
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "class") element.classList.add(...value.split(" ").filter(Boolean));
  else if (key === "data") Object.assign(element.dataset, value);
  else if (key in element && !key.includes("-") && typeof value !== "string") element[key] = value;
  else if (key === "value") element.value = value;
  else element.setAttribute(key, value === true ? "" : value);
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

let counter = 0;
export const unique = (prefix) => `${prefix}-${(counter += 1)}`;

// A label over its control.
export function field(label, control, hint) {
  control.id ||= unique("field");
  const note = hint ? h("small", { id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div.field", {}, h("label", { for: control.id }, label), control, note);
}

export function select(options, chosen, given = {}) {
  return h(
    "select",
    given,
    options.map(([value, label]) => h("option", { value, selected: value === chosen }, label)),
  );
}

// Runs `work` with the button waiting; a second press meanwhile does nothing.
export async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}
