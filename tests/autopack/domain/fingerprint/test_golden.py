"""The keys of a corpus that was read by eye: no key changes without a new version."""

from pathlib import Path

import pytest
import yaml

from autopack.domain.fingerprint import VERSION, FailureText, fingerprint

CORPUS = [
    pytest.param(report, id=f"{path.stem}: {report['name']}")
    for path in sorted((Path(__file__).parent / "golden").glob("*.yaml"))
    for report in yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
]


@pytest.mark.parametrize("report", CORPUS)
def test_key_and_its_text(report):
    key = fingerprint(
        FailureText(
            stdout=report.get("stdout", ""),
            stderr=report.get("stderr", ""),
            returncode=report.get("returncode"),
        )
    )
    assert (key.canonical, str(key)) == (report["canonical"], report["key"])


def test_corpus_is_of_this_version():
    assert {param.values[0]["key"].split(":")[0] for param in CORPUS} == {VERSION}
