"""A learner from outside, in a PettingZoo environment: tabular Q-learning that begins as a defector, and unlearns this
against tit-for-tat, a player of ours. Any agent of `coplayer.load` can take its place. Ten seconds on two cores.

pip install 'coplayer[pettingzoo]'
python examples/pettingzoo_learner.py
"""

import numpy as np

import coplayer as cp
from coplayer.interop.pettingzoo import as_env


def main() -> None:
    game = cp.prisoners_dilemma(rounds=20)
    env, opponent = as_env(game), cp.Actor(cp.named_strategy("tit_for_tat"), game)
    draw, values = np.random.default_rng(0), np.zeros((game.observation_space.size, game.num_actions))
    values[:, 1], earned = 1.0, []
    for episode in range(EPISODES):
        observations, _ = env.reset(seed=episode)
        opponent.begin()
        while env.agents:
            seen = observations["player_0"]
            action = draw.integers(game.num_actions) if draw.random() < 0.1 else values[seen].argmax()
            actions = {"player_0": action, "player_1": opponent.act(observations["player_1"])}
            observations, rewards, *_ = env.step(actions)
            after = 0.9 * values[observations["player_0"]].max()
            values[seen, action] += 0.1 * (rewards["player_0"] + after - values[seen, action])
            earned.append(rewards["player_0"])
    print(f"reward per round: {np.mean(earned[: len(earned) // 10]):.2f} in the first tenth, ", end="")
    print(f"{np.mean(earned[-len(earned) // 10 :]):.2f} in the last")


EPISODES = 200

if __name__ == "__main__":
    main()
