"""``make bench``: every benchmark, one after the other; the exit code is 1 when one missed its bar."""

import subprocess
import sys

BENCHMARKS = (
    ("benchmarks.overhead",),
    ("benchmarks.builders", "--quick"),
    ("benchmarks.selection", "--quick"),
    ("benchmarks.gate_truth",),
    ("benchmarks.collection_gate", "--quick"),
    ("benchmarks.drain_waste", "--quick"),
    ("benchmarks.closed_loop", "--quick"),
    ("benchmarks.fingerprints", "--most", "20000"),
)


def main() -> int:
    """Run them all, each in a process of its own."""
    missed = []
    for module, *options in BENCHMARKS:
        print(f"== {module} {' '.join(options)}", flush=True)
        if subprocess.run([sys.executable, "-m", module, *options], check=False).returncode:
            missed.append(module)
    print("missed their bar: " + ", ".join(missed) if missed else "every benchmark met its bar")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
