"""What is installed is what was pinned: every part by its hashes, and a wrong one stops the installation."""

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PINNED = (ROOT / "constraints.txt").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def chosen(extras, source=ROOT / "constraints.txt"):
    command = [sys.executable, ROOT / ".ci" / "requirements", extras, source]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def wheel(folder):
    """A small wheel, and its SHA-256."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install_line():
    """The options with which the Makefile installs what it does not build."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return re.search(r"^HASHED := \$\(PIP\) (.*) --requirement$", makefile, re.MULTILINE)[1].split()


def installed(tmp_path, digest):
    pinned = tmp_path / "constraints.txt"
    pinned.write_text(f"# for: base\ntiny==1.0 \\\n    --hash=sha256:{digest}\n")
    (tmp_path / "requirements.txt").write_text(chosen("base", pinned).stdout)
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--disable-pip-version-check", "--no-index"]
    command += ["--find-links", tmp_path, "--target", tmp_path / "site", *install_line()]
    return subprocess.run(
        [*command, "--requirement", tmp_path / "requirements.txt"], capture_output=True, text=True, check=False
    )


def test_a_part_whose_hash_is_another_one_is_not_installed(tmp_path):
    digest = wheel(tmp_path)
    refused = installed(tmp_path, "0" * 64)
    assert refused.returncode != 0
    assert "DO NOT MATCH" in refused.stderr
    assert not (tmp_path / "site").exists()
    right = installed(tmp_path, digest)
    assert right.returncode == 0, right.stderr
    assert (tmp_path / "site" / "tiny.py").exists()


def test_every_part_is_pinned_with_its_hashes_and_no_index_is_named():
    parts = [part for part in PINNED.replace("\\\n", " ").splitlines() if part and not part.startswith("#")]
    assert len(parts) > 200
    assert [part for part in parts if not re.match(r"[\w.-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", part)] == []
    assert "://" not in PINNED


def name(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_what_an_extra_states_is_among_its_parts(extra):
    stated = {name(one) for one in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]}
    parts = {name(line) for line in chosen(extra).stdout.splitlines() if "==" in line}
    assert stated - parts == {"xfworker"} & stated
    assert "hatchling" not in parts
    assert "hatchling==" in chosen(f"{extra}+build").stdout


def test_a_part_without_a_hash_or_an_unknown_extra_is_refused_with_what_to_do(tmp_path):
    pinned = tmp_path / "constraints.txt"
    for text, extras in (
        ("# for: base\ntiny==1.0\n", "base"),
        ("tiny==1.0\n", "base"),
        ("# for: base\ntiny==1.0 \\\n    --hash=sha256:00\n", "base+tset"),
    ):
        pinned.write_text(text)
        refused = chosen(extras, pinned)
        assert refused.returncode == 1
        assert "make constraints" in refused.stderr
        assert refused.stdout == ""
