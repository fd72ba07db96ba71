"""The data set of the paper preset: bytes of a learner in memory, and on disk in the checkpoint of the last phase."""

from collections.abc import Iterator

import jax
import numpy as np

from benchmarks.tables import Section, verdict
from coplayer.experiments.ppi_mixed import PRESETS, DataSet, new_trainee, without_data
from coplayer.games.matrix import COOPERATE, DEFECT, MatrixGame
from coplayer.runs import checkpoint, packing

PAPER = PRESETS["paper"]
LEARNERS, PHASES, EPISODES = PAPER.co_players.learners, PAPER.run.phases, PAPER.data.episodes
NOISE = 0.02  # chance that a learner does not do what it meant to
LIMIT_MB = 15.0


def _replies(tables: np.ndarray, joint: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """Actions of memory-1 players, P(cooperate) `[episodes, 5]`, after a joint action in the learner's view."""
    seen = 0 if joint is None else 1 + 2 * (joint % 2) + joint // 2
    cooperate = tables[np.arange(len(tables)), seen]
    return np.where(random.random(len(tables)) < cooperate, COOPERATE, DEFECT)


def best_responses(tables: np.ndarray, game: MatrixGame, discount: float = 0.95) -> np.ndarray:
    """The action `[episodes, 5]` that is best after START and after each joint action, against known memory-1 players;
    by value iteration.
    """
    payoffs = np.array(game.payoff_vector()).reshape(2, 2)
    cooperate = tables[:, [0, 1, 3, 2, 4]]  # by the learner's observation, which has the two actions in its own order
    values = np.zeros((len(tables), 4))
    for _ in range(100):
        after = payoffs + discount * values.reshape(-1, 2, 2)  # [episodes, own, other]
        q = cooperate[..., None] * after[:, None, :, 0] + (1 - cooperate)[..., None] * after[:, None, :, 1]
        values = q[:, 1:].max(-1)
    return q.argmax(-1)


def against_tabular(episodes: int, random: np.random.Generator) -> np.ndarray:
    """Episodes `[episodes, rounds]` of a near-best response against fresh uniform memory-1 players."""
    game = PAPER.game
    tables = random.random((episodes, 5))
    best = best_responses(tables, game)
    rows = np.empty((episodes, game.rounds), dtype=np.uint8)
    joint = None
    for round_ in range(game.rounds):
        own = best[np.arange(episodes), 0 if joint is None else 1 + joint]
        own = np.where(random.random(episodes) < NOISE, 1 - own, own)
        joint = 2 * own + _replies(tables, joint, random)
        rows[:, round_] = joint
    return rows


def against_learner(episodes: int, random: np.random.Generator) -> np.ndarray:
    """Episodes of two learners who mostly cooperate, or mostly defect in the first third of training, with noise."""
    rounds = PAPER.game.rounds
    usual = np.where(np.arange(episodes) < episodes // 3, DEFECT, COOPERATE)[:, None, None]
    actions = np.where(random.random((episodes, 2, rounds)) < NOISE, 1 - usual, usual)
    return (2 * actions[:, 0] + actions[:, 1]).astype(np.uint8)


def checkpoint_bytes(played: np.ndarray) -> int:
    """Size of a checkpoint with these episodes `[learner, seed, episodes, rounds]`, as `Trainer.pack` writes it."""
    trainee = jax.eval_shape(lambda: new_trainee(PAPER, DataSet.of(PAPER), jax.random.key(0)))
    learner, random = without_data(trainee)._replace(key=None), np.random.default_rng(1)
    weights = jax.tree.map(lambda leaf: random.standard_normal((LEARNERS, 1, *leaf.shape)).astype(leaf.dtype), learner)
    arrays = checkpoint.flatten(weights, "learners") | {"episodes": packing.pack(played, PAPER.game.num_joint)}
    return len(checkpoint.dump(arrays, {"step": 0, "rows": 0}))


def measure(*, share: float) -> Iterator[Section]:
    """`share` of the paper's episodes are built, and the sizes scaled up: 1 for the real thing."""
    random = np.random.default_rng(0)
    rounds = PAPER.game.rounds
    episodes = int(share * PHASES * EPISODES)
    half = episodes // 2

    def learner() -> np.ndarray:
        rows = np.concatenate([against_learner(half, random), against_tabular(half, random)])
        phases = np.arange(2 * half) % half * PHASES // half  # a phase's two halves lie side by side
        return rows[np.argsort(phases, kind="stable")][None]

    like_a_run = np.stack([learner() for _ in range(LEARNERS)])
    noise = random.integers(4, size=like_a_run.shape, dtype=np.uint8)
    nothing = checkpoint_bytes(like_a_run[:, :, :0])
    capacity = PAPER.data.tabular_episodes + PHASES * EPISODES
    rows: list[dict] = [
        {
            "what": "in memory, a byte a round",
            "episodes": capacity,
            "MB a learner": capacity * rounds / 1e6,
            "bits a round": 8.0,
        }
    ]
    for name, played in (("like a run", like_a_run), ("worst case, uniformly random", noise)):
        size = (checkpoint_bytes(played) - nothing) / share / LEARNERS
        rows.append(
            {
                "what": f"checkpoint, episodes {name}",
                "episodes": PHASES * EPISODES,
                "MB a learner": size / 1e6,
                "bits a round": 8 * size / (PHASES * EPISODES * rounds),
            }
        )
    rows.append(
        {
            "what": "checkpoint, weights and optimiser",
            "episodes": None,
            "MB a learner": nothing / LEARNERS / 1e6,
            "bits a round": None,
        }
    )
    data, worst, weights = (row["MB a learner"] for row in rows[1:])
    yield Section(
        title="Memory: the data set of the paper preset",
        text="Sizes after the last phase. A checkpoint leaves out the tabular episodes, which follow from the key, "
        "and packs the others at two bits a round before compression. MB = 1,000,000 bytes.",
        rows=rows,
        verdict=verdict(
            f"a checkpoint of at most {LIMIT_MB:g} MB a learner; it is {data + weights:.1f} MB in all, "
            f"{worst + weights:.1f} MB in the worst case",
            data + weights <= LIMIT_MB,
        ),
    )
