"""One prompt to one agent over ACP, from its start to its end."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import acp
from acp import schema
from acp.client.connection import ClientSideConnection
from pydantic import ValidationError

from autopack import __version__
from autopack.adapters.agents.acp_client import AcpClient
from autopack.adapters.agents.acp_transport import open_transport
from autopack.adapters.agents.ending import Cause, Ending, killed_for
from autopack.adapters.agents.files import WorktreeFiles
from autopack.adapters.agents.transcript import Transcript
from autopack.adapters.agents.watch import CallWatch
from autopack.ports import Conversation

POLL_SECONDS = 0.1
CANCEL_SECONDS = 5.0
"""How long an agent may take to answer a cancellation; the slowest took half a second."""
LEAVE_SECONDS = 3.0
"""How long it may take to end when its stdin is closed."""
_DRAIN_SECONDS = 1.0
_MOST_CHUNKS = 10_000
"""Reports of usage piece by piece; no model's answer has that many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an agent is asked."""

    worktree: Path
    staging: Path
    """A folder for half-written files, on the worktree's file system."""
    prompt: str
    is_sandboxed: bool
    """Whether walls keep the agent in, whatever it is allowed."""
    auth_method: str = ""
    mode: str = ""
    """The session mode to ask for, where the agent offers it."""


@dataclass(slots=True)
class _Heard:
    """What an agent said of its usage."""

    answer: Any = None
    cost: Any = None
    chunks: list[Any] = field(default_factory=list)
    chunk_count: int = 0

    def note(self, update: Mapping[str, object]) -> None:
        """Look at a session update."""
        if update.get("sessionUpdate") == "usage_update":
            self.cost = {name: value for name, value in update.items() if name != "sessionUpdate"}
        meta = update.get("_meta")
        if isinstance(meta, dict) and "usage" in meta:
            self.chunk_count += 1
            if self.chunk_count <= _MOST_CHUNKS:
                self.chunks.append(meta["usage"])

    def reported(self) -> dict[str, object]:
        """All of it, as it came."""
        answer = self.answer.model_dump(mode="json", by_alias=True, exclude_none=True) if self.answer else {}
        parts = {
            "usage": answer.get("usage"),
            "meta": answer.get("_meta"),
            "update": self.cost,
            # The sum of some of them would be no sum.
            "chunks": self.chunks if self.chunk_count <= _MOST_CHUNKS else None,
        }
        return {name: value for name, value in parts.items() if value}


def converse(
    conversation: Conversation,
    turn: Turn,
    watch: CallWatch,
    transcript: Transcript,
    *,
    on_end: Callable[[Ending], None],
) -> Ending:
    """Ask the agent, watch it, and see it out; the program is left to be stopped by the caller.

    ``on_end`` is told how the turn ended before the agent is seen out, which may take seconds.
    """
    return asyncio.run(_Session(conversation, turn, watch, transcript, on_end).run())


