"""The static gates, each in both directions: what it blocks and with what evidence, and what it lets pass."""

import pytest

from autopack.domain.change import EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseSpec, Scope
from autopack.domain.verdicts import GateStatus, blocked, first_failure, passed
from autopack.execution.change import read_change, searched_paths
from autopack.execution.gates import GateInput, judge_after, judge_before
from autopack.execution.gates_deliverables import deliverables, json_deliverables, not_empty
from autopack.execution.gates_form import well_formed
from autopack.execution.gates_paths import protected_paths, scope, scope_of
from autopack.ports import AnswerFormat
from autopack.settings import AttemptSettings

FILE = "100644"
LOCK = "fileorganizer/frontend/package-lock.json"
LATIN = b"caf\xe9\n"


BASE = {
    "src/a.py": b"x = 1\n",
    "src/app/config.py": b"",
    "docs/README.md": b"",
    "old.txt": LATIN,
    "big.txt": b"x" * 50,
    "link": (b"", "120000"),
    "vendor/lib": (b"", "160000"),
}


def write(path, content=b"x = 2\n", mode=FILE, *, new=True):
    action = EditAction.CREATE if new else EditAction.MODIFY
    return FileEdit(path=path, action=action, content=content, mode=mode)


def delete(path):
    return FileEdit(path=path, action=EditAction.DELETE, content=None)


def rename(old, new, content=b"x = 1\n"):
    return FileEdit(path=new, action=EditAction.RENAME, content=content, old_path=old)


@pytest.fixture
def case(tree_of):
    """Makes the input of a gate."""

    def make(*edits, paths=("src/",), read_only=(), wanted=(), files=BASE, **more):
        spec = PhaseSpec(
            phase_id="p",
            goal="g",
            scope=Scope(paths=tuple(paths), read_only=tuple(read_only)),
            deliverables=tuple(wanted),
        )
        return GateInput(spec=spec, edits=edits, tree=tree_of(files), **more)

    return make


def test_a_change_of_nothing_is_a_failure_of_its_own(case):
    verdict = not_empty(case())
    assert verdict.failure.kind is FailureKind.EMPTY_CHANGE
    assert not_empty(case(write("src/b.py"))).status is GateStatus.PASSED


