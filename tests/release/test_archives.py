# SPDX-License-Identifier: Apache-2.0
"""What make release-check finds in an archive that is not as it has to be."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from io import BytesIO

import pytest
from support import REPO

from release import __main__ as release
from release import archives
from release.archives import DIST_INFO, PACKAGE, ROOT, SDIST_FILES, Archive, complaints

WANTED = archives.sources()
VERSION = archives.version()
METADATA = f"Metadata-Version: 2.4\nName: airflow-codepipeline-partner\nVersion: {VERSION}\n\n# A page\n"
DIST_INFO_FOLDER = f"{PACKAGE}-{VERSION}.dist-info"
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())


@pytest.fixture
def wheel(tmp_path):
    """A wheel of the checkout, without its content."""
    path = tmp_path / "any.whl"
    path.write_bytes(b"")
    files = dict.fromkeys(WANTED, b"") | {f"{DIST_INFO_FOLDER}/{name}": b"" for name in DIST_INFO}
    return Archive(path, {**files, f"{DIST_INFO_FOLDER}/METADATA": METADATA.encode()})


@pytest.fixture
def sdist(tmp_path):
    """An sdist of the checkout, without its content."""
    path = tmp_path / "any.tar.gz"
    path.write_bytes(b"")
    others = {*SDIST_FILES, "docs/architecture.md", "example_dags/example_start_pipeline.py"}
    return Archive(path, dict.fromkeys(WANTED | others, b"") | {"PKG-INFO": METADATA.encode()})


def test_what_is_whole_has_no_complaints(wheel, sdist):
    assert complaints(wheel, WANTED) == []
    assert complaints(sdist, WANTED) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_cli.py",
        ".venv/pyvenv.cfg",
        ".env",
        f"{PACKAGE}/new_module.py",
        f"{PACKAGE}/notes.txt",
        f"{PACKAGE}/__pycache__/cli.cpython-311.pyc",
        "another_package/__init__.py",
    ],
)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_too_much_is_found(kind, name, request):
    archive = request.getfixturevalue(kind)
    archive.files[name] = b""
    found = complaints(archive, WANTED)
    assert found
    assert all(name in complaint for complaint in found)


@pytest.mark.parametrize(
    "name", [f"{PACKAGE}/py.typed", f"{PACKAGE}/cli.py", f"{DIST_INFO_FOLDER}/licenses/NOTICE"]
)
def test_what_is_missing_is_found(wheel, name):
    del wheel.files[name]
    assert complaints(wheel, WANTED) == [f"{name} is missing"]


def test_a_file_of_no_known_kind_is_found_even_if_tracked(wheel):
    name = f"{PACKAGE}/customers.sqlite"
    wheel.files[name] = b""
    assert complaints(wheel, WANTED | {name}) == [f"{name} is no kind of file for the package"]


@pytest.mark.parametrize(
    "content",
    [
        "AKIA" + "A2B3C4D5E6F7G2H3",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "gh" + "p_0123456789abcdefghij",
        "https://" + "user:word@example.org",
        f"{ROOT}/anything",
    ],
)
def test_a_secret_or_a_folder_of_the_machine_is_found(wheel, content):
    wheel.files[f"{PACKAGE}/cli.py"] = content.encode()
    [found] = complaints(wheel, WANTED)
    assert found.startswith(f"{PACKAGE}/cli.py ")


def test_an_access_key_of_awss_examples_is_no_secret(wheel):
    wheel.files[f"{PACKAGE}/cli.py"] = b"AKIAIOSFODNN7EXAMPLE"
    assert complaints(wheel, WANTED) == []


def test_an_archive_that_is_too_large_is_found(wheel, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", -1)
    assert complaints(wheel, WANTED) == ["it has 0 bytes, more than -1"]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        (METADATA.replace(VERSION, "9.9.9"), f"its version is 9.9.9, the package's is {VERSION}"),
        (METADATA + "[a page](docs/a.md)", "its page links to docs/a.md, which an index does not have"),
    ],
)
def test_metadata_that_are_wrong_are_found(wheel, metadata, complaint):
    wheel.files[f"{DIST_INFO_FOLDER}/METADATA"] = metadata.encode()
    assert complaints(wheel, WANTED) == [complaint]


def test_archives_are_read_as_their_formats_say(tmp_path):
    wheel, sdist = tmp_path / "a.whl", tmp_path / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("package/a.py", b"1")
    with tarfile.open(sdist, "w:gz") as packed:
        member = tarfile.TarInfo("a-1.0/package/a.py")
        member.size = 1
        packed.addfile(member, BytesIO(b"1"))
    assert Archive.read(wheel).files == Archive.read(sdist).files == {"package/a.py": b"1"}


def test_the_page_on_an_index_links_to_nothing_beside_it():
    rules = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    readme = (REPO / "README.md").read_text()
    page = readme
    for rule in rules:
        page = re.sub(rule["pattern"], rule["replacement"], page)
    assert re.findall(r"\]\((?!https://)", readme)
    assert re.findall(r"\]\((?!https://)", page) == []
    assert re.findall(r"^!", page, re.MULTILINE) == []

    def code(text):
        return re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)

    assert code(page) == code(readme)


def test_the_sdist_is_made_of_what_may_be_in_it():
    included = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    folders = {name.rstrip("/") for name in archives.SDIST_FOLDERS}
    # hatchling adds the others.
    assert included | {".gitignore", "PKG-INFO", "pyproject.toml"} == SDIST_FILES | folders


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A project whose release is prepared."""
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{VERSION}] - 2026-12-01\n")
    monkeypatch.setattr(archives, "version", lambda: VERSION)
    monkeypatch.setattr(archives, "ROOT", tmp_path)
    return tmp_path


def test_a_release_that_is_prepared_can_be_tagged(prepared):
    release.check_tag(f"v{VERSION}")


def test_a_tag_of_another_version_is_refused(prepared):
    with pytest.raises(RuntimeError, match=rf"The tag is v9\.9\.9, the package's version {VERSION}"):
        release.check_tag("v9.9.9")


def test_a_tag_without_its_section_is_refused(prepared):
    (prepared / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    with pytest.raises(RuntimeError, match=r"CHANGELOG\.md has no section"):
        release.check_tag(f"v{VERSION}")


def test_a_tag_with_fragments_left_is_refused(prepared):
    (prepared / "changelog.d/+page.added.md").write_text("A page.\n")
    with pytest.raises(RuntimeError, match=r"\+page\.added\.md"):
        release.check_tag(f"v{VERSION}")
