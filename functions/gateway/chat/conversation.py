"""The conversation at hand: a request beside what its session holds. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.chat.asking import in_context, leaning
from gateway.chat.economics import Prices
from gateway.chat.keeping import kept_text, kept_tokens
from gateway.chat.prompt import Item, Layout, last_user
from gateway.chat.threads import Spoken, aligned, hash_of
from gateway.chat.wire import INSTRUCTIONS, ChatRequest, Message, message_of, text_of
from gateway.memory.alignment import Alignment
from gateway.memory.growth import Loaded
from gateway.memory.heads import Head
from gateway.memory.recall import chunks
from gateway.memory.records import INSTANT_SECONDS, Record
from gateway.redaction.redactor import Redactor
from gateway.retrieval.base import Chunk, Passage
from gateway.retrieval.lexical import LexicalIndex
from gateway.tokens.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request beside what its session holds.

    `tokens` counts each of `messages`, `fixed_tokens` what is sent beside them; `ids` names the id
    of each of `said`, stored or yet to be. What was to be kept until `now` is sent no more.
    """

    owner: str
    messages: Sequence[Message]
    tokens: Sequence[int]
    fixed_tokens: int
    said: Sequence[Spoken]
    ids: Mapping[int, str]
    alignment: Alignment
    loaded: Loaded
    now: float = 0.0
    redactor: Redactor = field(default_factory=lambda: Redactor(enabled=False))
    prices: Prices | None = None
    unquoted: str = ""
    """The key of a session that nothing is quoted from."""


def conversation_of(
    owner: str,
    request: ChatRequest,
    tokens: Sequence[int],
    fixed_tokens: int,
    said: Sequence[Spoken],
    new_ids: Mapping[int, str],
    loaded: Loaded,
    now: float = 0.0,
    redactor: Redactor | None = None,
    prices: Prices | None = None,
) -> Conversation:
    """The request aligned with what was loaded; `new_ids` are for messages that are not stored."""
    alignment = aligned(said, loaded.head)
    ids = {**new_ids, **alignment.matched}
    messages = request.messages
    redactor = redactor or Redactor(enabled=False)
    return Conversation(
        owner, messages, tokens, fixed_tokens, said, ids, alignment, loaded, now, redactor, prices
    )


def held_elsewhere(conversation: Conversation) -> Conversation:
    """As it is where the upstream goes on from the session by itself: nothing of that is sent or
    quoted a second time. Its tokens count, for the upstream counts them."""
    loaded = conversation.loaded
    return replace(
        conversation,
        loaded=Loaded(loaded.owner, Head(session=loaded.head.session)),
        fixed_tokens=conversation.fixed_tokens + loaded.head.tokens,
        unquoted=loaded.head.key,
    )


def items_of(conversation: Conversation) -> list[Item]:
    """The conversation at hand: the client's messages, behind the session's recent ones when the
    client sends only what is new."""
    ids = {one.position: conversation.ids[i] for i, one in enumerate(conversation.said)}
    counted = zip(conversation.messages, conversation.tokens, strict=True)
    sent = [Item(message, tokens, ids.get(i)) for i, (message, tokens) in enumerate(counted)]
    if conversation.alignment.resent:
        return sent
    spoken_at = [i for i, item in enumerate(sent) if item.role not in INSTRUCTIONS]
    place = spoken_at[0] if spoken_at else len(sent)
    answered = {item.message.get("tool_call_id") for item in sent[place:]}
    branch = [one for one in conversation.loaded.head.branch() if one.alive(conversation.now)]
    history = _in_pairs(branch, answered)
    kept = [Item(message_of(record), record.tokens, record.id) for record in history]
    return [*sent[:place], *kept, *sent[place:]]


