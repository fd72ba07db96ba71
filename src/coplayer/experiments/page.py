"""The agents of run folders on a web page, to be played against."""

import os
from collections.abc import Sequence
from pathlib import Path

from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.experiments.pretrained import pretrained
from coplayer.games.matrix import MatrixGame
from coplayer.pages.play import Seated, write_page
from coplayer.play.player import Player
from coplayer.players.automaton import named_automaton
from coplayer.players.planner import PPIPlayer
from coplayer.runs.folder import RunFolder


def make_page(
    words: Sequence[str], out: Path, *, phase: int | None = None, seed: int | None = None, learner: int | None = None
) -> Path:
    """Write a page to the new file `out`, on which a person plays against trained agents of one matrix game.

    `words`: folders of runs, archived ones too, names of agents that come with the package (see
    `experiments.pretrained`), and names of strategies (see `players.automaton.named_automaton`). `phase` and `seed` are
    those of `registry.load`, for all runs. `learner`: the one agent of each run or name; None: all.

    Raises `CoplayerError` for a word that means no player, for a player named twice, for runs of different games, and
    for agents whose kind a page cannot play.
    """
    trained = {word: folder for word in words if (folder := _folder(word)) is not None}
    names = ", ".join(pretrained.list())
    require(bool(trained), f"agents: needs the folder of at least one run, or one of {names}")
    games = {word: registry.settings_of_folder(folder)[1].game for word, folder in trained.items()}
    first = next(iter(games))
    game = games[first]
    require(isinstance(game, MatrixGame), f"{first}: a page plays matrix games, this run's is {type(game).__name__}")
    for word, other in games.items():
        require(registry.same_rules(game, other), f"agents: {word} and {first} are runs of different games")
    players: dict[str, Seated] = {}
    for word in words:
        added = _agents(word, trained[word], phase, seed, learner) if word in trained else _strategy(word)
        twice = sorted(added.keys() & players.keys())
        require(not twice, f"agents: {', '.join(twice)} named twice")
        players |= added
    write_page(out, game, players)
    return out


def _folder(word: str) -> RunFolder | None:
    """The folder of a run, or of agents that come with the package. None: another word. Refuses another folder."""
    if (Path(word) / "config.json").exists():
        return RunFolder.open(word)
    if word in pretrained.list():
        return RunFolder(pretrained.folder(word))
    require(not (Path(word).is_dir() or os.sep in word), f"agents: {word} is not the folder of a run")
    return None


def _strategy(word: str) -> dict[str, Seated]:
    return {word: Seated(named_automaton(word), "A strategy by name, a finite automaton.")}


def _agents(
    word: str, folder: RunFolder, phase: int | None, seed: int | None, learner: int | None
) -> dict[str, Seated]:
    """The agents of a folder, by the folder's name and their numbers."""
    experiment, settings = registry.settings_of_folder(folder)
    if word in pretrained.list() and folder.path == pretrained.folder(word):  # the last agents of one seed
        phase, seed, agents = settings.run.phases, settings.run.seed, pretrained(word)
    else:
        phase, seed = registry.phase_of(folder, phase), settings.run.seed if seed is None else seed
        agents = registry.load(folder.path, phase=phase, seed=seed)
    require(
        learner is None or 0 <= learner < len(agents),
        f"learner: {word} has learners 0 to {len(agents) - 1}, got {learner}",
    )
    called, found = folder.path.resolve().name, {}
    trained = {"rounds": settings.game.rounds, "episodes": experiment.match_episodes(settings)}
    for number in range(len(agents)) if learner is None else [learner]:
        where = f"Agent {number} of the {experiment.NAME} run {called}, seed {seed}, after phase {phase}."
        seat = None if settings.game.symmetric else number % 2
        about = f"{where} {_how(agents[number])}".strip()
        found[f"{called} {number}"] = Seated(agents[number], about, seat, **trained)
    return found


def _how(agent: Player) -> str:
    """How an agent decides, in a sentence; nothing where the kind of player says enough."""
    if not isinstance(agent, PPIPlayer):
        return ""
    planner = agent.settings
    return (
        f"Before every move it imagines {planner.rollouts} futures of {planner.horizon} rounds for each of its actions;"
        f" its temperature is {planner.temperature:g}."
    )
