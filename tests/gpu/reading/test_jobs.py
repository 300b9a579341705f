"""What is left to do of a job, also when another shares its windows or its caller has gone."""

import pytest

from retriever.reading.jobs import Job, tokens_to_read
from retriever.reading.reader import PassFailed
from retriever.reading.window import GROWTH_TOKENS
from support.readers import Desk, desk
from support.tiny_models import tiny_model

TEXTS = ("user: a cat sleeps", "assistant: which one?", "user: the black one")
OTHERS = ("user: my bicycle is red", "assistant: and fast?")


@pytest.fixture
def llama() -> Desk:
    return desk(tiny_model("llama", seed=3))


def read(desk: Desk, *jobs: Job) -> int:
    """Passes until nothing is unread."""
    passes = 0
    while any(job.unread for job in jobs):
        desk.reader.step(jobs)
        passes += 1
    return passes


def test_a_job_goes_from_unread_to_unasked_to_done(llama: Desk) -> None:
    job = llama.begin(TEXTS, "cat?")
    assert (len(job.unread), len(job.unasked), job.is_done) == (1, 0, False)
    assert read(llama, job) > 1
    assert (len(job.unread), len(job.unasked), job.is_done) == (0, 1, False)
    llama.reader.step([job])
    assert (len(job.unread), len(job.unasked), job.is_done) == (0, 0, True)
    assert [len(scores) for scores in job.scores()] == [len(TEXTS)]


def test_a_job_of_nothing_is_done(llama: Desk) -> None:
    assert llama.begin([], "cat?", "dog?").is_done
    assert llama.begin([], "cat?", "dog?").scores() == [[], []]


def test_steps_of_what_is_done_change_nothing(llama: Desk) -> None:
    job = llama.begin(TEXTS, "cat?")
    llama.finish(job)
    scores = job.scores()
    llama.reader.step([job])
    llama.reader.step([])
    assert job.scores() == scores


def test_a_job_without_queries_ends_with_a_baseline(llama: Desk) -> None:
    job = llama.begin(TEXTS)
    llama.finish(job)
    assert job.scores() == []
    assert job.parts[0].window.baseline is not None
    again = llama.begin(TEXTS)
    assert again.is_done


def test_an_abandoned_job_still_makes_its_windows_ready(llama: Desk) -> None:
    job = llama.begin([TEXTS, OTHERS], "cat?")
    llama.reader.step([job])
    job.abandon()
    llama.finish(job)
    assert all(part.window.baseline is not None for part in job.parts)
    assert llama.begin([TEXTS, OTHERS]).is_done


def test_a_job_abandoned_between_its_windows_ends(llama: Desk) -> None:
    job = llama.begin([TEXTS, OTHERS], "cat?")
    while all(part.scores is None for part in job.parts):
        llama.reader.step([job])
    job.abandon()
    llama.finish(job)
    assert job.is_done
    assert job.scores() == []


def test_an_abandoned_job_does_not_wait_for_a_window_that_grew(llama: Desk) -> None:
    first = llama.begin(TEXTS[:1], "cat?")
    read(llama, first)
    second = llama.begin(TEXTS, "cat?")
    assert first.parts[0].window is second.parts[0].window
    first.abandon()
    assert first.is_done
    assert not second.is_done


def test_tokens_are_those_of_its_own_chunks(llama: Desk) -> None:
    first = llama.begin(TEXTS[:1], "cat?")
    tokens = first.tokens
    second = llama.begin(TEXTS, "cat?")
    assert second.tokens > tokens
    assert first.tokens == tokens == first.parts[0].window.ends_after(1)[-1]


def test_what_was_found_read_is_known_before_the_rest_is_read(llama: Desk) -> None:
    first = llama.begin(TEXTS[:2], "cat?")
    llama.finish(first)
    second = llama.begin(TEXTS, "cat?")
    assert second.tokens_cached == first.tokens
    assert second.unread


