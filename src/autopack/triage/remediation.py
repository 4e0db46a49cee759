"""The remediation plan: what the record says of each cause, what to change, and how it is proven; and its phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from autopack.domain.blocker import Blocker
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.go_no_go import Judgement
from autopack.domain.phase import Checks, PhaseKind, PhaseSpec, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import KnownFingerprint, Session
from autopack.triage.survey import BlockerView
from autopack.triage.validation import Check

_EXCERPT_LINES = 12
_FILES = 8
_URGENT = frozenset({FailureKind.IMPORT_CRASH, FailureKind.DELIVERABLES_MISSING, FailureKind.BUILDER_ERROR})
"""Kinds that hold up phases after tokens were spent, or every phase there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to go on."""

    name: str
    why: str
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationPlan:
    """Everything that the document says."""

    title: str
    made_at: str
    identity: str
    session: Session | None
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    views: tuple[BlockerView, ...]
    options: tuple[Choice, ...]
    commands: tuple[str, ...]
    decision: Judgement | None
    checklist: tuple[str, ...]
    enriched: str = ""
    """What a language model made of the same record; never evidence."""


def make_plan(  # noqa: PLR0913 - everything that the document tells of
    views: Sequence[BlockerView],
    *,
    lifted: Sequence[KnownFingerprint],
    session: Session | None,
    decision: Judgement | None,
    identity: str,
    now: float,
    plan_file: str,
    enriched: str = "",
) -> RemediationPlan:
    """The plan for the blockers that still hold phases, the most urgent first.

    Args:
        views: Every blocker as ``survey`` tells it.
        lifted: Causes that hold nothing any more since an operator said that they are gone.
        session: The drain session that the plan is made after, if one is meant.
        decision: How that session was judged.
        identity: Which database the record is in.
        now: Seconds since the epoch; the only thing in the document that is not from the record.
        plan_file: Where the remediation phases are written.
        enriched: A model's text, if one was asked.
    """
    holding = sorted((it for it in views if it.blocker.is_holding), key=_order)
    return RemediationPlan(
        title=(
            f"{count(len(holding), 'blocker')} {'holds' if len(holding) == 1 else 'hold'} "
            f"{count(sum(it.blocker.cause.phases for it in holding), 'failed phase')}"
        ),
        made_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        identity=identity,
        session=session,
        proven=(*_proven(holding, session), *map(_gone, lifted)),
        not_proven=_not_proven(holding),
        views=tuple(holding),
        options=_options(holding),
        commands=_commands(holding, plan_file),
        decision=decision,
        checklist=_checklist(holding, plan_file),
        enriched=enriched,
    )


def count(number: int, noun: str) -> str:
    """``1 phase``, ``2 phases``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _order(view: BlockerView) -> tuple[str, int, int]:
    return (priority(view), -view.blocker.cause.phases, view.blocker.number)


def priority(view: BlockerView) -> str:
    """P0 for what stops every phase or is paid for before it fails, else P1."""
    return "P0" if FailureKind(view.blocker.cause.kind) in _URGENT else "P1"


def _proven(views: Sequence[BlockerView], session: Session | None) -> tuple[str, ...]:
    phases = sum(it.blocker.cause.phases for it in views)
    tokens = sum(it.blocker.cause.tokens for it in views)
    lines = [
        f"{count(phases, 'failed phase')} share {count(len(views), 'cause')}, each seen in several phases."
    ]
    if session is not None:
        lines.append(
            f"The session made {session.total_processed} attempts: {session.total_success} completed,"
            f" {session.total_failed} failed; {session.total_telemetry_events} Builder calls were made."
        )
        if session.stopped_fingerprints:
            stopped = count(len(session.stopped_fingerprints), "cause")
            lines.append(f"{stopped} reached the limit of repeats and stopped everywhere.")
    lines.append(f"{tokens:,} tokens were spent on attempts that ended with one of them.")
    return tuple(lines)


def _gone(cause: KnownFingerprint) -> str:
    return (
        f"`{cause.fingerprint}` ({': '.join(cause.canonical.splitlines())}) ended {cause.occurrences} attempts and"
        f" holds nothing any more: {cause.lifted_why}."
    )


def _not_proven(views: Sequence[BlockerView]) -> tuple[str, ...]:
    lines = ["That the phases would complete once their cause is gone: the release shows it."]
    if any(not it.blocker.place for it in views):
        unplaced = ", ".join(it.blocker.name for it in views if not it.blocker.place)
        lines.append(f"Where the cause of {unplaced} lies: the evidence names no file of the repository.")
    if views:
        lines.append(
            "The believed root causes: they follow from the kind of failure, and only a validation proves one."
        )
    return tuple(lines)


def _options(views: Sequence[BlockerView]) -> tuple[Choice, ...]:
    phases = sum(it.blocker.cause.phases for it in views)
    return (
        Choice(
            name="Mend each cause once, validate it, release what it held",
            why=f"{len(views)} to mend, against {phases} to retry; what was paid for is judged again for nothing",
            chosen=True,
        ),
        Choice(
            name="Drain under wider limits",
            why="the causes are deterministic: every retry would end as the last one did",
        ),
        Choice(name="Leave them", why="the stops hold, so nothing is spent; the phases stay failed"),
    )


