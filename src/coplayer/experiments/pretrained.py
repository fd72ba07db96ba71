"""Trained agents that come with the package, ready to play.

Each name has a folder in data/pretrained. In it config.json has the settings and versions of the training,
agents.safetensors the weights. card.md says how the agents were trained, what they do and what they cannot do.
tools/pretrain.py writes such a folder from a finished run.
"""

from importlib import resources
from pathlib import Path

from safetensors.numpy import load

from coplayer.errors import CoplayerError, require
from coplayer.experiments import registry
from coplayer.play.player import Player
from coplayer.runs.folder import RunFolder

CONFIG, AGENTS, CARD = "config.json", "agents.safetensors", "card.md"


class Pretrained:
    """`pretrained(name)` gives the agents of a name; `pretrained.list()` all names; `pretrained.card(name)` what there
    is to know of them.
    """

    def __call__(self, name: str) -> list[Player]:
        """The agents of a name, ready to play. Raises `CoplayerError` for a name that there is not."""
        folder = self.folder(name)
        experiment, settings = registry.settings_of_folder(RunFolder(folder))
        try:
            agents = load((folder / AGENTS).read_bytes())
        except Exception as error:
            raise CoplayerError(f"{folder / AGENTS}: unreadable ({type(error).__name__})") from error
        return experiment.players(settings, agents, phase=settings.run.phases, seed=settings.run.seed)

    def list(self) -> list[str]:
        """The names that there are."""
        return sorted(entry.name for entry in _home().iterdir() if (entry / CONFIG).is_file())

    def card(self, name: str) -> str:
        """How the agents of a name were trained, what they do, and their limits; Markdown."""
        return (self.folder(name) / CARD).read_text(encoding="utf-8")

    def folder(self, name: str) -> Path:
        """Where the files of a name are."""
        names = self.list()
        require(isinstance(name, str) and name in names, f"pretrained: {name!r} is not one of {', '.join(names)}")
        return _home() / name


def _home() -> Path:
    return Path(str(resources.files("coplayer.experiments").joinpath("data/pretrained")))


pretrained = Pretrained()
"""The trained agents that come with the package."""
