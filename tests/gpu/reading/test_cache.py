"""What is kept between questions, for whom, how much of it and for how long."""

import pytest
import torch

from retriever.errors import TooLarge
from retriever.reading.cache import MOST_BEGUN_ALIKE, WindowCache, chained
from retriever.reading.reader import PassFailed
from retriever.reading.window import GROWTH_TOKENS, Shape, Window
from retriever_contract.wire import Chunk
from support.readers import OWNER, Clock, Desk, chunked, desk
from support.tiny_models import tiny_model

SHAPE = Shape(layers=2, kv_heads=2, head_dim=4, dtype=torch.float32, device="cpu")
ONE = GROWTH_TOKENS * SHAPE.bytes_per_token  # bytes of a small window
SEED = "someone"
TEXTS = ("user: a cat", "assistant: which one?", "user: the black one")


def window(*texts: str, tokens: int = 10, seed: str = SEED) -> Window:
    """Read, with `tokens` in all."""
    made = Window(SHAPE, [1] * tokens)
    for digest in chained(seed, texts):
        made.lay_out(digest, [])
    made.reserve(tokens)
    made.mark_read(tokens)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> WindowCache:
    return WindowCache(3 * ONE, 600.0, clock)


def has(cache: WindowCache, kept: Window, owner: str = "a", epoch: int = 0) -> bool:
    return cache.find(owner, epoch, kept.chain)[0] is kept


def test_a_window_is_found_by_how_it_begins(cache: WindowCache) -> None:
    kept = window("x", "y", "z")
    cache.keep("a", 0, kept)
    for texts, same in {"xyz": 3, "xyzw": 3, "xy": 2, "xqz": 1, "x": 1}.items():
        chain = chained(SEED, list(texts))
        assert cache.find("a", 0, chain) == (kept, same)
    assert cache.find("a", 0, chained(SEED, ["y"])) == (None, 0)


def test_a_chain_covers_whose_it_is_and_all_texts_before() -> None:
    chain = chained(SEED, ["x", "y"])
    assert chain[0] == chained(SEED, ["x"])[0]
    others = [("other", ["x", "y"]), (SEED, ["z", "y"]), (SEED, ["xy"]), (SEED, ["", "xy"])]
    assert len({chain[1], *(chained(*other)[-1] for other in others)}) == 5


def test_owners_and_epochs_are_apart(cache: WindowCache) -> None:
    kept = window("x")
    cache.keep("a", 1, kept)
    assert has(cache, kept, "a", 1)
    assert not has(cache, kept, "b", 1)
    assert not has(cache, kept, "a", 2)


def test_above_its_bytes_the_least_recently_used_goes(cache: WindowCache) -> None:
    kept = {text: window(text) for text in "wxyz"}
    for text in "wxy":
        cache.keep("a", 0, kept[text])
    cache.keep("a", 0, kept["w"])
    cache.keep("a", 0, kept["z"])
    cache.evict()
    assert [text for text in "wxyz" if has(cache, kept[text])] == ["w", "y", "z"]
    assert cache.bytes_kept == 3 * ONE
    assert cache.counts.evicted == 1


def test_what_is_being_read_is_not_the_oldest(cache: WindowCache) -> None:
    kept = {text: window(text) for text in "wxyz"}
    for one in kept.values():
        cache.keep("a", 0, one)
    cache.use(kept["w"])
    cache.evict()
    assert [text for text in "wxyz" if has(cache, kept[text])] == ["w", "y", "z"]


def test_what_would_free_nothing_stays(cache: WindowCache) -> None:
    unread, used = Window(SHAPE, [1]), window("x")
    unread.lay_out(b"unread", [])
    for one in (unread, used, window("y"), window("z"), window("w")):
        cache.keep("a", 0, one)
    cache.evict(in_use={used})
    assert has(cache, unread)
    assert has(cache, used)
    assert (len(cache), cache.bytes_kept) == (4, 3 * ONE)