# well-formed


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(write("src/b.py"), id="new file"),
        pytest.param(write("src/a.py", new=False), id="altered file"),
        pytest.param(write("src/run", mode="100755"), id="program"),
        pytest.param(write("src/deep/er/b.py"), id="new folders"),
        pytest.param(delete("src/a.py"), id="deletion"),
        pytest.param(rename("src/a.py", "src/A.py"), id="rename that changes the case"),
        pytest.param(write("src/logo.PNG", b"\x89PNG\0"), id="binary by its name"),
        pytest.param(write("old.txt", LATIN * 2, new=False), id="no UTF-8 before either"),
        pytest.param(rename("old.txt", "new.txt", LATIN), id="no UTF-8 under another name"),
        pytest.param(write("big.txt", b"y" * 70, new=False), id="grown by what is allowed"),
        pytest.param(write("src/empty", b""), id="empty file"),
    ],
)
def test_a_sound_change_is_well_formed(edit, case):
    assert well_formed(case(edit, limits=AttemptSettings(max_file_bytes=20))).status is GateStatus.PASSED


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        pytest.param([write("src/b.py", b"y" * 21)], "has 21 bytes, more than 20", id="too big"),
        pytest.param(
            [write("big.txt", b"y" * 71, new=False)], "has 71 bytes, more than 70", id="grown too much"
        ),
        pytest.param([write(f"src/{n}") for n in range(4)], "touches 4 files, more than 3", id="too many"),
        pytest.param([write("src/b.py", b"a\0b")], "src/b.py: holds NUL bytes", id="NUL"),
        pytest.param(
            [write("src/a.py", LATIN, new=False)], "src/a.py: is not in UTF-8: byte 4", id="no UTF-8"
        ),
        pytest.param([write("src/l", mode="120000")], "is a symbolic link", id="a link"),
        pytest.param([write("src/l", mode="104755")], "mode 104755", id="a setuid program"),
        pytest.param([write("../x")], "'..'", id="upwards"),
        pytest.param([write("/etc/x")], "absolute", id="absolute"),
        pytest.param([write("src/.Git/x")], "git's own", id="git's folder"),
        pytest.param([rename(".git/x", "src/x")], "git's own", id="git's folder as a source"),
        pytest.param([write("./src/b.py")], "that would be src/b.py", id="not tidied"),
        pytest.param([write("src\\b.py")], "that would be src/b.py", id="backslashes"),
        pytest.param([write("src/cafe\u0301")], "is no repository key", id="decomposed accent"),
        pytest.param([write("link/x")], "link is a symbolic link", id="through a link"),
        pytest.param([write("src/a.py/x")], "src/a.py is a file", id="through a file"),
        pytest.param([write("vendor/lib/x")], "vendor/lib is a submodule", id="into a submodule"),
        pytest.param([delete("link")], "link: is a link", id="deletes a link"),
        pytest.param([write("link", new=False)], "link: is a link", id="writes a link"),
        pytest.param([write("src")], "src: is a folder, it holds src/a.py", id="onto a folder"),
        pytest.param(
            [write("src/n"), write("src/n/x")], "src/n is written as a file", id="a file and a folder"
        ),
        pytest.param([write("src/n"), write("src/n")], "src/n: is written twice", id="written twice"),
        pytest.param([write("SRC/b.py")], "SRC differs from src", id="a folder in another case"),
        pytest.param([write("src/A.py")], "src/A.py differs from src/a.py", id="a file in another case"),
        pytest.param([write("src/n"), write("src/N")], "in upper and lower case only", id="two new files"),
    ],
)
def test_what_is_not_well_formed(edits, reason, case):
    limits = AttemptSettings(max_file_bytes=20, max_changed_files=3)
    failure = well_formed(case(*edits, limits=limits)).failure
    assert failure.kind is FailureKind.PATCH_REJECTED
    assert any(reason in detail for detail in failure.details)
    assert "\n" not in failure.message


def test_a_file_may_make_room_for_a_folder(case):
    assert not well_formed(case(delete("src/a.py"), write("src/a.py/x"))).is_blocking
    assert not well_formed(case(rename("src/a.py", "src/a.py/x"))).is_blocking


def test_names_that_differ_in_case_already_do_not_block(case):
    files = {"A/x": b"", "a/y": b""}
    assert not well_formed(case(write("A/new"), write("a/newer"), files=files)).is_blocking


# scope


@pytest.mark.parametrize(
    ("edit", "paths"),
    [
        pytest.param(write("src/b.py"), ["src/"], id="below a folder"),
        pytest.param(write("src/b.py"), ["src"], id="below a folder without a slash"),
        pytest.param(write("new/b.py"), ["new"], id="below a folder that is not there yet"),
        pytest.param(write("src/a.py", new=False), ["src/a.py"], id="the file"),
        pytest.param(rename("src/a.py", "docs/a.py"), ["src/", "docs/"], id="both ends of a rename"),
        pytest.param(write(LOCK), [], id="a deliverable"),
    ],
)
def test_inside_the_scope(edit, paths, case):
    assert scope(case(edit, paths=paths, wanted=[LOCK])).status is GateStatus.PASSED


@pytest.mark.parametrize(
    ("edit", "paths", "outside"),
    [
        pytest.param(write("docs/x"), ["src/"], "docs/x", id="another folder"),
        pytest.param(write("srcs/x"), ["src/"], "srcs/x", id="a longer name"),
        pytest.param(write("src/a.py/x"), ["src/a.py"], "src/a.py/x", id="below a file"),
        pytest.param(delete("docs/README.md"), ["src/"], "docs/README.md", id="a deletion"),
        pytest.param(rename("src/a.py", "docs/a.py"), ["src/"], "docs/a.py", id="a rename's new path"),
        pytest.param(rename("docs/README.md", "src/x"), ["src/"], "docs/README.md", id="a rename's old path"),
        pytest.param(write("src/b.py"), [], "src/b.py", id="an empty scope"),
    ],
)
def test_outside_the_scope(edit, paths, outside, case):
    failure = scope(case(edit, paths=paths)).failure
    assert failure.kind is FailureKind.SCOPE_VIOLATION
    assert failure.message == f"Outside scope: {outside}"


