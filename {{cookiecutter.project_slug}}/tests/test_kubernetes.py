"""The manifests in k8s fit the settings and routes of the service, and each other."""

import re

from app.api.health import router
from app.core.config import ROOT, Settings, load_settings

TEXTS = {path.name: path.read_text("utf-8") for path in (ROOT / "k8s").iterdir()}
DEPLOYMENT = TEXTS["deployment.yaml"]
SETTINGS = dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", TEXTS["settings.env"]))

# How long a process that stops waits for its mails (app/utils/email.py).
MAIL_SECONDS = 5
# PostgreSQL's default max_connections without those that it keeps for superusers.
CONNECTIONS = 97


def number(name: str, file: str) -> int:
    (found,) = re.findall(rf"\b{name}: \"?(\d+)", TEXTS[file])
    return int(found)


def test_settings_are_valid_in_production() -> None:
    names = {name.upper() for name in Settings.model_fields}
    assert {*SETTINGS} - names == {"PYTHON_CPU_COUNT"}
    given = {name.lower(): value for name, value in SETTINGS.items() if name in names}
    secrets = {
        "secret_key": "kv7Mz2qR9tX4wB6nP3sD8fG5hJ1lC0yA",
        "database_url": "postgresql://service:kv7Mz2qR@database/service",
    }
    settings = load_settings(**given, **secrets)
    assert settings.is_deployed
    assert settings.redis_url is not None
    assert settings.trusted_proxies


def test_probes_ask_routes_of_the_service_on_its_port() -> None:
    paths = re.findall(r"httpGet: \{ path: (/\w+), port: http \}", DEPLOYMENT)
    assert paths == ["/livez", "/livez", "/readyz"]
    assert {*paths} == {getattr(route, "path", "") for route in router.routes}
    assert number("containerPort", "deployment.yaml") == Settings.model_fields["port"].default


def test_pod_has_time_to_stop() -> None:
    (sleep,) = re.findall(r"sleep: \{ seconds: (\d+) \}", DEPLOYMENT)
    needed = int(sleep) + float(SETTINGS["SHUTDOWN_DELAY"]) + int(SETTINGS["SHUTDOWN_TIMEOUT"])
    assert number("terminationGracePeriodSeconds", "deployment.yaml") > needed + MAIL_SECONDS


def test_pods_fit_the_connections_of_the_database() -> None:
    pods = number("maxReplicas", "availability.yaml") + number("maxSurge", "deployment.yaml")
    each = int(SETTINGS["WEB_CONCURRENCY"]) * int(SETTINGS["DATABASE_POOL_SIZE"])
    assert pods * each < CONNECTIONS


def test_python_counts_the_cores_of_the_pod() -> None:
    (cores,) = re.findall(r'limits: \{ cpu: "(\d+)"', DEPLOYMENT)
    assert SETTINGS["PYTHON_CPU_COUNT"] == cores


def test_pods_reach_what_the_settings_name() -> None:
    ports = {*re.findall(r"protocol: TCP, port: (\d+)", TEXTS["network.yaml"])}
    assert {SETTINGS["SMTP_PORT"], "5432"} < ports
    assert re.findall(r":(\d+)/", SETTINGS["REDIS_URL"])[0] in ports


def test_user_is_that_of_the_image() -> None:
    (user,) = re.findall(r"(?m)^USER (\d+):\1$", (ROOT / "Dockerfile").read_text("utf-8"))
    for name in ("deployment.yaml", "migration.yaml"):
        assert number("runAsUser", name) == number("runAsGroup", name) == int(user)


def test_secrets_are_only_referred_to() -> None:
    text = "\n".join(TEXTS.values())
    assert "secretRef: { name: secrets }" in text
    for name in ("SECRET_KEY", "DATABASE_URL", "SMTP_PASSWORD"):
        assert not re.search(rf"\b{name}[=:] *\S", text)
