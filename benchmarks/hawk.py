"""Hawk: its two scans on short and long sequences, and actor-critics on it beside those on a GRU."""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp

from benchmarks.tables import Section
from benchmarks.timing import Contestant, Process, Timing, Work, take_turns
from coplayer import runtime
from coplayer.games.matrix import prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.hawk import Hawk

WIDTH, INPUTS = 32, 5
SIZES = {200: 128, 6400: 16}  # length of a sequence: how many of them
SCANS = {"sequential": False, "associative": True}
CORES = ("gru", "hawk")
EPISODES = 512
GAME = prisoners_dilemma()
FORWARD, GRADIENT, PLAY, UPDATE = "forward", "gradient", "playing", "unrolling and gradient"


def scans() -> Mapping[str, Work]:
    """Hawks of one block over whole sequences, and their gradients by all weights."""

    def features(network: Hawk, inputs: jax.Array) -> jax.Array:
        return network.sequence(network.initial_state(inputs.shape[1]), inputs)

    run = jax.jit(features)
    slope = jax.jit(jax.grad(lambda network, inputs: jnp.mean(features(network, inputs) ** 2)))
    works = {}
    for length, batch in SIZES.items():
        inputs = jax.random.normal(jax.random.key(1), (length, batch, INPUTS))
        for name, parallel in SCANS.items():
            network = Hawk(INPUTS, WIDTH, parallel=parallel, key=jax.random.key(0))
            for what, function in ((FORWARD, run), (GRADIENT, slope)):
                works[_scan(length, name, what)] = _work(function, network, inputs)
    return works


def actor_critics() -> Mapping[str, Work]:
    """Playing step by step on given observations; and what an update with changed weights takes."""
    observations = jax.random.randint(jax.random.key(1), (GAME.rounds, EPISODES), 0, GAME.observation_space.size)

    @jax.jit
    def play(network: ActorCritic) -> jax.Array:
        def step(state, observation):
            now = network.step(state, observation, network.no_identity(EPISODES))
            return now.state, now.outputs

        return jax.lax.scan(step, network.initial_state(EPISODES), observations)[1]

    @jax.jit
    @jax.grad
    def slope(network: ActorCritic) -> jax.Array:
        logits, values = network.unroll(observations)
        return jnp.mean(logits**2) + jnp.mean(values**2)

    networks = {core: ActorCritic(GAME, WIDTH, core=core, key=jax.random.key(0)) for core in CORES}
    return {
        f"{core}, {what}": _work(function, network)
        for core, network in networks.items()
        for what, function in ((PLAY, play), (UPDATE, slope))
    }


def _work(function, *arguments) -> Work:
    return lambda: jax.block_until_ready(function(*arguments))


def _scan(length: int, scan: str, what: str) -> str:
    return f"{length} steps, {scan}, {what}"


def works() -> Mapping[str, Work]:
    """Set-up of the process."""
    runtime.configure(cpu_devices=1)
    return {**scans(), **actor_critics()}


def measure(*, core: int, turns: int, turn_seconds: float) -> Iterator[Section]:
    """Two sections: the scans, and the actor-critics."""
    process = Process(works, (core,))
    contestants = {name: Contestant(name, (process,)) for name in process.names}
    timings = take_turns(contestants, turns=turns, turn_seconds=turn_seconds)
    yield _scans_section(timings)
    yield _actor_critics_section(timings)
    process.end()


def _row(name: str, timing: Timing, steps: int) -> dict:
    return {
        "contestant": name,
        "steps / s": steps / timing.median,
        "spread": f"{steps / timing.high:,.0f} to {steps / timing.low:,.0f}",
        "ms": 1e3 * timing.median,
        "first call, s": timing.first,
    }


def _scans_section(timings: Mapping[str, Timing]) -> Section:
    names = {
        _scan(length, scan, what): length * batch
        for length, batch in SIZES.items()
        for what in (FORWARD, GRADIENT)
        for scan in SCANS
    }
    return Section(
        title="Hawk: sequential and associative scan",
        text=f"One block of width {WIDTH} over whole sequences on one core: "
        + " and ".join(f"{batch} of {length} steps" for length, batch in SIZES.items())
        + ". The gradient is by all weights and includes the forward pass.",
        rows=[_row(name, timings[name], steps) for name, steps in names.items()],
    )


def _actor_critics_section(timings: Mapping[str, Timing]) -> Section:
    names = [f"{core}, {what}" for what in (PLAY, UPDATE) for core in CORES]
    return Section(
        title="Actor-critics: GRU and Hawk",
        text=f"Width {WIDTH}, {EPISODES} episodes of {GAME.rounds} rounds on one core. Playing is step by step. "
        "An update has changed weights; its forward and backward pass are timed.",
        rows=[_row(name, timings[name], EPISODES * GAME.rounds) for name in names],
    )
