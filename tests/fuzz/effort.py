"""How long the fuzzers run: a bounded, repeatable part in `make test`, as much as wanted in
`make fuzz FUZZ_TIMES=50`, which draws anew each time."""

import os

from hypothesis import HealthCheck, Phase, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def effort(examples: int, steps: int = 50) -> settings:
    """`steps`: of each example of a state machine."""
    times = int(os.environ.get("FUZZ_TIMES", "1"))
    return settings(
        max_examples=examples * times,
        derandomize=times == 1,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=(*SLOW, HealthCheck.function_scoped_fixture),
        stateful_step_count=steps,
    )
