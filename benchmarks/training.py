"""Training of the sequence models against PyTorch: episodes a second of whole updates.

An update draws a batch of stored episodes and takes loss, gradient, bound on its norm, and AdamW: `learning.ppi.fit`
here, `TorchTrainer.fit` there. Both start from the same weights and must agree on the loss.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tables import Section, verdict
from benchmarks.timing import Contestant, Process, Setup, Timing, Work, take_turns
from coplayer import runtime
from coplayer.errors import require
from coplayer.experiments.axes import map_learners_and_seeds
from coplayer.experiments.ppi_mixed import PRESETS
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.learning import ppi
from coplayer.networks.gru import GRU
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.pools import tabular

FITTING, OPTIMISER = PRESETS["paper"].fitting, PRESETS["paper"].optimiser
UPDATES = 4  # in one piece of work
STORED = 16 * FITTING.fit_batch
OURS, SCAN, TORCH = "coplayer", "coplayer, plain scan", "PyTorch"
ONE, TWO, PAIR = "1 core", "2 cores", "2 learners, a core each"


class Size(NamedTuple):
    """A model to train."""

    kind: type[RoundModel] | type[TokenModel]
    hidden: int

    @property
    def name(self) -> str:
        return f"{self.kind.__name__}, hidden {self.hidden}"

    def model(self, game: MatrixGame) -> RoundModel | TokenModel:
        return self.kind(game, self.hidden, key=jax.random.key(0))


SIZES = (Size(RoundModel, 32), Size(RoundModel, 64), Size(RoundModel, 128), Size(TokenModel, 128))
DECISIVE = Size(RoundModel, 128)


class ScannedGRU(GRU):
    """The same layer without its own backward pass: a plain scan, differentiated by JAX."""

    def states(self, hidden, inputs):
        def step(hidden, inputs):
            hidden = self.step(hidden, inputs)
            return hidden, hidden

        return jax.lax.scan(step, hidden, inputs)[1]


def _scanned(model: RoundModel | TokenModel) -> RoundModel | TokenModel:
    gru = model.core
    plain = eqx.tree_at(
        lambda g: (g.input_weights, g.hidden_weights, g.bias, g.candidate_bias),
        ScannedGRU(gru.input_weights.shape[0], gru.hidden, key=jax.random.key(0)),
        (gru.input_weights, gru.hidden_weights, gru.bias, gru.candidate_bias),
    )
    return eqx.tree_at(lambda model: model.core, model, plain)


def _learner(model: RoundModel | TokenModel) -> ppi.PPIState:
    return ppi.new_state(model, OPTIMISER, tabular.play(jax.random.key(1), model.game, STORED).joint.T)


def _fit(learner: ppi.PPIState, payoffs: jax.Array) -> ppi.PPIState:
    at = {"available": STORED, "start": 0, "stop": UPDATES, "total": UPDATES, "key": jax.random.key(2)}
    return ppi.fit(learner, FITTING, OPTIMISER, payoffs, **at)[0]


def ours(*, learners: int) -> Mapping[str, Work]:
    """Set-up of a process of ours: one learner on one device, or two learners on a device each."""
    runtime.configure(cpu_devices=learners)
    payoffs = prisoners_dilemma().payoff_vector()

    def work(model: RoundModel | TokenModel) -> Work:
        learner = _learner(model)
        if learners == 1:
            fit = jax.jit(_fit)
        else:
            learner = jax.tree.map(lambda leaf: jnp.stack([leaf[None]] * learners), learner)
            fit = jax.jit(map_learners_and_seeds(_fit, num_learners=learners, seed_batch=1))
            learner = fit(learner, payoffs)  # so that its parts lie on their devices
        return lambda: jax.block_until_ready(fit(learner, payoffs))

    models = {size.name: size.model(prisoners_dilemma()) for size in SIZES}
    named = {f"{OURS}: {name}": work(model) for name, model in models.items()}
    if learners == 1:
        named |= {f"{SCAN}: {name}": work(_scanned(model)) for name, model in models.items()}
    return named


def torch(*, threads: int) -> Mapping[str, Work]:
    """Set-up of a process of PyTorch."""
    import torch as library  # the only place that needs it; threads are set before its first work

    library.set_num_threads(threads)
    from benchmarks.torch_models import TorchTrainer

    def work(size: Size) -> Work:
        learner = _learner(size.model(prisoners_dilemma()))
        trainer = TorchTrainer(learner.model, np.array(learner.episodes), FITTING, OPTIMISER)
        joint = learner.episodes[: FITTING.fit_batch].T.astype(jnp.int32)
        expected = ppi.total_loss(FITTING, learner.model.episode_loss(joint, learner.model.game.reward(joint)))
        loss = trainer.loss(library.arange(FITTING.fit_batch)).item()
        require(abs(loss - float(expected)) < 1e-4, f"{size.name}: PyTorch's loss is {loss}, ours {float(expected)}")
        return lambda: trainer.fit(UPDATES)

    return {f"{TORCH}: {size.name}": work(size) for size in SIZES}


def flops(size: Size) -> float:
    """Floating-point operations of one episode's update: the products of forward pass and gradient, three times the
    forward ones. Gates, losses and the optimiser are not counted.
    """
    model = jax.eval_shape(lambda: size.model(prisoners_dilemma()))
    inputs, hidden = model.core.input_weights.shape[0], size.hidden
    if isinstance(model, RoundModel):
        steps, heads = 1, model.head_bias.size
    else:
        layers = (*model.embeddings, model.observation_head, model.reward_head, model.action_head)
        steps, heads = 3, sum(weights.size for weights, _ in layers) / hidden
    return 3 * 2 * model.game.rounds * (steps * 3 * hidden * (hidden + inputs) + heads * hidden)


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    """One section for each model."""
    first, both = cores[:1], cores[:2]
    setups: dict[tuple[str, str], list[tuple[Setup, tuple[int, ...]]]] = {
        (OURS, ONE): [(partial(ours, learners=1), first)],
        (TORCH, ONE): [(partial(torch, threads=1), first)],
    }
    if len(both) == 2:
        setups |= {
            (OURS, TWO): [(partial(ours, learners=1), both)],
            (TORCH, TWO): [(partial(torch, threads=2), both)],
            (OURS, PAIR): [(partial(ours, learners=2), both)],
            (TORCH, PAIR): [(partial(torch, threads=1), (core,)) for core in both],
        }
    processes = {which: tuple(Process(*setup) for setup in group) for which, group in setups.items()}
    for group in processes.values():  # all are built before the first is timed
        for process in group:
            process.names  # noqa: B018
    for size in SIZES:
        contestants = {}
        for (library, place), group in processes.items():
            contestants[f"{library}, {place}"] = Contestant(f"{library}: {size.name}", group)
            if library == OURS and place != PAIR:
                contestants[f"{SCAN}, {place}"] = Contestant(f"{SCAN}: {size.name}", group)
        yield _section(size, take_turns(contestants, turns=turns, turn_seconds=turn_seconds))
    for group in processes.values():
        for process in group:
            process.end()


def _section(size: Size, timings: Mapping[str, Timing]) -> Section:
    def episodes(name: str) -> int:
        return UPDATES * FITTING.fit_batch * (2 if PAIR in name else 1)

    def rate(name: str) -> float:
        return episodes(name) / timings[name].median

    places = [place for place in (ONE, TWO, PAIR) if f"{OURS}, {place}" in timings]
    rows = []
    for place in places:
        for library in (OURS, SCAN, TORCH):
            name = f"{library}, {place}"
            if name in timings:
                timing = timings[name]
                rows.append(
                    {
                        "contestant": name,
                        "episodes / s": rate(name),
                        "spread": f"{episodes(name) / timing.high:,.0f} to {episodes(name) / timing.low:,.0f}",
                        "GFLOP / s": 1e-9 * flops(size) * rate(name),
                        "PyTorch = 1": rate(name) / rate(f"{TORCH}, {place}"),
                        "first call, s": timing.first,
                    }
                )
    least = min(rate(f"{OURS}, {place}") / rate(f"{TORCH}, {place}") for place in places)
    return Section(
        title=f"Training: {size.name}",
        text=f"Whole updates, batch {FITTING.fit_batch}, {prisoners_dilemma().rounds} rounds.",
        rows=rows,
        verdict=verdict(f"at least PyTorch's speed on the same cores; the least ratio is {least:.2f}", least >= 1)
        if size == DECISIVE
        else "",
    )
