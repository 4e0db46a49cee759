"""What a model is shown of a scope: as much as there is room for, and what is left out is said."""

from dataclasses import dataclass

import pytest
from project import phase

from autopack.domain.import_table import FileFacts, ImportTable
from autopack.domain.phase import Phase
from autopack.domain.run import RunSpec
from autopack.execution.briefing import Briefing, draw_code_map, write_prompt
from autopack.execution.context import MAX_FILES, ScopedContext, load_context
from autopack.ports import ContextFile

FILES = {"a/one.py": b"1" * 60, "a/two.py": b"2" * 60, "b/read.md": b"r" * 60, "c.py": b"c" * 30}


def spec(*paths, read_only=()):
    return phase(paths=paths, read_only=read_only)


RUN = RunSpec(run_id="r", goal="All of it", phases=(spec("a/"),))
PHASE = Phase(run_id="r", index=0, spec=spec("a/"))


def shown(context):
    return [file.path for file in context.files]


@pytest.mark.parametrize(
    ("max_bytes", "files", "omitted"),
    [
        pytest.param(210, ["a/one.py", "a/two.py", "c.py", "b/read.md"], (), id="all of it"),
        pytest.param(
            150, ["a/one.py", "a/two.py", "c.py"], ("b/read.md",), id="what is only read goes first"
        ),
        pytest.param(119, ["a/one.py", "c.py"], ("a/two.py", "b/read.md"), id="a smaller one still fits"),
        pytest.param(0, [], ("a/one.py", "a/two.py", "c.py", "b/read.md"), id="no room at all"),
    ],
)
def test_files_fill_the_room_and_the_others_are_named(tree_of, max_bytes, files, omitted):
    context = load_context(spec("a/", "c.py", read_only=("b/",)), tree_of(FILES), max_bytes=max_bytes)
    assert (shown(context), context.omitted) == (files, omitted)


def test_a_file_is_shown_whole_or_not_at_all(tree_of):
    context = load_context(spec("a/"), tree_of(FILES), max_bytes=100)
    assert [file.text for file in context.files] == ["1" * 60]


def test_a_scope_of_many_small_files_is_bounded_in_their_number(tree_of):
    tree = tree_of({f"a/{number:04}.py": b"" for number in range(MAX_FILES + 7)})
    context = load_context(spec("a/"), tree)
    assert (len(context.files), len(context.omitted)) == (MAX_FILES, 7)


def test_what_is_left_out_is_told_to_the_model():
    text = prompt(ScopedContext(files=(), omitted=("a/two.py",)))
    assert "# Left out for lack of room\n\n- a/two.py\n" in text
    assert "Left out" not in prompt(ScopedContext(files=()))


def test_a_scope_of_thousands_of_files_does_not_fill_the_prompt_with_their_names():
    text = prompt(ScopedContext(files=(), omitted=tuple(f"src/{number:05}.py" for number in range(10_000))))
    assert "- src/00049.py\n- and 9950 more\n" in text
    assert len(text) < 3000


@dataclass
class Model:
    """What the briefing asks of a Builder that is a model."""

    context_tokens: int


@dataclass
class Index:
    """Knows one tree."""

    table: ImportTable

    def facts(self, tree):
        return self.table


TABLE = ImportTable(files={f"m{number:04}.py": FileFacts(definitions="f(a)") for number in range(5000)})


def briefing(model):
    return Briefing(
        store=None, workspace=None, index=Index(TABLE), model=model, is_read=False, protected_paths=()
    )


@pytest.mark.parametrize("context_tokens", [1000, 24_000])
def test_files_and_map_of_a_huge_repository_keep_to_the_models_room(tree_of, context_tokens):
    it = briefing(Model(context_tokens))
    tree = tree_of({f"a/{number}.py": b"x" * 500 for number in range(1000)})
    context = load_context(spec("a/"), tree, max_bytes=it.files_bytes)
    text = it(PHASE, RUN, tree, context).text
    shown_bytes = sum(len(file.text) for file in context.files)
    drawn = text.partition("# Run")[0]
    assert "# Map of the repository" in drawn
    assert shown_bytes + len(drawn) <= 4 * context_tokens + 100
    assert shown_bytes >= 2 * context_tokens or len(context.files) == MAX_FILES
    assert len(context.omitted) == 1000 - len(context.files)


def test_an_agent_looks_around_by_itself_and_gets_no_map(tree_of):
    it = briefing(None)
    text = it(PHASE, RUN, tree_of({}), ScopedContext(files=())).text
    assert "# Map of the repository" not in text


@pytest.mark.parametrize(
    ("used", "lines"),
    [
        pytest.param(0, 13, id="a quarter of the room at most"),
        pytest.param(680, 8, id="no more than the files leave"),
        pytest.param(800, 0, id="nothing where they took all"),
    ],
)
def test_the_map_takes_what_the_files_leave(used, lines):
    context = ScopedContext(files=(ContextFile(path="big.py", text="x" * used),))
    assert draw_code_map(TABLE, context, context_tokens=200).count(": f(a)") == lines


def prompt(context):
    return write_prompt(PHASE, RUN, context).text
