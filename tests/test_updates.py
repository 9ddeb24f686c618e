"""Services that exist already are updated to the present template, with cruft.

They come from a made-up earlier release, which differs from the present template in every way
that matters, and from each release in releases.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev import BIN, ROOT, TEMPLATE
from tests.support import commit, copy_checkout, git, run
from tools.release import read_releases
from tools.running import program

INVENTED = "invented"
# Both databases, whose files differ, and two licences.
ANSWERS = {
    "postgresql": ("database=postgresql", "license=MIT"),
    "sqlite": ("database=sqlite", "license=GPL-3.0-or-later"),
}
# The tag or commit to check out, by release.
CHECKOUTS = {INVENTED: INVENTED, **read_releases(ROOT)}


def cruft(folder: Path, *arguments: str) -> str:
    return run(sys.executable, "-m", "cruft", *arguments, cwd=folder)


def cruft_diff(folder: Path, *options: str) -> str:
    """Return the patch on standard output, to which hooks must not add anything."""
    command = [sys.executable, "-m", "cruft", "diff", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{path}: {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


def make_earlier(service: Path) -> None:
    """Undo what a release may do: change, remove, add and rename files."""
    replace(service / "app/main.py", '"""', '"""Earlier. ')
    replace(service / "README.md", "## ", "## Earlier: ")
    shutil.rmtree(service / "app/templates")
    (service / "app/core/removed_later.py").write_text('"""No longer needed."""\n', "utf-8")
    (service / "app/api/health.py").rename(service / "app/api/renamed_later.py")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the real history, then the made-up release, then the present template."""
    repository = tmp_path_factory.mktemp("history") / "template.git"
    git(ROOT, "clone", "--quiet", "--no-local", str(ROOT), str(repository))
    # CI may have checked out a commit without a branch.
    git(repository, "checkout", "--quiet", "-B", "main")
    copy_checkout(repository)
    make_earlier(repository / TEMPLATE.name)
    commit(repository, "An earlier release")
    git(repository, "tag", INVENTED)
    copy_checkout(repository)
    # Right after a release nothing else has changed, and cruft would have nothing to update.
    (repository / "present").touch()
    commit(repository, "The present")
    return repository


@dataclass(frozen=True)
class Service:
    root: Path
    template: Path

    def update(self) -> str:
        return cruft(self.root, "update", "--skip-apply-ask")

    def files(self, *options: str) -> dict[str, bytes]:
        names = git(self.root, "ls-files", *options).splitlines()
        return {name: (self.root / name).read_bytes() for name in names}

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.root / ".cruft.json").read_text("utf-8"))
        return record


