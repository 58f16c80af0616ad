# SPDX-License-Identifier: Apache-2.0
"""Build the wheel and the sdist, and check what is in them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_codepipeline_partner"
#: Beside the package, what an sdist holds: files, and folders as a whole.
SDIST_FILES = {
    *("CHANGELOG.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md", "pyproject.toml"),
    # hatchling adds them.
    *(".gitignore", "PKG-INFO"),
}
SDIST_FOLDERS = ("docs/", "example_dags/", f"{PACKAGE}/")
#: Of a wheel, beside the package.
DIST_INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
#: The only kinds of files in the package; others than Python only where they are used.
KINDS = re.compile(
    rf"{PACKAGE}/(([\w/]+/)?\w+\.py|py\.typed"
    r"|ui/static/[\w/.-]+\.(css|js|svg|png)|ui/templates/[\w/.-]+\.html)"
)
#: A wheel has some 600 kB; what is larger holds something by mistake.
MAX_BYTES = 1_500_000
SECRETS = {
    # AWS's own examples end with EXAMPLE.
    "an access key": re.compile(rb"\bA(?:KIA|SIA)(?!\w*EXAMPLE\b)[A-Z2-7]{16}\b"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token of an index or a forge": re.compile(rb"\b(?:pypi-AgE|gh[pousr]_|github_pat_)\w{10,}"),
    "a URL with a password": re.compile(rb"https?://[\w.-]+:[\w.-]+@"),
}


@dataclasses.dataclass(frozen=True)
class Archive:
    """
    One archive that is uploaded.

    :param path: Where it lies.
    :param files: Name within the archive → content; an sdist's without its first folder.
    """

    path: Path
    files: dict[str, bytes] = dataclasses.field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Read all of it."""
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return cls(path, {name: wheel.read(name) for name in wheel.namelist()})
        with tarfile.open(path) as sdist:
            members = {member.name.partition("/")[2]: sdist.extractfile(member) for member in sdist}
            return cls(path, {name: file.read() for name, file in members.items() if file})

    @property
    def metadata(self) -> str:
        """The text of its core metadata."""
        [found] = [
            content
            for name, content in self.files.items()
            if name == "PKG-INFO" or re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
        ]
        return found.decode()


def call(*arguments: object) -> None:
    """Run a module of this environment's Python, and raise what it says if it fails."""
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def build(folder: Path) -> tuple[Path, Path]:
    """
    Build anew, the wheel from the sdist, as installers of an sdist do.

    :param folder: Where the archives go; those of earlier builds are removed.
    :return: The wheel and the sdist.
    """
    for pattern in ("*.whl", "*.tar.gz", "*.cdx.json"):
        for path in folder.glob(pattern):
            path.unlink()
    # Without isolation: the build backend is then the pinned one of this environment.
    call("build", "--no-isolation", "--outdir", folder, ROOT)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    call("twine", "check", "--strict", wheel, sdist)
    return wheel, sdist


def is_reproducible(wheel: Path, folder: Path) -> bool:
    """Tell whether a wheel that is built straight from the checkout is the same, byte by byte."""
    call("build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    again = folder / wheel.name
    return hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def sources() -> set[str]:
    """Return the files of the package that the checkout has: those that Git knows, if there is a Git."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", PACKAGE]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
        return set(listed.stdout.split("\0")) - {""}
    found = (ROOT / PACKAGE).rglob("*")
    return {str(path.relative_to(ROOT)) for path in found if path.is_file() and path.suffix != ".pyc"}


def version() -> str:
    """Return the version that the package says it has."""
    [found] = re.findall(
        r'^__version__ = "(.+)"$', (ROOT / PACKAGE / "__init__.py").read_text(), re.MULTILINE
    )
    return str(found)


def complaints(archive: Archive, wanted: set[str]) -> list[str]:
    """
    Return what is wrong with an archive.

    :param archive: The wheel or the sdist.
    :param wanted: The files of the package, as :func:`sources` gives them.
    """
    others = {name for name in archive.files if not name.startswith(f"{PACKAGE}/")}
    there = set(archive.files) - others
    found = [f"{name} is missing" for name in sorted(wanted - there)]
    found += [f"{name} is not of the checkout" for name in sorted(there - wanted)]
    found += [f"{name} is no kind of file for the package" for name in there if not KINDS.fullmatch(name)]
    found += [f"{name} does not belong here" for name in sorted(others) if not _is_allowed(archive, name)]
    found += [f"{name} is missing" for name in sorted(_others_wanted(archive) - others)]
    size = archive.path.stat().st_size
    if size > MAX_BYTES:
        found.append(f"it has {size:,} bytes, more than {MAX_BYTES:,}")
    for name, content in archive.files.items():
        found += [f"{name} holds {what}" for what, pattern in SECRETS.items() if pattern.search(content)]
        if str(ROOT).encode() in content or str(Path.home()).encode() + b"/" in content:
            found.append(f"{name} names a folder of this machine")
    return found + _complaints_about_metadata(archive.metadata)


def _dist_info() -> str:
    return f"{PACKAGE}-{version()}.dist-info"


def _others_wanted(archive: Archive) -> set[str]:
    if archive.path.suffix == ".whl":
        return {f"{_dist_info()}/{name}" for name in DIST_INFO}
    return SDIST_FILES


def _is_allowed(archive: Archive, name: str) -> bool:
    in_folder = archive.path.suffix != ".whl" and name.startswith(SDIST_FOLDERS)
    return name in _others_wanted(archive) or in_folder


def _complaints_about_metadata(text: str) -> list[str]:
    metadata = message_from_string(text)
    found = []
    if metadata["Version"] != version():
        found.append(f"its version is {metadata['Version']}, the package's is {version()}")
    # On a package index there is nothing beside the page.
    links = re.findall(r"\]\((?!https://)([^)]*)\)", str(metadata.get_payload()))
    found += [f"its page links to {link}, which an index does not have" for link in links]
    return found
