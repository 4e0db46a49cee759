"""What is a secret is masked, what is none stays, and it takes time in proportion to the text alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.masking import mask_secrets

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx0123456789\nabcdefghijklmnop012345==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("key sk-ant-api03-AbCdEf0123456789xyz ends", "key *** ends", id="anthropic"),
        pytest.param("sk-proj-AbCdEf0123456789xyz", "***", id="openai"),
        pytest.param("ghp_0123456789abcdefghijABCDEFGHIJ", "***", id="github"),
        pytest.param("github_pat_11ABCDEFG0123456789_abcdefghij", "***", id="github, fine-grained"),
        pytest.param("glpat-abcdefghij0123456789", "***", id="gitlab"),
        pytest.param("AKIAIOSFODNN7EXAMPLE.", "***.", id="aws"),
        pytest.param("xoxb-1234567890-abcdef", "***", id="slack"),
        pytest.param("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***", id="bearer"),
        pytest.param("'Authorization: Basic dXNlcjpwYXNz'", "'Authorization: Basic ***'", id="basic"),
        pytest.param("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-1 x", "t *** x", id="json web token"),
        pytest.param("postgresql://u:p4ss@db/shop", "postgresql://u:***@db/shop", id="password in a url"),
        pytest.param(
            "https://0123456789abcdefghij@github.com/a", "https://***@github.com/a", id="token in a url"
        ),
        pytest.param("export API_KEY=abc123", "export API_KEY=***", id="variable"),
        pytest.param("AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=***", id="long variable"),
        pytest.param("MY_PAT=abc SENTRY_DSN=https://a@b/1", "MY_PAT=*** SENTRY_DSN=***", id="two variables"),
        pytest.param("password=hunter2&next=1", "password=***&next=1", id="form"),
        pytest.param("'x-api-key': 'QFv5CsSk6fvtvzVIPv-toU'", "'x-api-key': '***'", id="header as a dict"),
        pytest.param('{"token": "abc", "a": 1}', '{"token": "***", "a": 1}', id="json"),
        pytest.param('{\\"password\\": \\"abc\\"}', '{\\"password\\": \\"***\\"}', id="json in json"),
        pytest.param("clientSecret: 'abc'", "clientSecret: '***'", id="camel case"),
        pytest.param("db_credentials: s3cr3t0", "db_credentials: ***", id="yaml"),
        pytest.param("psql --password hunter2 -h db", "psql --password *** -h db", id="option"),
        pytest.param(f"a\n{KEY}\nb", "a\n***\nb", id="private key"),
        pytest.param(KEY[:70], "***", id="private key that was cut off"),
        pytest.param("İ API_KEY=abc123", "İ API_KEY=***", id="a letter that grows in lower case"),
    ],
)
def test_secret_is_masked(text, masked):
    assert mask_secrets(text) == masked
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'decimal'",
        "KeyError: 'API_KEY'",
        "max_tokens=100 prompt_tokens: 4096",
        "sorted(rows, key=len)",
        "primary_key=True",
        "PATH=/usr/bin",
        "keyword='x'",
        "invalid token: unexpected",
        "SyntaxError: unexpected token '}'",
        "Bearer authentication failed",
        "password authentication failed for user \"shop\"",
        "task-list sk-short risk-averse-and-very-long-word",
        "http://localhost:8000/a@b",
        "secret/path.py:3: KeyError",
        "TOKEN=$GITHUB_TOKEN",
        "-----BEGIN CERTIFICATE-----",
        "ModuleNotFoundError: No module named 'token_utils'",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert mask_secrets(text) == text


@given(st.text(max_size=300))
def test_masking_twice_changes_nothing(text):
    once = mask_secrets(text)
    assert mask_secrets(once) == once


@pytest.mark.parametrize(
    "piece",
    ["a", "sk-", "eyJ", "key=", '"key="', "password", "://a:b@", "://", "Bearer ", "-----BEGIN RSA PRIVATE KEY-----",
     "-----BEGIN RSA PRIVATE KEY----------END ", "A_KEY:", "a.", "token ", "--key "],
)  # fmt: skip
def test_time_is_linear(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        started = time.process_time()
        mask_secrets(text)
        return time.process_time() - started

    assert seconds(2_000_000) < 20 * max(seconds(200_000), 0.05)
