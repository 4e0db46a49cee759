"""The third act of the demo as a script: from the causes that the drains found to a backlog that may grow."""

from collections.abc import Callable, Iterator
from pathlib import Path

from autopack.cli.demo_scenes import Scene

RUN_ID = "remediate-demo"
BY_HAND = "doubled-prefix"
"""The mend that the operator makes: its cause leaves no file of the repository in the evidence."""


def loop_scenes(
    *, session_id: str, fixes: Path, answers: Path, name_of: Callable[[str], str], lay_out: Callable[[], None]
) -> Iterator[Scene]:
    """The scenes in order; each is made when the one before it is over.

    Args:
        session_id: The strict drain over the whole backlog, which is judged first.
        fixes: The folder of the mends, one patch each.
        answers: What the Builder of the mends answers.
        name_of: Asks what the blocker is called that a mend is for, once triage has named them.
        lay_out: Puts the mends where the Builder of ``answers`` looks for them, once they have names.
    """
    yield Scene(
        heading="8. Triage: what holds the backlog up, and whether more of it may be drained",
        words=(
            "The executor is put right, but 11 phases stand failed. Triage makes a blocker of each cause that several"
            " of them share, says where it lies, and judges the strict drain: NO-GO."
        ),
        commands=(f"autopack triage --session {session_id}",),
    )
    lay_out()
    yield Scene(
        heading="9. The remediation plan: what is proven, what to change, how it is checked",
        words=(
            "A document for people, and a plan file with a phase for each cause that a change of the repository can"
            " mend. Shown are its headings, what it believes, and what is proven; the whole is in PLAN.md."
        ),
        commands=(
            f"autopack remediate plan --session {session_id} -o PLAN.md --run-id {RUN_ID}",
            "grep -E '^#|^- [*][*](Believed|Impact)' PLAN.md",
            "sed -n '/^### Proven/,/^### Not proven/p' PLAN.md | grep '^-'",
        ),
    )
    by_hand = name_of(BY_HAND)
    yield Scene(
        heading=f"10. {by_hand} is mended by hand",
        words=(
            "The evidence shows a folder twice in a path, and no file of the repository: that is for the operator, who"
            " finds it in tools/workspace.py. No command can show this cause; the first phase that is released will."
        ),
        commands=(
            f"git apply {fixes / BY_HAND}.patch",
            "git commit --quiet --all --message 'A path that names the project is left as it is'",
            f"autopack remediate fixed {by_hand} --commit HEAD",
        ),
    )
    yield from _mending(f"autopack remediate run --builder replay:{answers} --run-id {RUN_ID}")
    yield from _ending()


def _mending(run: str) -> Iterator[Scene]:
    yield Scene(
        heading="11. The Builder mends the others, and one mend is wrong",
        words=(
            "It adds the names that were asked for, and the test module now fails some lines further on. So it still"
            " cannot be collected: the mend is refused, the stop stays. The other is validated, and its stop is lifted."
        ),
        commands=(run,),
    )
    yield Scene(
        heading="12. The same command again goes on with what failed",
        words="This mend passes the blocker's validation. The operator reads both and merges them.",
        commands=(run, f"git merge autopack/{RUN_ID}"),
    )


def _ending() -> Iterator[Scene]:
    yield Scene(
        heading="13. Release: what was paid for is judged again before anything is paid for again",
        words=(
            "Changes that were right all along complete without a Builder call. Those that lie in the doubled folder do"
            " not pass, and what was doomed never had one: they go to the Builder, one canary first."
        ),
        commands=("autopack remediate release",),
    )
    yield Scene(
        heading="14. The phases that waited, and the verdict",
        words=(
            "Everything completes but the one phase that is wrong by itself, which stays stopped. No cause came back:"
            " GO for a larger batch."
        ),
        commands=(
            "autopack drain queued",
            "autopack drain failed --preset strict",
            "autopack triage",
            "autopack waste",
            "autopack report -o report.html",
        ),
    )
