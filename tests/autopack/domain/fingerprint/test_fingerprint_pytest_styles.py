"""Real pytest, real failures: the style of its output does not matter, the cause does."""

import os
import subprocess
import sys

import pytest

from autopack.domain.fingerprint import FailureText, fingerprint

STYLES = [
    ("--tb=short", "-x", "-v"),
    ("--tb=long", "-l", "-rA"),
    ("--tb=native", "tests/test_two.py"),
    ("--tb=line",),
    ("-q", "--color=yes"),
]
FILES = {
    "shop/__init__.py": "",
    "shop/prices.py": "def price_of(name):\n    return {'apple': 3}[name]\n",
    "shop/cart.py": "from shop.prices import price_of\n\n\ndef total(names):\n    return sum(map(price_of, names))\n",
    "tests/test_one.py": "from shop.cart import total\n\n\ndef test_one():\n    assert total(['apple']) == 3\n",
    "tests/test_two.py": "from shop.cart import total\n\n\ndef test_two():\n    assert total(['apple'] * 2) == 6\n",
}
CAUSES = {
    "lookup": ("shop/prices.py", "[name]", "[name + 'x']", "KeyError\nshop/prices.py"),
    "syntax": ("shop/cart.py", "names):\n", "names)\n", "syntax\nshop/cart.py"),
    "words": (
        "shop/prices.py",
        "return ",
        "raise ValueError('no prices for %d items' % id(name))\n    return ",
        "ValueError\nno prices for # items\nshop/prices.py",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_style_does_not_matter(tmp_path, cause):
    file, old, new, canonical = CAUSES[cause]
    texts = set()
    for number, style in enumerate(STYLES):
        root = tmp_path / f"checkout{number}"
        for name, content in FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Every checkout has its own line numbers.
            path.write_text("#\n" * number + (content.replace(old, new) if name == file else content))
        # What is installed shows in the first lines; one run with it does, and each start takes twice the time.
        plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if number else {}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *style],
            cwd=root,
            env={**os.environ, **plugins, "PYTHONPATH": str(root), "COLUMNS": str(80 + 20 * number)},
            capture_output=True,
            text=True,
            check=False,
        )
        report = FailureText(stdout=done.stdout, stderr=done.stderr, returncode=done.returncode)
        texts.add(fingerprint(report).canonical)
    assert texts == {canonical}
