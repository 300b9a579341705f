// Line drawings, 24 by 24. Decoration: the words are beside them or in a label.
import { svg } from "./dom.js";

const PATHS = {
  chat: "M4 5h16v11H9l-5 4z",
  memory: "M6 4h9l3 3v13H6zM9 10h6M9 14h6",
  usage: "M5 20V10M12 20V4M19 20v-7",
  key: "M14 10a4 4 0 1 1-1-3l7 7v3h-3v-3h-2v-2z",
  admin: "M12 3l7 3v6c0 4-3 7-7 9-4-2-7-5-7-9V6z",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  retry: "M19 8a8 8 0 1 0 1 6M19 3v5h-5",
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20 20",
  pencil: "M5 19l1-4L16 5l3 3L9 18z",
  trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10 11v5M14 11v5",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  restore: "M4 12a8 8 0 1 0 3-6M4 4v5h5",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M19 14a8 8 0 0 1-9-9 8 8 0 1 0 9 9z",
  person: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM5 20c1-4 4-6 7-6s6 2 7 6",
  down: "M6 9l6 6 6-6",
  link: "M10 6H6v12h12v-4M13 5h6v6M19 5l-9 9",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
  check: "M5 12l5 5 9-11",
};

export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] }),
  );
}
