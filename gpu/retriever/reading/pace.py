"""How fast the model has been lately, and how long what is ahead of somebody will take. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from retriever.reading.jobs import Job, tokens_to_read

MEMORY_OF_PACE = 0.9  # how much a pass's figures count when the next one has been


@dataclass(slots=True)
class Pace:
    """Tokens read, or characters embedded, in so many seconds: an exponential average over
    passes."""

    size: float = 0.0
    seconds: float = 0.0

    def note(self, size: int, seconds: float) -> None:
        if size > 0:
            self.size = MEMORY_OF_PACE * self.size + size
            self.seconds = MEMORY_OF_PACE * self.seconds + seconds

    def seconds_for(self, size: int) -> float:
        """0, as long as nothing was measured."""
        return size * self.seconds / self.size if self.size else 0.0


@dataclass(slots=True)
class Paces:
    """Of both kinds of passes."""

    reading: Pace = field(default_factory=Pace)
    embedding: Pace = field(default_factory=Pace)

    def note(self, tokens: int, characters: int, seconds: float) -> None:
        self.reading.note(tokens, seconds)
        self.embedding.note(characters, seconds)

    def until_embedded(self, job: Job, before: Iterable[Job]) -> float:
        """Seconds until the last of them is embedded; 0 for who waits for none."""
        if job.is_embedded:
            return 0.0
        likeness = [one.likeness for one in (*before, job) if one.likeness]
        return self.embedding.seconds_for(sum(one.missing_characters for one in likeness))

    def until_read(self, job: Job, before: Iterable[Job]) -> float:
        """Seconds until the last of them is read; 0 for who has been."""
        return self.reading.seconds_for(tokens_to_read([*before, job])) if job.unread else 0.0
