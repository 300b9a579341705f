"""t"""
import re
W = re.compile(r"\w+")
def terms(text: str) -> list[str]:
    return W.findall(text.casefold())
