"""Every error that Autopack raises: a message with names and numbers, and a hint with the next step."""


class AutopackError(Exception):
    """Something that was asked cannot be done.

    Attributes:
        hint: What the operator can do next; empty when the message says it all.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class PlanError(AutopackError):
    """A plan cannot be read as runs and phases."""


class ScopeError(AutopackError):
    """A path is not a legal key of the repository."""


class PatchError(AutopackError):
    """A Builder's answer cannot be read as a change, or does not fit the tree.

    Attributes:
        problems: One line for each file, hunk or edit that is wrong; never empty.
        excerpts: For each problem the file's own lines around the place that comes closest; "" where none does.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        problems: tuple[str, ...] = (),
        excerpts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems or (message,)
        self.excerpts = excerpts or ("",) * len(self.problems)


class TooMuchError(PatchError):
    """An answer asks for more work than any change is worth; nothing is said of whether it would fit."""


class IllegalTransitionError(AutopackError):
    """A phase was asked to enter a state that its own state does not allow."""


class SettingsError(AutopackError):
    """A setting is unknown, of the wrong type or out of range."""


class PromptError(AutopackError):
    """A prompt's template is not as it must be."""


class StoreError(AutopackError):
    """The database is missing, empty, too new, or refused an operation."""


class NotRecordedError(StoreError):
    """The record holds no run, no phase or no attempt of that name."""


class LeaseLostError(StoreError):
    """The attempt was taken over by another process; whatever this one finds out no longer counts."""


class NotClaimableError(StoreError):
    """The attempt cannot be taken: finished, held by a live process, or its phase is not runnable."""


class NotKnownError(StoreError):
    """The store does not hold what was asked for, and whoever asks must not find it out."""


class WorkspaceError(AutopackError):
    """The repository, its base or a worktree is not as it must be."""


class UntakeableError(WorkspaceError):
    """What was left in a worktree holds something that no change can: asking for it again would bring it again."""


class NoCommitError(WorkspaceError):
    """A revision names no commit of the repository."""


class MergeConflictError(WorkspaceError):
    """Two commits changed the same lines.

    Attributes:
        paths: The files, sorted.
    """

    def __init__(self, message: str, *, hint: str = "", paths: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.paths = paths


class BuilderError(AutopackError):
    """A Builder's specification names nothing that can build."""


class ProcessError(AutopackError):
    """A program could not be started at all."""


class RoomError(AutopackError):
    """The sandbox made no room for a program: nothing is said against the program, and trying again may help."""


class SandboxError(AutopackError):
    """The settings require a sandbox, and none works on this machine."""


class ProcessLostError(AutopackError):
    """The guard of a program was killed: nothing is known of how the program ended, and trying again may help."""


class EngineError(AutopackError):
    """The durable queue could not be reached or refused an operation."""


class ReportError(AutopackError):
    """A report or a picture cannot be drawn or written."""


class ReviewError(AutopackError, ValueError):
    """A review is not known, was decided before, or its criteria contradict each other."""


class ResearchError(AutopackError):
    """A source of findings is named wrongly, or what it needs is not installed."""
