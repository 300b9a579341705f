"""A conversation as it is handed in for memory: what its last words ask for."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

MAX_MESSAGES = 1000
QUERY_CHARACTERS = 2000
QUESTIONS = 2

Parts = Annotated[list[dict[str, Any]], Field(max_length=100)]


class ConversationMessage(BaseModel):
    """A message in OpenAI's shape; of parts the text counts, other fields are of no account."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["user", "assistant", "system", "developer", "tool", "function"] = "user"
    content: str | Parts | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        texts = [part.get("text") for part in self.content or () if part.get("type") == "text"]
        return "\n".join(text for text in texts if isinstance(text, str))


Conversation = str | Annotated[list[ConversationMessage], Field(max_length=MAX_MESSAGES)]
GIVEN = AliasChoices("conversation", "messages")


def messages_of(conversation: Conversation) -> list[ConversationMessage]:
    if isinstance(conversation, str):
        return [ConversationMessage(role="user", content=conversation)]
    return conversation


def query_of(conversation: Conversation) -> str:
    """The last questions, the newest of them last; empty where nothing was asked."""
    asked = [one.text.strip() for one in messages_of(conversation) if one.role == "user"]
    return "\n".join([text for text in asked if text][-QUESTIONS:])[-QUERY_CHARACTERS:].strip()