def test_using_what_is_not_kept_keeps_nothing(cache: WindowCache) -> None:
    cache.use(window("x"))
    assert len(cache) == 0


def test_growth_counts(cache: WindowCache) -> None:
    first, second = window("x"), window("y")
    cache.keep("a", 0, first)
    cache.keep("a", 0, second)
    second.reserve(3 * GROWTH_TOKENS)
    assert cache.bytes_kept == 4 * ONE
    cache.evict()
    assert not has(cache, first)
    assert has(cache, second)


def test_the_last_placed_stays_though_it_is_too_big(cache: WindowCache) -> None:
    small, big = window("x"), window("y", tokens=9 * GROWTH_TOKENS)
    cache.keep("a", 0, small)
    cache.keep("a", 0, big)
    cache.evict()
    assert has(cache, big)
    assert len(cache) == 1


def test_windows_that_begin_alike_live_side_by_side(cache: WindowCache) -> None:
    short, first, second = window("x"), window("x", "y"), window("x", "z", "w")
    for one in (first, second, short):
        cache.keep("a", 0, one)
    assert len(cache) == 3
    for texts, found in {
        "xy": (first, 2),
        "xyq": (first, 2),
        "xzw": (second, 3),
        "xz": (second, 2),
        "x": (short, 1),
        "xq": (short, 1),
    }.items():
        assert cache.find("a", 0, chained(SEED, list(texts))) == found
    cache.drop(first)
    assert cache.find("a", 0, first.chain) == (short, 1)


def test_of_too_many_that_begin_alike_the_least_recently_used_goes(cache: WindowCache) -> None:
    alike = [window("x", str(number)) for number in range(MOST_BEGUN_ALIKE + 1)]
    for one in alike[:-1]:
        cache.keep("a", 0, one)
    cache.use(alike[0])
    cache.keep("a", 0, alike[-1])
    assert [has(cache, one) for one in alike] == [True, False, *[True] * (MOST_BEGUN_ALIKE - 1)]


def test_a_window_kept_again_is_kept_once(cache: WindowCache) -> None:
    one = window("x")
    cache.keep("a", 0, one)
    cache.keep("a", 0, one)
    cache.drop(one)
    assert not has(cache, one)
    assert len(cache) == 0


def test_room_is_made_for_what_is_coming(cache: WindowCache) -> None:
    kept = [window(text) for text in "xyz"]
    for one in kept:
        cache.keep("a", 0, one)
    cache.evict(in_use={kept[0]}, coming=ONE)
    assert [has(cache, one) for one in kept] == [True, False, True]


def test_what_is_evicted_takes_no_room_whoever_has_it(cache: WindowCache) -> None:
    old = window("x")
    for one in (old, *map(window, "yzw")):
        cache.keep("a", 0, one)
    cache.evict()
    assert (old.bytes_taken, old.length) == (0, 0)


def test_what_is_awaited_gives_its_room_back_and_is_found(cache: WindowCache) -> None:
    awaited = window("x")
    for one in (awaited, *map(window, "yzw")):
        cache.keep("a", 0, one)
    cache.evict(awaited={awaited})
    assert has(cache, awaited)
    assert (awaited.bytes_taken, cache.bytes_kept) == (0, 3 * ONE)


def test_what_is_idle_is_not_found_and_goes(cache: WindowCache, clock: Clock) -> None:
    old, new = window("x"), window("y")
    cache.keep("a", 0, old)
    clock.now = 300.0
    cache.keep("a", 0, new)
    clock.now = 600.0
    assert not has(cache, old)
    assert has(cache, new)
    cache.evict()
    assert len(cache) == 1
    assert cache.counts.evicted == 0


def test_the_last_one_goes_too_when_it_is_idle(cache: WindowCache, clock: Clock) -> None:
    cache.keep("a", 0, window("x"))
    clock.now = 600.0
    cache.evict()
    assert (len(cache), cache.bytes_kept) == (0, 0)