def tokens_before(conversation: Conversation, items: Sequence[Item]) -> int:
    """This session's history plus what was sent, verbatim, each message once."""
    head = conversation.loaded.head
    in_hand = {item.id for item in items if item.id}
    elsewhere = head.tokens - sum(
        entry.tokens for entry in head.log if entry.active and entry.id in in_hand
    )
    tokens = conversation.fixed_tokens + sum(item.tokens for item in items)
    return tokens + max(0, elsewhere)


def _in_pairs(records: Sequence[Record], answered_now: Collection[str | None]) -> list[Record]:
    """The records without tool calls that lack a reply and replies that lack their call.

    OpenAI's API refuses both. Calls are left unanswered by clients that hang up in the middle of a
    tool loop; `answered_now` are the calls that the request itself replies to.
    """
    replies = {record.extras.get("tool_call_id") for record in records} | set(answered_now)
    called: set[str] = set()
    kept = []
    for record in records:
        calls = [str(call.get("id")) for call in record.extras.get("tool_calls", ())]
        whole = not record.interrupted and all(call in replies for call in calls)
        paired = record.role != "tool" or record.extras.get("tool_call_id") in called
        if record.role not in INSTRUCTIONS and paired and (whole or not calls):
            called.update(calls)
            kept.append(record)
    return kept


def repeated_block(conversation: Conversation) -> str:
    """Inside a tool loop the turn's block is repeated byte for byte: no new recall.

    A tool's reply sent alone belongs to the latest question of the session.
    """
    head, place = conversation.loaded.head, last_user(conversation.messages)
    if place is not None:
        asked = hash_of(conversation.owner, conversation.messages[place])
    else:
        questions = (one.hash for one in reversed(head.log) if one.active and one.role == "user")
        asked = next(questions, "")
    return head.block["text"] if head.block.get("for") == asked else ""


def query_of(conversation: Conversation) -> str:
    """The last user message, behind what it needs of the turn before, be that sent or stored; as
    the ranker may see it."""
    place = last_user(conversation.messages)
    if place is None:
        return ""
    question = text_of(conversation.messages[place])
    if leaning(question) is not None:
        question = in_context(question, *_turn_before(conversation))
    return conversation.redactor.unlisted(question)


def _turn_before(conversation: Conversation) -> tuple[str, str]:
    """The user message before the last one, and the answer to it; empty where there is none."""
    messages = [item.message for item in items_of(conversation)]
    before = messages[: last_user(messages)]
    place = last_user(before)
    if place is None:
        return "", ""
    answers = (text_of(one) for one in before[place:] if one["role"] == "assistant")
    return text_of(before[place]), next(filter(None, answers), "")


def cut_index(conversation: Conversation, layout: Layout, now: float) -> LexicalIndex:
    """Messages cut out of the request that no memory holds yet, as chunks like remembered ones."""
    stored = set(conversation.alignment.matched.values())
    stored |= {record.id for record in conversation.loaded.head.branch()}
    runs: list[list[Passage]] = []
    for item in layout.cut:
        if not item.id or item.id in stored:
            continue
        if text := kept_text(item.message, conversation.redactor):
            if not runs or item.role == "user":
                runs.append([])
            session = conversation.loaded.head.key
            passage = Passage(item.id, session, item.role, text, item.tokens, now, dated=False)
            runs[-1].append(passage)
    return LexicalIndex([Chunk(tuple(passages)) for passages in runs])


def upcoming(conversation: Conversation, tokenizer: Tokenizer, now: float) -> list[Passage]:
    """The session's rankable messages as the next turn will recall them, but for the answer."""
    head = conversation.loaded.head
    kept = [passage for chunk in chunks(head.tail, now) for passage in chunk.passages]
    asked = []
    for i in conversation.alignment.new:
        message, role = conversation.said[i].message, conversation.said[i].role
        if text := kept_text(message, conversation.redactor):
            tokens = kept_tokens(message, conversation.redactor, tokenizer)
            at = now + i * INSTANT_SECONDS
            asked.append(Passage(conversation.ids[i], head.key, role, text, tokens, at))
    return [*kept, *asked]
