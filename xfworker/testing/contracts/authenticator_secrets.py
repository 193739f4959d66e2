"""What everything that keeps secrets of authenticator applications must do, as tests to inherit."""

from base64 import b32decode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from xfworker.domain.errors import ConfigurationError
from xfworker.ports.authenticator_secrets import AuthenticatorSecrets

_STEPS = (0, 1, 41152263, 2**40)


class AuthenticatorSecretsContract:
    """
    Inherit it, give the fixtures, and pytest runs every test against your adapter.

    Fixtures to give:
        ``secrets``: an :class:`~xfworker.ports.authenticator_secrets.AuthenticatorSecrets`.
        ``later_secrets``: the same after the server's secret was changed.
        ``other_secrets``: that of another server.
    """

    @pytest.fixture
    def secrets(self) -> AuthenticatorSecrets:
        raise NotImplementedError("give an adapter")

    @pytest.fixture
    def later_secrets(self) -> AuthenticatorSecrets:
        raise NotImplementedError("give one whose server has got another secret since")

    @pytest.fixture
    def other_secrets(self) -> AuthenticatorSecrets:
        raise NotImplementedError("give one of another server")

    def test_a_secret_is_random_has_160_bits_and_is_not_in_what_is_kept(self, secrets: AuthenticatorSecrets) -> None:
        first, second = secrets.new(), secrets.new()
        opened = [secrets.opened(sealed, account="anna", issuer="x") for sealed in (first, second)]
        assert len(b32decode(opened[0].secret)) == 20
        assert opened[0] != opened[1]
        assert opened[0].secret not in first
        assert opened[0].secret not in f"{opened[0]} {secrets}"

    @pytest.mark.parametrize("account", ["anna", "a b:c/d?e", "ä@lab"])
    def test_a_link_holds_the_secret_the_account_and_the_issuer(
        self, secrets: AuthenticatorSecrets, account: str
    ) -> None:
        opened = secrets.opened(secrets.new(), account=account, issuer="the lab")
        link = urlsplit(opened.link)
        query = parse_qs(link.query)
        assert (link.scheme, link.netloc) == ("otpauth", "totp")
        assert [unquote(part) for part in link.path.removeprefix("/").split(":")] == ["the lab", account]
        assert (query["secret"], query["issuer"]) == ([opened.secret], ["the lab"])
        # What applications take where nothing is said.
        assert query.get("digits", ["6"]) == ["6"]
        assert query.get("period", ["30"]) == ["30"]
        assert query.get("algorithm", ["SHA1"]) == ["SHA1"]

    def test_codes_have_six_digits_and_change_with_the_step_and_the_secret(self, secrets: AuthenticatorSecrets) -> None:
        first, second = secrets.new(), secrets.new()
        codes = [secrets.code_at(first, step) for step in _STEPS]
        assert all(len(code) == 6 and code.isdigit() for code in codes)
        assert len(set(codes)) > 1
        assert codes == [secrets.code_at(first, step) for step in _STEPS]
        assert codes != [secrets.code_at(second, step) for step in _STEPS]

    def test_a_changed_secret_of_the_server_opens_what_the_one_before_sealed(
        self, secrets: AuthenticatorSecrets, later_secrets: AuthenticatorSecrets
    ) -> None:
        sealed = secrets.new()
        assert later_secrets.code_at(sealed, 1) == secrets.code_at(sealed, 1)
        again = later_secrets.resealed(sealed)
        assert again != sealed
        assert later_secrets.resealed(again) == again
        assert later_secrets.code_at(again, 1) == secrets.code_at(sealed, 1)
        with pytest.raises(ConfigurationError):
            secrets.code_at(again, 1)

    def test_what_another_server_sealed_or_nobody_is_refused(
        self, secrets: AuthenticatorSecrets, other_secrets: AuthenticatorSecrets
    ) -> None:
        sealed = secrets.new()
        for broken in ("", "x", "a.b.c.d.e", sealed[:-4], sealed[:-6] + "AAAAAA", "ä" * 10, other_secrets.new()):
            for ask in (secrets.resealed, lambda text: secrets.code_at(text, 1)):
                with pytest.raises(ConfigurationError, match="remove-second-factor"):
                    ask(broken)
