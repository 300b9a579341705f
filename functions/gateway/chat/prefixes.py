"""How much of a prompt the upstream has cached from the one before, and what that is worth. Pure.

`prices` are those of the model that is asked; None where nobody knows them.
"""

from collections.abc import Sequence

from gateway.chat.conversation import Conversation
from gateway.chat.economics import Billed, Prices, cut_pays
from gateway.chat.prompt import Item, Layout, carried_tokens, in_tool_loop, leading_tokens
from gateway.chat.wire import REPLY_PRIMING_TOKENS


def cached_uncut(layout: Layout, before: int, prices: Prices | None) -> int:
    """Of the session's whole history: all but the last answer and what followed it."""
    kept = carried_tokens(layout.kept, blocks=False)
    tokens = before - REPLY_PRIMING_TOKENS - layout.tokens + kept if kept else 0
    return _long_enough(tokens, prices)


def cached(conversation: Conversation, layout: Layout, block: int, prices: Prices | None) -> int:
    """What the session's last prompt and this one begin with, the upstream has cached."""
    head, fixed = conversation.loaded.head, conversation.fixed_tokens - REPLY_PRIMING_TOKENS
    looping = in_tool_loop(conversation.messages)
    moved = layout.moved and not looping
    if bool(head.usage.get("cut")) != bool(layout.cut) or (layout.cut and moved):
        carried = leading_tokens(layout)
    else:
        blocks = bool(block) or bool(head.block.get("text"))
        carried = carried_tokens(layout.kept, blocks=blocks and not looping)
        carried += block if looping else 0
    return _long_enough(fixed + carried if carried else 0, prices)


def outweighs_cut(
    conversation: Conversation,
    items: Sequence[Item],
    layout: Layout,
    prices: Prices | None,
    *,
    block: int,
    turns: int,
) -> bool:
    """Whether the prefix that the upstream has cached for this session outweighs the cut; `block`
    and `turns` as in `cut_pays`."""
    usage, fixed = conversation.loaded.head.usage, conversation.fixed_tokens
    found = int(usage.get("cached_tokens") or 0)
    if prices is None or not found or not layout.cut or usage.get("cut"):
        return False
    return not cut_pays(
        prices,
        whole=Billed(fixed + sum(item.tokens for item in items), found),
        window=Billed(fixed + layout.tokens, fixed + leading_tokens(layout)),
        block=block,
        turns=turns,
    )


def _long_enough(tokens: int, prices: Prices | None) -> int:
    """Of a prefix, what the upstream caches at all."""
    return tokens if prices is None or tokens >= prices.cached_from else 0
