"""Lists the licence of every package that requirements name, as each one's own metadata has it.

    PYTHONPATH=infra python -m care.licences functions/requirements.txt gpu/requirements.txt

Run where they are installed. Ends with status 1 where a licence is not one of those that were
looked at: whoever adds a package reads its licence, and adds it to `KNOWN`.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;#]+)")
KNOWN = frozenset(  # SPDX ids (https://spdx.org/licenses), all of them permissive but MPL
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "ISC",
        "LLVM-exception",
        "MIT",
        "MIT-0",
        "MPL-2.0",  # per file: nothing of it is changed here
        "PSF-2.0",
        "Zlib",
        "0BSD",
        "CC0-1.0",
        "Unlicense",
    }
)
SPELT = {  # as classifiers and old metadata write them
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "isc license (iscl)": "ISC",
}
WORDS = re.compile(r"[A-Za-z0-9.-]+")
JOINING = {"AND", "OR", "WITH"}


@dataclass(frozen=True, slots=True)
class Licensed:
    package: str
    version: str
    licence: str

    @property
    def known(self) -> bool:
        """Every id of an expression; one that nobody looked at is a question."""
        ids = set(WORDS.findall(self.licence)) - JOINING
        return bool(ids) and ids <= KNOWN


def pinned(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        if found := PINNED.match(line):
            yield found[1], found[2]


def licensed(package: str, version: str) -> Licensed:
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return Licensed(package, version, "not installed")
    stated = next(iter(told.get_all("License-Expression") or []), "")
    expression = stated or _classified(told.get_all("Classifier") or [])
    written = next(iter(told.get_all("License") or []), "").strip().partition("\n")[0]
    return Licensed(package, version, expression or _spelt(written) or "not stated")


def _classified(classifiers: list[str]) -> str:
    names = [
        one.rpartition(" :: ")[2]
        for one in classifiers
        if one.startswith("License :: ") and one != "License :: OSI Approved"
    ]
    return " AND ".join(_spelt(one) for one in names)


def _spelt(name: str) -> str:
    return SPELT.get(name.lower(), name)


def main() -> None:
    parser = argparse.ArgumentParser(description="The licences of what is installed.")
    parser.add_argument("files", nargs="+", type=Path)
    chosen = parser.parse_args()
    named = dict(sorted(one for file in chosen.files for one in pinned(file)))
    found = [licensed(package, version) for package, version in named.items()]
    for one in found:
        print(f"{one.package:<28} {one.version:<16} {one.licence}")
    if unknown := [one.package for one in found if not one.known]:
        sys.exit(f"read the licence of {', '.join(unknown)}")


if __name__ == "__main__":
    main()
