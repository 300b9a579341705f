"""What an upstream with prefix caching bills for a long conversation, sent in three ways.

    python tests/benchmarks/economics.py [--turns 100] [--dialogues FOLDER] [--only NAME]
        [--price NAME=PROMPT,CACHED[,LEAST,STEP]] [--discounts]

Sent are: the full history at every turn; what the gateway sends, with the list's prices as its
settings; and what it sends with a window that slides by one turn. Every turn of the gateway's is
the real one (`support/replays.py`), shared words rank. The upstream caches as its provider
documents: prefixes from LEAST tokens on, in steps of STEP, kept from turn to turn
(`support/prefix_cache.py`). Who comes back after its cache has gone pays as without one: read the
line of a provider that caches nothing.

Conversations: a made-up one, so that figures can be had with no data, and with labelled dialogues
(`dev/locomo.jsonl.gz`, `dev/beam.jsonl.gz`) in `MEMORY_OPS_DIALOGUES`, the first of each: short
messages between two people, and long answers of a model.

`--discounts` searches beside the price lists: what ours costs as the discount grows, and the
discount from which full history is cheaper than a window that never asks about prices.
"""

import argparse
import asyncio
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from gateway.chat.compression import CompressionOptions
from gateway.chat.economics import Prices
from support.prefix_cache import CacheRule, Encoded
from support.replays import (
    Replay,
    Script,
    billed,
    full_history,
    made_up,
    sliding_by_one,
    through_gateway,
)

SETS = ("locomo", "beam")
DISCOUNTS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 1.0)
FULL, OURS, SLIDING = "full history", "ours", "sliding by one"
SEEN = "2026-11-21"
MISSING = """no dialogues: the made-up conversation alone.
They are read from FOLDER/dev with MEMORY_OPS_DIALOGUES=FOLDER, or --dialogues FOLDER."""


@dataclass(frozen=True, slots=True)
class Provider:
    """`source` is where price and rule were read; dollars are for a million tokens."""

    name: str
    prices: Prices
    rule: CacheRule
    source: str


# As found on `SEEN`; only what an OpenAI-compatible endpoint does unasked. OpenAI's newest models
# also bill what they write to the cache, at 1.25 times the price: that is the price given here.
PROVIDERS = (
    Provider(
        "OpenAI gpt-4.1",
        Prices(2.00, 0.50, 8.00),
        CacheRule(1024, 128),
        "developers.openai.com/api/docs/pricing and /guides/prompt-caching",
    ),
    Provider(
        "OpenAI gpt-5.4",
        Prices(2.50, 0.25, 15.00),
        CacheRule(1024, 128),
        "the same, as morphllm.com/openai-api-pricing repeats it",
    ),
    Provider(
        "OpenAI gpt-6.1-sol",
        Prices(2.50, 0.10, 10.00),
        CacheRule(1024, 128),
        "the same, as github.com/TheKrush/PromptFuel v1.0.22 repeats it",
    ),
    Provider(
        "xAI grok-4.5",
        Prices(2.00, 0.50, 6.00),
        CacheRule(128, 128),
        "docs.x.ai/developers/advanced-api-usage/prompt-caching; price: docs.apiyi.com",
    ),
    Provider(
        "Groq gpt-oss-120b",
        Prices(0.15, 0.075, 0.60),
        CacheRule(1024, 128),
        "console.groq.com/docs/prompt-caching (half; least and step are taken from OpenAI's)",
    ),
    Provider(
        "Google gemini-2.5-flash",
        Prices(0.30, 0.03, 2.50),
        CacheRule(2048, 1),
        "ai.google.dev/gemini-api/docs/caching; price: deploybase.ai",
    ),
    Provider(
        "DeepSeek deepseek-flash",
        Prices(0.15, 0.003, 0.60),
        CacheRule(64, 64),
        "api-docs.deepseek.com/quick_start/pricing, off-peak",
    ),
    Provider(
        "Anthropic claude-sonnet-5",
        Prices(2.00, 2.00, 10.00),
        CacheRule(0, 0),
        "platform.claude.com/docs/en/api/openai-sdk: its OpenAI endpoint caches nothing",
    ),
)


def dialogues(folder: Path, turns: int) -> Iterator[Script]:
    for name in SETS:
        file = folder / "dev" / f"{name}.jsonl.gz"
        if file.exists():
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                row = json.loads(next(lines))
            yield Script(f"{name} {row['id']}", in_turns(row["messages"])[:turns])


