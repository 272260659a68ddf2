"""How endpoints are reached: gateways and Azure want headers and queries, keys come from the environment."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from support.canned import GOOD, canned

from harness.execution.engine import Engine
from harness.execution.targets import blocking_client, remote_target, trusted
from harness.execution.work import Request
from harness.experiment.file import EndpointTable
from harness.journal import Journal


@pytest.mark.parametrize("stream", [False, True])
def test_azure_as_it_is_written_in_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-0123456789")
    with canned(GOOD) as (root, seen), Journal(tmp_path / "journal.sqlite") as journal:
        table = EndpointTable.model_validate(
            {
                "base_url": f"{root}/openai/deployments/mini",
                "query": {"api-version": "2025-04-01-preview"},
                "headers": {"api-key": {"env": "AZURE_OPENAI_API_KEY"}, "X-Team": "reviews"},
                "stream": stream,
            }
        )
        target = remote_target("azure", table)
        assert "azure-key" not in repr(target)
        made = Engine(journal=journal, connect=lambda _name: target)
        request = Request(endpoint="azure", path="/chat/completions", body={"messages": []}, key="k", arm="a")
        monkeypatch.setattr("harness.execution.engine.ATTEMPTS", 1)
        made.send([request], made.done)
        if not stream:  # this server does not stream
            assert journal.answers(["k"])["k"].body["choices"]
    path, headers = seen[0].path, seen[0].headers
    assert path == "/openai/deployments/mini/chat/completions?api-version=2025-04-01-preview"
    assert headers["api-key"] == "azure-key-0123456789"
    assert headers["x-team"] == "reviews"
    assert headers["authorization"] == "Bearer none"


def test_a_client_that_waits_is_set_up_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "a-key-0123456789")
    table = EndpointTable(base_url="https://example.com/v1", api_key_env="KEY", query={"a": "b"}, timeout_s=7)
    with blocking_client(remote_target("x", table)) as client:
        assert (client.api_key, client.max_retries, client.timeout) == ("a-key-0123456789", 0, 7)
        assert str(client.base_url) == "https://example.com/v1/"
        assert client.default_query == {"a": "b"}


def test_certificates_are_read_once_for_each_place_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    usual = trusted()
    assert trusted() is usual
    assert usual.verify_mode == ssl.CERT_REQUIRED
    assert usual.check_hostname
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "own"))
    assert trusted() is not usual
    assert trusted().cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
    assert trusted(local=True) is not trusted()