def test_one_window_asked_by_two_callers_is_read_once_and_asked_in_turn(llama: Desk) -> None:
    jobs = [llama.begin(TEXTS, "cat?"), llama.begin(TEXTS, "bicycle?")]
    assert jobs[0].parts[0].window is jobs[1].parts[0].window
    read(llama, *jobs)
    assert llama.reader.cache.counts.tokens_read == jobs[0].tokens
    llama.reader.step(jobs)
    assert [job.is_done for job in jobs] == [True, False]
    llama.reader.step(jobs)
    assert [job.is_done for job in jobs] == [True, True]
    lone = desk(llama.model)
    assert jobs[0].scores()[0] == pytest.approx(lone.rank(TEXTS, "cat?")[0], abs=1e-6)
    assert jobs[1].scores()[0] == pytest.approx(lone.rank(TEXTS, "bicycle?")[0], abs=1e-6)


def test_questions_of_two_callers_are_asked_in_one_step(llama: Desk) -> None:
    jobs = [llama.begin(TEXTS, "cat?"), llama.begin(OTHERS, "red?", owner="b" * 16)]
    read(llama, *jobs)
    llama.reader.step(jobs)
    assert all(job.is_done for job in jobs)


def test_a_part_knows_whether_its_window_has_more(llama: Desk) -> None:
    shorter = llama.begin(TEXTS[:1]).parts[0]
    assert shorter.is_whole
    longer = llama.begin(TEXTS).parts[0]
    assert longer.window is shorter.window
    assert (shorter.is_whole, longer.is_whole) == (False, True)
    assert shorter.ends == longer.ends[:2]
    assert shorter.tokens == longer.ends[1]


def test_what_jobs_share_is_read_once_and_takes_its_room_once(llama: Desk) -> None:
    first, second = llama.begin(TEXTS[:2], "cat?"), llama.begin(TEXTS, "cat?")
    other = llama.begin(OTHERS, "red?", owner="b" * 16)
    assert tokens_to_read([first, second]) == tokens_to_read([second]) == second.tokens
    assert tokens_to_read([first, second, other]) == second.tokens + other.tokens
    sizes = [llama.reader.bytes_of(job) for job in (second, other)]
    assert llama.reader.bytes_of(second, second, other) == sum(sizes)
    beside = llama.reader.bytes_of(first, second) - sizes[0]  # rows behind a stem that stands
    assert 0 <= beside <= GROWTH_TOKENS * llama.reader.bytes_per_token
    llama.finish(first, second, other)
    assert tokens_to_read([first, second, other]) == 0


def test_a_job_covers_what_it_reads_all_of(llama: Desk) -> None:
    first, second = llama.begin(TEXTS[:2]), llama.begin([TEXTS, OTHERS])
    other = llama.begin(OTHERS, owner="b" * 16)
    assert second.covers(first)
    assert not first.covers(second)
    assert not second.covers(other)
    assert other.covers(llama.begin([], owner="b" * 16))


def test_a_failed_pass_names_its_windows_and_drops_them(
    llama: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = llama.begin(OTHERS, "red?"), llama.begin(TEXTS, "cat?")
    llama.finish(good)
    error = RuntimeError("no room")

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(llama.reader._decoder, "run", broken)
    with pytest.raises(PassFailed) as failed:
        llama.reader.step([good, bad])
    assert failed.value.__cause__ is error
    assert failed.value.windows == [bad.parts[0].window]
    assert bad.needs(failed.value.windows)
    assert not good.needs(failed.value.windows)
    assert len(llama.reader.cache) == 1


def test_bytes_are_known_before_anything_is_read(llama: Desk) -> None:
    job = llama.begin([TEXTS, OTHERS], "cat?")
    needed = llama.reader.bytes_of(job)
    assert llama.reader.cache.bytes_kept == 0
    llama.finish(job)
    assert llama.reader.cache.bytes_kept == needed
