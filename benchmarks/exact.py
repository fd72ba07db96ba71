"""The exact iterated prisoner's dilemma against plain PyTorch: returns a second, and a run of figure 3.

The PyTorch side is what one writes first: sigmoid, a transition matrix, `torch.linalg.solve`, and autograd with
`create_graph` through the naive learner's steps. It stands here twice: with all seeds in one batch, and with a seed
after the other. All must agree on an agent's first direction.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.errors import require
from coplayer.experiments import exact_ipd
from coplayer.reproduce.meulemans_exact import TOGETHER
from coplayer.settings import adjust

SEEDS = 64
PAIRS = 100_000  # pairs of players whose returns are computed at once
ITERATIONS = 10  # of training in one piece of work
SETTINGS = adjust(TOGETHER, later_naive_shares=(), seeds=SEEDS, iterations=ITERATIONS, phases=1, log_every=ITERATIONS)
DISCOUNT = SETTINGS.agents.gamma
RETURNS, TRAINING, ONE_BY_ONE = "returns", "figure 3A, all seeds", "figure 3A, seed by seed"
OURS, TORCH = "coplayer", "PyTorch"


def _points(count: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    return tuple(draws.normal(size=(5, count)).astype(np.float32) for _ in range(2))


def coplayer_work() -> Mapping[str, Work]:
    """Set-up of our process."""
    runtime.configure(cpu_devices=1)
    values = jax.jit(exact_ipd.values_of(SETTINGS.game, DISCOUNT))
    own, other = map(jnp.asarray, _points(PAIRS))
    trainer = exact_ipd.Trainer(SETTINGS)
    state = trainer.initial_state()

    def train() -> None:
        trainer.advance(state)  # metrics and all

    return {RETURNS: lambda: jax.block_until_ready(values(own, other)), TRAINING: train}


def torch_work() -> Mapping[str, Work]:
    """Set-up of PyTorch's process."""
    import torch

    swap = [0, 2, 1, 3]
    own_payoffs = torch.tensor(SETTINGS.game.payoffs)
    payoffs = torch.stack([own_payoffs, own_payoffs[swap]])
    identity = torch.eye(4)

    def values(own, other):  # logits [..., 5] -> [..., 2]
        p, q = torch.sigmoid(own), torch.sigmoid(other)
        first, second = torch.stack([p, 1 - p], -1), torch.stack([q, 1 - q], -1)
        start = (first[..., 0, :, None] * second[..., 0, None, :]).flatten(-2)
        transition = (first[..., 1:, :, None] * second[..., 1:, :][..., swap, None, :]).flatten(-2)
        weights = torch.linalg.solve(identity - DISCOUNT * transition.mT, start)
        return (1 - DISCOUNT) * weights @ payoffs.T

    def direction(own, learner):  # [seeds, 5], [seeds, learners, 5]
        own = own.detach().requires_grad_()
        learner = learner.clone().requires_grad_()
        total = 0.0
        for _ in range(SETTINGS.naive.inner_episodes):
            both = values(own[:, None].expand_as(learner), learner)
            total = total + both[..., 0].mean(1).sum()
            (step,) = torch.autograd.grad(both[..., 1].sum(), learner, create_graph=True)
            learner = learner + SETTINGS.naive.naive_rate * step
        return torch.autograd.grad(total / SETTINGS.naive.inner_episodes, own)[0]

    def iterate(agents, optimiser):
        for agent in agents:
            learner = SETTINGS.naive.naive_scale * torch.randn(len(agent), SETTINGS.naive.naive_learners, 5)
            agent.grad = -direction(agent, learner)
        optimiser.step()

    def training(seeds: int) -> Work:
        agents = [torch.full((seeds, 5), -3.0) + 0.5 * torch.randn(seeds, 5) for _ in range(2)]
        agents = [agent.requires_grad_() for agent in agents]
        optimiser = torch.optim.AdamW(
            agents, lr=SETTINGS.optimiser.learning_rate, weight_decay=SETTINGS.optimiser.weight_decay
        )

        def train() -> None:
            for _ in range(ITERATIONS):
                iterate(agents, optimiser)

        return train

    _require_agreement(lambda own, learner: direction(torch.tensor(own), torch.tensor(learner)).numpy())
    own, other = (torch.tensor(points.T) for points in _points(PAIRS))
    return {RETURNS: lambda: values(own, other), TRAINING: training(SEEDS), ONE_BY_ONE: training(1)}


def _require_agreement(direction) -> None:
    """Refuse to measure two that do not compute the same."""
    own = _points(4)[0]
    learners = np.random.default_rng(1).normal(size=(5, 4, 3)).astype(np.float32)
    values = exact_ipd.values_of(SETTINGS.game, DISCOUNT)

    def value(own):
        return exact_ipd.against_naive(values, own, jnp.asarray(learners), SETTINGS.naive)[:, 0].mean(0).sum()

    ours = np.asarray(jax.grad(value)(jnp.asarray(own)))
    theirs = direction(own.T.copy(), learners.transpose(1, 2, 0).copy()).T
    require(bool(np.allclose(ours, theirs, rtol=1e-2, atol=1e-4)), "benchmarks: the two gradients differ")


def measure(*, cores: tuple[int, ...], turns: int, turn_seconds: float) -> Iterator[Section]:
    """One section: returns a second, and iterations of figure 3A's training."""
    processes = {OURS: Process(coplayer_work, cores), TORCH: Process(torch_work, cores)}
    contestants = {
        f"{name}, {work}": Contestant(work, (process,)) for name, process in processes.items() for work in process.names
    }
    yield _section(take_turns(contestants, turns=turns, turn_seconds=turn_seconds))
    for process in processes.values():
        process.end()


def _section(timings: Mapping[str, Timing]) -> Section:
    def row(name: str, what: str, count: float, ours: str, factor: float = 1) -> dict:
        timing, best = timings[name], timings[f"{OURS}, {ours}"]
        return {
            "contestant": name,
            "what": what,
            "a second": count / (factor * timing.median),
            "spread": f"{count / (factor * timing.high):,.0f} to {count / (factor * timing.low):,.0f}",
            "coplayer is faster by": factor * timing.median / best.median,
            "first call, s": timing.first,
        }

    pairs, updates = "returns of a pair", f"iterations of {SEEDS} seeds"
    rows = [
        row(f"{OURS}, {RETURNS}", pairs, PAIRS, RETURNS),
        row(f"{TORCH}, {RETURNS}", pairs, PAIRS, RETURNS),
        row(f"{OURS}, {TRAINING}", updates, ITERATIONS, TRAINING),
        row(f"{TORCH}, {TRAINING}", updates, ITERATIONS, TRAINING),
        row(f"{TORCH}, {ONE_BY_ONE}", updates, ITERATIONS, TRAINING, factor=SEEDS),
    ]
    return Section(
        title="The exact iterated prisoner's dilemma",
        text=f"Discounted returns of {PAIRS:,} pairs of memory-1 players at once, and training as in figure 3A of "
        f"Meulemans et al. 2025. Two agents have {SETTINGS.naive.naive_learners} naive learners each and "
        f"{SETTINGS.naive.inner_episodes} inner episodes, differentiated through every naive step. Ours includes its "
        f"metrics. PyTorch has both cores too; seed by seed, one seed is timed and counted {SEEDS} times.",
        rows=rows,
    )
