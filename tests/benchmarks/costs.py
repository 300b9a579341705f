"""What an import costs: seconds and resident memory of each module, in fresh processes.

    python tests/benchmarks/costs.py [MODULE | MODULE:EXPRESSION ...]

An expression is run after the import, for libraries that load at first use. Without arguments: what
the function imports. A module that is not installed is said to be so, which lets alternatives be
compared in a throw-away environment.
"""

import subprocess
import sys

PROBE = """
import resource, sys, time
started = time.perf_counter()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
exec(sys.argv[1])
seconds = time.perf_counter() - started
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{seconds * 1000:9.1f} ms {(after - before) / 1024:8.1f} MiB")
"""

OURS = (
    "functions_framework.aio",
    "starlette.applications",
    "httpx",
    "orjson",
    "pydantic_settings",
    "google.auth.jwt",
    "rs_bpe.bpe:rs_bpe.bpe.openai.o200k_base().count('x')",
    "rs_bpe.bpe:rs_bpe.bpe.openai.cl100k_base().count('x')",
    "gateway.retrieval.lexical",
    "gateway.wiring.services",
    "main",
)


def cost(target: str) -> str:
    """Best of three: the first one also warms the file cache."""
    module, _, expression = target.partition(":")
    code = f"import {module}\n{expression}"
    runs = [
        subprocess.run([sys.executable, "-c", PROBE, code], capture_output=True, text=True)
        for _ in range(3)
    ]
    if runs[0].returncode:
        return f"   not measured: {runs[0].stderr.strip().splitlines()[-1]}"
    return min(run.stdout.rstrip() for run in runs)


def main() -> None:
    for target in sys.argv[1:] or OURS:
        print(f"{target.partition(':')[0]:28} {cost(target)}", flush=True)


if __name__ == "__main__":
    main()
