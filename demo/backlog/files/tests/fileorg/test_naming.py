import pytest

from fileorg.naming import tidy


@pytest.mark.parametrize(
    ("name", "tidied"),
    [
        ("holiday photo.JPG", "holiday-photo.jpg"),
        ("  scan__01.Pdf ", "scan-01.pdf"),
        ("README", "README"),
    ],
)
def test_tidy(name, tidied):
    assert tidy(name) == tidied
