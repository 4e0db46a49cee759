"""What command-line tools print when they refuse, one line each, and what in that line names the cause."""

# ruff: noqa: E501, RUF001 -- a row of the table is one line, and some tools print curly quotes

import re
from functools import cache
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import place_of
from autopack.domain.fingerprint.templates import template

_PATCH, _UNRUNNABLE, _FAULT = FailureKind.PATCH_REJECTED, FailureKind.UNRUNNABLE, FailureKind.INFRASTRUCTURE
_SYNTAX, _COLLECTION = FailureKind.SYNTAX_ERROR, FailureKind.COLLECTION_ERROR
_IMPORT, _TEST = FailureKind.IMPORT_ERROR, FailureKind.TEST_REGRESSION


class _Line(NamedTuple):
    """One kind of line. Its groups are what tells one cause of the kind from another."""

    kind: FailureKind
    label: str
    prefilter: str
    pattern: str
    """Compiled when it is first searched for: most processes meet few of these tools."""


def find_tool_cause(text: str) -> Cause | None:
    """The first kind of the table that the output holds, by the names in its first such line."""
    for row in sorted(row for word in _words_in(text) for row in _ROWS[word]):
        line = _LINES[row]
        if found := re.search(line.pattern, text):
            names = (name_of(group) for group in found.groups() if group)
            return Cause(kind=line.kind, parts=(line.label, *names), why=f"a line of a tool: {line.label}")
    return None


def name_of(group: str) -> str:
    """A name as it is; an absolute path without its root; a message without its values."""
    if " " in group and not group.startswith("/"):
        return template(group, keeps_names=True)
    path = group.removeprefix("file://").replace("\\", "/").strip("'\"`‘’")
    if path.startswith("/") or path[1:3] == ":/":
        return place_of(path)
    return path.removeprefix("./")


