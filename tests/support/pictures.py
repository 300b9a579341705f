"""`make screenshots`: the console with a made-up past, each view as a picture to look at.

Written to tests/console/screenshots/ as PNGs of 128 colours. `--light-only` leaves the dark ones.
"""

import io
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from support.chromium import ARGUMENTS, executable
from support.console import Console, subject
from support.past import live, month
from support.ports import free_port
from support.service import FUNCTIONS, Service
from support.upstream import Answer, LoopbackUpstream, Recorded, chunks, completion, echo, sse

FOLDER = Path(__file__).parents[1] / "console" / "screenshots"
COLOURS = 128
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
DAY_SECONDS = 86_400
ADMINS = {theme: f"Ada {theme}" for theme in ("light", "dark", "phone")}
OTHERS = ["google:110169484474386276334", "google:104398251117724910086", "key:house"]

TALK = [
    f"Day {day}: {plan}; a rest afterwards, something light to eat, and early to bed."
    for day, plan in enumerate(
        [
            "the tram up to Graça and the view from the miradouro",
            "the tile museum, then pastries in Belém",
            "the ferry to Cacilhas and grilled sardines by the water",
            "Sintra, the palace first and the gardens after lunch",
            "a slow morning at the market and fado in the Mouraria",
            "the beach at Cascais with bicycles along the coast",
        ]
        * 12,
        1,
    )
]

PAST = {
    "garden": (120, [
        "The spare key is under the third flower pot, the blue one.",
        "We planted two plum trees along the south wall this weekend.",
        "The plum trees want a litre of water each evening until June.",
    ]),
    "lisbon": (64, [
        "Our train to Lisbon leaves on 4 May at a quarter past seven, from platform 9.",
        "Lucas cannot eat shellfish, so no marisqueira for us.",
        "The flat in Alfama is on the fourth floor, and there is no lift.",
        *TALK,
    ]),
    "rex": (21, [
        "My dachshund is called Rex, he is four and he likes apples.",
        "The vet says Rex should lose a kilo before summer.",
    ]),
}  # fmt: skip
ASKED = "When does our train to Lisbon leave, and where is the spare key for the house?"
SAID = """Two things, then:

1. **The train** leaves on 4 May at **7:15**, from platform 9.
2. **The spare key** is under the third flower pot, the *blue* one.
"""
FACTS = [
    ("person", "Lucas", ["Cannot eat shellfish.", "Prefers the window seat."]),
    ("place", "Flat in Alfama", ["On the fourth floor, no lift."]),
    ("project", "Garden", ["Two plum trees along the south wall."]),
]


def answering(request: Recorded) -> Answer:
    if request.path.endswith("/models"):
        names = ("gpt-4.1-mini", "gpt-4.1", "llama-3.3-70b")
        return Answer.json({"object": "list", "data": [{"id": one} for one in names]})
    if b'"response_format"' in request.body:
        return Answer.json(completion('{"operations": []}'))
    if not request.json.get("stream"):
        return echo(request)
    return Answer.stream(*sse(*chunks(SAID), "[DONE]"))


@contextmanager
def running() -> Iterator[str]:
    """A service as `make run` has it, with an upstream that says what the pictures show."""
    with tempfile.TemporaryDirectory() as folder, LoopbackUpstream(answering) as upstream:
        people = [*map(subject, ADMINS.values()), *OTHERS]
        past = {one: month(3 * number) for number, one in enumerate(people, 1)}
        live(f"sqlite:///{folder}/memory.db", time.time(), past)
        service = Service(
            Path(folder),
            ADMIN_SUBJECTS=",".join(map(subject, ADMINS.values())),
            REQUESTS_PER_MINUTE="120",
            UPSTREAM_BASE=upstream.base_url,
            DEVELOPMENT_ISSUER="true",
            DEVELOPMENT_KEY_FILE=str(Path(folder) / "issuer.pem"),
            GOOGLE_CLIENT_ID="pictures",
            GOOGLE_CERTS_URL=f"http://127.0.0.1:{(port := free_port())}/development/certs",
            PRICE_PROMPT_PER_MILLION="2",
            PRICE_COMPLETION_PER_MILLION="8",
            MEMORY_SCORE_FLOOR="0.02",
        )
        service.port, service.url = port, f"http://127.0.0.1:{port}"
        with service:
            yield service.url


def lived(console: Console) -> None:
    """The past, some months of it."""
    now = time.time()
    for session, (days, texts) in PAST.items():
        for number, text in enumerate(texts):
            console.keeps(text, session=session, at=now - days * DAY_SECONDS + number * 600)
    for kind, name, texts in FACTS:
        statements = [{"text": one} for one in texts]
        given = {"kind": kind, "name": name, "statements": statements}
        console.request("POST", "/v1/memory/entities", given)
    for session, title in (("garden", "The garden"), ("lisbon", "Lisbon in May"), ("rex", "Rex")):
        console.request("PATCH", f"/v1/sessions/{session}", {"title": title})
    moves(console)


