"""What one identity or one key may use, as far as somebody has said so. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

PER_MINUTE = ("requests_per_minute", "tokens_per_minute")
BUDGETS = ("daily_tokens", "monthly_tokens", "daily_cost_usd", "monthly_cost_usd")


@dataclass(frozen=True, slots=True)
class Allowance:
    """Of what is None nothing was said; 0 is unlimited. Days and months are UTC's."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    daily_tokens: int | None = None
    monthly_tokens: int | None = None
    daily_cost_usd: float | None = None
    monthly_cost_usd: float | None = None

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return any(value is not None for value in asdict(self).values())

    def limits(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in PER_MINUTE}

    def budgets(self) -> dict[str, float | None]:
        return {name: getattr(self, name) for name in BUDGETS}

    def packed(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def of(packed: Mapping[str, Any]) -> "Allowance":
        """Names of a later version are left alone."""
        names = {field.name for field in fields(Allowance)}
        return Allowance(**{name: value for name, value in packed.items() if name in names})


NOTHING_SAID = Allowance()
