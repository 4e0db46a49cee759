import pytest

from autopack.research.gatherers.local_gatherer import LocalGatherer

NOW = 1_700_000_000.0
FILES = {
    "docs/queue.md": "# Queue\n\nJobs wait in SQLite.\n\n## Timeouts\n\nA lease ends after 60 s; write to ada@example.com.\n",
    "src/app.py": "import os\n\n\ndef claim_next():\n    # takes the next job of the queue\n    return os.getpid()\n",
    "docs/research/other/report.md": "# Queue timeouts\n\nAn earlier report about timeouts of leases.\n",
    ".env": "LEASE_TIMEOUTS=1\n",
    "data.bin": "\0timeouts lease\0",
}


@pytest.fixture
def make(tmp_path):
    def make(files=FILES, commit="c1"):
        root = tmp_path / "tree"
        for key, text in files.items():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return LocalGatherer(root, list(files), tmp_path / "cache", commit=commit, now=lambda: NOW)

    return make


def test_the_best_piece_comes_first_with_its_lines(make):
    first, *_ = make().gather("lease timeouts", limit=5)
    assert (first.title, first.url) == ("docs/queue.md: Timeouts", "docs/queue.md#L5-L7")
    assert first.text == "## Timeouts\n\nA lease ends after 60 s; write to [e-mail]."
    assert (first.source, first.kind, first.published_at) == ("local", "file", NOW)


def test_reports_of_research_binaries_and_secret_files_are_no_sources(make):
    found = make().gather("lease timeouts", limit=50)
    assert {it.url.partition("#")[0] for it in found} == {"docs/queue.md"}


def test_code_is_cut_at_its_definitions(make):
    (found,) = make().gather("takes", limit=5)
    assert (found.title, found.url) == ("src/app.py: claim_next", "src/app.py#L4-L6")


@pytest.mark.parametrize(
    "query", ["", "   ", "???", '" OR * NEAR( :', "queue AND OR NOT", "'; DROP TABLE piece; --"]
)
def test_no_query_is_an_error(make, query):
    assert isinstance(make().gather(query, limit=5), list)


def test_a_broken_index_is_made_again(make, tmp_path):
    gatherer = make()
    gatherer.gather("lease", limit=5)
    (index,) = (tmp_path / "cache").glob("local-*.sqlite")
    index.write_bytes(b"broken" * 1000)
    assert gatherer.gather("lease", limit=5)


def test_another_commit_is_searched_anew_and_the_same_is_not_read_again(make, tmp_path):
    assert make().gather("zebra", limit=5) == []
    assert make(FILES | {"new.md": "a zebra\n"}).gather("zebra", limit=5) == []
    assert len(make(FILES | {"new.md": "a zebra\n"}, commit="c2").gather("zebra", limit=5)) == 1


def test_files_that_are_gone_or_links_are_left_out(make, tmp_path):
    gatherer = make(FILES | {"gone.md": "lease\n"})
    (tmp_path / "tree" / "gone.md").unlink()
    (tmp_path / "outside.md").write_text("lease outside\n", "utf-8")
    (tmp_path / "tree" / "gone.md").symlink_to(tmp_path / "outside.md")
    assert all(it.url.startswith("docs/queue.md") for it in gatherer.gather("lease", limit=50))
