"""The agents of run folders on a web page, to be played against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from coplayer.errors import require
from coplayer.experiments import registry, watch
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.experiments.pretrained import pretrained
from coplayer.experiments.protocol import Experiment
from coplayer.experiments.words import run_of
from coplayer.games.matrix import MatrixGame
from coplayer.pages.grid import Replay, rules_of, write_grid_page
from coplayer.pages.play import Seated, rule, write_page
from coplayer.play.player import Player
from coplayer.players.automaton import named_automaton
from coplayer.players.memory1 import Memory1
from coplayer.players.planner import PPIPlayer
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.runs.files import require_new_file
from coplayer.runs.folder import RunFolder


def make_page(
    words: Sequence[str], out: Path, *, phase: int | None = None, seed: int | None = None, learner: int | None = None
) -> Path:
    """Write a page to the new file `out`, on which a person plays against trained agents of one game. That is a matrix
    game, CleanUp-lite or the coin game. On a page of the latter two are also episodes that the agents of each run play
    now.

    `words`: folders of runs, archived ones too, names of agents that come with the package (see
    `experiments.pretrained`), and names of strategies (see `players.automaton.named_automaton`). `phase` and `seed` are
    those of `registry.load`, for all runs. `learner`: the one agent of each run or name; None: all.

    Raises `CoplayerError` for a file that exists already, for a word that means no player, and for a player named
    twice. So it does for runs of different games, and for agents whose kind a page cannot play.
    """
    require_new_file(out)
    trained = {word: folder for word in words if (folder := _folder(word)) is not None}
    names = ", ".join(pretrained.list())
    require(bool(trained), f"agents: needs the folder of at least one run, or one of {names}")
    games = {word: registry.settings_of_folder(folder)[1].game for word, folder in trained.items()}
    first = next(iter(games))
    game = games[first]
    if not isinstance(game, MatrixGame):
        rules_of(game)  # refuses a game that a page cannot play
    for word, other in games.items():
        require(registry.same_rules(game, other), f"agents: {word} and {first} are runs of different games")
    players: dict[str, Seated] = {}
    replays: list[Replay] = []
    for word in words:
        run = _run(trained[word], word, phase, seed) if word in trained else None
        added = _strategy(word) if run is None else _agents(run, learner)
        twice = sorted(added.keys() & players.keys())
        require(not twice, f"agents: {', '.join(twice)} named twice")
        players |= added
        if run is not None and not isinstance(game, MatrixGame):
            replays += _replays(run, learner or 0)
    if isinstance(game, MatrixGame):
        write_page(out, game, players)
    else:
        write_grid_page(out, game, players, replays)
    return out


def _folder(word: str) -> RunFolder | None:
    """The folder of a run, or of agents that come with the package. None: another word. Refuses another folder."""
    run = run_of(word, "agents")
    return RunFolder(pretrained.folder(word)) if run is None and word in pretrained.list() else run


def _strategy(word: str) -> dict[str, Seated]:
    return {word: Seated(named_automaton(word), "A strategy by name, a finite automaton.")}


class Run(NamedTuple):
    """The agents of a run, after one phase of one seed."""

    word: str
    name: str
    recipe: str
    experiment: Experiment
    settings: Any
    agents: list[Player]
    phase: int
    seed: int


def _run(folder: RunFolder, word: str, phase: int | None, seed: int | None) -> Run:
    experiment, settings = registry.settings_of_folder(folder)
    name, (recipe, _) = folder.path.resolve().name, registry.recipe_of(folder.config(), settings)
    if word in pretrained.list() and folder.path == pretrained.folder(word):
        require(phase is None and seed is None, f"phase, seed: {word} comes with the package, with agents of one phase")
        phase, agents = settings.run.phases, pretrained(word)
        return Run(word, name, recipe, experiment, settings, agents, phase, settings.run.seed)
    phase, seed = registry.phase_of(folder, phase), settings.run.seed if seed is None else seed
    agents = registry.load(folder.path, phase=phase, seed=seed)
    return Run(word, name, recipe, experiment, settings, agents, phase, seed)


def _agents(run: Run, learner: int | None) -> dict[str, Seated]:
    """The agents of a run, by the run's name and their numbers."""
    count, game = len(run.agents), run.settings.game
    require(
        learner is None or 0 <= learner < count, f"learner: {run.word} has learners 0 to {count - 1}, got {learner}"
    )
    found = {}
    trained = {"rounds": game.rounds, "episodes": run.experiment.match_episodes(run.settings)}
    for number in range(count) if learner is None else [learner]:
        where = f"Agent {number} of the {run.recipe} run {run.name}, seed {run.seed}, after phase {run.phase}."
        seat = None if game.symmetric else number % 2
        about = f"{where} {how_it_decides(run.agents[number])}".strip()
        found[f"{run.name} {number}"] = Seated(run.agents[number], about, seat, **trained)
    return found


def _replays(run: Run, learner: int) -> list[Replay]:
    """Episodes of an agent with another agent of the run or a copy of its own. Where the run has naive learners, also
    episodes with a naive learner. Of many inner episodes they are the first, the middle and the last.
    """
    order = [learner, *(number for number in range(len(run.agents)) if number != learner)]
    agents, names = [run.agents[i] for i in order], [f"{run.name} {i}" for i in order]
    if len(agents) == 1:
        agents, names = agents * 2, [*names, "a copy of it"]
    key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), run.seed)
    inner = run.experiment.match_episodes(run.settings)
    found = []
    for naive in (False, True) if watch.meets_naive(run.settings) else (False,):
        met = "a naive learner" if naive else names[1]
        for title, seen in watch.inner_episodes(run.settings, agents, key, naive, inner).items():
            measures = {name: values for name, values in seen.measures.items() if values.dtype == bool}
            title = f"{title} of {inner}" if inner > 1 else "one episode"
            found.append(Replay((names[0], met), title, seen.scenes, seen.actions, seen.rewards, measures))
    return found


def how_it_decides(agent: Player) -> str:
    """How an agent decides, in words; nothing for a kind of player that is not known here."""
    if isinstance(agent, PPIPlayer):
        planner = agent.settings
        spread = " In training their random draws were spread evenly, on this page they are independent."
        return (
            f"Before every move it imagines {planner.rollouts_alone} futures of {planner.horizon} rounds for each of "
            f"its actions; its temperature is {planner.temperature:g}.{spread if planner.stratified else ''}"
        )
    if isinstance(agent, RecurrentPlayer):
        learned = "It learned by trial alone, and imagines no futures."
        return f"{learned} It remembers all episodes of a match." if agent.lasting else learned
    return rule(agent) if isinstance(agent, Memory1) and agent.probabilities.shape == (5, 2) else ""
