"""The scheduled cleanup: `POST /` (or `GET`) with `?task=` and `?dry_run=1`, a JSON report back.

It is an app of its own, served as the function target `cleanup`, and never a path of the public
gateway. Nobody signs in here: the service is deployed without public access, and Cloud Run's IAM
checks the OIDC token of Cloud Scheduler's service account before a request arrives
(https://cloud.google.com/run/docs/triggering/using-scheduler).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import BadRequest
from gateway.retention.sweep import Sweep
from gateway.routes.responses import json_response
from gateway.upstream.catalogue import Catalogue

PARAMETERS = ("task", "dry_run")
SWITCH = {"0": False, "false": False, "1": True, "true": True}


class Cleanup:
    def __init__(self, sweep: Sweep, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self._sweep = sweep
        self._catalogue = catalogue
        self._clock = clock
        self._tasks: dict[str, Callable[[bool], Awaitable[dict[str, Any]]]] = {
            "retention": self._retain,
            "catalogue": self._refresh,
        }

    def routes(self) -> list[Route]:
        route = Route("/", self.run, methods=["GET", "POST"])
        (route.methods or set()).discard("HEAD")  # a glance must not start a run
        return [route]

    async def run(self, request: Request) -> Response:
        task, dry_run = self._asked(request)
        return json_response(await self._tasks[task](dry_run))

    def _asked(self, request: Request) -> tuple[str, bool]:
        given = request.query_params
        for name in given:
            if name not in PARAMETERS or len(given.getlist(name)) > 1:
                raise BadRequest("The parameters are 'task' and 'dry_run', once each.", param=name)
        task, switch = given.get("task", "retention"), given.get("dry_run", "0")
        if task not in self._tasks:
            raise BadRequest(f"'task' is one of {', '.join(self._tasks)}.", param="task")
        if switch not in SWITCH:
            raise BadRequest("'dry_run' is 0 or 1.", param="dry_run")
        return task, SWITCH[switch]

    async def _retain(self, dry_run: bool) -> dict[str, Any]:
        return (await self._sweep.run(dry_run=dry_run)).body()

    async def _refresh(self, dry_run: bool) -> dict[str, Any]:
        started = self._clock()
        models = await self._catalogue.refresh(dry_run=dry_run)
        seconds = round(self._clock() - started, 3)
        return {"task": "catalogue", "dry_run": dry_run, "models": models, "seconds": seconds}
