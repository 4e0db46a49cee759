"""Answers that must be refused before a file is touched, and phases that must not even be asked for one."""

from benchmarks.gate_truth.case import Checkout, Table

TABLE = Table()

README_HEAD = "diff --git a/README.rst b/README.rst\n--- a/README.rst\n+++ b/README.rst\n"


@TABLE.case("toolz", "scope_violation", scope=("README.rst",))
def edits_outside_the_scope(checkout: Checkout) -> None:
    """One file inside, one outside."""
    checkout.replace("README.rst", "We're friendly.\n", "We are friendly.\n")
    checkout.append("AUTHORS.md", "\nand a model\n")


@TABLE.case("toolz", "scope_violation", scope=("toolz/tests/",))
def creates_outside_the_scope(checkout: Checkout) -> None:
    """A new file beside the folder that it may fill."""
    checkout.write("toolz/tests_more.py", "answer = 42\n")


@TABLE.case("toolz", "scope_violation", scope=("toolz/tests/",))
def renames_out_of_the_scope(checkout: Checkout) -> None:
    """The old path is inside, the new one is not."""
    checkout.move("toolz/tests/test_recipes.py", "tests/test_recipes.py")


@TABLE.case("toolz", "scope_violation", scope=("README.rst",))
def deletes_outside_the_scope(checkout: Checkout) -> None:
    """A deletion is a change too."""
    checkout.replace("README.rst", "We're friendly.\n", "We are friendly.\n")
    checkout.delete("MANIFEST.in")


@TABLE.case("cachetools", "scope_violation", scope=("src/cachetools/key",))
def scope_is_no_prefix(checkout: Checkout) -> None:
    """``key`` is not ``keys.py``: a path is inside a key that it equals, or a folder that holds it."""
    checkout.append("src/cachetools/keys.py", "\n# a remark\n")


@TABLE.case("toolz", "scope_violation", scope=("toolz/",))
def changes_only_a_mode_outside(checkout: Checkout) -> None:
    """No line differs, and still a file outside is touched."""
    (checkout.root / "setup.py").chmod(0o644)


@TABLE.case("cachetools", "protected_path", scope=(".github/", "README.rst"))
def writes_a_ci_workflow(checkout: Checkout) -> None:
    """No scope opens the CI's own configuration."""
    checkout.write(".github/workflows/ci.yml", "on: push\njobs: {}\n")


@TABLE.case("cachetools", "protected_path", scope=(".gitattributes",))
def writes_git_attributes(checkout: Checkout) -> None:
    """Attributes decide what git makes of every other file."""
    checkout.write(".gitattributes", "* -text\n")


@TABLE.case("toolz", "empty_change", scope=("README.rst",))
def claims_and_does_nothing(_: Checkout) -> dict[str, object]:
    """The lying builder: words, no edits."""
    return {
        "edits": [],
        "explanation": "Done. All tests pass.",
        "usage": {"input_tokens": 900, "output_tokens": 60},
    }


@TABLE.case("toolz", "empty_change", scope=("README.rst",))
def empty_answer(_: Checkout) -> str:
    """Not a word."""
    return ""


@TABLE.case("toolz", "empty_change", scope=("README.rst",))
def writes_what_is_there(checkout: Checkout) -> dict[str, object]:
    """A file is written with the content that it has."""
    return {"edits": [{"path": "README.rst", "content": checkout.read("README.rst").decode()}]}


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def prose_for_a_patch(_: Checkout) -> str:
    """An answer in words where a patch was asked for."""
    return "I would change the last paragraph of the README so that it sounds more welcoming.\n"


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def wrong_line_counts(_: Checkout) -> str:
    """The hunk announces more lines than it has."""
    return README_HEAD + "@@ -1,9 +1,9 @@\n-Toolz\n+Tools\n =====\n"


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def cut_off_patch(_: Checkout) -> str:
    """The answer ends in the middle of a hunk."""
    return README_HEAD + "@@ -1,5 +1,5 @@\n-Toolz\n+Tools\n =====\n \n"


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def stale_context(_: Checkout) -> str:
    """Written against another version of the file."""
    return README_HEAD + "@@ -1,3 +1,3 @@\n-PyToolz\n+Tools\n =======\n \n"


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def elided_patch(_: Checkout) -> str:
    """A patch with three dots for what it leaves out."""
    return README_HEAD + "@@ -1,5 +1,5 @@\n-Toolz\n+Tools\n ...\n A set of utility functions\n"


@TABLE.case("toolz", "patch_rejected", scope=("AUTHORS.md",))
def creates_what_is_there(_: Checkout) -> str:
    """A new file over an old one."""
    return "diff --git a/AUTHORS.md b/AUTHORS.md\nnew file mode 100644\n--- /dev/null\n+++ b/AUTHORS.md\n@@ -0,0 +1 @@\n+nobody\n"


@TABLE.case("toolz", "patch_rejected", scope=("toolz/",))
def changes_what_is_not_there(_: Checkout) -> str:
    """A file that the model made up."""
    return "diff --git a/toolz/helpers.py b/toolz/helpers.py\n--- a/toolz/helpers.py\n+++ b/toolz/helpers.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


