"""What the fast path costs: counted while it runs, equal to the closed form to the last FLOP."""

from collections.abc import Sequence

import pytest

from gpu.flops import ClosedForm, Suffix, count, largest_tensor
from retriever.reading.jobs import Job
from support.readers import HEADS, Desk, desk
from support.tiny_models import FAMILIES, Family, tiny_model

QUERY = "where does the cat sleep?"
TURN = "user: the cat sleeps on the warm stove in winter, and where in summer? " * 3
MEMORY = [f"{number} {TURN}" for number in range(3)]


@pytest.fixture
def llama() -> Desk:
    return desk(tiny_model("llama"))


def form_of(desk: Desk) -> ClosedForm:
    return ClosedForm.of(desk.model.config, HEADS)


def suffix_of(desk: Desk, query: str = QUERY) -> Suffix:
    prompt = desk.prompt
    return Suffix(len(prompt.stem), len(prompt.tail(query)), len(prompt.null_tail))


def flops(desk: Desk, job: Job) -> int:
    return count(lambda: desk.finish(job))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pass_rows", [64, 100_000])
def test_a_cold_question_costs_the_closed_form(family: Family, pass_rows: int) -> None:
    """However many passes it is read in."""
    cold = desk(tiny_model(family), pass_rows=pass_rows)
    job = cold.begin(MEMORY, QUERY)
    assert flops(cold, job) == form_of(cold).cold(job.tokens, suffix_of(cold))


def test_one_more_turn_costs_itself_and_the_question(llama: Desk) -> None:
    before = llama.begin(MEMORY, QUERY)
    llama.finish(before)
    job = llama.begin([*MEMORY, TURN], QUERY)
    new = job.tokens - before.tokens
    assert new > 100
    assert flops(llama, job) == form_of(llama).appended(before.tokens, new, suffix_of(llama))


def test_a_repeated_question_costs_its_tail(llama: Desk) -> None:
    llama.rank(MEMORY, QUERY)
    for query in (QUERY, "and the dog?", QUERY):
        job = llama.begin(MEMORY, query)
        wanted = form_of(llama).repeated(job.tokens, suffix_of(llama, query))
        assert flops(llama, job) == wanted


def test_a_prefilled_memory_costs_its_first_question_a_tail(llama: Desk) -> None:
    llama.finish(llama.begin(MEMORY))
    job = llama.begin(MEMORY, QUERY)
    assert flops(llama, job) == form_of(llama).repeated(job.tokens, suffix_of(llama))


def test_a_prefill_costs_reading_and_the_null_query(llama: Desk) -> None:
    job = llama.begin(MEMORY)
    form, suffix = form_of(llama), suffix_of(llama)
    null = Suffix(suffix.stem, suffix.null_tail, 0)
    assert flops(llama, job) == form.cold(job.tokens, null)


def test_several_windows_cost_the_sum_of_each(llama: Desk) -> None:
    parts = [MEMORY[:1], MEMORY[1:]]
    job = llama.begin(parts, QUERY)
    sizes = [part.window.tokens for part in job.parts]
    form, suffix = form_of(llama), suffix_of(llama)
    assert len(sizes) == 2
    assert flops(llama, job) == sum(form.cold(size, suffix) for size in sizes)


def test_a_window_that_went_on_differently_costs_what_differs(llama: Desk) -> None:
    llama.rank([*MEMORY, TURN], QUERY)
    job = llama.begin([*MEMORY, "user: another turn"], QUERY)
    shared = job.tokens_cached
    assert shared > 100
    wanted = form_of(llama).appended(shared, job.tokens - shared, suffix_of(llama))
    assert flops(llama, job) == wanted


def test_a_window_cut_costs_its_question(llama: Desk) -> None:
    llama.rank([*MEMORY, TURN], QUERY)
    job = llama.begin(MEMORY, QUERY)
    assert flops(llama, job) == form_of(llama).appended(job.tokens, 0, suffix_of(llama))


def test_two_callers_in_one_pass_cost_the_sum_of_each(llama: Desk) -> None:
    jobs = [llama.begin(MEMORY, QUERY, owner=letter * 16) for letter in "ab"]
    alone = form_of(llama).cold(jobs[0].tokens, suffix_of(llama))
    assert count(lambda: llama.finish(*jobs)) == 2 * alone


def test_what_is_done_costs_nothing(llama: Desk) -> None:
    job = llama.begin(MEMORY, QUERY)
    llama.finish(job)
    assert count(lambda: llama.reader.step([job])) == 0


def largest(texts: Sequence[str], pass_rows: int) -> tuple[int, int]:
    """Elements of the largest tensor made while `texts` are read and asked about, and tokens."""
    fresh = desk(tiny_model("llama"), pass_rows=pass_rows)
    job = fresh.begin(texts, QUERY)
    return largest_tensor(lambda: fresh.finish(job)), job.tokens


@pytest.mark.parametrize("pass_rows", [64, 100_000])
def test_the_largest_tensor_grows_with_the_tokens_not_with_their_square(pass_rows: int) -> None:
    one, tokens = largest(MEMORY * 3, pass_rows)
    two, more = largest(MEMORY * 6, pass_rows)
    assert more > 1.9 * tokens
    assert two <= 2.1 * one
    assert two < more * more / 4


def test_reading_on_moves_nothing_that_was_read() -> None:
    """All room is made when the first of it is needed."""
    fresh = desk(tiny_model("llama"), pass_rows=64)
    job = fresh.begin(MEMORY, QUERY)
    window = job.parts[0].window
    fresh.reader.step([job])
    places = [kept.data_ptr() for kept in (*window.keys, *window.values)]
    while job.unread:
        fresh.reader.step([job])
    assert [kept.data_ptr() for kept in (*window.keys, *window.values)] == places


def test_cached_bytes_are_the_closed_forms(llama: Desk) -> None:
    job = llama.begin(MEMORY, QUERY)
    llama.finish(job)
    form = form_of(llama)
    a_token = (2 * form.deepest_layer + 1) * form.kv_heads * form.head_dim * 4
    rows = sum((suffix_of(llama).stem, suffix_of(llama).tail, suffix_of(llama).null_tail))
    rounded = -(-(job.tokens + rows) // 256) * 256
    assert llama.reader.cache.bytes_kept == rounded * a_token