@pytest.mark.parametrize(
    ("verb", "outside"),
    [
        pytest.param("copy", (), id="what is copied is only read"),
        pytest.param("rename", ("Outside scope: docs/README.md",), id="what is renamed is lost"),
    ],
)
def test_what_a_patch_names_outside_the_scope_may_be_read(verb, outside, case):
    head = f"diff --git a/docs/README.md b/src/x\n{verb} from docs/README.md\n{verb} to src/x\n"
    text = f"{head}--- a/docs/README.md\n+++ b/src/x\n@@ -1 +1 @@\n-one\n+two\n"
    named = searched_paths(read_change(AnswerFormat.PATCH, text))
    verdict = scope_of(named, case().spec, is_folder=lambda _: False)
    assert (verdict.failure.details if verdict.failure else ()) == outside


def test_every_path_outside_is_named_in_order(case):
    failure = scope(case(write("z"), write("docs/b"), write("src/b"), write("docs/a"))).failure
    assert failure.details == ("Outside scope: docs/a", "Outside scope: docs/b", "Outside scope: z")
    assert failure.message == "Outside scope: docs/a (and 2 more)"
    assert "src/" in failure.hint


def test_what_is_only_read_is_outside_unless_the_scope_names_it_as_exactly(case):
    read_only = ["src/app/config.py"]
    edit = write("src/app/config.py", new=False)
    assert scope(case(edit, read_only=read_only)).failure.details == (
        "Outside scope: src/app/config.py (read only)",
    )
    assert not scope(case(edit, paths=["src/", "src/app/config.py"], read_only=read_only)).is_blocking


# protected paths


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".GitHub/x",
        "Jenkinsfile",
        "jenkinsfile",
        ".autopack/config.toml",
        "secrets/x",
    ],
)
def test_protected_paths_block(path, case):
    verdict = protected_paths(
        case(write(path), protected_paths=(".github/", ".autopack/", "Jenkinsfile", "secrets"))
    )
    assert verdict.failure.kind is FailureKind.PROTECTED_PATH
    assert verdict.failure.message == f"Protected path: {path}"


def test_a_protected_path_cannot_be_moved_away(case):
    assert protected_paths(case(rename("Jenkinsfile", "src/x"))).is_blocking


@pytest.mark.parametrize("path", ["src/b.py", "github/x", "docs/Jenkinsfile", "Jenkinsfile.md"])
def test_other_paths_are_not_protected(path, case):
    assert protected_paths(case(write(path))).status is GateStatus.PASSED


# deliverables


@pytest.mark.parametrize("content", [b"", b" ", b"{", b"[" * 100_000])
def test_a_new_json_deliverable_that_cannot_be_read(content, case):
    failure = json_deliverables(case(write(LOCK, content), wanted=[LOCK])).failure
    assert failure.kind is FailureKind.INVALID_JSON_DELIVERABLE
    assert failure.message.startswith("Invalid JSON deliverable (")
    assert failure.message.endswith(LOCK)


@pytest.mark.parametrize(
    ("edit", "wanted", "status"),
    [
        pytest.param(write(LOCK, b"{}"), [LOCK], GateStatus.PASSED, id="sound"),
        pytest.param(write(LOCK, b"{"), ["x.json"], GateStatus.NOT_APPLICABLE, id="no deliverable"),
        pytest.param(write("src/b.py", b"{"), ["src/b.py"], GateStatus.NOT_APPLICABLE, id="no JSON"),
        pytest.param(write(LOCK, b"{", new=False), [LOCK], GateStatus.NOT_APPLICABLE, id="not new"),
        pytest.param(delete(LOCK), [LOCK], GateStatus.NOT_APPLICABLE, id="deleted"),
    ],
)
def test_other_json_is_not_this_gates_business(edit, wanted, status, case):
    assert json_deliverables(case(edit, wanted=wanted)).status is status


