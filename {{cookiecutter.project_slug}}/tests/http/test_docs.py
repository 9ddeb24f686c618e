"""The page that shows the OpenAPI document."""

import re

import httpx2
import pytest
from fastapi import FastAPI


async def test_docs_need_no_internet(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(urls) == 3
    for url in urls:
        assert url.startswith("/docs/assets/")
        assert (await client.get(url)).status_code == 200


async def test_project_name_is_escaped(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "title", "</title><script>alert(1)</script>")
    page = (await client.get("/docs")).text
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("settings_values", [{"docs_enabled": False}])
async def test_docs_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/docs/assets/swagger-ui.css"):
        assert (await client.get(path)).status_code == 404