def generate(template: Path, folder: Path, *answers: str, checkout: str = "") -> Service:
    """Generate with cookiecutter, without the set-up to save time."""
    # Cookiecutter checks out a commit only in a clone, which it makes of an address.
    source = [template.as_uri(), "--checkout", checkout] if checkout else [str(template)]
    run(
        *(sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", str(folder)),
        *(*source, "setup_environment=no", *answers),
        cwd=template,
    )
    return Service(folder / "my_service", template)


RELEASES = [(release, database) for release in CHECKOUTS for database in ANSWERS]


@pytest.fixture(params=RELEASES, ids="-".join)
def service(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Service:
    """A service of an earlier release. Its answers ask for the set-up, which cruft must not run."""
    release, database = request.param
    service = generate(template, tmp_path, *ANSWERS[database], checkout=CHECKOUTS[release])
    record = service.record()
    record["context"]["cookiecutter"]["setup_environment"] = True
    (service.root / ".cruft.json").write_text(json.dumps(record), "utf-8")
    commit(service.root, "Ask for the set-up")
    return service


def test_unchanged_service_becomes_the_same_as_a_new_one(service: Service, tmp_path: Path) -> None:
    answers = ANSWERS[service.record()["context"]["cookiecutter"]["database"]]
    present = generate(service.template, tmp_path / "present", *answers)
    for name in (".env", "var/app.db", ".venv/pyvenv.cfg"):
        (service.root / name).parent.mkdir(exist_ok=True)
        (service.root / name).write_text("mine", "utf-8")
    private = service.files("--others")

    output = service.update()

    assert "[1/" not in output
    assert service.files("--others") == private
    commit(service.root, "Update")
    expected, found = present.files(), service.files()
    del expected[".cruft.json"], found[".cruft.json"]
    assert found == expected
    assert service.record()["commit"] == git(service.template, "rev-parse", "HEAD")
    assert "up to date" in cruft(service.root, "check")
    assert cruft_diff(service.root, "--exit-code") == ""


def test_changed_service_keeps_its_changes(service: Service) -> None:
    root = service.root
    own = {f"app/{layer}/book.py": f'"""Books: {layer}."""\n' for layer in ("models", "crud")}
    for name, text in own.items():
        (root / name).write_text(text, "utf-8")
    replace(root / "app/api/v1/auth.py", "\n", "\n# Books are here.\n")
    with (root / "README.md").open("a", encoding="utf-8") as readme:
        readme.write("\n## Books\n\nWe sell them.\n")
    commit(root, "Sell books")

    service.update()

    changed = git(root, "status", "--porcelain").splitlines()
    assert not [line for line in changed if re.match(r"U|.U|AA|DD|\?\?", line)], changed
    assert {name: (root / name).read_text("utf-8") for name in own} == own
    assert "# Books are here." in (root / "app/api/v1/auth.py").read_text("utf-8")
    readme_text = (root / "README.md").read_text("utf-8")
    assert readme_text.endswith("We sell them.\n")
    assert "Earlier" not in readme_text
    commit(root, "Update")
    differing = re.findall(r"^diff --git [^/]+/(\S+)", cruft_diff(root), re.MULTILINE)
    assert sorted(differing) == ["README.md", "app/api/v1/auth.py"]


def test_update_arrives_in_renamed_folders(template: Path, tmp_path: Path) -> None:
    answers = ("layer_names=repository", "_layers=crud=storage,schemas=requests+responses")
    service = generate(template, tmp_path, *answers, checkout=INVENTED)
    present = generate(template, tmp_path / "present", *answers)
    root = service.root
    own = [f"app/{layer}/book.py" for layer in ("models", "storage", "requests", "routers/v1")]
    for name in own:
        (root / name).write_text('"""Books."""\n', "utf-8")
    replace(root / "app/routers/v1/router.py", "\n", "\n# Books are here.\n")
    commit(root, "Sell books")

    service.update()

    changed = git(root, "status", "--porcelain").splitlines()
    assert not [line for line in changed if re.match(r"U|.U|AA|DD|\?\?", line)], changed
    commit(root, "Update")
    expected, found = present.files(), service.files()
    assert found.keys() == expected.keys() | {*own}
    differing = {name for name in expected if found[name] != expected[name]}
    assert differing == {".cruft.json", "app/routers/v1/router.py"}
    assert "# Books are here." in (root / "app/routers/v1/router.py").read_text("utf-8")
    # The names are recorded for the next update.
    assert service.record()["context"]["cookiecutter"]["init_git"]["layers"] == answers[1][8:]
    assert "crud" not in cruft_diff(root)


@pytest.mark.nightly
@pytest.mark.parametrize("service", RELEASES, indirect=True, ids="-".join)
def test_updated_service_passes_its_checks(service: Service) -> None:
    """The commands are those of the README."""
    service.update()
    commit(service.root, "Update")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")  # uv
        run(sys.executable, "scripts/setup_environment.py", cwd=service.root)
    run(program(service.root, "poe"), "check", cwd=service.root)
    assert git(service.root, "status", "--porcelain") == ""
    # As root, PostgreSQL keeps its data elsewhere, for its own account, and links to them.
    link = service.root / "var/postgres/cluster"
    if link.is_symlink():
        shutil.rmtree(link.resolve())


@pytest.mark.parametrize("service", [(INVENTED, "postgresql")], indirect=True)
def test_only_lines_that_both_have_changed_conflict(service: Service) -> None:
    replace(service.root / "README.md", "## Earlier: ", "## Ours: ")
    commit(service.root, "Edit")

    service.update()

    conflicts = git(service.root, "diff", "--name-only", "--diff-filter=U").splitlines()
    assert conflicts == ["README.md"]
    assert "<<<<<<<" in (service.root / "README.md").read_text("utf-8")
    assert "Earlier" not in (service.root / "app/main.py").read_text("utf-8")


# The record of the origin


def test_record_is_committed_and_cruft_can_use_it(template: Path, tmp_path: Path) -> None:
    service = generate(template, tmp_path, 'project_name=Zoë\'s "shop"', "project_slug=my_service")

    record = service.record()
    assert record["template"] == str(template)
    assert record["commit"] == git(template, "rev-parse", "HEAD")
    assert record["context"]["cookiecutter"]["project_name"] == 'Zoë\'s "shop"'
    assert (service.root / ".cruft.json").read_bytes().isascii()
    assert git(service.root, "status", "--porcelain") == ""
    assert "Nothing to do" in service.update()
    assert cruft_diff(service.root, "--exit-code") == ""


def test_cruft_create_generates_the_same(template: Path, tmp_path: Path) -> None:
    service = generate(template, tmp_path / "cookiecutter")
    answers = json.dumps({"setup_environment": False})
    (tmp_path / "cruft").mkdir()
    cruft(tmp_path / "cruft", "create", str(template), "--no-input", "--extra-context", answers)
    other = Service(tmp_path / "cruft/my_service", template)
    commit(other.root, "Record")

    assert other.record()["commit"] == service.record()["commit"]
    ours, theirs = service.files(), other.files()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == [".cruft.json"]


def test_service_without_a_record_can_be_linked(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy, ignore=shutil.ignore_patterns(".git"))
    service = generate(copy, tmp_path)
    assert not (service.root / ".cruft.json").exists()

    answers = json.dumps({"setup_environment": False})
    cruft(service.root, "link", str(template), "--no-input", "--extra-context", answers)

    commit(service.root, "Link")
    assert "Nothing to do" in service.update()
    assert cruft_diff(service.root, "--exit-code") == ""


def test_template_with_uncommitted_changes_is_not_recorded(template: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "--quiet", str(template), str(copy))
    with (copy / TEMPLATE.name / "README.md").open("a", encoding="utf-8") as readme:
        readme.write("Not committed.\n")

    assert not (generate(copy, tmp_path).root / ".cruft.json").exists()
    said = run(
        *(sys.executable, "-m", "cookiecutter", "--no-input", str(copy), "project_slug=other"),
        *("--output-dir", str(tmp_path), "setup_environment=no"),
        cwd=tmp_path,
    )
    assert "`cruft update` will not work: the template has uncommitted changes." in said


def test_password_in_the_address_is_not_recorded(template: Path, tmp_path: Path) -> None:
    """The password contains an @, which makes it hard to find."""
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(template), str(bare))
    address = "https://me:my@secret@example.com/template.git"
    git(tmp_path, "config", "--global", f"url.{bare.as_uri()}.insteadOf", address)
    try:
        run(
            *(sys.executable, "-m", "cookiecutter", "--no-input", address),
            *("--output-dir", str(tmp_path), "setup_environment=no"),
            cwd=tmp_path,
        )
    finally:
        git(tmp_path, "config", "--global", "--unset", f"url.{bare.as_uri()}.insteadOf")

    service = Service(tmp_path / "my_service", template)
    assert service.record()["template"] == "https://example.com/template.git"
    assert "secret@" not in os.linesep.join(map(repr, service.files().values()))
