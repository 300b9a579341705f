"""Ports for servers that this process is about to start, each handed out once.

A port that the system finds free is free for the next who asks as well, until somebody listens:
two services started side by side could be given the same one. These lie below the range that
Linux uses for outgoing connections (32768 and up), so that no client takes one in between.
"""

import itertools
import socket
from random import SystemRandom

FIRST, LAST = 18_000, 32_000

_candidates = itertools.count(SystemRandom().randrange(FIRST, LAST))


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens and which was not handed out before."""
    for candidate in _candidates:
        port = FIRST + candidate % (LAST - FIRST)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the candidates never end")
