// Light, dark, or as the system says. A choice of this browser, nothing of the person's.

const KEY = "theme";
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

export function applyTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen) document.documentElement.dataset.theme = chosen;
}

export const isDark = () => (document.documentElement.dataset.theme ?? (dark() ? "dark" : "light")) === "dark";

export function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem(KEY, next);
  return next;
}
