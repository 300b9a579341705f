"""How much a message matters, evaluated when asked and never frozen at ingest. Pure.

    1 if pinned; the override if one was given; else 0.4 R + 0.2 role + 0.4 salience
    R = 2 ** (-idle_days / (7 (1 + min(uses, 6))))

R is a forgetting curve whose half-life of a week grows with each use (Ebbinghaus, 1885; spaced
repetition as in Settles and Meeder, https://aclanthology.org/P16-1174/). Salience comes from cheap
cues that need no model and lean on no one language more than they must.
"""

import re
from dataclasses import dataclass

HALF_LIFE_DAYS = 7.0
MOST_USES = 6
ROLE_WEIGHTS = {"user": 1.0, "assistant": 0.4, "tool": 0.2, "function": 0.2}

ASKS_TO_REMEMBER = re.compile(
    r"\b(remember|don'?t forget|keep in mind|note that|from now on|always|never"
    r"|kom ihåg|glöm inte|merk dir|vergiss nicht|denk daran|n'oublie pas|souviens-toi|retiens"
    r"|recuerda|no olvides|ricorda|lembre|não esqueça|muista|husk|запомни|не забудь)\b"
    r"|覚えて|忘れないで|记住|記住|别忘了|기억해",
    re.IGNORECASE,
)
FIRST_PERSON_FACT = re.compile(
    r"\b(i am|i'm|i was|i have|i've|i live|i work|i like|i love|i hate|i prefer|i need|i want|my"
    r"|jag är|jag har|jag bor|min|mitt|mina|ich bin|ich habe|mein|meine|je suis|j'ai|mon|ma|mes"
    r"|soy|tengo|vivo|mi|mis|sono|ho|mio|mia|eu sou|meu|minha|jeg er|я|мой|моя)\b"
    r"|私|僕|我的|我是|저는|제",
    re.IGNORECASE,
)
NUMBER_OR_DATE = re.compile(r"\d")
NAME = re.compile(r"(?<=[\w,;:] )[A-ZÀ-ÖØ-ÞА-Я][\w'-]+")
ACKNOWLEDGEMENT = re.compile(
    r"\W*(ok(ay)?|thanks?( you)?|thx|yes|no|sure|great|cool|got it|hi|hello|hey|bye|please|continue"
    r"|go on|tack|ja|nej|danke|nein|merci|oui|non|gracias|sí|grazie|obrigad[oa])\W*",
    re.IGNORECASE,
)
WORDS_OF_SUBSTANCE = 12
LONGEST_READ = 4_000  # characters: what matters is said early


@dataclass(frozen=True, slots=True)
class Importance:
    """A message's importance (0 to 1) with the parts that made it."""

    value: float
    retention: float
    role: float
    salience: float
    reason: str = "computed"


def importance(
    *,
    role: str,
    text: str,
    idle_days: float,
    uses: int = 0,
    pinned: bool = False,
    override: float | None = None,
    repeated: bool = False,
) -> Importance:
    """`idle_days` since the message was said or last injected; `repeated`: said again later."""
    retained = retention(idle_days, uses)
    weight = ROLE_WEIGHTS.get(role, 0.0)
    salient = salience(text, repeated=repeated)
    if pinned:
        return Importance(1.0, retained, weight, salient, "pinned")
    if override is not None:
        return Importance(min(1.0, max(0.0, override)), retained, weight, salient, "override")
    value = 0.4 * retained + 0.2 * weight + 0.4 * salient
    return Importance(value, retained, weight, salient)


def retention(idle_days: float, uses: int) -> float:
    """What is left of a memory, 1 right after it was used."""
    half_life = HALF_LIFE_DAYS * (1 + min(max(uses, 0), MOST_USES))
    return float(2 ** (-max(idle_days, 0.0) / half_life))


def salience(text: str, *, repeated: bool = False) -> float:
    """Cues that a message holds something worth keeping, 0 to 1."""
    text = text[:LONGEST_READ]
    if not text.strip() or ACKNOWLEDGEMENT.fullmatch(text.strip()):
        return 0.0
    score = 0.1
    score += 0.4 * bool(ASKS_TO_REMEMBER.search(text))
    score += 0.3 * bool(FIRST_PERSON_FACT.search(text))
    score += 0.15 * bool(NUMBER_OR_DATE.search(text))
    score += 0.15 * bool(NAME.search(text))
    score += 0.1 * (len(text.split()) >= WORDS_OF_SUBSTANCE or len(text) >= 80)
    return max(0.0, min(1.0, score - 0.4 * repeated))
