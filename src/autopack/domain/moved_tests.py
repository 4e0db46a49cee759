"""Which tests of a deleted file live on in a file that the change made."""

from collections import defaultdict
from collections.abc import Mapping


def match_moved_tests(gone: Mapping[str, str], come: Mapping[str, str]) -> Mapping[str, str]:
    """Pair tests that left with a deleted file and tests that came with a new one.

    A pair has the same name below its file: class, function and parameters. The new file that shares most
    names with the old one is asked first, then one of the same base name; each new test answers for one old.

    Args:
        gone: File by node id, of tests whose file the change deleted or renamed away.
        come: File by node id, of tests in files that the base does not have.

    Returns:
        The new node id by the old one, for the tests that have a partner.
    """
    old_files, new_files = _by_file(gone), _by_file(come)
    taken: set[str] = set()
    moved: dict[str, str] = {}
    for old_file in sorted(old_files):
        left = dict(old_files[old_file])
        for new_file in _by_likeness(old_file, left, new_files):
            for name in sorted(left.keys() & new_files[new_file].keys()):
                node_id = new_files[new_file][name]
                if node_id not in taken:
                    taken.add(node_id)
                    moved[left.pop(name)] = node_id
    return moved


def _by_file(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Node id by name, by file."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for node_id, file in files.items():
        found[file][node_id.partition("::")[2]] = node_id
    return found


def _by_likeness(
    old_file: str, names: Mapping[str, str], new_files: Mapping[str, Mapping[str, str]]
) -> list[str]:
    base_name = old_file.rpartition("/")[2]

    def likeness(new_file: str) -> tuple[int, bool, str]:
        shared = len(names.keys() & new_files[new_file].keys())
        return (-shared, new_file.rpartition("/")[2] != base_name, new_file)

    return sorted(new_files, key=likeness)
