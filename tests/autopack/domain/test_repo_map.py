"""The map of a repository: nearest first, as much as there is room for, and what is left out is said."""

import time

import pytest

from autopack.domain.import_table import FileFacts, ImportTable, Use, write_uses
from autopack.domain.repo_map import draw_map


def facts(*definitions, imports="", names=""):
    return FileFacts(definitions="\n".join(definitions), imports=imports, names=names)


def drawn(files, *, near=(), shown=(), max_bytes=10_000):
    return draw_map(ImportTable(files=files), near=near, shown=shown, max_bytes=max_bytes).splitlines()


SHOP = {
    "shop/cart.py": facts("total(items)"),
    "shop/tax.py": facts("rate(country)"),
    "web/pages/start.py": facts("page()"),
    "far/deep/below/engine.py": facts("Engine()", "Engine.run(self)"),
    "tests/test_cart.py": facts("test_total()"),
    "setup.py": facts("version()"),
}


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        pytest.param(facts("f(a, b=)"), "m.py: f(a, b=)", id="signatures"),
        pytest.param(facts("C(x)", "C.method(self)"), "m.py: C(x), C.method(self)", id="methods of a class"),
        pytest.param(facts("f()", names="f LIMIT"), "m.py: f(), LIMIT", id="names that are no functions"),
        pytest.param(
            facts("f()", "_g()", "C._h()", names="_LIMIT"), "m.py: f()", id="private ones are left out"
        ),
        pytest.param(facts(), "m.py", id="nothing public"),
    ],
)
def test_a_module_is_a_line_of_what_others_may_use(line, entry):
    assert drawn({"m.py": line}) == [entry]


def test_a_module_of_many_definitions_is_cut_and_says_so():
    (line,) = drawn({"m.py": facts(*(f"f{number}()" for number in range(33)))})
    assert line.endswith("f29(), (3 more)")


def test_neighbours_come_before_what_is_far_and_tests_come_last():
    assert [line.split(":")[0] for line in drawn(SHOP, near=["shop/cart.py"], shown=["shop/cart.py"])] == [
        "shop/tax.py",
        "setup.py",
        "web/pages/start.py",
        "far/deep/below/engine.py",
        "tests/test_cart.py",
    ]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(Use(module="far.deep.below.engine", names=("Engine",)), id="from its package"),
        pytest.param(Use(module="below.engine", names=("Engine",)), id="from a folder that is on the path"),
        pytest.param(Use(module="far.deep.below", names=("engine",)), id="as a name of its package"),
    ],
)
def test_what_the_task_imports_comes_first(use):
    files = {**SHOP, "shop/cart.py": facts("total(items)", imports=write_uses([use]))}
    assert drawn(files, near=["shop/cart.py"])[0] == "far/deep/below/engine.py: Engine(), Engine.run(self)"


def test_a_relative_import_is_one_too():
    files = {
        "a/b/user.py": facts("f()", imports=write_uses([Use(module="far", level=2, names=("Engine",))])),
        "a/far.py": facts("Engine()"),
        "a/b/near.py": facts("g()"),
    }
    assert drawn(files, near=["a/b/user.py"], shown=["a/b/user.py"])[0] == "a/far.py: Engine()"


def test_files_that_are_shown_anyway_are_not_on_it():
    assert not any("cart.py: total" in line for line in drawn(SHOP, shown=["shop/cart.py"]))


@pytest.mark.parametrize("max_bytes", [0, 10, 40, 100, 10_000])
def test_it_keeps_to_its_room_and_counts_what_it_leaves_out(max_bytes):
    lines = drawn(SHOP, max_bytes=max_bytes)
    modules = [line for line in lines if not line.startswith("(")]
    assert sum(len(line.encode()) + 1 for line in modules) <= max_bytes
    left = len(SHOP) - len(modules)
    said = [f"({left} more modules)"] if left and modules else []
    assert lines == [*modules, *said]


def test_a_huge_repository_is_drawn_within_its_room_and_soon():
    files = {f"pkg{n % 100}/m{n}.py": facts(f"f{n}(a, b)") for n in range(8_000)}
    uses = write_uses(Use(module=f"pkg{n % 100}.m{n}", names=(f"f{n}",)) for n in range(0, 8_000, 40))
    files["task.py"] = facts("main()", imports=uses)
    began = time.process_time()
    lines = drawn(files, near=["task.py"], shown=["task.py"], max_bytes=4000)
    assert time.process_time() - began < 5
    assert len("\n".join(lines)) <= 4000 + len(lines[-1])
    assert lines[0] == "pkg0/m0.py: f0(a, b)"
    assert lines[-1] == f"({8_000 - len(lines) + 1} more modules)"
