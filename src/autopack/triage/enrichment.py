"""A language model's reading of the remediation plan: asked once within a budget, marked, and never evidence.

The call is an ordinary attempt of a phase, so that it is booked, budgeted, paused and told like any other. Its run is
Autopack's own, which no drain takes. The phase is named after what is asked: the same record is never paid for twice, a
process that died is gone on with, and what one left of another question is put away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from autopack.domain.attempt import AttemptAddress, Lease
from autopack.domain.failure import FailureReport
from autopack.domain.masking import mask_secrets
from autopack.domain.moves import crash_of
from autopack.domain.phase import Phase, PhaseKind, PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import OWN, Order, RunSpec
from autopack.domain.verdicts import AttemptOutcome, GateStatus, GateVerdict
from autopack.errors import AutopackError
from autopack.execution.briefing import Prompt
from autopack.execution.build import BuildOrder, BuildStep
from autopack.execution.context import ScopedContext
from autopack.execution.heartbeat import heartbeat
from autopack.execution.paid_answers import FIRST_TURN
from autopack.execution.shown import Shown
from autopack.ports import BuildAnswer, Clock, Store, Workspace
from autopack.triage.recorded import recorded_phases

RUN = f"{OWN}enrichment"
"""The run of all readings, one phase each."""
_MOST_CHARACTERS = 20_000
_TASK = """Below is a remediation plan that was made from the record of failed attempts, without you. Add what a careful
engineer would: likelier root causes, what else would show them, and what may go wrong with the proposed mends. Name the
blocker (B1, B2, ...) that each remark is about. State what you are unsure of. Do not repeat the plan, do not invent
evidence, and change no file: answer in words alone.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks, and with what."""

    store: Store
    workspace: Workspace
    build: BuildStep
    clock: Clock
    owner: str
    is_owner_dead: Callable[[str, float], bool]
    lease_seconds: float
    logs_of: Callable[[AttemptAddress], Path]
    """A folder for what the Builder of an attempt sees and says."""


def enrich(document: str, reader: Reader, *, base: str, budget_tokens: int) -> str:
    """What a model adds to a plan, as a quotation that says whose it is; a note where it adds nothing.

    Args:
        document: The plan, without anything that changes while the record does not.
        reader: Who asks.
        base: A commit, for the call's place in the record.
        budget_tokens: What the call may use.
    """
    if reader.build.edits_worktree:
        return _note("the Builder answers with changes of files, and not in words")
    prompt = _TASK + document
    phase_id = f"reading-{sha256(prompt.encode('utf-8', 'replace')).hexdigest()[:12]}"
    spec = PhaseSpec(
        phase_id=phase_id,
        goal="Say what else the record may mean",
        kind=PhaseKind.RESEARCH,
        budget_tokens=budget_tokens,
    )
    run = RunSpec(run_id=RUN, goal="Read remediation plans", phases=(spec,), order=Order.INDEPENDENT)
    try:
        _clear(phase_id, reader)
        # What was never begun goes with this: a plan that lacks such a phase takes it away.
        reader.store.import_plan(Plan(runs=(run,)), now=reader.clock.now())
        return _told(_answer(phase_id, prompt, reader, base=base), phase_id)
    except AutopackError as error:
        return _note(str(error))


def _clear(phase_id: str, reader: Reader) -> None:
    """Put what dead processes left of other questions away; what was asked for in vain may take another budget."""
    store, now = reader.store, reader.clock.now()
    for held in store.in_flight():
        if held.address.run_id == RUN and reader.is_owner_dead(held.owner, held.heartbeat_at):
            store.release_attempt(held.address, token=held.token, failure=crash_of(held), now=now)
    for phase in recorded_phases(store, RUN):
        if phase.phase_id == phase_id and phase.state is PhaseState.SKIPPED:
            store.requeue_phase(RUN, phase_id, now=now)
        elif phase.phase_id != phase_id and phase.state is PhaseState.QUEUED and phase.last_attempt:
            store.skip_phase(RUN, phase.phase_id, now=now)


def _answer(phase_id: str, prompt: str, reader: Reader, *, base: str) -> BuildAnswer:
    store, now = reader.store, reader.clock.now()
    phase = store.phase(RUN, phase_id)
    if phase.state is PhaseState.COMPLETE:
        return _paid(phase, store)
    address, commit = store.next_address(RUN, phase_id), reader.workspace.resolve(base)
    lease = store.claim_attempt(address, owner=reader.owner, now=now, is_owner_dead=reader.is_owner_dead)
    with heartbeat(store, lease, reader.clock, lease_seconds=reader.lease_seconds):
        answer = _ask(phase, lease, prompt, reader, base=commit)
    # A beat that finds the attempt finished would take it for another's and end this process.
    _finish(lease, answer, reader, base=commit)
    return answer


def _paid(phase: Phase, store: Store) -> BuildAnswer:
    address = AttemptAddress(run_id=phase.run_id, phase_id=phase.phase_id, number=phase.last_attempt)
    stored = store.stored_answer(address, FIRST_TURN)
    return stored.answer if stored is not None else BuildAnswer()


def _ask(phase: Phase, lease: Lease, prompt: str, reader: Reader, *, base: str) -> BuildAnswer:
    nothing_shown = Shown(spec=phase.spec, read=lambda _key: None, placeholders={})
    reader.build.recover(
        lease,
        logs_of=reader.logs_of,
        shown=lambda _commit: nothing_shown,
        marked=reader.workspace.marked,
    )
    if (paid := reader.build.stored(lease)) is not None:
        return paid
    nothing = ScopedContext(files=(), stubs={})
    with reader.workspace.worktree() as worktree:
        order = BuildOrder(
            phase=phase,
            lease=lease,
            context=nothing,
            prompt=Prompt(text=prompt),
            worktree=worktree,
            base=base,
            logs=reader.logs_of(lease.address),
        )
        return reader.build.ask(order)


def _finish(lease: Lease, answer: BuildAnswer, reader: Reader, *, base: str) -> None:
    store, clock = reader.store, reader.clock
    usage = store.usage_of(RUN, lease.address.phase_id)
    if answer.failure is not None:
        outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=answer.failure, usage=usage)
        store.finish_attempt(lease, outcome, now=clock.now())
        return
    for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
        store.enter_state(lease, state, now=clock.now())
    gates = (GateVerdict(gate="in_words", status=GateStatus.PASSED),)
    outcome = AttemptOutcome(final_state=PhaseState.COMPLETE, commit=base, gates=gates, usage=usage)
    store.finish_attempt(lease, outcome, now=clock.now())


# --- how it is told -------------------------------------------------------------------------------------


def _told(answer: BuildAnswer, phase_id: str) -> str:
    if answer.failure is not None:
        return _note(_first_line(answer.failure))
    text = mask_secrets(answer.text).strip()
    if not text:
        return _note("it said nothing")
    cut = text[:_MOST_CHARACTERS] + (" [cut]" if len(text) > _MOST_CHARACTERS else "")
    # Quoted, so that no heading or list of its own can be taken for one of the plan.
    quoted = "\n".join(f"> {line}".rstrip() for line in cut.splitlines())
    who = f" by {answer.model}" if answer.model else ""
    used = f"{answer.usage.total_tokens:,} tokens, booked to `{RUN}/{phase_id}`"
    return f"Written{who} from the plan above, {used}. Nothing here was checked.\n\n{quoted}"


def _first_line(failure: FailureReport) -> str:
    return (failure.message.splitlines() or [str(failure.kind)])[0]


def _note(reason: str) -> str:
    return f"Asked for, and nothing was added: {mask_secrets(reason)}. The plan is whole without it."
