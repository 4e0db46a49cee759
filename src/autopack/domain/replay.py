"""When an answer that was paid for is put through the gates again instead of asking for another."""

from enum import StrEnum

from autopack.domain.failure import FailureKind


class Replay(StrEnum):
    """What an attempt does with the answer that an earlier attempt of its phase paid for."""

    OFF = "off"
    FIRST = "first"
    """Judge it; where it does not pass, ask the Builder anew in the same attempt."""
    ONLY = "only"
    """Judge it and end with that verdict; the Builder is not asked."""


_OF_THE_CHANGE = frozenset(
    {
        FailureKind.EMPTY_CHANGE,
        FailureKind.PATCH_REJECTED,
        FailureKind.SCOPE_VIOLATION,
        FailureKind.PROTECTED_PATH,
        FailureKind.INVALID_JSON_DELIVERABLE,
        FailureKind.DELIVERABLES_MISSING,
        FailureKind.SYNTAX_ERROR,
        FailureKind.TEST_REGRESSION,
    }
)


def is_worth_replaying(kind: FailureKind | None, *, is_same_base: bool) -> bool:
    """Whether judging the answer again may end otherwise.

    Args:
        kind: What the attempt that asked for it failed with.
        is_same_base: Whether that attempt was made on the commit that is the base now. On the same base only
            failures that the surroundings decide (a package, a tool, a time limit) may be gone. What an operator
            denied is never offered again.
    """
    if kind is FailureKind.APPROVAL_DENIED:
        return False
    return not is_same_base or kind not in _OF_THE_CHANGE


def is_of_the_answer(kind: FailureKind | None) -> bool:
    """Whether an old answer that fails so on a new base is to blame itself, and neither the base nor its mend."""
    return kind in _OF_THE_CHANGE


def is_of_the_answer_alone(kind: FailureKind | None) -> bool:
    """Whether an answer that fails so would hardly pass on any base: gates refuse it before its tests are run."""
    return is_of_the_answer(kind) and kind is not FailureKind.TEST_REGRESSION