@TABLE.case("toolz", "patch_rejected", scope=("toolz/",))
def deletes_what_is_not_there(_: Checkout) -> dict[str, object]:
    """A deletion of nothing."""
    return {"edits": [{"path": "toolz/helpers.py", "delete": True}]}


@TABLE.case("toolz", "patch_rejected", scope=("README.rst",))
def one_good_file_one_stale(_: Checkout) -> str:
    """All or nothing: the good half must not be applied."""
    good = "@@ -1,2 +1,2 @@\n-Toolz\n+Tools\n =====\n"
    stale = "diff --git a/README.rst b/AUTHORS.md\n"
    return (
        README_HEAD
        + good
        + stale.replace("README.rst", "AUTHORS.md")
        + "--- a/AUTHORS.md\n+++ b/AUTHORS.md\n@@ -1 +1 @@\n-nobody here\n+me\n"
    )


@TABLE.case("toolz", "patch_rejected", scope=("docs/",))
def path_out_of_the_tree(_: Checkout) -> dict[str, object]:
    """A path that climbs out of the repository."""
    return {"edits": [{"path": "docs/../../../outside.txt", "content": "here I am\n"}]}


@TABLE.case("toolz", "patch_rejected", scope=("docs/",))
def absolute_path(_: Checkout) -> dict[str, object]:
    """A path from the root of the machine."""
    return {"edits": [{"path": "/tmp/outside.txt", "content": "here I am\n"}]}


@TABLE.case("toolz", "patch_rejected", scope=("docs/",))
def symbolic_link(checkout: Checkout) -> None:
    """A link that leads out of the tree."""
    (checkout.root / "docs").mkdir()
    (checkout.root / "docs" / "home").symlink_to("/etc")


@TABLE.case("toolz", "patch_rejected", scope=("docs/",))
def file_too_large(checkout: Checkout) -> None:
    """Two megabytes where one is the limit."""
    checkout.write("docs/data.txt", "0123456789abcde\n" * 131_072)


@TABLE.case("boltons", "invalid_json_deliverable", scope=("data/",), deliverables=("data/modules.json",))
def cut_off_json(checkout: Checkout) -> None:
    """The model ran out of room."""
    checkout.write("data/modules.json", '{"modules": ["cacheutils", "iterut')


@TABLE.case("boltons", "invalid_json_deliverable", scope=("data/",), deliverables=("data/modules.json",))
def empty_json(checkout: Checkout) -> None:
    """No content is no JSON."""
    checkout.write("data/modules.json", "\n")


@TABLE.case("boltons", "invalid_json_deliverable", scope=("data/",), deliverables=("data/modules.json",))
def json_with_comment(checkout: Checkout) -> None:
    """What only some readers of JSON let pass."""
    checkout.write("data/modules.json", '{\n  // all of them\n  "modules": [],\n}\n')


@TABLE.case("toolz", "budget_exceeded", scope=("toolz/itertoolz.py",), budget_tokens=500)
def too_little_budget(checkout: Checkout) -> None:
    """The prompt alone is larger than what the phase may spend."""
    checkout.replace("toolz/itertoolz.py", "def remove(predicate, seq):", "def remove(predicate, seq, /):")


@TABLE.case("toolz", "builder_error", scope=("README.rst",), has_answer=False)
def builder_without_an_answer(_: Checkout) -> None:
    """The Builder has nothing for this phase."""


@TABLE.case("toolz", "builder_error", scope=("README.rst",))
def builder_refuses(_: Checkout) -> dict[str, object]:
    """The provider says no."""
    return {"failure": {"kind": "builder_error", "message": "401 invalid key"}, "edits": []}


@TABLE.case("toolz", "builder_error", scope=("README.rst",))
def answer_at_its_output_limit(_: Checkout) -> dict[str, object]:
    """The provider says that the answer is cut off, whatever the patch looks like."""
    return {
        "edits": [{"path": "README.rst", "search": "We're friendly.", "replace": "We are"}],
        "is_truncated": True,
        "stop_reason": "max_tokens",
    }


@TABLE.case("toolz", "protected_path", scope=(".autopack/",))
def writes_the_state_of_autopack(_: Checkout) -> dict[str, object]:
    """A change that would choose its own Builder."""
    return {"edits": [{"path": ".autopack/config.toml", "content": "builder = 'command:true'\n"}]}


@TABLE.case("toolz", "patch_rejected", scope=("docs/",))
def writes_a_git_hook(_: Checkout) -> dict[str, object]:
    """A program that the next commit would run."""
    return {"edits": [{"path": ".git/hooks/pre-commit", "content": "#!/bin/sh\n"}]}


@TABLE.case("toolz", "patch_rejected", scope=("vendor/",))
def submodule(_: Checkout) -> str:
    """A commit of another repository in the place of a folder."""
    return (
        "diff --git a/vendor/lib b/vendor/lib\nnew file mode 160000\n--- /dev/null\n+++ b/vendor/lib\n"
        "@@ -0,0 +1 @@\n+Subproject commit 0123456789012345678901234567890123456789\n"
    )


@TABLE.case("toolz", "patch_rejected", scope=("toolz/",))
def file_below_a_file(_: Checkout) -> dict[str, object]:
    """A folder where a module is."""
    return {"edits": [{"path": "toolz/utils.py/more.py", "content": "a = 1\n"}]}
