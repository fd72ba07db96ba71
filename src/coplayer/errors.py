"""The one exception users see: a single clear line naming the setting at fault and what is allowed."""


class CoplayerError(ValueError):
    """Bad input, or a run that cannot go on. The command line prints its message on one line and exits with 2."""


def require(condition: bool, message: str) -> None:
    """Raise `CoplayerError(message)` unless `condition` holds."""
    if not condition:
        raise CoplayerError(message)
