"""An example request as a command to paste: `$URL` is the service, `$TOKEN` a credential. Pure."""

from gateway.reference.descriptions import Example, Operation


def curl(operation: Operation, example: Example) -> str:
    """Parts that a shell would read are in single quotes, but for the two variables."""
    method = "" if operation.method == _implied(example) else f"-X {operation.method} "
    parts = [f'curl -s {method}"$URL"{_quoted(example.path)}']
    if not operation.public:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    parts += [f"-H {_quoted(f'{name}: {value}')}" for name, value in example.headers.items()]
    if example.body is not None:
        parts.append(f"-H {_quoted(f'Content-Type: {example.media_type}')}")
        parts.append(f"--data-binary {_quoted(example.body.strip())}")
    return " \\\n  ".join(parts)


def _implied(example: Example) -> str:
    return "GET" if example.body is None else "POST"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