def test_a_deliverable_that_is_nowhere_blocks(case):
    verdict = deliverables(case(write(f"fileorganizer/{LOCK}", b"{}"), wanted=[LOCK, "src/a.py"]))
    failure = verdict.failure
    assert failure.kind is FailureKind.DELIVERABLES_MISSING
    assert failure.message.startswith("DELIVERABLES_VALIDATION_FAILED")
    assert "(+1 existing files in workspace)" in failure.message
    assert failure.details == (f"Missing: {LOCK} (found at: fileorganizer/{LOCK})",)


@pytest.mark.parametrize(
    ("edits", "placeholders"),
    [
        pytest.param([write(LOCK, b"{}")], [], id="in the change"),
        pytest.param([write("src/b.py")], [LOCK], id="a placeholder in the workspace"),
        pytest.param([rename("src/a.py", LOCK)], [], id="renamed to it"),
    ],
)
def test_a_deliverable_that_is_there_passes(edits, placeholders, case):
    verdict = deliverables(case(*edits, wanted=[LOCK], placeholders=placeholders))
    assert verdict.status is GateStatus.PASSED


def test_the_base_counts_for_deliverables_until_the_change_takes_them_away(case):
    assert deliverables(case(write("x"), wanted=["src/a.py"])).notes == (
        "found in the change: 0 (+1 existing files in workspace)",
    )
    assert deliverables(case(delete("src/a.py"), wanted=["src/a.py"])).is_blocking
    assert deliverables(case(rename("src/a.py", "src/b.py"), wanted=["src/a.py"])).is_blocking
    assert not deliverables(
        case(rename("src/a.py", "src/b.py"), write("src/a.py"), wanted=["src/a.py"])
    ).is_blocking


def test_a_phase_without_deliverables_has_nothing_to_miss(case):
    assert deliverables(case(write("x"))).status is GateStatus.NOT_APPLICABLE


# order


def test_a_sound_change_passes_every_gate_in_order(case):
    sound = case(write("src/b.py"), wanted=["src/b.py"])
    before = [verdict.gate for verdict in judge_before(sound)]
    after = [verdict.gate for verdict in judge_after(sound, imports=lambda _: passed("imports"))]
    assert before == [
        "not_empty",
        "well_formed",
        "scope",
        "protected_paths",
        "test_runner",
        "json_deliverables",
    ]
    assert after == ["deliverables", "syntax", "imports"]
    assert first_failure([*judge_before(sound), *judge_after(sound)]) is None


@pytest.mark.parametrize(
    ("edits", "kind"),
    [
        pytest.param([], FailureKind.EMPTY_CHANGE, id="nothing"),
        pytest.param([write("../x")], FailureKind.PATCH_REJECTED, id="form before scope"),
        pytest.param([write("Jenkinsfile")], FailureKind.SCOPE_VIOLATION, id="scope before protection"),
        pytest.param([write(".github/x")], FailureKind.PROTECTED_PATH, id="protection, though in scope"),
        pytest.param([write("src/d.json", b"{")], FailureKind.INVALID_JSON_DELIVERABLE, id="JSON last"),
    ],
)
def test_the_first_gate_that_blocks_is_the_last_word(edits, kind, case):
    verdicts = judge_before(case(*edits, paths=["src/", ".github/"], wanted=["src/d.json"]))
    assert first_failure(verdicts).kind is kind
    assert verdicts[-1].is_blocking
    assert not any(verdict.is_blocking for verdict in verdicts[:-1])


def test_nothing_is_imported_where_a_file_cannot_be_parsed(case):
    def never(_):
        raise AssertionError

    verdicts = judge_after(case(write("src/b.py", b"def f(:\n")), imports=never)
    assert first_failure(verdicts).kind is FailureKind.SYNTAX_ERROR


def test_the_import_gate_has_the_last_word(case):
    failure = blocked("imports", first_failure(judge_before(case())))
    assert judge_after(case(write("src/b.py")), imports=lambda _: failure)[-1] is failure
