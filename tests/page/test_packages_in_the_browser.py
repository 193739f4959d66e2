"""Packages are installed by dropping them on the page: checked first, all or none, with a sentence for each."""

import json
import zipfile

from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.records import DependencyPackage, TaskType


def archive(folder, name, **files):
    path = folder / name
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in files.items():
            opened.writestr(member.replace("_json", ".json").replace("_py", ".py"), content)
    return path


def task_type(folder, name, *, script="print(1)", kind="Lab.Drop", version="1.0.0.0"):
    metadata = {"package_format": "XFP-TT1.0", "name": kind, "version": version}
    interface = {"inputs": [], "outputs": []}
    return archive(
        folder, name, metadata_json=json.dumps(metadata), interface_json=json.dumps(interface), main_py=script
    )


def said(page):
    page.locator("#results li").first.wait_for()
    return page.locator("#results li").all_inner_texts()


def test_packages_are_installed_by_an_administrator_all_or_none(visit, site, tmp_path):
    page = visit("/packages", as_whom="owner")
    metadata = {"package_format": "XFP-DEP1.0", "name": "Lab.Dep", "version": "1.0.0.0", "install": "%xfpip% install x"}
    dependency = archive(tmp_path, "dep.xfp", metadata_json=json.dumps(metadata))
    good = task_type(tmp_path, "drop & <img onerror=x>.xfp".replace("<", "(").replace(">", ")"))
    broken = archive(tmp_path, "broken.xfp", metadata_json="{}")
    outside = archive(tmp_path, "outside.xfp", **{"../../evil.txt": "x"})
    files = page.get_by_label("Install packages (.xfp)")
    files.set_input_files([dependency, broken, outside, good])
    lines = said(page)
    assert len(lines) == 4
    assert any("broken.xfp" in line and "metadata.json" in line for line in lines)
    assert any("outside.xfp" in line for line in lines)
    assert sum("not installed, because another package is not valid" in line for line in lines) == 2
    assert not any("/tmp" in line or str(tmp_path) in line for line in lines)
    admin = site.platform.server
    assert admin.find(DependencyPackage, {"name": "Lab.Dep"}) == admin.find(TaskType, {"name": "Lab.Drop"}) == []
    files.set_input_files([dependency, good])
    page.get_by_text("Lab.Drop 1.0.0.0 is installed.").wait_for()
    page.locator("tr", has_text="Lab.Dep").wait_for()
    (installed,) = admin.find(TaskType, {"name": "Lab.Drop"})
    assert (installed.obsolete, installed.metadata["package"]["complete"]) == (False, True)
    files.set_input_files(task_type(tmp_path, "again.xfp", script="print(2)"))
    page.get_by_text("is on the server with other files").wait_for()
    page.get_by_label("Replace the files").check()
    files.set_input_files(tmp_path / "again.xfp")
    page.get_by_text("in place of the files that were there").wait_for()
    left = parse_resource("userdata/packages-on-their-way")
    folders = site.platform.files.list(admin.file_token([Scope("list", left)]), left).folders
    assert list(folders) == []


def test_who_is_not_an_administrator_installs_nothing(visit, site):
    page = visit("/packages", expected=("403",))
    assert page.get_by_label("Install packages (.xfp)").count() == 0
    answer = page.evaluate(
        """async () => { const answer = await fetch('/packages', { method: 'POST',
        body: new URLSearchParams({ resources: '["userdata/packages-on-their-way/a.xfp"]' }),
        headers: { 'x-csrf-token': document.querySelector('meta[name="csrf-token"]').content } });
        return (await answer.json()).detail }"""
    )
    assert "anna may not install packages on the page" in answer
