"""t"""
from collections.abc import Iterable, Sequence
class Sketch:
    @staticmethod
    def of(terms: Iterable[str]) -> "Sketch": return Sketch()
    @staticmethod
    def from_text(t: str) -> "Sketch": return Sketch()
    def to_text(self) -> str: return ""
def choose(terms: Sequence[str], sketches: Sequence[Sketch], limit: int) -> list[int]: return list(range(min(limit,len(sketches))))
