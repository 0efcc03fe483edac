"""What lets a browser in: two tokens in addresses, and the cookie that they are exchanged for."""

import secrets
from hmac import compare_digest

_BYTES = 32  # of chance in each


class Keys:
    """The keys of one run of the page, in the memory of its process alone.

    ``printed`` lets in while the process lives, or a browser that looks ahead would spend it;
    ``once`` lets in a single time: the program opens it, and other users may see it in a list of
    processes. ``cookie`` is named by the port, because a browser's cookies know no ports.
    """

    def __init__(self, port: int) -> None:
        self.cookie = f"aimv2-{port}"
        self.printed = secrets.token_urlsafe(_BYTES)
        self.once = secrets.token_urlsafe(_BYTES)
        self._session = secrets.token_urlsafe(_BYTES)

    def admit(self, token: str) -> str | None:
        """The cookie to set for a token of an address; None for a wrong one, or one spent."""
        is_printed, is_once = _same(token, self.printed), _same(token, self.once)
        if is_once:
            self.once = secrets.token_urlsafe(_BYTES)
        if not (is_printed or is_once):
            return None
        return f"{self.cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"

    def know(self, cookies: str) -> bool:
        """Whether a request brings the cookie; of several by its name any will do."""
        pairs = (each.strip().partition("=") for each in cookies.split(";"))
        values = [value for name, _, value in pairs if name == self.cookie]
        return any(_same(value, self._session) for value in values)


def _same(given: str, expected: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
