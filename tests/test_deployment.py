"""The files for Docker, Compose and Kubernetes are valid and safe, as far as programs can tell.

tests/test_image.py builds and starts the image. The service has tests of its own, which compare these
files with its settings.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import BIN
from tests.conftest import DATABASES, VOCABULARIES, Answers, Bake
from tests.support import run

KUBERNETES: Answers = {"database": "postgresql", "deployment": "docker_and_kubernetes"}
# The kinds of volumes that the Pod Security Standard "restricted" allows.
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def compose(project: Path) -> Any:
    return yaml.safe_load((project / "compose.yaml").read_text("utf-8"))


@pytest.mark.skipif(sys.platform == "win32", reason="hadolint has no wheel for Windows")
def test_dockerfile_passes_hadolint(bake: Bake) -> None:
    run(str(BIN / "hadolint"), "Dockerfile", cwd=bake({}))


@pytest.mark.parametrize("database", DATABASES)
def test_compose_file_fits_its_schema(bake: Bake, database: str) -> None:
    project = bake({"database": database})
    check = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    run(*check, "compose.yaml", cwd=project)


@pytest.mark.parametrize("database", DATABASES)
def test_containers_have_no_rights(bake: Bake, database: str) -> None:
    services = compose(bake({"database": database}))["services"]
    for name in ("web", "migrate"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["tmpfs"] == ["/tmp"]  # noqa: S108 -- a path in the container
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("database", DATABASES)
def test_images_have_a_tag_that_names_the_release(bake: Bake, database: str) -> None:
    project = bake({"database": database})
    images = re.findall(r"(?m)^(?:FROM| +image:) (\S+:\S+)", (project / "Dockerfile").read_text())
    images += [s["image"] for s in compose(project)["services"].values() if "image" in s]
    assert len(images) == (4 if database == "postgresql" else 3)
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d+[\w.-]*", image), image
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", images[0])


def test_service_waits_for_the_migration_and_that_for_the_database(bake: Bake) -> None:
    services = compose(bake({"database": "postgresql"}))["services"]
    finished = {"condition": "service_completed_successfully"}
    assert services["web"]["depends_on"]["migrate"] == finished
    assert services["migrate"]["depends_on"]["database"] == {"condition": "service_healthy"}
    assert "restart" not in services["migrate"]
    # PostgreSQL 18 keeps its data below a folder with its version.
    assert services["database"]["volumes"] == ["database:/var/lib/postgresql"]


def test_sqlite_has_one_container_with_a_volume(bake: Bake) -> None:
    services = compose(bake({"database": "sqlite"}))["services"]
    assert "database" not in services
    for name in ("web", "migrate"):
        assert services[name]["volumes"] == ["database:/data"]
        assert services[name]["environment"]["DATABASE_URL"] == "sqlite:////data/app.db"
    # A published port keeps a second container from starting.
    assert services["web"]["ports"]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_modules_in_commands_exist_in_each_vocabulary(bake: Bake, vocabulary: str) -> None:
    project = bake({**KUBERNETES, "layer_names": vocabulary})
    for name in ("Dockerfile", "compose.yaml", "k8s/migration.yaml"):
        text = (project / name).read_text("utf-8")
        modules = re.findall(r"python -m (app[\w.]+)", text)
        assert len(modules) == (name != "Dockerfile")
        for module in modules:
            assert (project / f"{module.replace('.', '/')}.py").exists()


@pytest.fixture(scope="module")
def manifests(bake: Bake) -> list[Any]:
    """All manifests, as kustomize puts them together if kubectl is installed."""
    folder = bake({**KUBERNETES, "project_slug": "my_shop"}) / "k8s"
    if shutil.which("kubectl"):
        text = run("kubectl", "kustomize", ".", cwd=folder)
    else:
        names = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
        text = "---\n".join((folder / name).read_text("utf-8") for name in names)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def test_every_manifest_is_listed(bake: Bake) -> None:
    folder = bake(KUBERNETES) / "k8s"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
    found = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert {*listed} == found


def test_manifests_fit_the_schemas_of_kubernetes(manifests: list[Any], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(manifests), "utf-8")
    output = run(str(BIN / "kubernetes-validate"), "--strict", "all.yaml", cwd=tmp_path)
    assert output.count(" passed ") == len(manifests) >= 7


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_names_namespace_image_and_settings(manifests: list[Any]) -> None:
    assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"my-shop"}
    (settings,) = [m["metadata"]["name"] for m in manifests if m["kind"] == "ConfigMap"]
    for pod in pods(manifests):
        (container,) = pod["containers"]
        assert container["image"] == "registry.example.com/my-shop:0.1.0"
        assert {"configMapRef": {"name": settings}} in container["envFrom"]
    first = {m["kind"] for m in manifests if m["metadata"]["labels"].get("rollout") == "before"}
    assert first == {"ConfigMap", "Job", "NetworkPolicy"}


def pods(manifests: list[Any]) -> list[Any]:
    found = [m["spec"]["template"]["spec"] for m in manifests if m["kind"] in {"Deployment", "Job"}]
    assert len(found) == 2
    return found


def test_pods_are_restricted(manifests: list[Any]) -> None:
    """By the Pod Security Standard "restricted", with a read-only root file system."""
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # SMTP_PORT=tcp://... would be invalid
        assert all({*volume} - {"name"} <= VOLUMES for volume in pod["volumes"])
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}


def test_selectors_find_the_pods(manifests: list[Any]) -> None:
    by_kind = {m["kind"]: m for m in manifests if m["metadata"]["name"] == "web"}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert by_kind["Service"]["spec"]["selector"].items() <= labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert by_kind[kind]["spec"]["selector"]["matchLabels"].items() <= labels
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "web"
    assert "replicas" not in by_kind["Deployment"]["spec"]  # it belongs to the autoscaler
