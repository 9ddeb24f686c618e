import pytest
from pydantic import SecretStr

from app import main
from app.core.config import Environment
from tests.support import TestSettings


def test_app_is_made_when_a_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = []
    settings = TestSettings(environment=Environment.TEST, secret_key=SecretStr("x"))
    monkeypatch.setattr(main, "get_settings", lambda: settings)
    monkeypatch.setattr(main, "configure_logging", lambda *values: configured.append(values))
    assert main.app is main.app
    assert main.app.state.settings is settings
    assert configured == [("INFO", "console")]
    main._app.cache_clear()


def test_nothing_else_is_made() -> None:
    with pytest.raises(AttributeError):
        main.nothing  # noqa: B018 -- the access is the test
