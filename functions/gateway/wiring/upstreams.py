"""`UPSTREAMS`: several upstreams, their models and prices, as JSON."""

import time
from random import Random

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from gateway.breaker import Breaker
from gateway.settings import Settings
from gateway.upstream.models import ListPrice
from gateway.upstream.openai import OpenAIUpstream
from gateway.upstream.routing import Route
from gateway.upstream.several import Lane, SeveralUpstreams

PREVIEWS = frozenset({"", "preview:"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Price(_Strict):
    """Dollars for a million tokens."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)
    cached_prompt: float | None = Field(None, ge=0, allow_inf_nan=False)


class _Upstream(_Strict):
    """`models`: a prefix, or a list of names and of prefixes that end in `*`."""

    base: str
    key: SecretStr = SecretStr("")
    name: str = ""
    models: str | list[str] = Field(default_factory=list)
    prices: _Price | None = None

    def route(self, number: int) -> Route:
        price = None
        if (told := self.prices) is not None:
            price = ListPrice(told.prompt, told.completion, told.cached_prompt)
        models = [f"{self.models}*"] if isinstance(self.models, str) else self.models
        return Route(
            self.name or f"#{number}",
            models,
            price,
        )


def routes_from(settings: Settings) -> list[Route]:
    return [one.route(number) for number, one in enumerate(_configured(settings), start=1)]


def several_from(
    settings: Settings, client: httpx.AsyncClient, randomness: Random
) -> SeveralUpstreams:
    """Those of `UPSTREAMS`, then the one at `UPSTREAM_BASE`, for whatever they do not take."""
    lanes = [
        Lane(
            one.route(number),
            OpenAIUpstream(
                one.base,
                one.key.get_secret_value() or None,
                client,
                settings.request_timeout_seconds,
                settings.upstream_timeout_seconds,
            ),
            Breaker(time.monotonic),
        )
        for number, one in enumerate(_configured(settings), start=1)
    ]
    return SeveralUpstreams(lanes, settings.request_timeout_seconds, time.monotonic, randomness)


def _configured(settings: Settings) -> list[_Upstream]:
    """Raises `ValueError` for what cannot be meant, and repeats nothing of it: it holds keys."""
    text = settings.upstreams.get_secret_value().strip()
    if not text:
        return []
    try:
        given = TypeAdapter(list[_Upstream]).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"UPSTREAMS at '{place}': {first['msg']}") from None
    if not given:
        raise ValueError("UPSTREAMS names no upstream; leave it empty for none")
    if settings.upstream_base not in PREVIEWS:
        key = settings.upstream_api_key
        given.append(_Upstream(base=settings.upstream_base, key=key, name="default"))
    return given
