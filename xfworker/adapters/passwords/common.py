"""The most common passwords, as the package zxcvbn lists them: 30,000, of which 11,600 are long enough to be chosen."""

from functools import cached_property


class CommonPasswords:
    """The list of the package ``zxcvbn``; small and capital letters count alike."""

    description = "one of the most common passwords"

    def holds(self, password: str) -> bool:
        return password.lower() in self._passwords

    @cached_property
    def _passwords(self) -> frozenset[str]:
        # With the first password that is set, because a server should not wait for it when it starts.
        from zxcvbn.frequency_lists import FREQUENCY_LISTS

        return frozenset(FREQUENCY_LISTS["passwords"])
