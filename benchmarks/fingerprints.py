"""How fast fingerprints are made, whether that stays so, and how well they group labelled failures.

    python -m benchmarks.fingerprints [--labelled FILE.jsonl] [--most 100000]

Speed is taken as CPU time of one core over reports of mixed sizes, 3.7 kB on average, that are made of the recorded
outputs in the tests' corpus; FILE holds reports with a "label", their root cause, and is then what speed is taken of,
too. Exit code 1 when a bar is missed.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from statistics import median

import yaml

from autopack.domain.fingerprint import FailureText, fingerprint

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "autopack" / "domain" / "fingerprint" / "golden"
SIZES_BYTES = (100, 200, 400, 700, 700, 1_000, 1_500, 3_000, 7_000, 24_000)
"""How long outputs of a backlog are: most are short, and one in ten is as long as is kept."""
REPORTS_BAR = 5_000.0
MEGABYTES_BAR = 15.0
P99_BAR_SECONDS = 0.020
FLAT_BAR = 0.8
"""The least share of its usual speed over 1,000 reports that is left over the most."""
LONG_LINE_BAR_SECONDS = 2.0
QUALITY_BARS = {"F1": 0.9, "B3": 0.92}


def mixed_reports() -> list[FailureText]:
    """Recorded outputs behind as many lines of passing tests as give them the sizes of a backlog."""
    rows = chain.from_iterable(
        yaml.safe_load(path.read_text("utf-8")) for path in sorted(CORPUS.glob("*.yaml"))
    )
    reports = []
    for row, size in zip(rows, cycle(SIZES_BYTES), strict=False):
        said = row.get("stdout") or row.get("stderr") or ""
        passing = (
            f"tests/test_shop.py::test_number_{number} PASSED   [ {number % 100}%]\n" for number in range(999)
        )
        filler = "".join(islice(passing, max(0, size - len(said)) // 54))
        reports.append(FailureText(stdout=filler + said, returncode=row.get("returncode")))
    return reports


def long_reports(size: int = 24_000) -> list[FailureText]:
    """Recorded outputs, each repeated up to ``size`` characters."""
    return [
        FailureText(stdout=(report.stdout * (size // len(report.stdout) + 1))[:size])
        for report in mixed_reports()
        if report.stdout
    ]


def rate(reports: Sequence[FailureText], count: int) -> tuple[float, float]:
    """Reports and megabytes a second of CPU time, over ``count`` reports."""
    size = 0
    started = time.process_time()
    for report in islice(cycle(reports), count):
        fingerprint(report)
        size += len(report.stdout) + len(report.stderr)
    seconds = time.process_time() - started
    return count / seconds, size / seconds / 1e6


def p99_seconds(reports: Sequence[FailureText]) -> float:
    """The duration that one in a hundred reports exceeds."""
    times = []
    for report in islice(cycle(reports), 1_000):
        started = time.process_time()
        fingerprint(report)
        times.append(time.process_time() - started)
    return sorted(times)[989]


def long_line_seconds(size: int = 10_000_000) -> float:
    """The worst duration over outputs that are one line of ten megabytes."""
    worst = 0.0
    for piece in ("a", "E ", "/a/b", "error: ", '\\n", "', "KeyError: ", "[1] "):
        report = FailureText(stdout=piece * (size // len(piece)))
        started = time.process_time()
        fingerprint(report)
        worst = max(worst, time.process_time() - started)
    return worst


def grouping(labels: Sequence[str], keys: Sequence[str]) -> dict[str, float]:
    """Pairwise F1, B-cubed F1, and the stop rule's two measures over first occurrences in three orders."""
    joint, of_label, of_key = Counter(zip(labels, keys, strict=True)), Counter(labels), Counter(keys)
    hits = _pairs(joint.values())
    precision, recall = hits / max(1, _pairs(of_key.values())), hits / max(1, _pairs(of_label.values()))
    b_precision = sum(count**2 / of_key[key] for (_, key), count in joint.items()) / len(labels)
    b_recall = sum(count**2 / of_label[label] for (label, _), count in joint.items()) / len(labels)
    detected, false = _brake(labels, keys)
    return {
        "F1": 2 * precision * recall / ((precision + recall) or 1),
        "B3": 2 * b_precision * b_recall / (b_precision + b_recall),
        "causes seen as one at their third time": detected,
        "keys that stop more than one cause": false,
    }


def _pairs(counts: Iterable[int]) -> int:
    return sum(count * (count - 1) // 2 for count in counts)


def _brake(labels: Sequence[str], keys: Sequence[str]) -> tuple[float, float]:
    rows = list(zip(labels, keys, strict=True))
    detected, false = [], []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        by_label, by_key = defaultdict(list), defaultdict(list)
        for label, key in rows:
            by_label[label].append(key)
            by_key[key].append(label)
        detected += [len(set(seen[:3])) == 1 for seen in by_label.values() if len(seen) > 2]
        false += [len(set(seen[:3])) > 1 for seen in by_key.values() if len(seen) > 2]
    return sum(detected) / max(1, len(detected)), sum(false) / max(1, len(false))


def read_labelled(path: Path) -> tuple[list[FailureText], list[str]]:
    """The reports of a file and their root causes."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    reports = [
        FailureText(stdout=row["stdout"], stderr=row["stderr"], returncode=row.get("returncode"))
        for row in rows
    ]
    return reports, [row["label"] for row in rows]


def main() -> int:
    """Measure, print, and say which bars were missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--most", type=int, default=100_000)
    options = parser.parse_args()
    reports = mixed_reports()
    missed = []
    if options.labelled:
        reports, labels = read_labelled(options.labelled)
        scores = grouping(labels, [str(fingerprint(report)) for report in reports])
        print(", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        missed += [name for name, bar in QUALITY_BARS.items() if scores[name] < bar]
    return _say(missed + _measure_speed(reports, options.most))


def _measure_speed(reports: Sequence[FailureText], most: int) -> list[str]:
    mean = sum(len(report.stdout) + len(report.stderr) for report in reports) / len(reports)
    rate(reports, 200)
    runs = [rate(reports, 1_000) for _ in range(5)]
    # Other work on the machine only ever slows a run, so the best one is the program's; the longest run has no
    # best, and is held against a usual one.
    few, megabytes = max(runs)
    usual = median(count for count, _ in runs)
    many, _ = rate(reports, most)
    p99, line = p99_seconds(long_reports()), long_line_seconds()
    print(
        f"{few:,.0f} reports/s and {megabytes:.1f} MB/s over 1,000 reports of {mean:,.0f} characters on average"
    )
    print(f"{many:,.0f} reports/s over {most:,}: {many / usual:.2f} of the usual")
    print(f"24 kB reports: p99 {p99 * 1000:.2f} ms; one line of 10 MB: at most {line:.2f} s")
    bars = {
        "reports a second": few >= REPORTS_BAR,
        "megabytes a second": megabytes >= MEGABYTES_BAR,
        "flat": many / usual >= FLAT_BAR,
        "p99": p99 < P99_BAR_SECONDS,
        "long line": line < LONG_LINE_BAR_SECONDS,
    }
    return [name for name, is_met in bars.items() if not is_met]


def _say(missed: list[str]) -> int:
    print("missed: " + ", ".join(missed) if missed else "every bar was met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
