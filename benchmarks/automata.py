"""Round robins of finite automata on all cores, and the Axelrod library's on one: matches per second."""

from collections.abc import Iterator, Mapping

import jax

from benchmarks.tables import Section, verdict
from benchmarks.timing import Contestant, Process, take_turns
from coplayer import runtime
from coplayer.analysis.tournament import tournament
from coplayer.games.matrix import MatrixGame
from coplayer.players.automaton import axelrod_automata

GAME = MatrixGame((3.0, 0.0, 5.0, 1.0), rounds=100)
MATCHES = 100  # of each pair, as in "a full round robin"
STRATEGIES = 12  # of Axelrod's own round robin, which takes long: every tenth
OURS, OURS_NOISY, THEIRS = "ours", "ours, with noise .01", "Axelrod"
TIMES = 1000


def works() -> Mapping[str, object]:
    """Set-up of the process."""
    runtime.configure()
    import axelrod

    automata = axelrod_automata()
    names = list(automata)[:: len(automata) // STRATEGIES][:STRATEGIES]
    kinds = {kind.name: kind for kind in axelrod.all_strategies}
    pairs = [(kinds[one], kinds[two]) for i, one in enumerate(names) for two in names[i:]]

    def theirs() -> None:
        for one, two in pairs:
            axelrod.Match((one(), two()), turns=GAME.rounds, seed=1, deterministic_cache=None).play()

    def ours(noise: float) -> None:
        tournament(automata, GAME, jax.random.key(0), episodes=MATCHES, noise=noise)

    return {OURS: lambda: ours(0.0), OURS_NOISY: lambda: ours(0.01), THEIRS: theirs}


def matches_of(name: str) -> int:
    """Matches of one piece of work."""
    count = STRATEGIES if name == THEIRS else len(axelrod_automata())
    return count * (count + 1) // 2 * (1 if name == THEIRS else MATCHES)


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    process = Process(works, cores)
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    process.end()
    rates = {name: matches_of(name) / timing.median for name, timing in timings.items()}
    rows = [
        {
            "contestant": name,
            "matches / s": rates[name],
            "times Axelrod": rates[name] / rates[THEIRS],
            "seconds": timing.median,
            "first call, s": timing.first,
        }
        for name, timing in timings.items()
    ]
    yield Section(
        title="Round robins of automata",
        text=f"Ours: all pairs of {len(axelrod_automata())} strategies, {MATCHES} matches of {GAME.rounds} rounds each "
        f"on {len(cores)} cores. Axelrod: one match of every pair of {STRATEGIES} of them, on one core. A pair without "
        "chance plays one match, and counts with all its matches, which are alike.",
        rows=rows,
        verdict=verdict(
            f"with noise, where all matches are played, at least {TIMES} times as many a second",
            rates[OURS_NOISY] >= TIMES * rates[THEIRS],
        ),
    )
