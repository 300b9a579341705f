"""Regex bombs: what patterns choke on, through everything that reads a stranger's text.

In a process of its own under a bound of CPU time, not of the clock: what is linear takes seconds
for all of it, what is quadratic in one of them minutes. `make fuzz` takes a megabyte of each.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONG = os.environ.get("FUZZ_TIMES", "1") != "1"
SIZE, CPU_SECONDS = (1_000_000, 120) if LONG else (100_000, 30)


@pytest.mark.timeout(0)
def test_anything_at_all_is_read_in_linear_time() -> None:
    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

    reading = subprocess.run(
        [sys.executable, Path(__file__).with_name("readers.py"), str(SIZE)],
        env={"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        preexec_fn=bounded,
    )
    begun = reading.stdout.splitlines()
    assert reading.returncode == 0, f"stopped in {begun[-1:]}: {reading.stderr[-2000:]}"
    assert len(begun) > 200
    assert begun[-1] == "whole"


@pytest.mark.parametrize("times", [1_000, 4_000])
def test_a_fence_of_empty_lines_is_refused_like_any_other_answer(times: int) -> None:
    """A pattern read these in the cube of their number: four thousand took a minute."""
    from gateway.consulting.answers import InvalidAnswer, Strict, parsed

    with pytest.raises(InvalidAnswer):
        parsed("```\n" + "\n" * times * 100 + "x", Strict)