def moves(console: Console) -> None:
    """A fact that changes, for the time line."""
    cards = console.request("GET", "/v1/memory/entities")["data"]
    (id,) = (one["id"] for one in cards if one["name"] == "Garden")
    entity = console.request("GET", f"/v1/memory/entities/{id}")
    (statement,) = entity["blocks"][0]["statements"]
    replace = [{"statement": statement["id"], "text": "Three plum trees along the south wall."}]
    console.request("PATCH", f"/v1/memory/entities/{id}", {"version": 1, "replace": replace})


def shot(console: Console, name: str) -> None:
    console.page.wait_for_load_state("networkidle")
    expect(console.page.get_by_text("Reading …")).to_have_count(0)
    picture = Image.open(io.BytesIO(console.page.screenshot()))
    small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(FOLDER / f"{name}.png", optimize=True)


def seen(console: Console, view: str) -> None:
    console.goes(view)
    title = view.partition("/")[0].capitalize()
    expect(console.page.get_by_role("heading", name=title, level=1)).to_be_visible()
    part = console.page.locator(".tabs a[aria-current]")
    if view.partition("/")[2]:
        expect(part).to_have_attribute("href", f"#/{view}")


def talked(console: Console) -> None:
    """In a long conversation, of which little is sent."""
    console.goes("chat/lisbon")
    expect(console.page.get_by_role("heading", name="Lisbon in May")).to_be_visible()
    console.page.get_by_label("Model").select_option("gpt-4.1-mini")
    console.says(ASKED)
    console.why().nth(1).locator("blockquote").wait_for()
    console.page.locator(".answer").last.scroll_into_view_if_needed()


def allowed(console: Console) -> None:
    """Limits, a hold, and keys: one in use, one not, one revoked."""
    limits = {"tokens_per_minute": 20_000}
    budgets = {"daily_tokens": 60_000, "daily_cost_usd": 0.25}
    granted = {"limits": limits, "budgets": budgets}
    console.request("PUT", f"/v1/admin/limits/{subject(console.name)}", granted)
    for name, scopes in (
        ("old phone", ["chat"]),
        ("home assistant", ["chat"]),
        ("laptop", ["chat", "memory:read"]),
    ):
        made = console.request("POST", "/v1/keys", {"name": name, "scopes": scopes})
        if name == "laptop":
            headers = {"authorization": f"Bearer {made['key']}"}
            httpx.get(f"{console.url}/v1/models", headers=headers).raise_for_status()
        if name == "old phone":
            console.request("DELETE", f"/v1/keys/{made['id']}")


def opened(browser: Browser, url: str, name: str, **options: object) -> Console:
    return Console(browser, url, name, **options).opened()


def wide(browser: Browser, url: str, theme: str) -> None:
    console = opened(browser, url, ADMINS[theme], viewport=WIDE, color_scheme=theme)
    shot(console, f"sign-in-{theme}")
    console.signed_in()
    lived(console)
    allowed(console)
    talked(console)
    shot(console, f"chat-{theme}")
    views = ["memory/everything", "memory/facts", "memory/data", "usage/", "keys/"]
    views += [f"admin/{part}" for part in ("people", "keys", "flags", "health", "audit")]
    for view in views:
        seen(console, view)
        shot(console, f"{view.strip('/').replace('/', '-')}-{theme}")
    seen(console, "memory/facts")
    console.page.get_by_role("link", name="Garden").click()
    console.page.locator(".timeline summary").first.click()
    console.page.locator(".diff").first.wait_for()
    shot(console, f"memory-fact-{theme}")
    told(console)


def narrow(browser: Browser, url: str) -> None:
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    console = opened(browser, url, ADMINS["phone"], **options).signed_in()
    lived(console)
    allowed(console)
    talked(console)
    shot(console, "chat-phone")
    for view in ("memory/everything", "usage/", "admin/people"):
        seen(console, view)
        shot(console, f"{view.strip('/').replace('/', '-')}-phone")
    told(console)


def told(console: Console) -> None:
    for complaint in console.close():
        print(complaint, file=sys.stderr)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    assert (FUNCTIONS / "gateway" / "console").is_dir()
    with running() as url, sync_playwright() as playwright:
        httpx.get(f"{url}/health").raise_for_status()
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        for theme in ("light", "dark")[: 1 if "--light-only" in sys.argv else 2]:
            wide(browser, url, theme)
        narrow(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
