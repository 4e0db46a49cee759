"""What one case of the truth table is, and how its change is written down."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

COMPLETE = "COMPLETE"


class Checkout:
    """The files of a repository, to be changed by a case."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def write(self, path: str, text: str | bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)

    def append(self, path: str, text: str) -> None:
        self.write(path, self.read(path) + text.encode())

    def replace(self, path: str, old: str, new: str) -> None:
        content = self.read(path)
        if content.count(old.encode()) != 1:
            raise ValueError(
                f"{path} holds {content.count(old.encode())} times what a case replaces: {old!r}"
            )
        self.write(path, content.replace(old.encode(), new.encode()))

    def remove_between(self, path: str, start: str, end: str) -> None:
        """Cut from the first ``start`` up to the next ``end``, which stays."""
        text = self.read(path).decode()
        first = text.index(start)
        self.write(path, text[:first] + text[text.index(end, first + len(start)) :])

    def delete(self, path: str) -> None:
        (self.root / path).unlink()

    def move(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)


Edit = Callable[[Checkout], str | dict[str, object] | None]
"""Changes a checkout, whose diff is then the answer; or returns the answer itself: a patch's text, or JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One change, and the only right verdict on it."""

    name: str
    repository: str
    expected: str
    """COMPLETE, or the kind of the failure."""
    why: str
    edit: Edit
    scope: tuple[str, ...]
    base: Callable[[Checkout], None] | None = None
    """Changes the repository before the case; None starts from the package as it was published."""
    deliverables: tuple[str, ...] = ()
    ci: str | None = None
    timeout_seconds: int | None = None
    budget_tokens: int | None = None
    has_answer: bool = True


class Extra(TypedDict, total=False):
    """What a case may say beside its change."""

    base: Callable[[Checkout], None]
    deliverables: tuple[str, ...]
    ci: str
    timeout_seconds: int
    budget_tokens: int
    has_answer: bool


class Table:
    """Collects cases by decorating the functions that make their changes."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def case(
        self, repository: str, expected: str, *, scope: tuple[str, ...], **more: Unpack[Extra]
    ) -> Callable[[Edit], Edit]:
        def add(edit: Edit) -> Edit:
            name = edit.__name__.replace("_", "-")
            why = (edit.__doc__ or "").strip()
            self.cases.append(
                Case(
                    name=name,
                    repository=repository,
                    expected=expected,
                    why=why,
                    edit=edit,
                    scope=scope,
                    **more,
                )
            )
            return edit

        return add

    def good(
        self, repository: str, *, scope: tuple[str, ...], **more: Unpack[Extra]
    ) -> Callable[[Edit], Edit]:
        return self.case(repository, COMPLETE, scope=scope, **more)
