"""What every token signer must do, as tests to inherit."""

import pytest

from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.errors import AuthenticationFailed
from xfworker.ports.clock import Clock
from xfworker.ports.token_signer import TokenSigner

_CLAIMS = {"kind": "file", "job": 17, "name": "Ümläut", "scopes": [["read", "userdata"]], "more": {"a": None, "b": 1.5}}
_DAY_SECONDS = 86_400


class TokenSignerContract:
    """
    Inherit it, give the two fixtures, and pytest runs every test against your token signer.

    Fixtures to give:
        ``signer``: a :class:`~xfworker.ports.token_signer.TokenSigner` that goes by ``clock``, which the suite gives.
        ``other_signer``: one of the same kind for another server, by another secret.
    """

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def signer(self, clock: Clock) -> TokenSigner:
        raise NotImplementedError("give a token signer")

    @pytest.fixture
    def other_signer(self, clock: Clock) -> TokenSigner:
        raise NotImplementedError("give a token signer with another secret")

    def test_claims_come_back_as_they_were(self, signer: TokenSigner) -> None:
        tokens = [signer.sign({**_CLAIMS, "job": number}) for number in range(3)]
        assert [signer.verify(token) for token in tokens] == [{**_CLAIMS, "job": number} for number in range(3)]

    def test_a_token_without_claims_is_a_token(self, signer: TokenSigner) -> None:
        assert signer.verify(signer.sign({})) == {}

    def test_nobody_changes_claims_afterwards(self, signer: TokenSigner) -> None:
        claims = {"job": 1}
        token = signer.sign(claims)
        claims["job"] = 2
        signer.verify(token)["job"] = 3
        assert signer.verify(token) == {"job": 1}

    def test_a_token_holds_until_it_expires(self, signer: TokenSigner, clock: ManualClock) -> None:
        token = signer.sign({"exp": clock.now().timestamp() + _DAY_SECONDS})
        lasting = signer.sign({})
        clock.advance(_DAY_SECONDS - 1)
        assert signer.verify(token)["exp"] == clock.now().timestamp() + 1
        clock.advance(1)
        with pytest.raises(AuthenticationFailed, match="expired"):
            signer.verify(token)
        assert signer.verify(lasting) == {}

    def test_a_token_of_another_server_is_refused(self, signer: TokenSigner, other_signer: TokenSigner) -> None:
        token = other_signer.sign(_CLAIMS)
        assert other_signer.verify(token) == _CLAIMS
        with pytest.raises(AuthenticationFailed):
            signer.verify(token)

    def test_a_token_that_was_tampered_with_is_refused(self, signer: TokenSigner) -> None:
        token = signer.sign(_CLAIMS)
        # The last character of a Base64 text may hold bits that mean nothing, so it is left alone.
        for position in range(len(token) - 1):
            changed = "A" if token[position] != "A" else "B"
            with pytest.raises(AuthenticationFailed):
                signer.verify(token[:position] + changed + token[position + 1 :])
        for other in (token[:-2], token[1:], token * 2):
            with pytest.raises(AuthenticationFailed):
                signer.verify(other)

    @pytest.mark.parametrize("text", ["", "forged", ".", "..", "a.b.c", "ä.日.🦴", "a\0b", "x" * 10_000, "." * 1000])
    def test_what_is_not_a_token_is_refused(self, signer: TokenSigner, text: str) -> None:
        with pytest.raises(AuthenticationFailed):
            signer.verify(text)

    def test_a_refusal_and_a_signer_show_no_token(self, signer: TokenSigner, other_signer: TokenSigner) -> None:
        token = other_signer.sign(_CLAIMS)
        with pytest.raises(AuthenticationFailed) as caught:
            signer.verify(token)
        assert token not in str(caught.value)
        assert token not in repr(other_signer)
