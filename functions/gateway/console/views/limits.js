// The limits and budgets that an identity or a key may have, in the service's names and in ours.
import { count, dollars } from "../format.js";

export const PER_MINUTE = [["requests_per_minute", "Requests a minute"], ["tokens_per_minute", "Tokens a minute"]];
export const BUDGETS = [["daily_tokens", "Tokens a day"], ["monthly_tokens", "Tokens a month"], ["daily_cost_usd", "Dollars a day"], ["monthly_cost_usd", "Dollars a month"]];
const SAID = [
  ["requests_per_minute", "requests a minute", count],
  ["tokens_per_minute", "tokens a minute", count],
  ["daily_tokens", "tokens a day", count],
  ["monthly_tokens", "tokens a month", count],
  ["daily_token_budget", "tokens a day", count],
  ["monthly_token_budget", "tokens a month", count],
  ["daily_cost_usd", "a day", dollars],
  ["monthly_cost_usd", "a month", dollars],
  ["daily_cost_budget_usd", "a day", dollars],
  ["monthly_cost_budget_usd", "a month", dollars],
];

// "60 requests a minute", "$2.00 a day": those there are. 0 is no limit, null says nothing.
export function limitWords(given) {
  return SAID.filter(([name]) => given[name]).map(([name, words, say]) => `${say(given[name])} ${words}`);
}