# Every output begins with an empty line, so a pattern for a line begins with its end and is searched for fast.
_PATH = r"((?:[A-Za-z]:)?[^\s:'\"][^\n:'\"]{0,300}+)"
_LINES = tuple(
    _Line(kind, label, prefilter, pattern)
    for kind, label, prefilter, pattern in (
        # git apply, patch, git merge
        (_PATCH, "patch failed", "patch failed: ", rf"patch failed: {_PATH}:\d+"),
        (_PATCH, "patch does not apply", "patch does not apply", rf"error: {_PATH}: patch does not apply"),
        (_PATCH, "corrupt patch", "corrupt patch at ", r"corrupt patch at "),
        (_PATCH, "fragment without header", "fragment without header", r"fragment without header"),
        (_PATCH, "bad git-diff", "bad git-diff", r"bad git-diff - ([a-z /]+?)(?: on line|\n|$)"),
        (_PATCH, "no patch", "No valid patches in input", r"No valid patches in input"),
        (_PATCH, "no patch", "unrecognized input", r"error: unrecognized input"),
        (_PATCH, "not in index", "does not exist in index", rf"error: {_PATH}: does not exist in index"),
        (_PATCH, "already exists", "already exists in ", rf"error: {_PATH}: already exists in "),
        (_PATCH, "hunk failed", "FAILED at ", rf"(?:patching|checking) file {_PATH}\n(?:(?!patching file |checking file )[^\n]*\n){{0,200}}?Hunk #\d+ FAILED at"),
        (_PATCH, "malformed patch", "malformed patch at ", r"malformed patch at "),
        (_PATCH, "conflict", "CONFLICT (", r"CONFLICT \(([\w/ ]+)\): (?:Merge conflict in )?([^\s]+)"),
        (_PATCH, "patch validation", "Patch validation failed", r"Patch validation failed - ([^\n:]+)"),
        # git
        (_UNRUNNABLE, "git identity", "tell me who you are", r"tell me who you are"),
        (_UNRUNNABLE, "git identity", "auto-detect email", r"unable to auto-detect email"),
        (_FAULT, "git lock", "index.lock", r"index\.lock': File exists"),
        (_FAULT, "git access", "Authentication failed for", r"Authentication failed for"),
        (_FAULT, "git access", "could not read Username", r"could not read Username"),
        (_FAULT, "git access", "Permission denied (publickey)", r"Permission denied \(publickey"),
        (_PATCH, "would overwrite", "would be overwritten by", r"would be overwritten by \w+:\n[ \t]+([^\n]+)"),
        (_FAULT, "push rejected", "rejected]", r"! \[(?:remote )?rejected\][^\n]*\(([^)\n]+)\)"),
        (_UNRUNNABLE, "pathspec", "did not match any file", r"pathspec '([^'\n]+)' did not match any file"),
        (_UNRUNNABLE, "not a repository", "not a git repository", r"not a git repository"),
        # what a compiler lacks, by its name wherever it is asked for
        (_IMPORT, "no module", "error[E0432]", r"error\[E0432\]: unresolved imports? `([\w:]+)`"),
        (_IMPORT, "no module", "error[E0433]", r"(?:undeclared crate or module|unresolved module or unlinked crate) `(\w+)`"),
        (_IMPORT, "no module", "error TS2307", r"error TS2307: Cannot find module '([^.'\n][^'\n]*)'"),
        (_IMPORT, "no module", "no such module", r"error: no such module '([^'\n]+)'"),
        (_IMPORT, "no type", "error CS0246", r"error CS0246: [^'\n]*'(\w+)"),
        (_UNRUNNABLE, "no header", "No such file or directory", r": fatal error: ([^\s:']+): No such file or directory"),
        (_UNRUNNABLE, "no header", "file not found", r": fatal error: '([^'\n]+)' file not found"),
        (_UNRUNNABLE, "go module", "no required module provides", r"no required module provides package ([^\s;]+)"),
        (_UNRUNNABLE, "go package", "is not in std", r"package (\S+) is not in (?:std|GOROOT)"),
        # compilers and linters: the first error is the root, the rest follow from it
        (_SYNTAX, "compile", "cannot find symbol", rf"\n{_PATH}:\[?\d+(?:,\d+\])?:? (?:error: )?cannot find symbol\n(?:[^\n]*\n){{0,4}}?\s*symbol:\s+(\w+ [\w.]+)"),
        (_SYNTAX, "compile", ": fatal error: ", rf"\n{_PATH}:\d+(?::\d+)?: fatal error: ([^\n]+)"),
        (_SYNTAX, "compile", "error TS", r"\n((?:[A-Za-z]:)?[^\s:'\"][^\n:'\"]{0,300}?)[(:]\d+[,:]\d+\)?:? (?:- )?error TS\d+: ([^\n]+)"),
        (_SYNTAX, "compile", "): error ", r"\n[ ]*((?:[A-Za-z]:)?[^\s:'\"(][^\n:'\"(]{0,300})\(\d+,\d+\): error (\w+): ([^\n\[]+)"),
        (_SYNTAX, "compile", "error[E", r"error\[(E\d+)\]: ([^\n]+)\n[ ]*--> ([^\s:]+):\d+"),
        (_SYNTAX, "compile", ": error: ", rf"\n{_PATH}:\d+(?::\d+)?: error: ([^\n]+)"),
        (_SYNTAX, "compile", ":[", rf"\n{_PATH}:\[\d+,\d+\] ([^\n]+)"),
        (_SYNTAX, "compile", "\ne: ", r"\ne: (?:file://)?([^\s:]+\.kts?):\d+:\d+:? ([^\n]+)"),
        (_SYNTAX, "compile", ".scala:", r"\n([^\s:]{1,300}\.scala):\d+(?::\d+)?: (?:error: )?([^\n]+)"),
        (_SYNTAX, "compile", "** (", r"\n\*\* \((\w+)\) (?:([^\s:]+\.exs?):\d+: )?([^\n]+)"),
        (_SYNTAX, "compile", "\nerror: ", r"\nerror: ([^\n]+)\n +--> ([^\s:]+):\d+:\d+"),
        (_UNRUNNABLE, "go sum", "missing go.sum entry", r"missing go\.sum entry for module providing package ([^\s;]+)"),
        (_SYNTAX, "compile", ".go:", r"\n([^\s:]{1,300}\.go):\d+:\d+: ([^\n]+)"),
        (_SYNTAX, "link", "undefined reference to", r"undefined reference to [`'‘]([^'`’\n]+)"),
        (_SYNTAX, "link", "cannot find -l", r"cannot find -l(\S+)"),
        # build tools
        (_UNRUNNABLE, "no make target", "No rule to make target", r"No rule to make target [`'‘]([^'’`\n]+)"),
        (_SYNTAX, "makefile", "missing separator", rf"\n{_PATH}:\d+: \*\*\* missing separator"),
        (_UNRUNNABLE, "no npm script", "Missing script", r"Missing script: ['\"]?([\w:.-]+)"),
        (_UNRUNNABLE, "npm lock", "are in sync", r"package\.json and [^\n]{0,60} are in sync"),
        (_UNRUNNABLE, "npm lock", "ockfile", r"with .frozen-lockfile. because|lockfile would have been modified|[Ll]ockfile needs to be updated|lockfile had changes"),
        (_UNRUNNABLE, "npm package", "404 Not Found", r"404 Not Found - GET \S+/(\S+?)(?: |\n|$)"),
        (_UNRUNNABLE, "npm version", "No matching version found for", r"No matching version found for ([^\s@]*[^\s.@]+)"),
        (_UNRUNNABLE, "npm conflict", "peer ", r"ERESOLVE[^\0]{0,2000}?\n *peer (@?[^\s@]+)@[^\n]{1,100}? from (@?[^\s@]+)"),
        (_UNRUNNABLE, "npm conflict", "ERESOLVE", r"ERESOLVE[^\0]{0,400}?(?:Found: |While resolving: )([^\s@]*[^\s@]+)"),
        (_UNRUNNABLE, "npm package file", "package.json", r"ENOENT[^\n]*package\.json"),
        (_UNRUNNABLE, "maven dependency", "Could not resolve dependencies", r"Could not (?:find artifact|transfer artifact) ([\w.-]+:[\w.-]+)"),
        (_IMPORT, "no module", "Cannot find package ", r"Cannot find package ['\"]([^'\"\n]+)['\"]"),
        (_IMPORT, "no module", "Module not found \"", r"Module not found \"([^\"\n]+)\""),
        (_IMPORT, "no module", "Can't resolve '", r"Can't resolve '([^.'\n][^'\n]*)' in "),
        (_IMPORT, "no module", "Can't resolve '", r"Can't resolve '(\.[^'\n]*)' in '([^'\n]+)'"),
        (_IMPORT, "no module", "Could not resolve \"", r"Could not resolve \"([^.\"\n][^\"\n]*)\"\n"),
        (_IMPORT, "no module", "Cannot find module '", r"Cannot find module '([^.'\n][^'\n]*)' from '"),
        (_IMPORT, "no module", "Cannot find module '", r"Cannot find module '(\.[^'\n]*)' from '([^'\n]+)'"),
        (_IMPORT, "no module", "ailed to resolve import", r"ailed to resolve import \"([^.\"\n][^\"\n]*)\""),
        (_IMPORT, "no module", "ailed to resolve import", r"ailed to resolve import \"(\.[^\"\n]*)\" from \"([^\"\n]+)\""),
        (_UNRUNNABLE, "no browser", "Executable doesn't exist at", r"Executable doesn't exist at "),
        (_UNRUNNABLE, "gradle task", "not found in root project", r"Task '([^'\n]+)' not found in root project"),
        (_TEST, "failed test", " FAILED\n", r"\n\w[^\n]{1,300} > [^\n]{1,300} FAILED\n[ ]+(?:\w+\.)*+(\w++) at (\w+\.(?:java|kt|groovy|scala)):\d+"),
        (_UNRUNNABLE, "cmake package", "CMake Error", r"package configuration file provided by\s+\"([\w.+-]+)\""),
        (_UNRUNNABLE, "cmake", "CMake Error", r"CMake Error at ([^\s:]+):\d+[^\n]*\n\s*([^\n]+)"),
        (_UNRUNNABLE, "bazel package", "no such package", r"no such package '([^'\n]+)'"),
        (_UNRUNNABLE, "crate version", "failed to select a version", r"failed to select a version for (?:the requirement )?`([\w-]+)"),
        (_UNRUNNABLE, "crate", "no matching package", r"no matching package named `([^`\n]+)` found"),
        # pip and its relatives
        (_UNRUNNABLE, "requirement", "No matching distribution found for", r"No matching distribution found for ([\w.-]+)"),
        (_UNRUNNABLE, "requirement", "satisfies the requirement", r"satisfies the requirement ([\w.-]+)"),
        (_UNRUNNABLE, "requirements file", "Could not open requirements file", r"Could not open requirements file: [^\n]*?['\"](?:[^'\"\n]*[/\\])?([^'\"/\\\n]+)['\"]"),
        (_UNRUNNABLE, "python version", "requires a different Python", r"Package '([^'\n]+)' requires a different Python: \S+ not in '([^'\n]+)'"),
        (_UNRUNNABLE, "requirement conflict", "conflicting dependencies", r"Cannot install ([^\n]+?) because "),
        (_UNRUNNABLE, "requirement hash", "DO NOT MATCH THE HASHES", r"DO NOT MATCH THE HASHES[^\n]*\n\s*([\w.-]+)"),
        (_UNRUNNABLE, "requirement syntax", "Invalid requirement: ", r"Invalid requirement: ['\"]?([^'\"\n:]+)"),
        (_UNRUNNABLE, "wheel", "Failed building wheel for", r"Failed building wheel for ([\w.-]+)"),
        (_UNRUNNABLE, "python interpreter", "No interpreter found for", r"No interpreter found for Python ([\d.]+\d)"),
        (_UNRUNNABLE, "managed environment", "externally-managed-environment", r"externally-managed-environment"),
        (_UNRUNNABLE, "dependency resolution", "No solution found when resolving", r"Because (?:there are no versions of )?([\w.-]+)"),
        # shells and the system
        (_UNRUNNABLE, "no command", "command not found: ", r"command not found: (\S+)"),
        (_UNRUNNABLE, "no command", "command not found", r"[\s:]([^\s:]++): command not found"),
        (_UNRUNNABLE, "no command", ": not found", r"\n(?:[^\n:]{0,300}+: )?\d+: ([^\s:]+): not found"),
        (_UNRUNNABLE, "no command", "is not recognized as", r"'([^'\n]+)' is not recognized as"),
        (_UNRUNNABLE, "no command", "executable file not found", r"\"([^\"\n]+)\": executable file not found"),
        (_UNRUNNABLE, "no command", "ENOENT", r"spawn (\S+) ENOENT"),
        (_UNRUNNABLE, "no command", "No such file or directory", r"\n(?:[^\n:]{0,300}+: line \d+|env|(?:ba|z|da)?sh): [‘']?([^\n:'’]+)[’']?: No such file or directory"),
        (_UNRUNNABLE, "no command", "can't open file", r"can't open file '([^'\n]+)'"),
        (_UNRUNNABLE, "not executable", "Permission denied", r"(?:line \d+|(?:ba|z|da)?sh): ([^\n:]+): Permission denied"),
        (_FAULT, "disk full", "No space left on device", r"No space left on device"),
        (_FAULT, "too many files", "Too many open files", r"Too many open files"),
        (_FAULT, "port in use", "already in use", r"(?i:address already in use)"),
        (_FAULT, "name resolution", "name resolution", r"[Ff]ailure in name resolution"),
        (_FAULT, "name resolution", "Could not resolve host", r"Could not resolve host"),
        (_FAULT, "name resolution", "Name or service not known", r"Name or service not known"),
        (_FAULT, "certificate", "certificate verify failed", r"certificate verify failed"),
        # docker
        (_FAULT, "docker daemon", "Docker daemon", r"Cannot connect to the Docker daemon"),
        (_FAULT, "image rate limit", "toomanyrequests", r"toomanyrequests"),
        (_UNRUNNABLE, "system package", "Unable to locate package", r"Unable to locate package (\S+)"),
        (_UNRUNNABLE, "system package", "ERROR: unable to select packages", r"unable to select packages:\s+(\S+)"),
        (_UNRUNNABLE, "image", "manifest for", r"manifest for ([^\s:]+)\S* not found"),
        (_UNRUNNABLE, "image", "pull access denied", r"pull access denied for ([^\s,]+)"),
        (_FAULT, "port in use", "port is already allocated", r"port is already allocated"),
        (_UNRUNNABLE, "build context", "failed to compute cache key", r"\"?(/[^\s\"]+)\"?: not found"),
        (_UNRUNNABLE, "terraform", "│ Error: ", r"│ Error: ([^\n]+)(?:\n│[^\n]*){0,30}?\n│ (\w[^\n]*)"),
        # linters and doctest: by file, and by the rule or the example
        (_TEST, "lint", "  error  ", r"\n(\S[^\n]{0,300}\.[cm]?[jt]sx?)\n[ ]+\d+:\d+[ ]+error[ ]++[^\n]*[ ]([\w@/-]+)(?=\n)"),
        (_TEST, "lint", " --> ", r"\n(?=[A-Z]{1,4}\d{3,4} [^\n]+\n +--> ([^\s:]+):\d+)([A-Z]{1,4}\d{3,4}) "),
        (_TEST, "format", "ould reformat", r"\n[Ww]ould reformat:? ([^\n]+)"),
        (_TEST, "format", "\n[warn] ", r"\n\[warn\] (\S+\.\w+)\n"),
        # tests of other languages: by the class of the error, where there is one, and the first file of the user's
        (_TEST, "failed test", "Failure/Error: ", r"Failure/Error: [^\n]*\n(?:\s*+([A-Z]\w*(?:::\w+)*):\n)?(?:[^\n]*\n){0,40}?[ ]++# (?!/usr/|\S*/gems/)(\S+?\.rb):\d+"),
        (_TEST, "failed test", ".php:", r"\n\d+\) \w[\w\\]*::\w+[^\n]*\n(?:(?!\S*\.php:\d)[^\n]*\n){1,40}?((?!\S*/vendor/)\S+\.php):\d+"),
        (_TEST, "failed test", "Error Message:\n", r"\n[ ]+Error Message:\n[ ]+([^\n]+)\n(?:[^\n]*\n){0,40}?[ ]++at (?:(?! in )[^\n])*+ in ((?:[A-Za-z]:)?+[^\n:]++)(?<=\.[cf]s):line \d+"),
        (_TEST, "failed test", "The following tests FAILED", r"The following tests FAILED:\n\s*\d+ - ([^\n(]+?) \("),
        (_TEST, "doctest", "Failed example:", r"File \"([^\"\n]+)\", line \d+, in ([\w.<>]+)\nFailed example:"),
        # pytest and argparse
        (_UNRUNNABLE, "no such test", "file or directory not found", r"file or directory not found: ([^\s:]+)"),
        (_UNRUNNABLE, "unknown option", "unrecognized arguments", r"unrecognized arguments: ([^\s=]+)"),
        (_COLLECTION, "test module name clash", "import file mismatch", r"imported module '([^'\n]+)'"),
        (_UNRUNNABLE, "coverage", "Required test coverage", r"Required test coverage of"),
        (_UNRUNNABLE, "no fixture", "fixture '", r"fixture '(\w+)' not found"),
        (_COLLECTION, "unknown marker", "in `markers`", r"'(\w+)' not found in `markers`"),
        (_UNRUNNABLE, "gradle command", "What went wrong:", r"What went wrong:\nExecution failed for task '([^'\n]+)'\.\n[ ]*> (Process '[^\n]+)"),
        (_UNRUNNABLE, "gradle", "What went wrong:", r"What went wrong:\n[^\n]*\n(?:[ ]*> [^\n]*\n)*?[ ]*> ((?!There were failing tests)[^\n]+)\n(?![ ]*> )"),
        (_UNRUNNABLE, "usage", ": error: ", r"\n[\w.-]{1,60}+: error: ([^\n]+)"),
        (_UNRUNNABLE, "image step", "did not complete successfully", r"process \"/bin/sh -c ([^\"\n]{1,200})\" did not complete"),
        (_UNRUNNABLE, "no such file", "No such file or directory", r"\n[\w./-]{1,60}: (?:cannot \w+ )?['‘]?([^\s:'’]+)['’]?: No such file or directory"),
        (_UNRUNNABLE, "git", "fatal: ", r"\nfatal: ([^\n]+)"),
    )
)  # fmt: skip
_WORDS = tuple(dict.fromkeys(line.prefilter for line in _LINES))
_ROWS = tuple(tuple(row for row, line in enumerate(_LINES) if line.prefilter == word) for word in _WORDS)
"""By the place of its word among the words: the rows of the table."""


def _words_in(text: str) -> set[int]:
    try:
        found = _words().find_matches_as_indexes(text, overlapping=True)
    except UnicodeEncodeError:
        # Half of a surrogate pair, as of a tool that cuts a text in the middle of a sign.
        whole = text.encode("utf-8", "replace").decode("utf-8")
        found = _words().find_matches_as_indexes(whole, overlapping=True)
    return {word for word, _, _ in found}


@cache
def _words() -> AhoCorasick:
    """Which words an output holds is found in one reading, however many tools the table knows."""
    return AhoCorasick(_WORDS, implementation=Implementation.DFA)
