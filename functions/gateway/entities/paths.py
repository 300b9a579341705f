"""Where an owner's entities stand among the documents; `root` is the owner's path. Pure."""

from gateway.memory.records import made_at_milliseconds

PREFIX = "e"


def is_entity(id: str) -> bool:
    """Whether it could be one: an id of ours, harmless in a path."""
    return id.startswith(PREFIX) and made_at_milliseconds(id) is not None


def index_path(root: str) -> str:
    return f"{root}/cards/index"


def entity_path(root: str, id: str) -> str:
    return f"{root}/entities/{id}"


def version_path(root: str, id: str, number: int) -> str:
    return f"{root}/entities/{id}/versions/{number:06d}"


def commits_path(root: str) -> str:
    return f"{root}/commits"


def commit_path(root: str, sequence: int) -> str:
    return f"{commits_path(root)}/{commit_id(sequence)}"


def commit_id(sequence: int) -> str:
    """Ids sort as the commits came."""
    return f"{sequence:010d}"
