"""`POST /v1/admin/retention`: one run of the cleanup, for as long as a request may take."""

from pydantic import BaseModel, ConfigDict, StrictBool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.chat.wire import parse_object
from gateway.retention.sweep import Sweep
from gateway.routes.admins import Office
from gateway.routes.memory import validated
from gateway.routes.requests import read_body
from gateway.routes.responses import json_response

MAX_BYTES = 64 * 1024


class RetentionRun(BaseModel):
    """Nothing is moved unless that is asked for."""

    model_config = ConfigDict(extra="forbid")

    dry_run: StrictBool = True


def sweep_routes(office: Office, sweep: Sweep) -> list[Route]:
    async def run(request: Request) -> Response:
        """The report as the cleanup gives it. `cursor` says that there is more: ask again.

        409 while a run is at it, this one's or the schedule's; a dry run waits for nobody.
        """
        admin = await office.admit(request)
        body = parse_object(await read_body(request, MAX_BYTES) or b"{}")
        dry_run = validated(RetentionRun, body).dry_run
        await office.record(admin, "retention.run", "all", {"dry_run": dry_run})
        return json_response((await sweep.run(dry_run=dry_run)).body())

    return [Route("/v1/admin/retention", run, methods=["POST"])]
