"""What a model's chat template puts around a user's text: the openers of a profile."""

import argparse
import json
from collections.abc import Callable

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint
from retriever.models.repository import Repository

_ASKED = "a question that nobody asks"  # stands where the user's text would, in a chat template


def openers(render: Callable[[list[dict[str, str]]], str]) -> tuple[str, str]:
    """What a chat template puts before and after a user's text, up to where the answer begins.

    Raises Unusable: the template changes the text.
    """
    rendered = render([{"role": "user", "content": _ASKED}])
    before, found, after = rendered.partition(_ASKED)
    if not found or not after:
        raise Unusable(
            "the chat template gives no openers: give --user-opener and --assistant-opener"
        )
    return before, after


def given_openers(
    given: argparse.Namespace, checkpoint: Checkpoint, repository: Repository
) -> tuple[str, str]:
    """Raises Unusable: one is given without the other, or there is no chat template."""
    user, assistant = given.user_opener, given.assistant_opener
    if user is not None and assistant is not None:
        return user.replace("\\n", "\n"), assistant.replace("\\n", "\n")
    if user is not None or assistant is not None:
        raise Unusable("give --user-opener and --assistant-opener, or neither")
    template = _chat_template(repository)

    def rendered(messages: list[dict[str, str]]) -> str:
        try:
            text = checkpoint.tokenizer.apply_chat_template(
                messages, chat_template=template, add_generation_prompt=True, tokenize=False
            )
        except Exception as exc:  # whatever a template raises; it runs in Jinja's sandbox
            raise Unusable(f"the chat template of {given.model} fails: {exc}") from exc
        return str(text)

    return openers(rendered)


def _chat_template(repository: Repository) -> str:
    file = repository.folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    settings = repository.folder / "tokenizer_config.json"
    template = (
        read_json(repository, settings.name).get("chat_template") if settings.is_file() else None
    )
    if not isinstance(template, str):
        raise Unusable(
            f"{repository.name} has no chat template: give --user-opener and --assistant-opener"
        )
    return template


def read_json(repository: Repository, file: str) -> dict[str, object]:
    try:
        content = json.loads(repository.path(file).read_bytes())
    except ValueError as exc:
        raise Unusable(f"{repository.name}: {file} is no JSON") from exc
    return content if isinstance(content, dict) else {}
