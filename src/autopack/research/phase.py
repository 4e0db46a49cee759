"""A research phase: plan, gather, synthesise, weigh, and leave a report that later phases are shown."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.domain.attempt import Lease
from autopack.domain.change import FileEdit
from autopack.domain.confidence import Confidence, confidence
from autopack.domain.phase import Phase, Scope
from autopack.domain.research import (
    ResearchPhaseResult,
    findings_key,
    report_folder,
    report_key,
)
from autopack.domain.research_options import ResearchOptions, Synthesis
from autopack.domain.research_phase import options_of, questions_of
from autopack.domain.research_report import (
    Report,
    render_findings,
    render_report,
    submission_of_findings,
)
from autopack.domain.research_words import query_of
from autopack.domain.review import AUTO_REVIEWER, ReviewDecision, judge
from autopack.domain.review_record import ReviewDecisionRecord, review_id_of
from autopack.domain.run import RunSpec
from autopack.domain.synthesis import Answers, Ranked, extract, held_against, parse_answers, rank
from autopack.errors import PatchError, ResearchError
from autopack.execution.briefing import Prompt, write_instructions
from autopack.execution.build import BuildOrder, BuildStep
from autopack.execution.change import to_edits
from autopack.execution.context import ScopedContext
from autopack.ports import AnswerFormat, BuildAnswer, Clock, Tree, Worktree
from autopack.ports.reviews import Reviews
from autopack.research.gathering import gather_all
from autopack.research.notebook import Page, merge, read_page, write_page
from autopack.research.prompt import write_prompt
from autopack.research.sources import Checkout, Sources

__all__ = ["ResearchPhaseResult", "ResearchStep"]

SYNTHESIS_TURN = 2
_LEDGER_NAME = "research"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """One attempt at a research phase."""

    phase: Phase
    lease: Lease
    run: RunSpec
    tree: Tree
    worktree: Worktree
    logs: Path
    options: ResearchOptions
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Synthesis:
    """What became of the findings, and who made it."""

    answers: Answers
    is_built: bool = False
    """Whether the Builder wrote the answers; otherwise they are sentences of the findings."""
    notes: tuple[str, ...] = ()
    refusal: BuildAnswer | None = None
    """Why the Builder that should write them did not; then there are no answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchStep:
    """Makes the change of a research phase: a report, and its findings for programs.

    What was gathered is kept with the attempt before it is used, and what a Builder answered is in the ledger, so that
    an attempt that is made again after a crash neither asks nor pays for it again.
    """

    build: BuildStep
    reviews: Reviews
    sources: Sources
    clock: Clock
    max_patch_bytes: int

    def is_paid(self, phase: Phase) -> bool:
        """Whether the Builder is asked for anything."""
        return options_of(phase.spec).synthesis is Synthesis.BUILDER

    def ask(
        self,
        phase: Phase,
        lease: Lease,
        run: RunSpec,
        tree: Tree,
        worktree: Worktree,
        *,
        logs: Path,
    ) -> BuildAnswer:
        """The report as a change; it is in the ledger when this returns."""
        started = self.clock.monotonic()
        desk = _Desk(
            phase=phase,
            lease=lease,
            run=run,
            tree=tree,
            worktree=worktree,
            logs=logs,
            options=options_of(phase.spec),
            questions=questions_of(phase.spec, *self._asked_further(phase, lease)),
        )
        page, iterations = self._gather(desk)
        ranked = rank(desk.questions, page.findings)
        synthesis = self._synthesis(desk, ranked)
        if synthesis.refusal is not None:
            return synthesis.refusal
        seconds = self.clock.monotonic() - started
        page = replace(page, notes=(*page.notes, *synthesis.notes))
        report = self._report(desk, page, ranked, synthesis, iterations=iterations, seconds=seconds)
        answer = _as_change(phase.phase_id, report)
        by = f"{_LEDGER_NAME}:{'+'.join(desk.options.sources)}"
        self.build.keep(lease, answer, by=by, base=tree.commit, duration_seconds=seconds)
        return answer

    def review(self, phase: Phase, lease: Lease, edits: Sequence[FileEdit]) -> ReviewDecisionRecord:
        """The review of the attempt's report; decided at once where the phase needs no human for it."""
        key = findings_key(phase.phase_id)
        content = next((edit.content for edit in edits if edit.path == key and edit.content is not None), b"")
        try:
            submission = submission_of_findings(content.decode("utf-8", "replace"))
        except ValueError as error:
            raise ResearchError(f"{key} holds no findings: {error}") from error
        now = self.clock.now()
        record = ReviewDecisionRecord(
            review_id=review_id_of(lease.address),
            submission=submission,
            address=lease.address,
            submitted_at=now,
        )
        criteria = options_of(phase.spec).criteria()
        if phase.spec.requires_approval:
            criteria = replace(criteria, require_human_review=True)
        judgement = judge(submission, criteria)
        if judgement.is_final:
            record = record.decided(
                judgement.decision, reviewer=AUTO_REVIEWER, comments=judgement.why, at=now
            )
        return self.reviews.submit(record)

    def _asked_further(self, phase: Phase, lease: Lease) -> tuple[str, ...]:
        """What reviewers of earlier attempts wanted to know beside."""
        return tuple(
            record.comments
            for record in self.reviews.of_phase(phase.run_id, phase.phase_id)
            if record.decision is ReviewDecision.NEEDS_MORE_RESEARCH
            and record.address is not None
            and record.address.number < lease.address.number
            and record.comments.strip()
        )

    def _gather(self, desk: _Desk) -> tuple[Page, int]:
        """What the sources say, asked again with fewer words while it is too little."""
        pages: list[Page] = []
        for iteration in range(1, desk.options.max_iterations + 1):
            pages.append(self._iteration(desk, iteration))
            merged = merge(pages)
            weight = confidence(desk.questions, merged.findings, now=merged.at).total
            if weight >= desk.options.min_confidence:
                break
        return merge(pages), len(pages)

    def _iteration(self, desk: _Desk, iteration: int) -> Page:
        step = f"gather-{iteration}"
        kept = self.reviews.note(desk.lease.address, step)
        if kept is None:
            kept = self.reviews.keep_note(
                desk.lease.address, step, write_page(self._ask_sources(desk, iteration))
            )
        return read_page(kept)

    def _ask_sources(self, desk: _Desk, iteration: int) -> Page:
        desk.worktree.reset(desk.tree.commit)
        checkout = Checkout(root=desk.worktree.path, keys=desk.tree.paths(), commit=desk.tree.commit)
        queries = {index: _query(question, iteration) for index, question in enumerate(desk.questions)}
        gathered = gather_all(
            self.sources.make(desk.options.sources, checkout), queries, self.sources.settings
        )
        return Page(at=self.clock.now(), findings=gathered.findings, notes=gathered.notes)

    def _synthesis(self, desk: _Desk, ranked: Ranked) -> _Synthesis:
        if not self.is_paid(desk.phase) or not ranked.findings:
            return _Synthesis(answers=extract(desk.questions, ranked))
        answer = self.build.stored(desk.lease, turn=SYNTHESIS_TURN) or self._ask_builder(desk, ranked)
        if answer.failure is not None:
            return _Synthesis(answers=Answers(claims=()), refusal=answer)
        try:
            answers = parse_answers(self._written(desk, answer), desk.questions, len(ranked.findings))
            answers = held_against(answers, ranked.findings)
        except (PatchError, ValueError) as error:
            note = f"The Builder's answers could not be used ({error}); these are sentences of the findings"
            return _Synthesis(answers=extract(desk.questions, ranked), notes=(note,))
        return _Synthesis(answers=answers, is_built=True, notes=tuple(_left_out(answers)))

    def _ask_builder(self, desk: _Desk, ranked: Ranked) -> BuildAnswer:
        key = _synthesis_key(desk.phase.phase_id)
        goal = f"Answer questions from findings, into {key}"
        spec = replace(desk.phase.spec, goal=goal, scope=Scope(paths=(key,)), deliverables=(key,))
        prompt = write_prompt(key, desk.phase.spec.goal, desk.questions, ranked.findings)
        desk.worktree.reset(desk.tree.commit)
        order = BuildOrder(
            phase=replace(desk.phase, spec=spec),
            lease=desk.lease,
            context=ScopedContext(files=()),
            prompt=Prompt(text=prompt, instructions=write_instructions(())),
            worktree=desk.worktree,
            base=desk.tree.commit,
            logs=desk.logs,
            turn=SYNTHESIS_TURN,
        )
        return self.build.ask(order)

    def _written(self, desk: _Desk, answer: BuildAnswer) -> str:
        key = _synthesis_key(desk.phase.phase_id)
        edits = to_edits(answer, desk.tree, max_bytes=self.max_patch_bytes)
        content = next((edit.content for edit in edits if edit.path == key), None)
        if content is None:
            raise ValueError(f"it wrote no {key}")
        return content.decode("utf-8", "replace")

    def _report(
        self,
        desk: _Desk,
        page: Page,
        ranked: Ranked,
        synthesis: _Synthesis,
        *,
        iterations: int,
        seconds: float,
    ) -> Report:
        weight = confidence(desk.questions, page.findings, now=page.at)
        answers = synthesis.answers
        return Report(
            title=desk.phase.spec.goal,
            questions=desk.questions,
            sources=desk.options.sources,
            result=ResearchPhaseResult(
                success=any(answers.claims),
                query="; ".join(desk.questions),
                findings=ranked.findings,
                recommendations=answers.recommendations,
                confidence=_weighed(weight, answers),
                iterations_used=iterations,
                duration_seconds=seconds,
                session_id=str(desk.lease.address),
                notes=page.notes,
            ),
            answers=answers,
            confidence=weight,
            synthesised_by="written by the Builder"
            if synthesis.is_built
            else "sentences of the findings, as they stand",
            at=page.at,
            base=desk.tree.commit,
        )


def _weighed(weight: Confidence, answers: Answers) -> float:
    """Questions that nothing answers count as unanswered, however many of their words were found."""
    pairs = zip(weight.questions, answers.claims, strict=True)
    kept = [question.total if claims else 0.0 for question, claims in pairs]
    return min(1.0, sum(kept) / len(kept)) if kept else 0.0


def _left_out(answers: Answers) -> Iterator[str]:
    if answers.unsupported:
        count = f"{answers.unsupported} sentence{'' if answers.unsupported == 1 else 's'}"
        yield f"{count} of the Builder's were left out: what they cite does not say their words"


def _query(question: str, iteration: int) -> tuple[str, ...]:
    words = query_of(question, iteration)
    return (words,) if words else ()


def _synthesis_key(phase_id: str) -> str:
    return f"{report_folder(phase_id)}answers.json"


def _as_change(phase_id: str, report: Report) -> BuildAnswer:
    edits = [
        {"path": report_key(phase_id), "content": render_report(report)},
        {"path": findings_key(phase_id), "content": render_findings(report)},
    ]
    return BuildAnswer(format=AnswerFormat.EDITS, text=json.dumps({"edits": edits}), stop_reason="stored")
