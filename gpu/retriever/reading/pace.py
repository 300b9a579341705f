"""How fast the model has been lately, and how long what is ahead of somebody will take. Pure."""

from collections.abc import Iterable, Sequence
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
        """Seconds; 0 for who misses nothing but its queries. Those who miss less go first."""
        own = _characters(job)
        sizes = [size for size in map(_characters, before) if size <= own]
        return self.embedding.seconds_for(sum(sizes) + own) if own else 0.0

    def until_read(self, job: Job, before: Sequence[Job]) -> float:
        """Seconds; 0 for who has been. Nobody is read before everybody is embedded."""
        if not job.unread:
            return 0.0
        jobs = [*before, job]
        embedding = self.embedding.seconds_for(sum(map(_characters, jobs)))
        return embedding + self.reading.seconds_for(tokens_to_read(jobs))


def _characters(job: Job) -> int:
    """That are to be embedded yet."""
    return job.likeness.missing_characters if job.likeness and not job.is_embedded else 0
