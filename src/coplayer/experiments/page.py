"""The agents of run folders on a web page, to be played against."""

import os
from collections.abc import Sequence
from pathlib import Path

from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.games.matrix import MatrixGame
from coplayer.pages.play import Seated, write_page
from coplayer.play.player import Player
from coplayer.players.automaton import named_automaton
from coplayer.players.planner import PPIPlayer
from coplayer.runs.folder import RunFolder


def make_page(
    words: Sequence[str], out: Path, *, phase: int | None = None, seed: int | None = None, learner: int | None = None
) -> Path:
    """Write a page to the new file `out`, on which a person plays against the agents of runs of one matrix game.

    `words`: folders of runs, archived ones too, and names of strategies (see `players.automaton.named_automaton`).
    `phase` and `seed` are those of `registry.load`, for all runs. `learner`: the one agent of each run; None: all.

    Raises `CoplayerError` for a word that means no player, for a player named twice, for runs of different games, and
    for agents whose kind a page cannot play.
    """
    folders = [word for word in words if _is_run(word)]
    require(bool(folders), "agents: needs the folder of at least one run")
    games = {word: registry.settings_of_folder(RunFolder.open(word))[1].game for word in folders}
    game = games[folders[0]]
    require(
        isinstance(game, MatrixGame), f"{folders[0]}: a page plays matrix games, this run's is {type(game).__name__}"
    )
    for word, other in games.items():
        require(registry.same_rules(game, other), f"agents: {word} and {folders[0]} are runs of different games")
    players: dict[str, Seated] = {}
    for word in words:
        added = _agents(word, phase, seed, learner) if word in folders else _strategy(word)
        twice = sorted(added.keys() & players.keys())
        require(not twice, f"agents: {', '.join(twice)} named twice")
        players |= added
    write_page(out, game, players)
    return out


def _is_run(word: str) -> bool:
    """Whether a word is the folder of a run. Refuses another folder."""
    found = (Path(word) / "config.json").exists()
    require(found or not (Path(word).is_dir() or os.sep in word), f"agents: {word} is not the folder of a run")
    return found


def _strategy(word: str) -> dict[str, Seated]:
    return {word: Seated(named_automaton(word), "A strategy by name, a finite automaton.")}


def _agents(word: str, phase: int | None, seed: int | None, learner: int | None) -> dict[str, Seated]:
    """The agents of a run, by the folder's name and their numbers."""
    folder = RunFolder.open(word)
    experiment, settings = registry.settings_of_folder(folder)
    phase, seed = registry.phase_of(folder, phase), settings.run.seed if seed is None else seed
    agents = registry.load(word, phase=phase, seed=seed)
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
