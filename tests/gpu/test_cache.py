"""What is kept between questions, for whom, how much of it and for how long."""

import pytest
import torch

from retriever.cache import WindowCache, chained
from retriever.window import GROWTH_TOKENS, Shape, Window
from retriever_contract.wire import Chunk
from support.readers import Clock, Desk, desk
from support.tiny_models import tiny_model

SHAPE = Shape(layers=2, kv_heads=2, head_dim=4, dtype=torch.float32, device="cpu")
ONE = GROWTH_TOKENS * SHAPE.bytes_per_token  # bytes of a small window
SEED = "someone"
TEXTS = ("user: a cat", "assistant: which one?", "user: the black one")


def chunk(text: str, id: str = "c") -> Chunk:
    return Chunk(id=id, text=text)


def window(*texts: str, tokens: int = 10, seed: str = SEED) -> Window:
    """Read, with `tokens` in all."""
    made = Window(SHAPE, [1] * tokens)
    for digest in chained(seed, [chunk(text) for text in texts]):
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
        chain = chained(SEED, [chunk(text) for text in texts])
        assert cache.find("a", 0, chain) == (kept, same)
    assert cache.find("a", 0, chained(SEED, [chunk("y")])) == (None, 0)


def test_a_chain_covers_ids_texts_and_all_before() -> None:
    chain = chained(SEED, [chunk("x"), chunk("y")])
    assert chain[0] == chained(SEED, [chunk("x")])[0]
    others = [
        chained("other", [chunk("x"), chunk("y")]),
        chained(SEED, [chunk("z"), chunk("y")]),
        chained(SEED, [chunk("x", id="d"), chunk("y")]),
    ]
    assert len({chain[1], *(other[1] for other in others)}) == 4


def test_an_id_and_a_text_are_not_taken_for_each_other() -> None:
    for between in ("", " ", "\0", "1 "):
        one, other = chunk(f"y{between}z", id="x"), chunk("z", id=f"x{between}y")
        assert chained(SEED, [one]) != chained(SEED, [other])
        assert chained(SEED, [chunk(f"y{between}z")]) != chained(
            SEED, [chunk("z", id=f"cy{between}")]
        )


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


def test_another_that_begins_alike_takes_the_place(cache: WindowCache) -> None:
    first, second = window("x", "y"), window("x", "z")
    cache.keep("a", 0, first)
    cache.keep("a", 0, second)
    assert len(cache) == 1
    assert cache.find("a", 0, first.chain) == (second, 1)


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