def test_use_puts_off_the_idle_end(cache: WindowCache, clock: Clock) -> None:
    kept = window("x")
    cache.keep("a", 0, kept)
    clock.now = 599.0
    cache.use(kept)
    clock.now = 1198.0
    assert has(cache, kept)


def test_forgetting_takes_all_of_one_owner_and_nothing_else(cache: WindowCache) -> None:
    theirs = window("y")
    cache.keep("a", 0, window("x"))
    cache.keep("a", 1, window("x"))
    cache.keep("a", 1, window("z"))
    cache.keep("b", 0, theirs)
    assert cache.forget("a") == 3
    assert cache.forget("a") == 0
    assert has(cache, theirs, "b")
    assert len(cache) == 1


def test_a_dropped_window_is_not_found(cache: WindowCache) -> None:
    good, bad = window("x"), window("y")
    cache.keep("a", 0, good)
    cache.keep("a", 0, bad)
    cache.drop(bad)
    cache.drop(bad)
    assert has(cache, good)
    assert not has(cache, bad)


# In use, behind a reader


@pytest.fixture
def llama() -> Desk:
    return desk(tiny_model("llama", seed=3))


def test_a_window_that_grew_is_read_from_its_growth_on(llama: Desk) -> None:
    llama.rank(TEXTS[:2], "cat?")
    read = llama.reader.cache.counts.tokens_read
    job = llama.begin(TEXTS, "cat?")
    llama.finish(job)
    assert job.tokens_cached == read
    assert llama.reader.cache.counts.tokens_read == job.tokens > read


def test_a_question_of_a_memory_that_was_read_reads_nothing(llama: Desk) -> None:
    llama.rank(TEXTS, "cat?")
    read = llama.reader.cache.counts.tokens_read
    job = llama.begin(TEXTS, "dog?")
    assert job.unread == []
    llama.finish(job)
    assert llama.reader.cache.counts.tokens_read == read
    assert job.tokens_cached == job.tokens == read


def test_what_takes_long_to_read_is_not_idle_meanwhile(llama: Desk) -> None:
    job = llama.begin(TEXTS, "cat?")
    passes = 0
    while not job.is_done:
        llama.reader.step([job])
        llama.clock.now += 400.0
        passes += 1
    assert passes > 2
    assert llama.begin(TEXTS, "cat?").tokens_cached == job.tokens


def test_memory_evicted_before_it_is_asked_again_is_read_again(llama: Desk) -> None:
    first = llama.rank(TEXTS, "cat?")
    llama.clock.now += 600.0
    assert llama.rank(TEXTS, "cat?")[0] == pytest.approx(first[0], abs=1e-6)
    assert llama.reader.cache.counts.misses == 2


def test_what_is_kept_is_bounded_and_scores_do_not_depend_on_it() -> None:
    model = tiny_model("llama", seed=3)
    roomy = desk(model)
    shape = roomy.begin(TEXTS).parts[0].window
    tight = desk(model, max_bytes=2 * shape.bytes_with(0))
    for number in range(5):
        owner = str(number) * 16
        wanted = roomy.rank(TEXTS, "cat?", owner=owner)[0]
        assert tight.rank(TEXTS, "cat?", owner=owner)[0] == pytest.approx(wanted, abs=1e-6)
        tight.reader.cache.evict()
    assert len(tight.reader.cache) == 2
    assert tight.reader.cache.counts.evicted == 3


def test_new_ids_for_what_was_said_long_ago_change_nothing(llama: Desk) -> None:
    llama.rank(TEXTS, "cat?")
    renamed = [Chunk(id=f"other-{number}", text=text) for number, text in enumerate(TEXTS)]
    job = llama.reader.begin(OWNER, 0, [renamed], ["cat?"])
    assert (job.unread, job.tokens_cached) == ([], job.tokens)


def test_two_conversations_that_open_with_the_same_words_are_both_kept(llama: Desk) -> None:
    hello = "user: hello"
    memories = [(hello, *TEXTS), (hello, *TEXTS[::-1])]
    for texts in memories:
        llama.rank(texts, "cat?")
    llama.rank([hello], "cat?")
    for texts in memories:
        assert llama.begin(texts, "cat?").unread == []


