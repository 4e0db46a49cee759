"""Which variables of the operator's environment no CI command gets to see, and no command that is a Builder."""

import re

# Of a test session or an environment around Autopack itself: they would speak for the wrong one.
_FOREIGN = re.compile(
    r"PYTEST_(XDIST_.*|CURRENT_TEST|VERSION)|AUTOPACK_(?!OWNER$).*|COV_CORE_.*|COVERAGE_PROCESS_.*"
)
_DROPPED = frozenset(
    {
        "DATABASE_URL",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "PWD",
        "OLDPWD",
        "__PYVENV_LAUNCHER__",
    }
)
# They hold no secret but name one: an account, or a file of credentials outside the usual places.
_ACCOUNTS = frozenset(
    {
        "ARM_CLIENT_CERTIFICATE_PATH",
        "ARM_CLIENT_ID",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_PROFILE",
        "AWS_ROLE_ARN",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_CLIENT_ID",
        "AZURE_CONFIG_DIR",
        "BOTO_CONFIG",
        "CLOUDSDK_CONFIG",
        "DOCKER_CONFIG",
        "GOOGLE_SERVICE_ACCOUNT",
        "KUBECONFIG",
        "NETRC",
        "PGPASSFILE",
        "PGSERVICEFILE",
    }
)
_SEPARATOR = re.compile(r"[^A-Z0-9]+")
# One part of a name between underscores. Some words are secrets wherever they stand; KEY and TOKEN only at the
# end (APIKEY, not KEYBOARD or TOKENIZERS) or before what would hold one; AUTH is the beginning of AUTHOR too.
_WORD = re.compile(
    r".*(PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|APIKEY|ACCESSKEY|PRIVATEKEY|AUTHTOKEN).*"
    r"|.*(KEY|TOKEN)S?\d*"
    r"|(KEY|TOKEN)(DATA|FILE|ID|JSON|PATH|STORE|STRING|TAB|VALUE)"
    r"|(ASK|SSH)?PASS|CREDS?|DSNS?|JWT|PATS?|SAS|WEBHOOKS?"
    r"|.*AUTH\d*|AUTH(EN|ENTICATION|FILE|N|ORIZATION|Z)"
)
_PHRASE = re.compile(r"(^|_)CONNECTION_?STRING|(^|_)CONN_?STR($|_)|_PWD$", re.IGNORECASE)
# A name alone in front of a web server is most often a token.
_URL_LOGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s/?#@]*:[^\s/?#]+@|https?://[^\s/?#@]+@"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.IGNORECASE,
)


def is_private(name: str, value: str) -> bool:
    """Whether a variable is a secret, leads to one, or speaks for another session than the one to come.

    Args:
        name: Read in words: ``KEY`` in ``OPENAI_API_KEY`` is one, in ``KEYBOARD_LAYOUT`` it is not.
        value: A URL with a password in it is a secret under any name, as is a private key.
    """
    if name in _DROPPED or name in _ACCOUNTS or _FOREIGN.fullmatch(name) or _PHRASE.search(name):
        return True
    words = _SEPARATOR.split(name.upper())
    return any(_WORD.fullmatch(word) for word in words) or bool(_URL_LOGIN.search(value))