def in_turns(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Questions with their answers; what one side says in several messages is one."""
    runs: list[tuple[str, str]] = []
    for message in messages:
        if runs and runs[-1][0] == message["role"]:
            runs[-1] = (message["role"], f"{runs[-1][1]}\n{message['text']}")
        elif runs or message["role"] == "user":
            runs.append((message["role"], message["text"]))
    texts = [text for _, text in runs]
    return list(zip(texts[::2], texts[1::2], strict=False))


async def replayed(
    script: Script, prices: Prices | None, rule: CacheRule, encoded: Encoded, *, sliding: bool
) -> Replay:
    window = sliding_by_one() if sliding else nullcontext()
    prices = prices and replace(prices, cached_from=rule.least)
    options = CompressionOptions(prices=prices)
    with tempfile.TemporaryDirectory() as folder, window:
        return await through_gateway(script, rule, encoded, Path(folder), options)


async def compared(script: Script, provider: Provider, encoded: Encoded) -> dict[str, Replay]:
    prices, rule = provider.prices, provider.rule
    return {
        FULL: full_history(script, rule, encoded),
        OURS: await replayed(script, prices, rule, encoded, sliding=False),
        SLIDING: await replayed(script, prices, rule, encoded, sliding=True),
    }


def print_compared(provider: Provider, replays: Mapping[str, Replay]) -> str | None:
    """Prints a line for each policy; returns what is to be said where ours is not the cheapest."""
    dollars = {name: replay.dollars(provider.prices) for name, replay in replays.items()}
    for name, replay in replays.items():
        total = replay.total
        mark = "  <- cheapest" if dollars[name] == min(dollars.values()) else ""
        label = provider.name if name == FULL else ""
        print(
            f"  {label:<26} {name:<15} {total.uncached:>9,} {total.cached:>10,}"
            f" {dollars[name]:>9.4f}{mark}"
        )
    if turn := cheapest_from(provider.prices, replays):
        print(f"  {'':<26} ours is cheapest from turn {turn} on")
    best = min(dollars, key=lambda name: (dollars[name], name != OURS))
    if best == OURS and dollars[OURS] < min(dollars[FULL], dollars[SLIDING]):
        return None
    if dollars[OURS] == dollars[best]:
        return f"{provider.name}: ours is no cheaper: no cut pays within these turns"
    return f"{provider.name}: ours costs {dollars[OURS] / dollars[best] - 1:.1%} more than {best}"


def cheapest_from(prices: Prices, replays: Mapping[str, Replay]) -> int | None:
    """The turn from which all said so far has cost least with ours, for good."""
    sums = {
        name: list(accumulate(prices.prompt_cost(one.prompt, one.cached) for one in replay.bills))
        for name, replay in replays.items()
    }
    found = None
    for turn, row in enumerate(zip(sums[OURS], sums[FULL], sums[SLIDING], strict=True), start=1):
        ours, *others = row
        found = (found or turn) if ours < min(others) else None
    return found


async def print_discounts(script: Script, rule: CacheRule, encoded: Encoded) -> None:
    """Dollars at a dollar a million tokens; the window that knows no prices is always cut."""
    blind = await replayed(script, None, rule, encoded, sliding=False)
    full = full_history(script, rule, encoded)
    more, less = full.total.cached - blind.total.cached, blind.total.uncached - full.total.uncached
    print(
        f"  discounts on {script.name}, prefixes from {rule.least} tokens in steps of {rule.step}"
    )
    if more > 0:
        print(f"    without prices, full history is cheaper from {1 - less / more:.1%} off")
    for discount in DISCOUNTS:
        prices = Prices(1.0, 1.0 - discount, 0.0)
        ours = await replayed(script, prices, rule, encoded, sliding=False)
        costs = full.dollars(prices), ours.dollars(prices), blind.dollars(prices)
        print(
            "    {:>4.0%} off: full {:.4f}, ours {:.4f}, without prices {:.4f}".format(
                discount, *costs
            )
        )


def without_cutting(script: Script, encoded: Encoded) -> int:
    """How many turns stay below the default of MEMORY_COMPRESS_ABOVE_TOKENS."""
    bills = billed(list(script.prompts()), CacheRule(0, 0), encoded)
    return sum(one.prompt <= CompressionOptions().compress_above_tokens for one in bills)


async def report(scripts: Sequence[Script], providers: Sequence[Provider], discounts: bool) -> None:
    encoded = Encoded()
    for script in scripts:
        print(f"\n{script.name}: {len(script.turns)} turns")
        print(f"  {'':<26} {'':<15} {'uncached':>9} {'cached':>10} {'dollars':>9}")
        verdicts = []
        for provider in providers:
            replays = await compared(script, provider, encoded)
            verdicts.append(print_compared(provider, replays))
        print("  not cheapest:")
        print(f"    turns 1 to {without_cutting(script, encoded)}: nothing is cut, ours is full")
        for verdict in filter(None, verdicts):
            print(f"    {verdict}")
        if discounts:
            await print_discounts(script, CacheRule(1024, 128), encoded)


def told(provider: Provider) -> str:
    prices, rule = provider.prices, provider.rule
    if not rule.step:
        return f"${prices.prompt:g} a million, nothing cached"
    off = 1 - prices.cached_prompt / prices.prompt
    steps = f"from {rule.least} tokens in steps of {rule.step}"
    return f"${prices.prompt:g} a million, {off:.0%} off what is cached {steps}"


def parse_price(text: str) -> Provider:
    """NAME=PROMPT,CACHED[,LEAST,STEP], in dollars for a million tokens."""
    name, _, numbers = text.partition("=")
    prompt, cached, *rule = numbers.split(",")
    least, step = (int(number) for number in rule) if rule else (1024, 128)
    return Provider(
        name, Prices(float(prompt), float(cached), 0.0), CacheRule(least, step), "given"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--dialogues", default=os.environ.get("MEMORY_OPS_DIALOGUES"))
    parser.add_argument("--only", help="providers whose name holds this")
    parser.add_argument("--price", type=parse_price, action="append", default=[])
    parser.add_argument("--discounts", action="store_true")
    return parser.parse_args()


def main() -> None:
    asked = parse()
    scripts = [made_up(asked.turns, 1, question_words=15, answer_words=100)]
    found = list(dialogues(Path(asked.dialogues), asked.turns)) if asked.dialogues else []
    if not found:
        print(MISSING)
    given = {one.name: one for one in asked.price}
    listed = [one for one in PROVIDERS if (asked.only or "") in one.name]
    providers = [*(one for one in listed if one.name not in given), *given.values()]
    print(f"Dollars for prompts alone, at list prices seen on {SEEN}:")
    for one in providers:
        print(f"  {one.name}: {told(one)}; {one.source}")
    asyncio.run(report([*scripts, *found], providers, asked.discounts))


if __name__ == "__main__":
    main()
