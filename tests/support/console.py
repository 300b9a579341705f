"""The console in a real browser, as one person uses it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, expect

PATIENCE_MILLISECONDS = 15_000
GOOGLE_SCRIPT = "https://accounts.google.com/gsi/client"
UNANSWERED = re.compile(r"Failed to load resource: .* status of (\d+)")
REFUSALS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`));
"""

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def subject(name: str) -> str:
    """Of whoever signs in at a local run."""
    return f"google:dev-{name}"


class Console:
    """`close` returns what the page complained of, but for the statuses in `tolerated`."""

    def __init__(self, browser: Browser, url: str, name: str, **options: Any) -> None:
        named = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        self.url = url
        self.name = name
        self.tolerated: set[tuple[int, str]] = set()
        self.complaints: list[str] = []
        self._context = browser.new_context(locale="en-GB", timezone_id="UTC", **named)
        self._context.set_default_timeout(PATIENCE_MILLISECONDS)
        self._context.add_init_script(REFUSALS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))

    def opened(self, address: str = "") -> "Console":
        self.page.goto(f"{self.url}/{address}")
        return self

    def signed_in(self, name: str | None = None) -> "Console":
        self.page.get_by_label("Your name").fill(name or self.name)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("navigation", name="Views")).to_be_visible()
        return self

    def tolerates(self, status: int, path: str) -> None:
        """The browser tells of each answer that is an error; these, by their start, are meant."""
        self.tolerated.add((status, path))

    def answers(self, pattern: str, answer: Callable[[Route], None] | Mapping[str, Any]) -> None:
        """Instead of the service, for paths like `**/v1/me`."""
        handle = answer if callable(answer) else lambda route: route.fulfill(json=dict(answer))
        self.page.route(pattern, handle)

    def goes(self, view: str) -> "Console":
        """To a view by its link, or deeper by its address."""
        if "/" in view:
            self.page.evaluate("(view) => { location.hash = `#/${view}`; }", view)
        else:
            self.page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
        return self

    def says(self, text: str) -> Locator:
        """The answer, once it is whole."""
        self.sends(text)
        answer = self.answer()
        expect(answer).to_have_attribute("aria-busy", "false")
        return answer

    def sends(self, text: str) -> None:
        expect(self.page.get_by_label("Model")).to_be_enabled()
        expect(self.page.get_by_label("Model").locator("option")).not_to_have_count(0)
        before = self.page.get_by_label("Answer", exact=True).count()
        box = self.page.get_by_role("textbox", name="Message")
        box.fill(text)
        box.press("Enter")
        expect(self.page.get_by_label("Answer", exact=True)).to_have_count(before + 1)

    def answer(self) -> Locator:
        return self.page.get_by_label("Answer", exact=True).last

    def begins_anew(self) -> None:
        self.page.locator("a[href='#/chat'].new, a[href='#/chat'].new-small").locator(
            "visible=true"
        ).first.click()
        expect(self.page.get_by_role("heading", name="New conversation")).to_be_visible()

    def why(self) -> Locator:
        """The receipt's lines of the last answer."""
        button = self.answer().get_by_role("button", name="Why")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        return self.answer().locator(".why-line")

    def notice(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.locator(".notice", has_text=text).last).to_be_visible()

    def request(self, method: str, path: str, json: Any = None, by: str | None = None) -> Any:
        """As this person, or another, past the page."""
        answer = self.asks(method, path, json, by)
        return answer.raise_for_status().json()

    def asks(
        self, method: str, path: str, json: Any = None, by: str | None = None
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token(by or self.name)}"}
        return httpx.request(method, self.url + path, headers=headers, json=json)

    def keeps(
        self, *texts: str, session: str = "notes", by: str | None = None, **fields: Any
    ) -> list[str]:
        """Ids of messages that are handed in."""
        messages = [{"content": one, "session_id": session, **fields} for one in texts]
        stored = self.request("POST", "/v1/messages", {"messages": messages}, by)
        return [one["id"] for one in stored["data"]]

    def close(self) -> list[str]:
        self._context.close()
        return self.complaints

    def _token(self, name: str) -> str:
        """As the local run gives it to anybody."""
        answer = httpx.post(f"{self.url}/development/token", json={"name": name})
        return str(answer.raise_for_status().json()["id_token"])

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        path = "/" + message.location.get("url", "").partition("://")[2].partition("/")[2]
        unanswered = UNANSWERED.match(message.text)
        if unanswered and any(
            int(unanswered[1]) == status and path.startswith(start)
            for status, start in self.tolerated
        ):
            return
        self.complaints.append(f"{message.type}: {message.text} ({path})")
