"""Writes and documents as Firestore's messages and back. Pure: fills messages it is given.

Firestore refuses some names that JSON allows, the empty one and those like `__this__`, and a list
directly within a list (https://firebase.google.com/docs/firestore/quotas). Such a name is stored
with a `~` before it, as is one that begins with `~` already; such a list in a map, as `~[]`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from gateway.documents.base import (
    Add,
    Conflict,
    Create,
    Delete,
    Document,
    Fields,
    Set,
    Update,
    Version,
    Write,
    Written,
)

EXPIRES_AT = "expires_at"
"""The field a TTL policy reads; a document's own field of this name is stored as `~expires_at`."""

REPLACES = "~replaces"
"""The version an `Update` replaced. Firestore keeps the version of a document that a write leaves
as it was, so without this field two racing updates to the same content would both win."""

ID = "~id"
"""The document's id once more, because Firestore sorts names in one direction only."""

HIDDEN = {EXPIRES_AT, REPLACES, ID}
NESTED_LIST = "~[]"
REFUSED_NAME = re.compile(r"|~.*|__.*__", re.DOTALL)
MICROSECONDS = 1_000_000

Message = Any
"""A protobuf message; its class is made at run time and known to no type checker."""


def put_write(into: Message, root: str, write: Write) -> None:
    """Fill a `Write`. Raises `Conflict` for a version that no document of Firestore ever had."""
    name = f"{root}/{write.path}"
    match write:
        case Delete():
            into.delete = name
        case Add():
            into.update.name = name
            into.update.fields[ID].string_value = _id(write.path)
            _put_add(into, write)
        case Create() | Set() | Update():
            into.update.name = name
            into.update.fields[ID].string_value = _id(write.path)
            for field, value in write.fields.items():
                put_value(into.update.fields[stored_name(field)], value)
            _put_expiry(into, write.expires_at)
        case _:
            assert_never(write)
    _put_precondition(into, write)


def document_of(root: str, message: Message) -> Document:
    """`message` as the document under `root` that it is."""
    expires_at = None
    if EXPIRES_AT in message.fields:
        expires_at = _seconds(message.fields[EXPIRES_AT].timestamp_value)
    return Document(
        path=message.name.removeprefix(f"{root}/"),
        fields=_fields(message),
        version=message.update_time.ToJsonString(),
        expires_at=expires_at,
    )


def written_of(write: Write, result: Message, commit_time: Message) -> Written:
    """A deletion leaves no version behind; the time of its commit stands for one."""
    values: Mapping[str, float] = {}
    if isinstance(write, Add):
        answers = [value_of(each) for each in result.transform_results]
        values = dict(zip(write.amounts, answers, strict=True))
    left = result.update_time if result.HasField("update_time") else commit_time
    return Written(left.ToJsonString(), values)


def put_value(into: Message, value: Any) -> None:
    match value:
        case None:
            into.null_value = 0
        case bool():
            into.boolean_value = value
        case int():
            into.integer_value = value
        case float():
            into.double_value = value
        case str():
            into.string_value = value
        case list() | tuple():
            _put_list(into.array_value, value)
        case Mapping():
            into.map_value.SetInParent()  # an empty map is a map
            for name, each in value.items():
                put_value(into.map_value.fields[_escaped(name)], each)
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def value_of(message: Message) -> Any:
    kind = message.WhichOneof("value_type")
    match kind:
        case "null_value":
            return None
        case "array_value":
            return [value_of(each) for each in message.array_value.values]
        case "map_value":
            return _map(message.map_value.fields)
        case _:
            return getattr(message, kind)


def stored_name(field: str) -> str:
    """What a document's own field is called in Firestore."""
    return f"~{field}" if field == EXPIRES_AT else _escaped(field)


def field_path(name: str) -> str:
    """A stored name for a mask, where an unquoted dot would mean a field within a map."""
    quoted = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{quoted}`"


def _put_add(into: Message, write: Add) -> None:
    """Only what the mask names is replaced; named and given no value, it is deleted."""
    into.update_mask.field_paths.append(field_path(ID))
    into.update_mask.field_paths.extend(field_path(stored_name(field)) for field in write.drop)
    for field, label in write.labels.items():
        into.update_mask.field_paths.append(field_path(stored_name(field)))
        put_value(into.update.fields[stored_name(field)], label)
    if write.expires_at is not None:
        into.update_mask.field_paths.append(field_path(EXPIRES_AT))
        _put_expiry(into, write.expires_at)
    for field, amount in write.amounts.items():
        transform = into.update_transforms.add()
        transform.field_path = field_path(stored_name(field))
        put_value(transform.increment, amount)


def _put_precondition(into: Message, write: Write) -> None:
    if isinstance(write, Create):
        into.current_document.exists = False
    elif isinstance(write, Update):
        _put_version(into, write.path, write.version)
        into.update.fields[REPLACES].string_value = write.version
    elif isinstance(write, Delete) and write.version is not None:
        _put_version(into, write.path, write.version)


def _put_version(into: Message, path: str, version: Version) -> None:
    """Firestore's versions are whole microseconds; it refuses others as malformed."""
    moment = into.current_document.update_time
    try:
        moment.FromJsonString(version)
    except ValueError:
        raise Conflict(path, "stale") from None
    if moment.seconds <= 0 or moment.nanos % 1000:
        raise Conflict(path, "stale")


def _put_expiry(into: Message, expires_at: float | None) -> None:
    """To the microsecond, which is what Firestore keeps of a time."""
    if expires_at is not None:
        seconds, microseconds = divmod(round(expires_at * MICROSECONDS), MICROSECONDS)
        moment = into.update.fields[EXPIRES_AT].timestamp_value
        moment.seconds, moment.nanos = seconds, microseconds * 1000


def _put_list(into: Message, items: Sequence[Any]) -> None:
    into.SetInParent()  # an empty list is a list
    for item in items:
        value = into.values.add()
        nested = isinstance(item, list | tuple)
        put_value(value.map_value.fields[NESTED_LIST] if nested else value, item)


def _fields(message: Message) -> Fields:
    return {
        name.removeprefix("~"): value_of(value)
        for name, value in message.fields.items()
        if name not in HIDDEN
    }


def _map(fields: Mapping[str, Message]) -> Any:
    if NESTED_LIST in fields:
        return value_of(fields[NESTED_LIST])
    return {name.removeprefix("~"): value_of(value) for name, value in fields.items()}


def _id(path: str) -> str:
    return path.rpartition("/")[2]


def _escaped(name: str) -> str:
    return f"~{name}" if REFUSED_NAME.fullmatch(name) else name


def _seconds(moment: Message) -> float:
    microseconds: int = moment.seconds * MICROSECONDS + moment.nanos // 1000
    return microseconds / MICROSECONDS
