"""What a service may never have said: the secrets it was given, and what tests sent it.

Every line is one JSON object; a traceback is none. The loopback upstream begins each answer with
`echo: `, and clients of the tests send `COOKIE`: either in a log is a text that leaked.
"""

from collections.abc import Mapping

import orjson

COOKIE = "planted=biscuit-of-quokka-5518"
TEXTS = ("echo: ", COOKIE.partition("=")[2], "Traceback (most recent", "eyJ")
SECRETS = ("API_KEYS", "UPSTREAM_API_KEY", "MODAL_KEY", "MODAL_SECRET", "METRICS_TOKEN")


def planted(environment: Mapping[str, str]) -> set[str]:
    """The texts, and each secret of the environment; of `name:key` the key."""
    given = [environment.get(name, "") for name in SECRETS]
    entries = [entry for value in given for entry in value.split(",")]
    return {*TEXTS, *(entry.rpartition(":")[2] for entry in entries if entry)}


def leaks(log: str, environment: Mapping[str, str]) -> list[str]:
    """What stands in the log of a process and should not: canaries, and lines that are no JSON.

    A last line without its end is one that a kill cut off.
    """
    whole, _, _ = log.rpartition("\n")
    found = [canary for canary in sorted(planted(environment)) if canary in log]
    return found + [line for line in whole.splitlines() if line and not _is_object(line)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
