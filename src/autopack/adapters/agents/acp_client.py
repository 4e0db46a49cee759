"""Our side of a session: what an agent may ask of us."""

from pathlib import Path
from typing import Any

from acp import RequestError
from acp.schema import (
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    ReadTextFileResponse,
    RequestPermissionResponse,
    ToolCallUpdate,
    WriteTextFileResponse,
)

from autopack.adapters.agents.files import WorktreeFiles
from autopack.adapters.agents.permissions import answer_request
from autopack.adapters.agents.transcript import Transcript
from autopack.errors import AutopackError


class AcpClient:
    """Answers permission requests by policy and serves the worktree's files; offers no terminal.

    An agent that wants to run programs does so itself, inside its sandbox; through us they would run outside.
    """

    def __init__(
        self, *, worktree: Path, files: WorktreeFiles, transcript: Transcript, is_sandboxed: bool
    ) -> None:
        self._worktree = worktree
        self._is_sandboxed = is_sandboxed
        self._files = files
        self._transcript = transcript

    def on_connect(self, conn: Any) -> None:
        """Nothing is kept of the connection."""

    async def session_update(self, session_id: str, update: Any, **more: Any) -> None:
        """Updates are taken off the wire before the package sees them."""

    async def request_permission(
        self,
        session_id: str,
        tool_call: ToolCallUpdate,
        options: list[PermissionOption],
        **more: Any,
    ) -> RequestPermissionResponse:
        """Allow what stays in the worktree, as far as that can be told."""
        kind, title = str(tool_call.kind or ""), tool_call.title or tool_call.tool_call_id
        answer = answer_request(
            kind=kind,
            paths=[place.path for place in tool_call.locations or ()],
            options=[(option.option_id, str(option.kind)) for option in options],
            worktree=self._worktree,
            is_sandboxed=self._is_sandboxed,
        )
        self._transcript.note(
            "permission", f"{kind} · {title} → {answer.option_id or 'cancelled'} ({answer.why})"
        )
        if answer.option_id is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=answer.option_id)
        )

    async def read_text_file(
        self,
        session_id: str,
        path: str,
        line: int | None = None,
        limit: int | None = None,
        **more: Any,
    ) -> ReadTextFileResponse:
        """A file of the worktree."""
        try:
            return ReadTextFileResponse(content=self._files.read(path, line=line, limit=limit))
        except FileNotFoundError:
            raise RequestError.resource_not_found(path) from None
        except (AutopackError, OSError) as error:
            raise self._refusal("read", path, error) from error

    async def write_text_file(
        self,
        session_id: str,
        path: str,
        content: str,
        **more: Any,
    ) -> WriteTextFileResponse:
        """Write a file of the worktree."""
        try:
            key = self._files.write(path, content)
        except (AutopackError, OSError) as error:
            raise self._refusal("write", path, error) from error
        self._transcript.note("file", f"wrote {key}")
        return WriteTextFileResponse()

    async def create_terminal(self, command: str, session_id: str, **more: Any) -> Any:
        """Refused."""
        self._transcript.note("terminal", f"refused: {command}")
        raise RequestError.method_not_found("terminal/create")

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Unknown to us."""
        raise RequestError.method_not_found(method)

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """Of no interest."""

    def _refusal(self, what: str, path: str, error: Exception) -> RequestError:
        self._transcript.note("file", f"refused to {what} {path}: {error}")
        return RequestError.invalid_params({"path": path, "reason": str(error)})
