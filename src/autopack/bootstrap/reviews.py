"""Puts together what commands on research and reviews need."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from autopack.adapters.build_history import BuildHistory
from autopack.adapters.clock import SystemClock
from autopack.bootstrap import parts
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Checks, PhaseKind, PhaseSpec
from autopack.domain.plan import Plan
from autopack.domain.research import report_key
from autopack.domain.research_options import ResearchOptions
from autopack.domain.research_phase import with_report
from autopack.domain.research_words import keywords
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.domain.run import RunSpec
from autopack.execution.paid_answers import FIRST_TURN
from autopack.ports import Store
from autopack.settings import Settings
from autopack.workflow.research_review import ResearchReviewWorkflow
from autopack.workflow.review_desk import ReviewDesk

# A report changes no code. What CI would say of it is what it says of the base.
_NO_TESTS = "git --version"
_MAX_NAME = 60


def open_desk(store: Store) -> ReviewDesk:
    """What waits for a human in a store."""
    clock = SystemClock()
    workflow = ResearchReviewWorkflow(
        records=store.reviews,
        clock=lambda: datetime.fromtimestamp(clock.now()),  # noqa: DTZ006 -- as the workflow's own
    )
    return ReviewDesk(store=store, workflow=workflow, clock=clock)


def export_history(settings: Settings, records: Sequence[ReviewDecisionRecord]) -> tuple[str, ...]:
    """Write decided reviews into the checkout's history; the ids of those that were not there."""
    return BuildHistory(settings.root, settings.state_folder / "locks").append(records)


def report_of(store: Store, address: AttemptAddress) -> str:
    """The report that an attempt made, committed or not; empty when it made none."""
    stored = store.stored_answer(address, FIRST_TURN)
    if stored is None or not stored.answer.text:
        return ""
    edits = json.loads(stored.answer.text).get("edits", [])
    key = report_key(address.phase_id)
    return next((str(edit["content"]) for edit in edits if edit.get("path") == key), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One question of an operator, and how it is to be answered."""

    query: str
    options: ResearchOptions
    base: str = "HEAD"
    budget_tokens: int | None = None


def plan_inquiry(settings: Settings, store: Store, inquiry: Inquiry) -> RunSpec:
    """A run of one research phase for the inquiry, in the store and ready to be worked off."""
    now = SystemClock().now()
    name = "-".join(
        "".join(c for c in word if c.isascii() and c.isalnum()) for word in keywords(inquiry.query)
    )
    phase_id = "-".join(part for part in name.split("-") if part)[:_MAX_NAME].strip("-") or "question"
    moment = datetime.fromtimestamp(now).strftime("%Y%m%d-%H%M%S-%f")  # noqa: DTZ006 -- as operators read a clock
    with closing(parts.open_workspace(settings)) as workspace:
        # The commit, not its name: what lies uncommitted in the checkout has no part in it.
        base = workspace.resolve(inquiry.base)
    phase = PhaseSpec(
        phase_id=phase_id,
        goal=" ".join(inquiry.query.split()),
        checks=Checks(ci=_NO_TESTS),
        kind=PhaseKind.RESEARCH,
        budget_tokens=inquiry.budget_tokens,
        research=inquiry.options,
    )
    run = RunSpec(run_id=f"research-{moment}", goal=phase.goal, phases=(with_report(phase),), base=base)
    store.import_plan(Plan(runs=(run,)), now=now)
    return run