def _commands(views: Sequence[BlockerView], plan_file: str) -> tuple[str, ...]:
    lines: list[str] = []
    if any(is_mendable(it) for it in views):
        lines += [
            f"# {plan_file} holds one phase for each cause that a change can mend",
            "autopack remediate run",
        ]
    lines += [
        f"autopack remediate fixed {it.blocker.name} --commit HEAD   # once it is put right by hand"
        for it in views
        if not is_mendable(it)
    ]
    lines += [
        "autopack remediate release",
        "autopack drain queued",
        "autopack drain failed --preset strict --batch-size 30",
        "autopack triage",
    ]
    return tuple(lines)


def _checklist(views: Sequence[BlockerView], plan_file: str) -> tuple[str, ...]:
    items = [f"{it.blocker.name}: {it.remedy.options[0]}" for it in views if it.remedy.options]
    items += [f"{it.blocker.name}: `{it.validation.command}` passes on the fixed commit" for it in views]
    return (
        *items,
        f"The phases of {plan_file} are complete and approved",
        "`autopack remediate release` shows no recurrence",
        "`autopack triage` says GO",
    )


# --- the document ---------------------------------------------------------------------------------------


def render(plan: RemediationPlan) -> str:
    """The plan as Markdown."""
    # Only this command writes documents; every other one starts without the template engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(
        loader=PackageLoader("autopack.triage"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown for people, not a page for a browser
    )
    template = environment.get_template("remediation.md.j2")
    return template.render(
        plan=plan,
        title=title,
        symptom=symptom,
        excerpt=excerpt,
        runs_of=runs_of,
        priority=priority,
        moment=moment,
        count=count,
    )


def title(view: BlockerView) -> str:
    """The cause in one line."""
    cause = ": ".join(view.blocker.cause.canonical.splitlines())
    return f"{view.blocker.cause.kind}, {cause[:120]}"


def symptom(view: BlockerView) -> str:
    """What an operator sees of it: the newest failure's message."""
    failure = _failure(view)
    return failure.message.splitlines()[0] if failure is not None else view.blocker.cause.canonical


def excerpt(view: BlockerView) -> str:
    """The end of the newest failure's evidence; its canonical text where none was kept."""
    failure = _failure(view)
    text = failure.evidence or "\n".join(failure.details) if failure is not None else ""
    lines = (text or view.blocker.cause.canonical).replace("```", "'''").rstrip().splitlines()
    return "\n".join(lines[-_EXCERPT_LINES:])


def runs_of(view: BlockerView) -> tuple[str, ...]:
    """The runs of the phases that the blocker holds, in order."""
    return tuple(dict.fromkeys(phase.run_id for phase in view.held))


def moment(seconds: float) -> str:
    """A time in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _failure(view: BlockerView) -> FailureReport | None:
    outcomes = (attempt.outcome for attempt in view.evidence)
    return next((it.failure for it in outcomes if it is not None and it.failure is not None), None)


# --- the phases -----------------------------------------------------------------------------------------


def remediation_run(
    views: Sequence[BlockerView], *, run_id: str, base: str, budget_tokens: int
) -> Plan | None:
    """One remediation phase for each blocker that the repository can mend; None when there is none.

    Each phase may touch the suspected place and the files that the failures name, and is judged by the blocker's
    validation. Its commit is on the run's own branch; it reaches no base branch before somebody merges it.
    """
    mendable = [it for it in sorted(views, key=_order) if is_mendable(it)]
    phases = tuple(_phase(view, budget_tokens) for view in mendable)
    if not phases:
        return None
    run = RunSpec(
        run_id=run_id,
        goal=f"Mend {', '.join(view.blocker.name for view in mendable)}",
        phases=phases,
        base=base,
        order=Order.INDEPENDENT,
    )
    return Plan(runs=(run,))


def is_mendable(view: BlockerView) -> bool:
    """Whether a phase can be asked to mend the blocker: it holds, and some file of the repository is named."""
    return view.blocker.is_holding and view.remedy.is_in_repository and bool(_files(view))


def phase_id_of(blocker: Blocker) -> str:
    """The name of the phase that mends a blocker."""
    return f"mend-{blocker.name.lower()}"


def _phase(view: BlockerView, budget_tokens: int) -> PhaseSpec:
    goal = (
        f"{view.remedy.cause} {symptom(view)} Preferred: {view.remedy.options[0] if view.remedy.options else ''}"
        f" {view.remedy.regression_test}"
    )
    checks = Checks(ci=view.validation.ci or None)
    return PhaseSpec(
        phase_id=phase_id_of(view.blocker),
        goal=" ".join(goal.split()),
        scope=Scope(paths=_files(view)),
        acceptance=(f"{view.validation.command} passes",),
        checks=checks,
        kind=PhaseKind.REMEDIATION,
        budget_tokens=budget_tokens,
    )


def _files(view: BlockerView) -> tuple[str, ...]:
    """The suspected place, the validation's targets, and the other files that the evidence names."""
    place = view.blocker.place.rpartition(":")[0] or view.blocker.place
    targets = view.validation.targets if view.validation.check is not Check.TESTS else ()
    return tuple(dict.fromkeys(key for key in (place, *targets, *view.files) if key))[:_FILES]