def test_a_memory_that_is_shorter_than_the_one_kept_has_it_cut(llama: Desk) -> None:
    """What was deleted goes at once; nothing is copied and nothing read."""
    llama.rank(TEXTS, "cat?")
    read, taken = llama.reader.cache.counts.tokens_read, llama.reader.cache.bytes_kept
    job = llama.begin(TEXTS[:2], "cat?")
    (part,) = job.parts
    assert (len(part.window.chain), job.unread, job.tokens_cached) == (2, [], job.tokens)
    llama.finish(job)
    assert (len(llama.reader.cache), llama.reader.cache.bytes_kept) == (1, taken)
    assert llama.reader.cache.counts.tokens_read == read


def test_a_window_that_another_reads_is_asked_about_its_beginning(llama: Desk) -> None:
    """Nothing is cut under it, nothing copied, and the longer one stays."""
    longer = llama.begin(TEXTS, "cat?")
    shorter = llama.begin(TEXTS[:2], "cat?")
    assert longer.parts[0].window is shorter.parts[0].window
    llama.finish(longer, shorter)
    again = llama.begin(TEXTS[:2], "dog?")
    llama.finish(again)
    assert again.parts[0].window is longer.parts[0].window
    assert len(llama.reader.cache) == 1
    assert llama.begin(TEXTS, "dog?").unread == []
    assert llama.reader.cache.counts.tokens_read == longer.tokens


def test_a_small_beginning_of_a_window_cuts_nothing_off(llama: Desk) -> None:
    """It is some other conversation's, as likely as not."""
    texts = ("user: hi", *TEXTS)
    llama.rank(texts, "cat?")
    llama.rank(texts[:1], "cat?")
    assert llama.begin(texts, "cat?").unread == []


def test_what_a_window_has_become_takes_its_place(llama: Desk) -> None:
    llama.rank(TEXTS, "cat?")
    edited = (*TEXTS[:2], "user: the white one")
    job = llama.begin(edited, "cat?")
    assert 0 < job.tokens_cached < job.tokens
    assert llama.reader.cache.bytes_kept == job.parts[0].window.bytes_with(0)  # the old one's
    llama.finish(job)
    assert len(llama.reader.cache) == 1
    assert llama.reader.cache.bytes_kept == job.parts[0].window.bytes_taken


def test_windows_of_one_request_that_go_apart_are_both_kept(llama: Desk) -> None:
    llama.rank(TEXTS[:2], "cat?")
    both = [(*TEXTS[:2], "user: this"), (*TEXTS[:2], "user: that")]
    llama.rank(both, "cat?")
    assert llama.begin(both, "dog?").unread == []


def test_too_large_a_memory_leaves_what_is_kept(llama: Desk) -> None:
    llama.rank(TEXTS, "cat?")
    kept = llama.reader.cache.bytes_kept
    huge = [(*TEXTS, "user: " + "and so on " * 300), TEXTS[:1]]
    with pytest.raises(TooLarge):
        llama.reader.begin(OWNER, 0, chunked(huge), ["cat?"], max_bytes=2 * kept)
    assert llama.reader.cache.bytes_kept == kept
    job = llama.begin(TEXTS, "dog?")
    assert job.unread == job.parts[1:] == []
    assert job.parts[0].window.baseline is not None


def test_a_copy_that_finds_no_room_fails_its_own_window(
    llama: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    llama.rank(TEXTS, "cat?")
    edited, other = llama.begin((*TEXTS[:2], "no"), "cat?"), llama.begin(TEXTS, owner="b" * 16)

    def full(_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    with monkeypatch.context() as broke:
        broke.setattr(Window, "take_over", full)
        with pytest.raises(PassFailed) as failed:
            llama.reader.step([edited, other])
    assert edited.needs(failed.value.windows)
    assert not other.needs(failed.value.windows)
    llama.finish(other)
    assert llama.begin(TEXTS, "cat?").unread == []
