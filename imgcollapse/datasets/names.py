"""What the name of a file or folder says of it: a picture, hidden, of a system, or something else; and names as text."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from imgcollapse.files import bytes_of

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".apng", ".jpe", ".jif", ".jfif", ".bmp", ".dib", ".webp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)  # of pictures, in any case
SYSTEM_FOLDERS = {
    *("__macosx", "network trash folder", "temporary items"),  # macOS
    *("system volume information", "$recycle.bin", "recycler", "recycled", "_vti_cnf", "wpsystem"),  # Windows
    *("@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "@recently-snapshot"),  # Synology, QNAP
    *("lost+found", "lost.dir", "__pycache__", "cvs", "rcs", "_notes"),
    *("thumbs", "thumbnail", "thumbnails", "_thumb", "_thumbs", "_thumbnails"),  # smaller copies of pictures; "thumb" may be a class
}
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
PARTS = ({"train", "training"}, {"test", "testing", "val", "valid", "validation"})  # folders of a set that has been split
SHOWN = 8  # reasons, or names, told in one line


def passed_over(parts: tuple[str, ...]) -> str | None:
    """Why a file is passed over; None for a picture."""
    for folder in parts[:-1]:
        if reason := passed_over_folder(folder):
            return reason
    name, suffix = parts[-1], PurePath(parts[-1]).suffix.lower()
    if name.startswith("."):
        return "hidden"
    if name.lower() in SYSTEM_FILES or name.startswith("~$"):  # the latter: Office, while a file is open
        return "of the system"
    return None if suffix in SUFFIXES else shown(suffix[:16]) or "without a suffix"


def passed_over_folder(name: str) -> str | None:
    """Why all that is in a folder of this name is passed over; None where it is not."""
    if name.startswith("."):
        return "in hidden folders"
    system = name.lower() in SYSTEM_FOLDERS or re.fullmatch(r"found\.\d{3}|@syno.*", name, re.I)
    return f"in {shown(name)}" if system else None


def text(name: str) -> str:
    """The name as text for records: bytes of a file name that are no text stand as `\\udce9`."""
    return bytes_of(name).decode()


def shown(name: str) -> str:
    """The name as text of one line, for messages: ends of lines and control characters stand as escapes, too."""
    odd = ("Cc", "Cs", "Zl", "Zp")
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in odd else c for c in name)


def class_title(name: str) -> str:
    """A class as people read it: `class 7` where its name has no letter and could be taken for a number of something else."""
    return name if any(letter.isalpha() for letter in name) else f"class {name}"


def same(name: str) -> str:
    """The name in the one of its spellings (NFC) that stands for all: macOS takes accents apart."""
    return unicodedata.normalize("NFC", name)


def in_words(passed: Mapping[str, int]) -> str:
    """`300 .txt, 12 in @eaDir`; the most frequent first."""
    ordered = sorted(passed.items(), key=lambda one: (-one[1], one[0]))
    parts = [f"{count:,} {reason}" for reason, count in ordered[:SHOWN]]
    rest = sum(count for _, count in ordered[SHOWN:])
    return ", ".join([*parts, *([f"{rest:,} others"] if rest else [])])


def shortened(every: Iterable[str]) -> str:
    """All names, as `shown`, or of many the first ones and the last."""
    known = [shown(name) for name in every]
    return ", ".join(known if len(known) <= SHOWN + 2 else [*known[:SHOWN], "...", known[-1]])
