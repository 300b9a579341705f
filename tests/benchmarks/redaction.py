"""How much of what should be taken out is found, and how much else goes with it.

    python tests/benchmarks/redaction.py [--seeds 20] [--dialogues FOLDER] [--show]

Planted secrets and their likenesses are drawn from seeds (`support/planted.py`); source code is
this repository's and the standard library's; dialogues are `dev/*.jsonl.gz` in
`MEMORY_OPS_DIALOGUES`.
In code and dialogues nobody has labelled anything: what is found there is counted, and `--show`
prints it to be judged. Seconds are of the processor.
"""

import argparse
import gzip
import json
import os
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where a script finds `support`, as pytest does
from gateway.redaction.base import KINDS
from gateway.redaction.redactor import found_in
from support.planted import Planted, harmless, planted

ROOT = Path(__file__).parents[2]
STDLIB = Path(sysconfig.get_paths()["stdlib"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--dialogues", default=os.environ.get("MEMORY_OPS_DIALOGUES", ""))
    parser.add_argument("--show", action="store_true", help="print what is found in real text")
    chosen = parser.parse_args()
    labelled(chosen.seeds)
    print(
        f"\n{'real text':<24}{'characters':>12}{'ns each':>9}" + "".join(f"{k:>9}" for k in KINDS)
    )
    real("this repository", sources(ROOT / "functions", ROOT / "gpu", ROOT / "infra"), chosen.show)
    real("standard library", sources(STDLIB), chosen.show)
    for file in sorted(Path(chosen.dialogues).glob("dev/*.jsonl.gz")) if chosen.dialogues else ():
        real(file.name.partition(".")[0], said(file), chosen.show)


def labelled(seeds: int) -> None:
    """Precision and recall by kind, and how many of the likenesses were left whole."""
    told, right, wrong = Counter[str](), Counter[str](), Counter[str]()
    for seed in range(seeds):
        for one in planted(seed):
            told[str(one.kind)] += 1
            for kind, is_right in judged(one):
                (right if is_right else wrong)[kind] += 1
    likenesses = [one for seed in range(seeds) for one in harmless(seed)]
    for one in likenesses:
        wrong.update(found.kind for found in found_in(one.text))
    print(f"{'kind':<10}{'planted':>9}{'found':>9}{'wrong':>9}{'precision':>11}{'recall':>9}")
    for kind in KINDS:
        found = right[kind] + wrong[kind]
        precision, recall = right[kind] / max(1, found), right[kind] / max(1, told[kind])
        print(
            f"{kind:<10}{told[kind]:>9}{right[kind]:>9}{wrong[kind]:>9}"
            f"{precision:>11.4f}{recall:>9.4f}"
        )
    print(f"{len(likenesses)} likenesses, {sum(not found_in(o.text) for o in likenesses)} whole")


def judged(one: Planted) -> Iterator[tuple[str, bool]]:
    """Of everything found, whether it is the secret, the whole of it and of its kind."""
    start = one.text.index(one.secret)
    for found in found_in(one.text):
        whole = found.start <= start and found.end >= start + len(one.secret)
        yield found.kind, whole and found.kind == one.kind


def real(name: str, texts: Iterable[str], show: bool) -> None:
    size, counts, shown, seconds = 0, Counter[str](), list[str](), 0.0
    for text in texts:
        begun = time.process_time()
        found = found_in(text)
        seconds += time.process_time() - begun
        size += len(text)
        counts.update(one.kind for one in found)
        shown += [f"    {one.kind} {text[one.start : one.end][:80]!r}" for one in found]
    nanoseconds = seconds / max(1, size) * 1e9
    print(f"{name:<24}{size:>12}{nanoseconds:>9.0f}" + "".join(f"{counts[k]:>9}" for k in KINDS))
    if show:
        print("\n".join(shown))


def sources(*folders: Path) -> Iterator[str]:
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            if "site-packages" not in file.parts and "dist-packages" not in file.parts:
                yield file.read_text(encoding="utf-8", errors="replace")


def said(file: Path) -> Iterator[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from (message["text"] for message in json.loads(line)["messages"])


if __name__ == "__main__":
    main()
