"""Names and texts that somebody wrote elsewhere: in which encoding, and which names are the same."""

from __future__ import annotations

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Sequence

UTF8_FLAG = 0x800  # of a member of a zip whose name is in UTF-8
UNICODE_PATH = 0x7075  # extra field of Info-ZIP: the name in UTF-8 beside the one in the system's code page
NAME_ENCODINGS = ("gb18030", "cp932", "cp866", "cp437", "cp1252")
TEXT_ENCODINGS = ("gb18030", "cp932", "cp1251", "cp1252")
BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
COMMON_LATIN = "äöüÄÖÜßéèêëàâáãåæçíîïñóôõøúûÉÀÇÑÅØÆ"
COMMON_SIGNS = "‘’“”–—…°«»€£©®·¿¡"
SHOWN_ENCODINGS = {"cp1252": "Windows-1252", "cp1251": "Windows-1251", "cp932": "Shift-JIS", "gb18030": "GBK"}


def same_name(name: str) -> str:
    """A name in the form in which names are compared: slashes, composed letters, no "./" in front."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def decode_text(content: bytes) -> tuple[str, str | None]:
    """A text and, where it is in no Unicode encoding, the name of the one it was read in."""
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace").replace("\ufeff", ""), None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if "\x00" in text or (not text and b"\x00" in content):
        order = "utf-16-le" if content[1::2].count(0) >= content[::2].count(0) else "utf-16-be"
        return content.decode(order, "replace"), None
    if text or not content:
        return text, None
    encoding = likeliest_encoding([content], TEXT_ENCODINGS)
    return content.decode(encoding, "replace"), SHOWN_ENCODINGS.get(encoding, encoding)


def member_names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names in a zip: in UTF-8 by their flag or extra field, all others in the encoding that is likeliest."""
    raw = [None if one.flag_bits & UTF8_FLAG else _raw(one) for one in members]
    encoding = likeliest_encoding([name for name in raw if name], NAME_ENCODINGS)
    return [
        _unicode_path(one, name) or (one.orig_filename if name is None else name.decode(encoding, "replace"))
        for one, name in zip(members, raw, strict=True)
    ]


def tar_name(name: str) -> str:
    """A name of a tar, whose bytes Python keeps as surrogates where they are not UTF-8."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(likeliest_encoding([raw], NAME_ENCODINGS), "replace")


def likeliest_encoding(texts: Iterable[bytes], encodings: Sequence[str]) -> str:
    """The encoding in which some bytes read most like words: UTF-8 where all are valid, else the best of a list."""
    content = b"\n".join(texts)
    scores = {}
    for encoding in ("utf-8", *encodings):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return encoding
        letters = [place for place, letter in enumerate(text) if ord(letter) > 127]
        scores[encoding] = sum(_likelihood(text, place, encoding) for place in letters) / max(1, len(letters))
    return max(scores, key=scores.__getitem__, default=encodings[-1])


def _likelihood(text: str, place: int, encoding: str) -> float:
    """How common a letter is in texts of an encoding, where it stands beside those around it, from -1 to 1."""
    letter, code = text[place], ord(text[place])
    beside = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
    in_latin_word = any(one.isascii() and one.isalpha() for one in beside)
    if encoding in ("gb18030", "cp932"):
        try:
            two = letter.encode("gb2312" if encoding == "gb18030" else "shift_jis")
        except UnicodeEncodeError:
            return -1.0
        if in_latin_word or len(two) < 2:  # half-width kana
            return -1.0
        if 0x3040 <= code <= 0x30FF:  # kana
            return 1.0 if encoding == "cp932" else 0.0
        if 0x4E00 <= code <= 0x9FFF:  # the first half of both tables holds the common characters
            return 1.0 if two[0] < (0xD8 if encoding == "gb18030" else 0x98) else 0.2
        return 0.3
    if encoding in ("cp866", "cp1251"):
        return 0.9 if not in_latin_word and (0x0410 <= code <= 0x044F or letter in "Ёё") else -1.0
    if letter.isalpha() and code < 0x250:
        return 0.8 if in_latin_word and letter in COMMON_LATIN else 0.4 if letter in COMMON_LATIN else 0.1
    return 0.7 if encoding == "cp1252" and letter in COMMON_SIGNS else -1.0


def _raw(member: zipfile.ZipInfo) -> bytes:
    """The bytes of a name, which Python has read as code page 437."""
    try:
        return member.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return member.orig_filename.encode("utf-8")


def _unicode_path(member: zipfile.ZipInfo, raw: bytes | None) -> str | None:
    """The name in the extra field of Info-ZIP, where it belongs to the name in the directory."""
    extra = member.extra
    while len(extra) >= 4 and raw is not None:
        kind, size = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(body) > 5 and body[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return body[5:].decode("utf-8", "replace")
    return None