class _Session:
    def __init__(
        self,
        conversation: Conversation,
        turn: Turn,
        watch: CallWatch,
        transcript: Transcript,
        on_end: Callable[[Ending], None],
    ) -> None:
        self._on_end = on_end
        self._conversation = conversation
        self._turn = turn
        self._watch = watch
        self._transcript = transcript
        self._heard = _Heard()
        self._session_id = ""

    async def run(self) -> Ending:
        pipes = self._conversation
        transport = await open_transport(pipes.stdin, pipes.stdout, self._note)
        self._watch.listen(lambda: transport.received_bytes)
        client = AcpClient(
            worktree=self._turn.worktree,
            files=WorktreeFiles(self._turn.worktree, staging=self._turn.staging),
            transcript=self._transcript,
            is_sandboxed=self._turn.is_sandboxed,
        )
        # The package's types ask for more than it calls.
        connection = ClientSideConnection(client, transport)  # type: ignore[arg-type]
        task = asyncio.create_task(self._ask(connection))
        try:
            ending = await self._wait(task, connection)
            self._on_end(ending)
        finally:
            await _settle(task)
            await connection.close()
            await self._see_out(LEAVE_SECONDS)
        if transport.skipped_lines:
            self._transcript.note("autopack", f"{transport.skipped_lines} lines of stdout were no messages")
        return replace(ending, reported=self._heard.reported(), duration_seconds=self._watch.seconds())

    def _note(self, update: Mapping[str, object]) -> None:
        self._heard.note(update)
        self._transcript.update(update)

    async def _ask(self, connection: ClientSideConnection) -> str:
        """The stop reason of the one prompt."""
        # An agent writes into its worktree itself; what goes through us is served, since some ask all the same, but
        # not asked for: Gemini CLI takes our "not found" for a fault and then writes no new file.
        files = schema.FileSystemCapabilities(read_text_file=False, write_text_file=False)
        begun = await connection.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=schema.ClientCapabilities(fs=files, terminal=False),
            client_info=schema.Implementation(name="autopack", version=__version__),
        )
        if begun.agent_info is not None:
            self._transcript.note("autopack", f"{begun.agent_info.name} {begun.agent_info.version}")
        if self._turn.auth_method:
            await connection.authenticate(method_id=self._turn.auth_method)
        session = await connection.new_session(cwd=str(self._turn.worktree), mcp_servers=[])
        self._session_id = session.session_id
        await self._set_mode(connection, session)
        self._heard.answer = await connection.prompt(
            session_id=session.session_id, prompt=[acp.text_block(self._turn.prompt)]
        )
        return str(self._heard.answer.stop_reason)

    async def _set_mode(self, connection: ClientSideConnection, session: schema.NewSessionResponse) -> None:
        offered = [mode.id for mode in session.modes.available_modes] if session.modes else []
        if self._turn.mode in offered:
            await connection.set_session_mode(session_id=session.session_id, mode_id=self._turn.mode)
        elif self._turn.mode:
            self._transcript.note("autopack", f"no mode {self._turn.mode!r} is offered: {', '.join(offered)}")

    async def _wait(self, task: "asyncio.Task[str]", connection: ClientSideConnection) -> Ending:
        dead_at: float | None = None
        while not (await asyncio.wait({task}, timeout=POLL_SECONDS))[0]:
            if (reason := self._watch.reason()) is not None:
                return await self._cancel(task, connection, reason)
            if self._conversation.has_ended():
                # Its last words may still be in the pipe, which a child may hold open for good.
                dead_at = self._watch.seconds() if dead_at is None else dead_at
                if self._watch.seconds() - dead_at > _DRAIN_SECONDS:
                    return await self._death()
        return await self._ending_of(task)

    async def _ending_of(self, task: "asyncio.Task[str]") -> Ending:
        try:
            return Ending(cause=Cause.ANSWERED, stop_reason=task.result())
        except acp.RequestError as error:
            return Ending(cause=Cause.ERROR, message=_words_of(error))
        except ValidationError as error:
            text = f"the agent's answer is not what the protocol says: {error.error_count()} errors in {error.title}"
            return Ending(cause=Cause.ERROR, message=text)
        except (ConnectionError, OSError):
            return await self._death()

    async def _death(self) -> Ending:
        await self._see_out(_DRAIN_SECONDS)
        finished = self._conversation.stop()
        if (killed := killed_for(finished)) is not None:
            return killed
        text = f"The agent ended in the middle of its turn, with exit code {finished.returncode}"
        return Ending(cause=Cause.DIED, message=text, returncode=finished.returncode)

    async def _cancel(
        self, task: "asyncio.Task[str]", connection: ClientSideConnection, reason: Ending
    ) -> Ending:
        self._transcript.note("autopack", reason.message)
        if not self._session_id:
            return reason
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await connection.cancel(session_id=self._session_id)
                await asyncio.wait({task})
        except (TimeoutError, ConnectionError):
            return reason
        answer = await self._ending_of(task)
        return replace(reason, stop_reason=answer.stop_reason)

    async def _see_out(self, seconds: float) -> None:
        """Give the agent time to end by itself; some flush what they know of their usage."""
        deadline = self._watch.seconds() + seconds
        while not self._conversation.has_ended() and self._watch.seconds() < deadline:
            await asyncio.sleep(POLL_SECONDS)


async def _settle(task: "asyncio.Task[str]") -> None:
    """End the task and look at its error, so that none is told of later."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _words_of(error: acp.RequestError) -> str:
    details = f": {error.data}" if error.data else ""
    return f"The agent reported an error ({error.code}): {error}{details}"[:2000]
