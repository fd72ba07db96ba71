"""The sequence models and their training in PyTorch: the same layers, losses and optimiser on `torch.nn.GRU`."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.learning.optimisation import BoundedAdamWSettings
from coplayer.learning.ppi import FittingSettings
from coplayer.networks.world_model import RoundModel, TokenModel


def _linear(weights, bias) -> nn.Linear:
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    _set(layer.weight, weights)
    _set(layer.bias, bias)
    return layer


def _gru(gru) -> nn.GRU:
    """With the weights of a `coplayer` GRU, whose gates have one bias where PyTorch's have two."""
    layer = nn.GRU(gru.input_weights.shape[0], gru.hidden)
    _set(layer.weight_ih_l0, gru.input_weights.T)
    _set(layer.weight_hh_l0, gru.hidden_weights.T)
    _set(layer.bias_ih_l0, gru.bias)
    _set(layer.bias_hh_l0, np.concatenate([np.zeros(2 * gru.hidden), gru.candidate_bias]))
    return layer


def _set(parameter: nn.Parameter, values) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values, dtype=np.float32)))


class TorchRoundModel(nn.Module):
    """`RoundModel`; the loss is the sum of its three parts."""

    def __init__(self, model: RoundModel):
        super().__init__()
        self.game: MatrixGame = model.game
        self.gru = _gru(model.core)
        self.head = _linear(model.head_weights, model.head_bias)

    def forward(self, joint: torch.Tensor, reward: torch.Tensor) -> torch.Tensor:
        """Loss on episodes `[rounds, batch]`."""
        n = self.game.num_actions
        observations = torch.cat([torch.full_like(joint[:1], START), observe(joint[:-1])])
        states, _ = self.gru(functional.one_hot(observations, self.game.observation_space.size).float())
        outputs = self.head(functional.silu(states)).flatten(0, 1)
        joint, reward = joint.flatten(), reward.flatten()
        own, other = self.game.own_action(joint), self.game.other_action(joint)
        actions, replies, rewards = outputs.split([n, n * n, n * n], dim=1)
        replies = replies.view(-1, n, n)[torch.arange(joint.numel()), own]
        predicted = rewards.gather(1, joint[:, None])[:, 0]
        return (
            functional.cross_entropy(replies, other)
            + functional.cross_entropy(actions, own)
            + 0.5 * functional.mse_loss(predicted, reward)
        )


class TorchTokenModel(nn.Module):
    """`TokenModel`; the loss is the sum of its three parts."""

    def __init__(self, model: TokenModel):
        super().__init__()
        self.game: MatrixGame = model.game
        self.gru = _gru(model.core)
        self.embed_observation, self.embed_reward, self.embed_action = (_linear(*layer) for layer in model.embeddings)
        self.observation_head = _linear(*model.observation_head)
        self.reward_head = _linear(*model.reward_head)
        self.action_head = _linear(*model.action_head)

    def forward(self, joint: torch.Tensor, reward: torch.Tensor) -> torch.Tensor:
        """Loss on episodes `[rounds, batch]`."""
        rounds, batch = joint.shape
        own = self.game.own_action(joint)
        observations = torch.cat([torch.full_like(joint[:1], START), observe(joint)])
        before = torch.cat([torch.zeros_like(reward[:1]), reward[:-1]])
        seen = self.embed_observation(functional.one_hot(observations, self.game.observation_space.size).float())
        earned = self.embed_reward(before[..., None])
        done = self.embed_action(functional.one_hot(own, self.game.num_actions).float())
        tokens = torch.stack([seen[:-1], earned, done], dim=1).view(3 * rounds, batch, -1)
        states, _ = self.gru(torch.cat([tokens, seen[-1:]]))
        features = functional.silu(states)
        return (
            functional.cross_entropy(self.observation_head(features[2::3]).flatten(0, 1), observations[1:].flatten())
            + functional.cross_entropy(self.action_head(features[1::3]).flatten(0, 1), own.flatten())
            + 0.5 * functional.mse_loss(self.reward_head(features[3::3])[..., 0], reward)
        )


class TorchTrainer:
    """Fits a model to stored episodes, a row each, by the same updates as `coplayer.learning.ppi.fit`."""

    def __init__(
        self,
        model: RoundModel | TokenModel,
        episodes: np.ndarray,
        fitting: FittingSettings,
        optimiser: BoundedAdamWSettings,
    ):
        self.batch, self.bound = fitting.fit_batch, optimiser.max_gradient_norm
        self.model = (TorchRoundModel if isinstance(model, RoundModel) else TorchTokenModel)(model)
        self.episodes = torch.from_numpy(episodes)
        self.payoffs = torch.from_numpy(np.array(model.game.payoff_vector()))
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=optimiser.learning_rate,
            betas=(optimiser.beta1, optimiser.beta2),
            weight_decay=optimiser.weight_decay,
            fused=True,
        )

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Loss on the stored episodes of these rows."""
        joint = self.episodes[rows].T.long()
        return self.model(joint, self.payoffs[joint])

    def fit(self, updates: int) -> None:
        """Updates on batches of an epoch's random order."""
        batches = torch.randperm(len(self.episodes)).split(self.batch)
        for update in range(updates):
            self.optimiser.zero_grad()
            self.loss(batches[update % len(batches)]).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.bound)
            self.optimiser.step()
