"""Which upstreams answer for a model, in the order in which they are asked. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.upstream.models import ListPrice

ANY = "*"


@dataclass(frozen=True, slots=True)
class Route:
    """`models` are names, or prefixes that end in `*`; none: every model."""

    name: str
    models: Sequence[str] = ()
    price: ListPrice | None = None

    def takes(self, model: str) -> bool:
        return not self.models or any(_matches(one, model) for one in self.models)


Some = TypeVar("Some")


def asked_in_order(routes: Iterable[tuple[Route, Some]], model: str) -> list[Some]:
    return [one for route, one in routes if route.takes(model)]


def price_of(routes: Iterable[Route], model: str) -> ListPrice | None:
    """Of the upstream that is asked first."""
    return next((one.price for one in routes if one.takes(model)), None)


def _matches(pattern: str, model: str) -> bool:
    if pattern.endswith(ANY):
        return model.startswith(pattern.removesuffix(ANY))
    return model == pattern
