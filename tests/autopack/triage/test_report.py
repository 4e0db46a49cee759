"""The page and its pictures, over the record of real drains."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from drains import GOOD, End, broken, late

from autopack.domain.blocker import BlockerEvent
from autopack.domain.failure import FailureKind
from autopack.domain.session import DrainKind
from autopack.errors import ReportError, StoreError
from autopack.triage.charts import draw_fingerprints, draw_timeline, lane_of
from autopack.triage.plots import save_charts
from autopack.triage.remedies import REMEDIES, remedy_for
from autopack.triage.report import make_report, render
from autopack.triage.survey import BlockerView
from autopack.triage.validation import validation_of

HOSTILE = "<script>alert('x')</script> \"><img src=x onerror=alert(1)> & \x1b[31m\x00 \ud800"
VOID = {"meta", "br", "rect", "circle"}
STRICT = {"max_fingerprint_repeats": 2, "max_attempts_per_phase": 1}


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.words, self.outside = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        self.outside += [(tag, name) for name, _ in attrs if name in {"src", "srcset", "data", "action"}]
        self.outside += [(tag, name) for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def drained(bench):
    """Three runs behind one cause, one with causes of its own; a strict drain of them."""
    alpha = broken("No module named 'alpha'")
    for number in range(3):
        bench.add(f"stuck-{number}", alpha, alpha, failed=alpha)
    doomed = End(kind=FailureKind.DOOMED, cause="gamma", calls=0)
    own = broken("'own'")
    bench.add("mixed", GOOD, End(kind=FailureKind.TEST_REGRESSION, cause=HOSTILE), doomed, failed=own)
    bench.add("slow", late(), failed=broken("'slow'"))
    bench.clock.advance(60)
    bench.session = bench.drain(**{**STRICT, "batch_size": 30, "max_fingerprint_repeats": 3})
    return bench


def view_of(bench, blocker):
    evidence = tuple(bench.store.triage.evidence(blocker.cause.fingerprint, limit=5))
    return BlockerView(
        blocker=blocker,
        evidence=evidence,
        files=(),
        held=(),
        remedy=remedy_for(blocker, REMEDIES),
        validation=validation_of(blocker, evidence, ci="pytest", is_file=lambda _key: False),
        history=tuple(bench.store.triage.events(blocker)),
        released=bench.store.triage.release_counts(blocker),
    )


def report_of(bench, *, opens=True, **words):
    now = bench.clock.now()
    blockers = bench.store.triage.open_blockers(now=now) if opens else ()
    given = {"root": bench.folder.parent, "folder": bench.folder.parent / "out", "made_at": now}
    return make_report(bench.store, [view_of(bench, it) for it in blockers], **(given | words))


def test_the_page_asks_for_nothing_and_is_well_formed(drained):
    page = Page(render(report_of(drained)))
    assert page.open == []
    assert page.outside == []
    assert {"script", "link", "iframe", "img", "object", "base", "form"}.isdisjoint(page.tags)
    assert not any(re.match(r"[a-z]+:|//|/", link) for link in page.links)


def test_the_page_is_made_for_phones_and_paper(drained):
    text = render(report_of(drained))
    assert text.startswith("<!DOCTYPE html>")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "@media print" in text
    assert "overflow-wrap: anywhere" in text
    assert "<table" not in text
    assert not re.search(r'width="\d{3,}"', text)


def test_hostile_text_is_shown_and_never_obeyed(drained):
    drained.add("evil<script>x</script>", GOOD, failed=broken(HOSTILE))
    text = render(report_of(drained))
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text
    text.encode("utf-8")


def test_the_numbers_are_those_of_the_record(drained):
    report = report_of(drained)
    text = Page(render(report)).text
    session = drained.session
    assert f"{report.overview.distribution.phases} failed phases in 5 runs" in text
    assert (report.before.phases, report.overview.distribution.phases) == (10, 9)
    assert "10 → 9" in text
    assert len(report.attempts) == session.total_processed
    assert f"{session.total_tokens} tokens used" in text
    assert f"This session: {session.total_tokens} tokens" in text
    assert sum(row.tokens for row in report.waste) == report.overview.spending.total
    assert str(session.stop) in text
    for criterion in report.overview.judgement.criteria:
        assert str(criterion.share) in text


def test_the_sandboxes_of_the_attempts_are_named_none_too(bench):
    ends = [End(sandbox=it) for it in ("bwrap 0.11", "NONE (<b>switched off</b>)", "bwrap 0.11")]
    bench.add("run", *ends, failed=broken("'x'"))
    bench.session = bench.drain(max_attempts_per_phase=1)
    words = "Builders' programs and CI were kept in by: NONE (<b>switched off</b>) ; bwrap 0.11 ."
    text = render(report_of(bench))
    assert words in Page(text).text
    assert "&lt;b&gt;switched off" in text


def test_every_attempt_links_its_logs_from_where_the_page_lies(drained):
    report = report_of(drained, folder=drained.folder / "deep" / "er")
    first = report.attempts[0]
    address = first.address
    assert [link.text for link in first.logs] == ["executor.out", "executor.err"]
    assert first.logs[0].href == f"../../logs/{address}/executor.out"


def test_a_blocker_is_told_with_its_evidence_and_what_came_of_it(drained):
    triage = drained.store.triage
    (blocker,) = [it for it in triage.open_blockers(now=drained.clock.now()) if it.cause.phases == 6]
    event = BlockerEvent(at=drained.clock.now(), event="validation passed", text="2 modules", commit="f" * 40)
    triage.validated(blocker, event, fix_commit="f" * 40, why="mended")
    report = report_of(drained)
    text = Page(render(report)).text
    assert f"{blocker.name}, validated" in text
    assert "6 held" in text
    assert "validation passed: 2 modules" in text
    assert report.blockers[0].view.remedy.cause in text
    assert "autopack remediate release" in [step.command for step in report.steps]


def test_a_stranger_is_told_the_causes_what_was_done_what_it_saved_and_what_is_next(drained):
    triage = drained.store.triage
    drained.add("doomed", End(kind=FailureKind.DOOMED, cause="No module named 'alpha'", calls=0))
    drained.drain(DrainKind.QUEUED)
    blockers = triage.open_blockers(now=drained.clock.now())
    told = dict(report_of(drained).in_short)
    assert told["Causes"] == (
        "1 cause holds 6 of 10 failed phases: B1, import error: No module named 'alpha' (6). "
        "4 failed of causes that no other phase shares."
    )
    assert told["Done"].startswith("1 attempt: 0 completed, 1 failed.")
    assert re.search(r"^\d+ tokens that phases known to fail would have used, in 2 calls", told["Saved"])
    assert told["Next"].startswith("autopack remediate plan: ")
    event = BlockerEvent(at=drained.clock.now(), event="validation passed", commit="f" * 40)
    triage.validated(blockers[0], event, fix_commit="f" * 40, why="mended")
    assert dict(report_of(drained).in_short)["Done"].endswith(
        "B1 is mended by ffffffffffff: 6 not tried yet."
    )


def test_tokens_are_told_by_what_became_of_them_and_nothing_by_nothing(drained):
    rows = report_of(drained).charts["waste"].rows
    assert {row.label for row in rows} == {row.name for row in report_of(drained).waste}
    assert all(row.note for row in rows)


def test_the_same_record_gives_the_same_page(drained):
    one, two = (render(report_of(drained, made_at=5.0)) for _ in range(2))
    assert one == two
    later = render(report_of(drained, made_at=65.0))
    assert later.replace("00:01:05", "00:00:05") == one


def test_what_to_do_next_follows_from_the_record(bench):
    bench.add("r", GOOD)
    assert [step.command for step in report_of(bench).steps] == ["autopack drain queued"]
    bench.add("s", broken("'own'"), failed=broken("'first'"))
    bench.store.requeue_phase("s", "p0", now=bench.clock.now())
    left = bench.controller(bench.start())
    commands = [step.command for step in report_of(bench).steps]
    assert commands == ["autopack drain queued"]
    bench.add("t", GOOD, GOOD, failed=broken("'t'"))
    left.tick()
    bench.clock.advance(1)
    left.tick()
    assert next(step.command for step in report_of(bench).steps).startswith("autopack drain failed --resume")


def test_a_record_without_a_drain_has_a_page_too(bench):
    bench.add("r", GOOD, GOOD, failed=broken())
    text = Page(render(report_of(bench, opens=False))).text
    assert "No drain session is recorded" in text
    assert "autopack drain failed --preset strict --batch-size 5" in text


def test_an_empty_record_has_a_page_too(bench):
    text = Page(render(report_of(bench))).text
    assert "0 failed phases in 0 runs, 0 causes" in text
    assert "autopack status" in text


def test_failures_from_before_there_were_fingerprints_are_on_the_page(drained):
    before = report_of(drained, opens=False).overview.distribution
    with drained.store._database.writing() as db:
        for statement in (
            "UPDATE phase SET failure_fingerprint = NULL",
            "UPDATE attempt SET fingerprint = NULL",
            "DELETE FROM fingerprint",
        ):
            db.exec_driver_sql(statement)
    report = report_of(drained, opens=False)
    assert report.overview.distribution.phases == before.phases
    assert {it.name for it in report.causes} == {it.bucket.fingerprint for it in report.causes}
    assert Page(render(report)).open == []


def test_a_session_that_is_not_there(bench):
    with pytest.raises(StoreError, match="there is no session 'nobody'"):
        report_of(bench, session_id="nobody")


def test_each_lane_of_the_timeline_holds_what_ended_alike(drained):
    results = drained.store.drains.results(drained.session.session_id)
    chart = draw_timeline(results)
    assert {lane.label.split(" (")[0] for lane in chart.lanes} == {lane_of(it) for it in results}
    assert sum(len(lane.spans) for lane in chart.lanes) == len(results)
    assert all(0 <= span.start <= span.end <= chart.seconds for lane in chart.lanes for span in lane.spans)


def test_causes_beyond_the_twelfth_stand_together(bench):
    bench.add("r", *([GOOD] * 2), failed=broken())
    distribution = report_of(bench).overview.distribution
    many = replace(distribution, buckets=distribution.buckets * 15)
    rows = draw_fingerprints(many, {}).rows
    assert (len(rows), rows[-1].label, rows[-1].bars[0].value) == (13, "3 further causes", 6)


def test_charts_are_written_as_pictures_with_the_same_bytes_each_time(drained, tmp_path):
    pytest.importorskip("matplotlib")
    charts = report_of(drained).charts
    one, two = (save_charts(charts.values(), tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in one] == [f"{name}.{end}" for name in charts for end in ("png", "svg")]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert b"<script" not in (tmp_path / "one" / "fingerprints.svg").read_bytes()


def test_without_matplotlib_it_is_said_what_to_install(drained, tmp_path, monkeypatch):
    # A name that is None in this table cannot be imported.
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ReportError) as refused:
        save_charts(report_of(drained).charts.values(), tmp_path)
    assert refused.value.hint == "pip install autopack[report]"
