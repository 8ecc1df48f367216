"""What somebody did, in words that hold for other tasks too. Pure.

Steps name the page, the order number, the file and the day of *their* task. ``Generaliser`` puts
"a URL", "an id", "a file", "a date" in their place, and "the site" for the value of a context
feature called site; what is left are the words that another task can use. Words that recur, in
tasks that have nothing else in common, are vocabulary, and stay (``recurring_words``).

Steps are data. Whatever they say is never followed: control characters and markup are stripped, and
sentences that read like orders to a language model are left out, because items end up in prompts.

Above: ``distil``, ``item_rules``. Below: ``contexts``, ``trajectory``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from swarm_runtime.memory.records.contexts import normal_text
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Generaliser", "clean_text", "gives_orders", "recurring_words", "shortened", "specifics"]

#: Of one step no more than this is read.
_LONGEST = 2_000
#: A context value of more words than this is a sentence, not a name.
_NAME_WORDS = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MONTHS = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
_MONTHS += "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_FILES = _words(
    "bak bin c cfg conf cpp cs css csv dat db doc docx env gif go gz h htm html ini ipynb java jpeg"
    " jpg js json jsonl log md parquet pdf php pkl png py rb rs sh sql sqlite svg tar toml ts tsv"
    " txt wav xls xlsx xml yaml yml zip"
)


def _host_or_file(match: re.Match[str]) -> str:
    return "a file" if match[0].rsplit(".", 1)[-1].casefold() in _FILES else "a host"


def _path(match: re.Match[str]) -> str:
    # "and/or" is none.
    return "a path" if match[0].count("/") > 1 or "." in match[0] else match[0]


def _amount(match: re.Match[str]) -> str:
    if match[0].endswith("%"):
        return "a share"
    return "a number" if match[0][0] not in "$€£¥" else "an amount"


#: What is replaced, in this order, the last ones after names. No pattern can backtrack over more
#: than a word.
_PATTERNS = (
    ("a URL", re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://\S+|\bwww\.\S+", re.I)),
    ("an e-mail address", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*")),
    ("a text", re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w)")),
    ("an id", re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I)),
    (
        "a date",
        re.compile(r"\b\d{4}-\d\d?-\d\d?(?:[t ]\d\d?:\d\d[\d:.]*(?:z|[+-]\d\d:?\d\d)?)?", re.I),
    ),
    ("a date", re.compile(r"\b\d\d?[./]\d\d?[./]\d{2,4}\b")),
    ("a date", re.compile(rf"\b(?:{_MONTHS})\.? \d\d?(?:,? \d{{4}})?\b", re.I)),
    ("a date", re.compile(rf"\b\d\d?\.? (?:{_MONTHS})\b(?:,? \d{{4}}\b)?", re.I)),
    ("a time", re.compile(r"\b\d\d?:\d\d(?::\d\d)?\b")),
    ("a host", re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")),
    ("a path", re.compile(r"\b[a-z]:\\\S+", re.I)),
    ("a path", re.compile(r"(?<![\w/])(?:~|\.\.?)?/[\w.@%+~-]+(?:/[\w.@%+~-]*)*")),
    (_path, re.compile(r"\b[\w.-]+(?:/[\w.-]+)+")),
    (_host_or_file, re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.[a-z]{1,8}\b(?::\d+)?", re.I)),
    ("a host", re.compile(r"\blocalhost(?::\d+)?\b", re.I)),
    ("an id", re.compile(r"#\w+|\b(?=[a-z_-]*\d)(?=[\d_-]*[a-z])[\w-]*\w", re.I)),
    (_amount, re.compile(r"[$€£¥]?[+-]?\d+(?:[.,_:]\d+)*%?")),
)
_AFTER_NAMES = 2
_ROUNDS = 4
#: Abbreviations that are no names of anything.
_COMMON_CAPITALS = _words(
    "A API APIs CPU CSS CSV DNS FTP GPU GET GUI HEAD HTML HTTP HTTPS I ID IDs IO IP JSON OK PATCH"
    " POST PUT DELETE RAM REST SDK SQL SSH SSL TCP TLS UDP UI URI URL URLs XML YAML"
)
#: Values of contexts that are words like others.
_PLAIN = _words(
    "a all any bad bid big buy calm clear closed cold day down easy empty even false fast few first"
    " flat full get good hard high hot idle large last late left long low many medium mid middle"
    " morning neutral new night no none normal odd off old on one open post put quiet rare read"
    " right rising sell short slow small some strong true two up wait warm weak wide write yes"
    " falling unknown other default"
)
_SYMBOL = re.compile(r"\b[A-Z][A-Z0-9]*(?:[A-Z_.-][A-Z0-9]+)*\b")
_NAME = re.compile(r"(?<=[a-z,;)] )[A-Z][a-z]+\w*(?: [A-Z][a-z]+\w*)*")
_CAMEL = re.compile(r"\b[a-z]+(?:[A-Z][a-z]+)+\b|\b(?:[A-Z][a-z]+){2,}\b")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SNAKE = re.compile(r"(?<=[^\W_])_(?=[^\W_])")
_REPEATED = re.compile(r"\b(an? (?:\w+|e-mail address))(?:[ ,;:/=-]{1,3}\1\b)+")
#: "0 errors" are no errors, and "12 rows" some rows.
_ZERO = re.compile(r"(?<![\w.,:/+-])0(?= [a-z])", re.I)
_COUNTED = re.compile(r"\ba number (?=[a-z]+s\b)", re.I)
_BEFORE_MARKS = re.compile(r" ([,;.!?)](?: |$))")
_ARTICLES = re.compile(r"\b(?:the|an?|this|that) (?=(?:an?|the) )", re.I)
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|rules|prompts?|above|previous)"
    r"|\byou (?:are now|must|have to|should now)\b|\b(?:system|developer) (?:prompt|message)\b"
    r"|\bas an? (?:ai|assistant|language model)\b|\b(?:assistant|system|user) ?:"
    r"|\bremember (?:this|that|to)\b|\bfrom now on\b|\b(?:api|secret|access) ?key\b|\bpassword\b",
    re.I,
)


def clean_text(text: str) -> str:
    """Return a text as one line, without control characters, invisible ones and markup."""
    kept = unicodedata.normalize("NFKC", text[:_LONGEST])
    visible = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in kept)
    bare = re.sub(r"</?[A-Za-z][^<>]*>|[<>{}\[\]|*^~]", " ", visible)
    return " ".join(bare.split())


def gives_orders(text: str) -> bool:
    """Return whether a text reads like an order to whoever has it in a prompt."""
    return _ORDERS.search(clean_text(text)) is not None


def shortened(text: str, length: int) -> str:
    """Return a text of at most so many characters, cut between words."""
    if len(text) <= length:
        return text
    return text[: length - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"


def recurring_words(trajectories: Iterable[Trajectory], *, tasks: int = 2) -> frozenset[str]:
    """Return the words that occur in the steps or contexts of several tasks.

    Parameters
    ----------
    trajectories : iterable of Trajectory
        One without a task is a task of its own.
    tasks : int
        In how many tasks a word must occur.
    """
    seen: dict[str, set[str]] = {}
    for one in trajectories:
        texts = [*one.steps, *(value for value in one.context.values() if isinstance(value, str))]
        for text in texts:
            for word in _WORD.findall(normal_text(text[:_LONGEST])):
                seen.setdefault(word, set()).add(one.task or f"\0{one.id}")
    return frozenset(word for word, where in seen.items() if len(where) >= tasks)


class Generaliser:
    """Puts general words in place of what belongs to one task.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        Tries at the task.
    vocabulary : frozenset of str
        Words that stay, in lower case; see ``recurring_words``.
    """

    def __init__(
        self, trajectories: Sequence[Trajectory], vocabulary: frozenset[str] = frozenset()
    ) -> None:
        self._vocabulary = vocabulary
        #: What everybody who does such tasks knows: approaches, the type, names of features.
        known = {
            text
            for one in trajectories
            for text in (one.approach, one.task_type, one.domain, *one.context)
            if text
        }
        self._known = tuple(sorted(known, key=lambda text: (-len(text), text)))
        self._words = frozenset(
            word for text in known for word in _WORD.findall(normal_text(text.replace("_", " ")))
        )
        names: dict[str, str] = {}
        for one in sorted(trajectories, key=lambda one: one.id):
            names[one.id] = "this try"
            names[one.agent] = "an agent"
            if one.task:
                names[one.task] = "the task"
            for feature, value in sorted(one.context.items()):
                if isinstance(value, str) and self.is_name(value):
                    names[clean_text(value)] = f"the {_spaced(feature)}"
        # The longest first: "shop north" before "shop".
        self._names = tuple(
            (name, re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.I), general)
            for name, general in sorted(names.items(), key=lambda pair: (-len(pair[0]), pair[0]))
            if name and name not in known and len(name) > 1
        )

    def is_name(self, value: str) -> bool:
        """Return whether a context's value is short, and not made of plain words."""
        words = normal_text(value).split()
        if not 0 < len(words) <= _NAME_WORDS:
            return False
        return not all(word in _PLAIN or word in self._vocabulary for word in words)

    def text(self, text: str) -> str:
        """Return a text without what belongs to one task."""
        masked, kept = self._masked(clean_text(text))
        # What is put in may make a new word with what stood beside it.
        for _ in range(_ROUNDS):
            before, masked = masked, self._general(masked)
            if before == masked:
                break
        for mark, original in kept:
            masked = masked.replace(mark, _spaced(original))
        return " ".join(masked.split())

    def _general(self, text: str) -> str:
        masked = text
        for replacement, pattern in _PATTERNS[:-_AFTER_NAMES]:
            masked = _replaced(pattern, replacement, masked)
        for _, pattern, general in self._names:
            masked = _replaced(pattern, general, masked)
        masked = _ZERO.sub("no", masked)
        for replacement, pattern in _PATTERNS[-_AFTER_NAMES:]:
            masked = _replaced(pattern, replacement, masked)
        masked = _SNAKE.sub(" ", masked.replace("\\", " "))
        masked = _CAMEL.sub(lambda match: self._kept_or(match[0], _split_camel(match[0])), masked)
        masked = _SYMBOL.sub(self._symbol, masked)
        masked = _NAME.sub(lambda match: self._kept_or(match[0], "a name"), masked)
        masked = _BEFORE_MARKS.sub(r"\1", " ".join(masked.split()))
        masked = _REPEATED.sub(r"\1", _ARTICLES.sub("", masked))
        return _COUNTED.sub("some ", masked)

    def _symbol(self, match: re.Match[str]) -> str:
        return match[0] if match[0] in _COMMON_CAPITALS else self._kept_or(match[0], "a symbol")

    def _kept_or(self, text: str, general: str) -> str:
        words = _WORD.findall(normal_text(text))
        if words and all(word in self._vocabulary or word in self._words for word in words):
            return text
        return general

    def _masked(self, text: str) -> tuple[str, list[tuple[str, str]]]:
        """Hide what may stay as it is behind private characters."""
        kept: list[tuple[str, str]] = []
        for at, known in enumerate(self._known[:1_000]):
            mark = chr(0xE000 + at)
            pattern = re.compile(rf"(?<!\w){re.escape(clean_text(known))}(?!\w)", re.I)
            changed = pattern.sub(mark, text)
            if changed != text:
                kept.append((mark, known))
                text = changed
        return text, kept

    def specifics(self, text: str) -> list[str]:
        """Return what in a text belongs to one task, e.g. ``a URL: http://...``."""
        masked, _ = self._masked(clean_text(text))
        found = [
            f"{general}: {name}" for name, pattern, general in self._names if pattern.search(masked)
        ]
        return found + specifics(masked)


def specifics(text: str) -> list[str]:
    """Return what in a text belongs to one task whatever the task: URLs, numbers, dates, ids."""
    found: list[str] = []
    for replacement, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            general = replacement if isinstance(replacement, str) else replacement(match)
            if general != match[0]:
                found.append(f"{general}: {match[0]}")
        text = _replaced(pattern, replacement, text)
    return found


def _replaced(
    pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str
) -> str:
    def words(match: re.Match[str]) -> str:
        general = replacement if isinstance(replacement, str) else replacement(match)
        # Apart from what stands beside it, so that they make no word together.
        return general if general == match[0] else f" {general} "

    return pattern.sub(words, text)


def _spaced(name: str) -> str:
    return _SNAKE.sub(" ", name)


def _split_camel(word: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word).casefold()
