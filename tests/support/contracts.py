"""What `/v1/me`, `/v1/usage`, `/v1/keys` and `/v1/admin/*` answer, for pages shown without them."""

from typing import Any

from support.console import Console

Json = dict[str, Any]

NEVER = {"limit": 0, "remaining": None}
LIMITS: Json = {
    "requests_per_minute": {"limit": 60, "remaining": 52},
    "tokens_per_minute": {"limit": 20_000, "remaining": 1_800},
    "daily_token_budget": {"limit": 1_000_000, "remaining": 861_220},
    "monthly_token_budget": NEVER,
    "daily_cost_budget_usd": {"limit": 2.0, "remaining": 1.61},
    "monthly_cost_budget_usd": NEVER,
}
ADA = "abcdefghijklmnopqrstuvwx"


def day(number: int) -> Json:
    """November's, each a little different."""
    answers = 8 + (number * 7) % 13 if number % 7 else 0
    sent, saved = 1_150 * answers, 1_900 * answers + 90 * number
    return {
        "date": f"2026-11-{number:02d}",
        "requests": answers + answers // 3,
        "tokens_before": sent + saved if answers else 0,
        "tokens_after": sent,
        "tokens_saved": saved if answers else 0,
        "completion_tokens": 210 * answers,
        "answers": answers,
        "answers_with_memory": (answers * 3) // 4,
        "cost_usd": 0.0031 * answers,
        "cost_saved_usd": 0.0042 * answers,
    }


def usage(*, limits: bool = True) -> Json:
    days = [day(number) for number in range(1, 22)]
    totals = {name: sum(one[name] for one in days) for name in days[0] if name != "date"}
    told = {"object": "usage", "days": days, "totals": totals}
    return {**told, "limits": LIMITS} if limits else told


def key(number: int, name: str, **fields: Any) -> Json:
    return {
        "id": f"key_{number}",
        "object": "api_key",
        "name": name,
        "prefix": f"mk_Zk{number}pQ2xA",
        "scopes": ["chat", "memory:read"],
        "workspace": "personal",
        "created_at": 1_795_000_000 + number,
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": None,
        "limits": {"requests_per_minute": None, "tokens_per_minute": None},
        "budgets": {},
        **fields,
    }


class KeyRing:
    """`/v1/keys`, as the contract has it."""

    def __init__(self, console: Console) -> None:
        self.keys: list[Json] = []
        console.page.route("**/v1/keys", self._all)
        console.page.route("**/v1/keys/*", self._one)

    def _all(self, route: Any) -> None:
        if route.request.method == "GET":
            shown = [{k: v for k, v in one.items() if k != "key"} for one in self.keys]
            route.fulfill(json={"object": "list", "data": shown, "has_more": False, "next": None})
            return
        asked = route.request.post_data_json
        made = key(len(self.keys), asked["name"], scopes=asked["scopes"])
        self.keys.append({**made, "key": f"mk_{'x' * 43}"})
        route.fulfill(json=self.keys[-1], status=201)

    def _one(self, route: Any) -> None:
        id = route.request.url.rpartition("/")[2]
        (found,) = (one for one in self.keys if one["id"] == id)
        if route.request.method == "PATCH":
            found["name"] = route.request.post_data_json["name"]
            route.fulfill(json=found)
        else:
            found["revoked_at"] = 1_795_000_900
            route.fulfill(json={"id": id, "object": "api_key.deleted", "deleted": True})


def administered(console: Console) -> list[tuple[str, str, Any]]:
    """`/v1/me` says admin; what is sent to `/v1/admin/*` is noted: method, path, body."""
    sent: list[tuple[str, str, Any]] = []

    def answer(route: Any) -> None:
        request = route.request
        path = request.url.partition("/v1/admin/")[2].partition("?")[0]
        body = request.post_data_json if request.post_data else None
        if request.method != "GET":
            sent.append((request.method, path, body))
        route.fulfill(json=ADMIN[path.partition("/")[0]])

    console.answers(
        "**/v1/me", {"subject": "google:1", "workspace": "personal", "scopes": [], "admin": True}
    )
    console.page.route("**/v1/admin/**", answer)
    return sent


ADMIN: dict[str, Json] = {
    "identities": {
        "object": "list",
        "data": [
            {"id": ADA, "subject": "google:110169484474386276334", "requests": 41,
             "tokens": 48_210, "tokens_saved": 90_412, "cost_usd": 0.31,
             "limits": {"requests_per_minute": 120}, "legal_hold": False},
            {"id": "zyxwvutsrqponmlkjihgfedc", "subject": "key:ops", "requests": 3,
             "tokens": 1_204, "tokens_saved": -20, "cost_usd": None, "limits": None,
             "legal_hold": True},
        ],
        "has_more": False,
        "next": None,
    },
    "usage": usage(limits=False),
    "limits": {"limits": {"requests_per_minute": 120, "tokens_per_minute": None},
               "budgets": {"daily_tokens": None}},
    "holds": {"legal_hold": True},
    "flags": {"flags": {"ENABLE_ORCHESTRATED_SEARCH": True, "ENABLE_REDACTION": None,
                        "ENABLE_RESPONSE_CACHE": False}},
    "retention": {"object": "retention.report", "dry_run": True, "owners": 12, "archived": 41,
                  "expired": 2, "deleted": 0, "skipped": 9, "held": 1, "complete": True},
    "health": {
        "status": "healthy",
        "checks": {
            "documents": {"status": "healthy", "required": True, "latency_ms": 2.1,
                          "last_success": "2026-11-21T12:00:00+00:00", "detail": ""},
            "retriever": {"status": "unhealthy", "required": False, "latency_ms": None,
                          "last_success": None, "detail": "the circuit is open"},
            "upstream": {"status": "healthy", "required": True, "latency_ms": 180.0,
                         "last_success": "2026-11-21T12:00:00+00:00", "detail": ""},
        },
        "retriever": {"asked": 120, "timeouts": 4, "circuit": "open"},
    },
    "audit": {
        "object": "list",
        "data": [{"id": "1", "at": 1_795_264_592.3, "actor": "google:1", "act": "limits.set",
                  "target": ADA, "detail": {"requests_per_minute": 120}}],
        "has_more": False,
        "next": None,
    },
}  # fmt: skip
