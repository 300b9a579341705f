// Markdown of a model, which may be hostile, as elements that can do no harm: parsed by marked,
// sanitised by DOMPurify into a fragment. No picture, style, form or frame: a picture's address
// would tell its host what was said here.
import { Marked } from "./vendor/marked.js";
import DOMPurify from "./vendor/purify.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { notice } from "./notice.js";

const marked = new Marked({ gfm: true, breaks: true });
const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

marked.use({
  renderer: {
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || "picture")}</a>`,
    html: ({ text }) => escaped(text),
  },
});

export function rendered(text) {
  const fragment = DOMPurify.sanitize(marked.parse(text), ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    if (!link.href) {
      link.replaceWith(...link.childNodes); // its address was no web page's
      continue;
    }
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = h("div.scrolls", { tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const block of fragment.querySelectorAll("pre")) framed(block);
  lowered(fragment);
  return fragment;
}

// The page has its own h1 and h2.
function lowered(fragment) {
  for (const heading of fragment.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const level = Math.min(6, Number(heading.tagName[1]) + 2);
    const lower = document.createElement(`h${level}`);
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
}

function framed(block) {
  const frame = h("div.code");
  block.replaceWith(frame);
  block.tabIndex = 0;
  block.setAttribute("role", "group");
  block.setAttribute("aria-label", "Code");
  frame.append(block, copying(() => block.textContent));
}

export function copying(text, label = "Copy") {
  const button = h("button.copy", { type: "button" }, icon("copy"), h("span", {}, label));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    notice("Copied.");
  });
  return button;
}

function escaped(text) {
  const holder = document.createElement("span");
  holder.textContent = text;
  return holder.innerHTML.replaceAll('"', "&quot;");
}
