// Numbers and dates as this reader's language writes them.

const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const share = new Intl.NumberFormat(undefined, { style: "percent" });
const utc = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const utcShort = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const relative = new Intl.RelativeTimeFormat("en"); // within sentences of ours
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

export const count = (value) => number.format(value ?? 0);
export const compact = (value) => short.format(value ?? 0);
export const date = (seconds) => day.format(new Date(seconds * 1000));
export const moment = (seconds) => `${date(seconds)}, ${clock.format(new Date(seconds * 1000))}`;

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function when(seconds) {
  const then = new Date(seconds * 1000);
  return then.toDateString() === new Date().toDateString() ? clock.format(then) : date(seconds);
}

const MONEY = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" };

export function dollars(value) {
  if (value === null || value === undefined) return "–";
  const digits = value !== 0 && Math.abs(value) < 0.01 ? 6 : 2;
  return value.toLocaleString(undefined, { ...MONEY, minimumFractionDigits: 2, maximumFractionDigits: digits });
}

export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${tenths.format(milliseconds / 1000)} s`;
}

export function bytes(value) {
  if (value < 1024) return `${value} bytes`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(0)} kB`;
  return `${(value / 1024 / 1024).toFixed(1)} MB`;
}

export const percent = (value) => share.format(value);

// A UTC day such as 2026-11-21, long or short.
export const dayName = (name) => utc.format(new Date(`${name}T00:00:00Z`));
export const dayShort = (name) => utcShort.format(new Date(`${name}T00:00:00Z`));

// "in 40 seconds", "in 6 hours": the largest unit of which there is at least one and a half.
export function ahead(seconds) {
  const [unit, size] = UNITS.find(([, one]) => seconds >= 1.5 * one) ?? UNITS.at(-1);
  return relative.format(Math.max(1, Math.round(seconds / size)), unit);
}
