"""Where on the disk a scope path is, on real folders with real links."""

import pytest

from autopack.execution.scope_target import resolve_scope_target


@pytest.fixture
def base(tmp_path):
    """A repository with the project ``fileorganizer``, a folder that is not the project's, and links."""
    root = tmp_path / "repository"
    for folder in ("fileorganizer/frontend", "docs", ".git", "releases/1"):
        (root / folder).mkdir(parents=True)
    (root / "docs" / "x.md").touch()
    (root / "fileorganizer" / "README.md").touch()
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "current").symlink_to("releases/1")
    (root / "gitlink").symlink_to(".git")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    return root


LOCK = "fileorganizer/frontend/package-lock.json"


@pytest.mark.parametrize(
    ("target", "key"),
    [
        pytest.param(LOCK, LOCK, id="repository-relative"),
        pytest.param("frontend/package-lock.json", LOCK, id="project-relative"),
        pytest.param("frontend\\package-lock.json", LOCK, id="Windows"),
        pytest.param("  ./frontend//package-lock.json ", LOCK, id="untidy"),
        pytest.param("fileorganizer", "fileorganizer", id="the project"),
        pytest.param("frontend/", "fileorganizer/frontend", id="a folder"),
        pytest.param("src/a.py", "fileorganizer/src/a.py", id="a folder that is nowhere"),
        pytest.param("docs/new.md", "docs/new.md", id="a folder of the repository"),
        pytest.param("README.md", "fileorganizer/README.md", id="a file of the project"),
        pytest.param("current/x", "releases/1/x", id="through a link inside"),
    ],
)
def test_path_and_key_name_the_same_file(base, target, key):
    assert resolve_scope_target(target, base / "fileorganizer", base=base) == (base / key, key)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("", id="empty"),
        pytest.param("  ", id="spaces"),
        pytest.param(".", id="dot"),
        pytest.param("../x", id="upwards"),
        pytest.param("fileorganizer/../docs/x.md", id="upwards and back"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("C:\\x", id="drive"),
        pytest.param("a\0b", id="NUL"),
        pytest.param(".git/config", id="git's folder"),
        pytest.param("gitlink/config", id="git's folder through a link"),
        pytest.param("out/x", id="through a link that leaves"),
        pytest.param("loop", id="a link to itself"),
        pytest.param("loop/x", id="through a link to itself"),
        pytest.param("fileorganizer/fileorganizer/x", id="the project twice"),
        pytest.param("x" * 300, id="a name too long"),
    ],
)
def test_what_leads_elsewhere_is_none(base, target):
    assert resolve_scope_target(target, base / "fileorganizer", base=base) is None


def test_an_absolute_path_inside_is_none_too(base):
    assert resolve_scope_target(str(base / "docs" / "x.md"), base, base=base) is None


def test_a_stub_goes_where_the_deliverables_gate_will_look(base):
    path, key = resolve_scope_target(LOCK, base / "fileorganizer", base=base)
    path.write_text("{}")
    assert (base / LOCK).read_text() == "{}"
    assert not (base / "fileorganizer" / "fileorganizer").exists()
    assert key == LOCK


def test_without_a_project_a_path_is_the_repositorys(base):
    assert resolve_scope_target("frontend/x", base, base=base) == (base / "frontend/x", "frontend/x")


@pytest.mark.parametrize(
    ("target", "is_there"),
    [("docs/x.md", True), ("docs", True), ("docs/none.md", False), ("dangling", False), ("current", True)],
)
def test_what_must_exist(base, target, is_there):
    assert (resolve_scope_target(target, base, base=base, must_exist=True) is not None) is is_there
    assert resolve_scope_target(target, base, base=base) is not None


def test_a_file_that_exists_both_ways_is_ambiguous(base):
    (base / "README.md").touch()
    assert resolve_scope_target("README.md", base / "fileorganizer", base=base) is None
    assert resolve_scope_target("fileorganizer/README.md", base / "fileorganizer", base=base) is not None


def test_a_nested_folder_that_exists_is_no_mistake(base):
    (base / "fileorganizer" / "fileorganizer").mkdir()
    key = "fileorganizer/fileorganizer/x"
    assert resolve_scope_target(key, base / "fileorganizer", base=base) == (base / key, key)


def test_roots_that_do_not_belong_together_are_none(base, tmp_path):
    assert resolve_scope_target("x", tmp_path / "outside", base=base) is None
    assert resolve_scope_target("x", base, base=tmp_path / "none") is None


def test_a_repository_behind_a_link_keeps_its_name(base, tmp_path):
    alias = tmp_path / "alias"
    alias.symlink_to(base)
    assert resolve_scope_target("docs/x.md", alias, base=alias) == (alias / "docs/x.md", "docs/x.md")
