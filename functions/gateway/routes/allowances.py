"""Limits and budgets as requests name them, for a key and for an identity."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.accounts.allowance import BUDGETS, PER_MINUTE, Allowance

MOST = 1_000_000_000_000
MOST_DOLLARS = 1_000_000_000

Count = Annotated[int, Field(ge=0, le=MOST, strict=True)]
Dollars = Annotated[float, Field(ge=0, le=MOST_DOLLARS, allow_inf_nan=False, strict=True)]


class GivenLimits(BaseModel):
    """A minute's. 0 is unlimited; null says nothing."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None


class GivenBudgets(BaseModel):
    """Of a UTC day or month. 0 is unlimited; null says nothing."""

    model_config = ConfigDict(extra="forbid")

    daily_tokens: Count | None = None
    monthly_tokens: Count | None = None
    daily_cost_usd: Dollars | None = None
    monthly_cost_usd: Dollars | None = None


def allowance_of(limits: GivenLimits | None, budgets: GivenBudgets | None) -> Allowance:
    return Allowance(**_dumped(limits), **_dumped(budgets))


def changed(before: Allowance, patch: BaseModel) -> Allowance:
    """`before` with the `limits` and `budgets` that `patch` names; one that is null says nothing
    of any of its names."""
    after = before
    for part, names in (("limits", PER_MINUTE), ("budgets", BUDGETS)):
        if part in patch.model_fields_set:
            given: BaseModel | None = getattr(patch, part)
            cleared: Mapping[str, Any] = dict.fromkeys(names)
            said = given.model_dump(exclude_unset=True) if given is not None else cleared
            after = replace(after, **said)
    return after


def allowance_told(allowance: Allowance) -> dict[str, Any]:
    return {"limits": allowance.limits(), "budgets": allowance.budgets()}


def _dumped(given: BaseModel | None) -> dict[str, Any]:
    return given.model_dump() if given is not None else {}
