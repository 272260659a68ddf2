import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.prepare.profiles import AZURE, COMPATIBLE, LOCAL, NEBIUS, OPENAI, PROFILES, profile_for


@pytest.mark.parametrize(
    ("url", "profile"),
    [
        (None, LOCAL),
        ("local", LOCAL),
        ("https://api.openai.com/v1", OPENAI),
        ("https://API.OpenAI.com:443/v1/", OPENAI),
        ("https://my-resource.openai.azure.com/openai/v1/", AZURE),
        ("https://my.cognitiveservices.azure.com/openai/v1/", AZURE),
        ("https://my.services.ai.azure.com/openai/v1/", AZURE),
        ("https://api.tokenfactory.nebius.com/v1/", NEBIUS),
        ("https://api.studio.nebius.ai/v1/", NEBIUS),
        ("https://openai.azure.com.example.org/v1", COMPATIBLE),
        ("https://notnebius.com/v1", COMPATIBLE),
        ("https://eu.api.openai.com/v1", OPENAI),
        ("https://api.openai.com./v1", OPENAI),
        ("api.openai.com", OPENAI),
        ("http://127.0.0.1:8000/v1", COMPATIBLE),
        ("http://[::1/v1", COMPATIBLE),
        ("", COMPATIBLE),
    ],
)
def test_a_provider_is_known_by_its_host(url, profile):
    assert profile_for(url) is profile


def test_a_name_decides():
    assert profile_for("https://api.openai.com/v1", "azure") is AZURE
    assert all(profile_for(None, name) is profile for name, profile in PROFILES.items())
    with pytest.raises(DataError, match='no profile "azur"') as caught:
        profile_for(None, "azur")
    assert caught.value.hint == 'did you mean "azure"?'


def test_what_tells_providers_apart():
    assert [profile.name for profile in PROFILES.values() if profile.bom] == ["azure"]
    assert [profile.name for profile in PROFILES.values() if profile.example_weights] == ["local"]
    assert AZURE.max_bytes == 512_000_000 - 1  # less than 512 MB
    assert OPENAI.max_bytes == 512_000_000


@given(st.text())
def test_any_address_has_a_profile(url):
    assert profile_for(url) in PROFILES.values()
