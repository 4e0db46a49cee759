"""Git's form of binary content in a patch: compressed, in base 85, whole or as a delta."""

import base64
import re
import zlib
from collections.abc import Iterator, Sequence

from autopack.domain.change import BinaryDelta
from autopack.errors import PatchError

MAX_BINARY_BYTES = 64 * 1024 * 1024
"""More than this is never unpacked, whatever a patch announces."""
_START = re.compile(r"(literal|delta) ([0-9]{1,12})")
_LENGTHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LINE_BYTES = 52


def is_block_start(line: str) -> bool:
    """Whether a line opens a block of binary content."""
    return _START.fullmatch(line) is not None


def decode_block(lines: Sequence[str]) -> bytes | BinaryDelta:
    """The content that a block's lines hold; its first line says of which sort and how long it is.

    Raises:
        PatchError: A line is damaged, or the content is not as long as announced.
    """
    start = _START.fullmatch(lines[0])
    if start is None:
        raise PatchError(f"{lines[0]!r} does not open a block of binary content")
    size = int(start.group(2))
    if size > MAX_BINARY_BYTES:
        raise PatchError(f"{size} bytes of binary content are more than {MAX_BINARY_BYTES}")
    try:
        packed = b"".join(_decode_line(line) for line in lines[1:])
        content = zlib.decompressobj().decompress(packed, size + 1)
    except (ValueError, zlib.error) as error:
        raise PatchError(f"the binary content is damaged: {error}") from error
    if len(content) != size:
        raise PatchError(f"the binary content is not {size} bytes long, as announced")
    return content if start.group(1) == "literal" else BinaryDelta(instructions=content)


def encode_block(content: bytes) -> Iterator[str]:
    """The lines of a block that holds ``content`` whole."""
    yield f"literal {len(content)}"
    packed = zlib.compress(content)
    for start in range(0, len(packed), _LINE_BYTES):
        piece = packed[start : start + _LINE_BYTES]
        yield _LENGTHS[len(piece) - 1] + base64.b85encode(piece, pad=True).decode()


def apply_delta(before: bytes, delta: BinaryDelta) -> bytes:
    """The content that a delta makes of ``before``.

    Raises:
        PatchError: The delta was made for other content, or is damaged.
    """
    code = delta.instructions
    try:
        old_size, place = _read_size(code, 0)
        new_size, place = _read_size(code, place)
        if old_size != len(before):
            raise PatchError(f"the binary delta is for {old_size} bytes, the file has {len(before)}")
        pieces = b"".join(_pieces(before, code, place))
    except IndexError as error:
        raise PatchError("the binary delta ends too early") from error
    if len(pieces) != new_size:
        raise PatchError("the binary delta is damaged")
    return pieces


def _decode_line(line: str) -> bytes:
    size = _LENGTHS.index(line[0]) + 1
    decoded = base64.b85decode(line[1:])
    if len(decoded) != -(-size // 4) * 4:
        raise PatchError("a line of the binary content has the wrong length")
    return decoded[:size]


def _read_size(code: bytes, place: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        byte = code[place]
        place += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size, place


def _pieces(before: bytes, code: bytes, place: int) -> Iterator[bytes]:
    # Each instruction copies a range of the old content (high bit set) or brings up to 127 bytes of its own.
    while place < len(code):
        command = code[place]
        place += 1
        if command & 0x80:
            offset, place = _read_number(code, place, command, 4)
            size, place = _read_number(code, place, command >> 4, 3)
            size = size or 0x10000
            if offset + size > len(before):
                raise PatchError("the binary delta reaches past the end of the file")
            yield before[offset : offset + size]
        elif command and place + command <= len(code):
            yield code[place : place + command]
            place += command
        else:
            raise PatchError("the binary delta is damaged")


def _read_number(code: bytes, place: int, bits: int, count: int) -> tuple[int, int]:
    number = 0
    for position in range(count):
        if bits >> position & 1:
            number |= code[place] << (8 * position)
            place += 1
    return number, place
