"""A text in small letters, each where it stood. Pure."""


def folded(text: str) -> str:
    """ASCII's letters alone: `str.lower` makes two characters of some that are one."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
