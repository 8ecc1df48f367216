"""Real English for benchmarks: sentences from the documentation inside installed packages.

NumPy, SciPy, pandas, statsmodels, pyarrow (BSD and Apache licences) and Ray (Apache licence) ship
with this project and carry their manuals as docstrings and comments: some hundred thousand
different sentences by many hands, on arrays, statistics, clusters, files and errors. Nothing is
copied; they are read where they are installed.
"""

from __future__ import annotations

import importlib.util
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["PACKAGES", "sentences"]

#: Packages that are read, with their licences.
PACKAGES = {
    "numpy": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "pandas": "BSD-3-Clause",
    "statsmodels": "BSD-3-Clause",
    "pyarrow": "Apache-2.0",
    "ray": "Apache-2.0",
}
#: Words of a sentence.
_FEWEST, _MOST = 4, 40
_END = re.compile(r"(?<=[.!?;:])\s+")


def sentences(most: int | None = None) -> tuple[list[str], list[str]]:
    """Return different sentences, in an order that looks random, and the package of each."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or [] if spec else []:
            # What a package bundles of others has licences of its own.
            for path in sorted(Path(folder).rglob("*.py")):
                if not {"_vendor", "vendored", "thirdparty_files", "_private"} & set(path.parts):
                    for sentence in _of_file(path):
                        found.setdefault(sentence, package)
    texts = sorted(found)
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(texts))[:most]
    chosen = [texts[at] for at in order]
    return chosen, [found[text] for text in chosen]


def _of_file(path: Path) -> Iterator[str]:
    try:
        with tokenize.open(path) as file:
            source = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return
    paragraphs = [
        paragraph
        for docstring in re.findall(r'"""(.*?)"""', source, re.DOTALL)
        for paragraph in re.split(r"\n\s*\n", docstring)
    ]
    comment: list[str] = []
    for line in [*source.splitlines(), ""]:
        said = re.match(r"\s*#+ ?(.*)", line)
        if said:
            comment.append(said.group(1))
        elif comment:
            paragraphs.append(" ".join(comment))
            comment = []
    for paragraph in paragraphs:
        for sentence in _END.split(" ".join(paragraph.split())):
            words = sentence.split()
            if _FEWEST <= len(words) <= _MOST and sum(map(str.isalpha, words)) > 0.55 * len(words):
                yield sentence
