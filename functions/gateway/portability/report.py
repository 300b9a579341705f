"""What an import has done: told to the caller, whole or interrupted."""

from dataclasses import dataclass, field

from gateway.entities import restoration as ledger
from gateway.memory.restoration import Outcome
from gateway.portability.items import Refused

MAX_TOLD = 100


@dataclass(slots=True)
class Report:
    """`read` is what the file holds of messages, of which `unchanged` were there; `whole` says of
    an export of ours whether its end was there. `versions` are those of entities.

    `refused` counts, `errors` tell the first ones.
    """

    read: int = 0
    stored: int = 0
    archived: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: int = 0
    sessions: int = 0
    versions: int = 0
    versions_unchanged: int = 0
    commits: int = 0
    whole: bool | None = None
    errors: list[Refused] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """Of everything, what the memory has now."""
        messages = self.stored + self.archived + self.unchanged + self.sessions
        return messages + self.versions + self.versions_unchanged + self.commits

    def told(self) -> str:
        versions = f" and {self.versions} versions of entities" if self.versions else ""
        return f"{self.stored + self.archived} messages{versions}"

    def count(self, outcome: Outcome) -> None:
        self.stored += outcome.stored
        self.archived += outcome.archived
        self.unchanged += outcome.unchanged
        self.sessions += outcome.sessions

    def count_entities(self, outcome: ledger.Outcome) -> None:
        self.versions += outcome.versions
        self.versions_unchanged += outcome.unchanged
        self.commits += outcome.commits
        self.skipped += outcome.skipped
        for line, message, code in outcome.problems:
            self.refuse(Refused(line, message, code))

    def refuse(self, refused: Refused) -> None:
        self.refused += 1
        if len(self.errors) < MAX_TOLD:
            self.errors.append(refused)
