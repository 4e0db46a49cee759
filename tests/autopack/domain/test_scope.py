"""The scope resolver: one place where a project root and a key are joined."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.scope import clean_key, is_within, match_length, normalise_key, parents
from autopack.errors import ScopeError

PROJECT = "fileorganizer"


def repository(*paths):
    """Whether a key names a file of this repository or one of the folders above it."""
    names = {name for path in paths for name in (*parents(path), path)}
    return names.__contains__


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        pytest.param("src/a.py", "src/a.py", id="as it is"),
        pytest.param("  src/a.py  ", "src/a.py", id="outer spaces"),
        pytest.param("./src//./a.py", "src/a.py", id="dots and double slashes"),
        pytest.param("src\\web\\A.py", "src/web/A.py", id="Windows separators, case kept"),
        pytest.param(".\\src\\", "src/", id="Windows folder"),
        pytest.param("src/", "src/", id="folder"),
        pytest.param("src/.", "src/", id="folder, written with a dot"),
        pytest.param("cafe\u0301.md", "caf\u00e9.md", id="decomposed accent"),
        pytest.param("app/[id]/page.tsx", "app/[id]/page.tsx", id="brackets are no wildcard"),
        pytest.param(".github/workflows/ci.yml", ".github/workflows/ci.yml", id="only .git itself is git's"),
        pytest.param("docs/git~notes.md", "docs/git~notes.md", id="a tilde is no short name"),
        pytest.param("a b/c d.txt", "a b/c d.txt", id="inner spaces"),
    ],
)
def test_a_path_is_tidied(raw, key):
    assert clean_key(raw) == key
    assert normalise_key(raw) == key


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param("", "names nothing", id="empty"),
        pytest.param("   ", "names nothing", id="spaces"),
        pytest.param(".", "names nothing", id="dot"),
        pytest.param("./", "names nothing", id="dot and slash"),
        pytest.param("/etc/passwd", "absolute", id="absolute"),
        pytest.param("//server/share/x", "absolute", id="UNC"),
        pytest.param("\\\\server\\share\\x", "absolute", id="UNC with backslashes"),
        pytest.param("C:\\x", "drive", id="drive"),
        pytest.param("c:x", "drive", id="drive without a slash"),
        pytest.param("~/x", "home", id="home"),
        pytest.param("~root/x", "home", id="another's home"),
        pytest.param("../x", "..", id="upwards"),
        pytest.param("src/../../x", "..", id="upwards later"),
        pytest.param("src/../x", "..", id="upwards and back"),
        pytest.param("src\\..\\x", "..", id="upwards with backslashes"),
        pytest.param("src/.. /x", "dots and spaces", id="upwards on Windows"),
        pytest.param("src/... /x", "dots and spaces", id="a part of dots"),
        pytest.param("a\0b", "control", id="NUL"),
        pytest.param("a\nb", "control", id="line break"),
        pytest.param("a\x7fb", "control", id="delete"),
        pytest.param("a\ud800b", "character", id="half a surrogate pair"),
        pytest.param(".git/config", "git's own", id="git"),
        pytest.param("sub/.GIT/hooks/x", "git's own", id="git in another case, deeper"),
        pytest.param(".git./x", "git's own", id="git with a dot"),
        pytest.param(".git /x", "git's own", id="git with a space"),
        pytest.param("git~1/x", "git's own", id="git's short name"),
        pytest.param("GI7EBA~1/x", "git's own", id="git's other short name"),
        pytest.param(".g\u200cit/config", "git's own", id="git with an invisible character"),
        pytest.param(".git::$INDEX_ALLOCATION/x", "git's own", id="git's stream"),
        pytest.param("Jenkinsfile::$DATA", "stream", id="a file's stream"),
        pytest.param("a" * 256, "more than 255", id="a name too long"),
        pytest.param("a/" * 2500 + "b", "longer than", id="a path too long"),
    ],
)
def test_a_path_that_is_no_key_is_refused_by_name(raw, reason):
    with pytest.raises(ScopeError, match=reason) as caught:
        clean_key(raw)
    assert repr(raw) in str(caught.value)
    with pytest.raises(ScopeError):
        normalise_key(raw, project=PROJECT)


def test_a_wildcard_is_no_key_of_a_plan():
    with pytest.raises(ScopeError, match="wildcard"):
        normalise_key("src/*.py")


@pytest.mark.parametrize(
    ("raw", "paths", "key"),
    [
        pytest.param("fileorganizer/frontend/x", (), "fileorganizer/frontend/x", id="repository-relative"),
        pytest.param("frontend/x", (), "fileorganizer/frontend/x", id="project-relative, nothing exists"),
        pytest.param("frontend\\x", (), "fileorganizer/frontend/x", id="project-relative, Windows"),
        pytest.param("frontend/", (), "fileorganizer/frontend/", id="folder"),
        pytest.param("fileorganizer", (), "fileorganizer", id="the project itself"),
        pytest.param("fileorganizer/", (), "fileorganizer/", id="the project as a folder"),
        pytest.param(
            "frontend/x", ("fileorganizer/frontend/x",), "fileorganizer/frontend/x", id="in the project"
        ),
        pytest.param("docs/x", ("docs/x",), "docs/x", id="in the repository"),
        pytest.param("docs/new", ("docs/x",), "docs/new", id="new file in a folder of the repository"),
        pytest.param("docs/", ("docs/x",), "docs/", id="folder of the repository"),
        pytest.param("new.md", ("docs/x",), "fileorganizer/new.md", id="new file at the top"),
        pytest.param(
            "fileorganizer/fileorganizer/x",
            ("fileorganizer/fileorganizer/y",),
            "fileorganizer/fileorganizer/x",
            id="a folder that really is nested",
        ),
        pytest.param(
            "fileorganizer/x",
            ("fileorganizer/x", "fileorganizer/fileorganizer/x"),
            "fileorganizer/x",
            id="written in full, whatever is nested",
        ),
    ],
)
def test_both_spellings_of_a_project_path(raw, paths, key):
    assert normalise_key(raw, project=PROJECT, exists=repository(*paths)) == key


@pytest.mark.parametrize("project", [None, "", ".", "./"])
def test_without_a_project_a_path_is_the_repositorys(project):
    assert normalise_key("frontend/x", project=project, exists=repository()) == "frontend/x"


@pytest.mark.parametrize("project", ["fileorganizer", "fileorganizer/", ".\\fileorganizer\\"])
def test_a_project_may_be_written_in_any_way(project):
    assert normalise_key("frontend/x", project=project) == "fileorganizer/frontend/x"


def test_a_nested_project_is_joined_whole():
    assert normalise_key("x", project="apps/web") == "apps/web/x"
    assert normalise_key("apps/web/x", project="apps/web") == "apps/web/x"


@pytest.mark.parametrize(
    ("raw", "paths", "reason"),
    [
        pytest.param("docs/x", ("docs/x", "fileorganizer/docs/x"), "ambiguous", id="two files exist"),
        pytest.param("fileorganizer/fileorganizer/x", (), "twice", id="the project twice"),
        pytest.param("FileOrganizer/x", (), "upper and lower case", id="the project in another case"),
    ],
)
def test_a_path_that_may_mean_two_files_is_refused(raw, paths, reason):
    with pytest.raises(ScopeError, match=reason) as caught:
        normalise_key(raw, project=PROJECT, exists=repository(*paths))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "key", "is_inside"),
    [
        pytest.param("src/a.py", "src/", True, id="below a folder"),
        pytest.param("src/a.py", "src/a.py", True, id="the file"),
        pytest.param("src/ab.py", "src/a", False, id="a longer name"),
        pytest.param("srcs/a.py", "src/", False, id="a longer folder"),
        pytest.param("src/a/b.py", "src/a", False, id="below a file"),
        pytest.param("src", "src/", True, id="the folder itself"),
        pytest.param("Src/a.py", "src/", False, id="another case"),
    ],
)
def test_what_a_key_covers(path, key, is_inside):
    assert is_within(path, [key]) is is_inside


def test_a_key_without_a_slash_covers_a_folder_where_it_names_one():
    assert is_within("src/a/b.py", ["src/a"], is_folder=lambda key: key == "src/a")
    assert not is_within("src/a/b.py", ["src/a"], is_folder=lambda key: False)


def test_the_most_specific_key_counts():
    assert match_length("src/app/config.py", ["src/", "src/app/config.py", "src/app/"]) == 3
    assert match_length("docs/x", ["src/"]) == 0


PARTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["", ".", "..", ".git", "fileorganizer", "FileOrganizer", "~", "C:", " ", "frontend"]),
)
RAW = st.builds(
    lambda parts, separators: "".join(part + sep for part, sep in zip(parts, separators, strict=False)),
    st.lists(PARTS, max_size=6),
    st.lists(st.sampled_from(["/", "\\", "//", ""]), min_size=6, max_size=6),
)
PLAIN_PARTS = st.text(string.ascii_letters + string.digits + "._- ", min_size=1, max_size=8).filter(
    lambda part: (
        part.strip(" .") and part == part.strip() and part.casefold() not in {".git", "fileorganizer"}
    )
)
PLAIN = st.lists(PLAIN_PARTS, min_size=1, max_size=5).map("/".join)


@given(raw=RAW, project=st.sampled_from([None, "fileorganizer", "apps/web"]))
def test_no_path_ever_leaves_the_repository(raw, project):
    try:
        key = normalise_key(raw, project=project)
    except ScopeError:
        return
    parts = key.removesuffix("/").split("/")
    assert not key.startswith("/")
    assert all(part.strip(" .") for part in parts)
    assert all(part.casefold() != ".git" for part in parts)
    assert not set(key) & set("\\:\0")


@given(raw=RAW, project=st.sampled_from([None, "fileorganizer", "apps/web"]))
def test_a_key_is_its_own_key(raw, project):
    try:
        key = normalise_key(raw, project=project)
    except ScopeError:
        return
    assert normalise_key(key, project=project) == key


@given(path=PLAIN)
def test_both_spellings_agree(path):
    assert normalise_key(path, project=PROJECT) == normalise_key(f"{PROJECT}/{path}", project=PROJECT)


@given(path=PLAIN)
def test_both_separators_agree(path):
    windows = path.replace("/", "\\")
    assert normalise_key(windows, project=PROJECT) == normalise_key(path, project=PROJECT)


@given(raw=RAW, known=st.sets(PLAIN, max_size=4))
def test_the_project_is_never_doubled(raw, known):
    exists = repository(*known, *(f"{PROJECT}/{path}" for path in known))
    try:
        key = normalise_key(raw, project=PROJECT, exists=exists)
    except ScopeError:
        return
    assert not f"{key}/".startswith(f"{PROJECT}/{PROJECT}/")


@given(path=PLAIN, other=PLAIN)
def test_a_file_key_covers_itself_and_nothing_else(path, other):
    assert is_within(path, [path])
    assert is_within(other, [path]) is (other == path)
    assert is_within(f"{path}/{other}", [f"{path}/"])
