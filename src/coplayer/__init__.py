"""coplayer: learning among self-interested agents that infer, shape and answer one another.

What a user needs is importable from here; each name is documented where it is defined.
"""

from coplayer.analysis.equilibrium import best_response, projected_gradients, regrets
from coplayer.analysis.evaluation import against_fixed, curves
from coplayer.analysis.exact import discounted_returns, joint_distribution, mean_rewards, stationary_rewards
from coplayer.analysis.fingerprint import ashlock
from coplayer.analysis.populations import Moran, fixation_of_a_mutant, moran, replicator
from coplayer.analysis.prediction import ExcessLoss, excess_loss_by_round
from coplayer.analysis.price_of_defection import Price, price_of_defection
from coplayer.analysis.signature import Signature, signature
from coplayer.analysis.statistics import Comparison, compare, interquartile_mean, probability_of_improvement
from coplayer.analysis.tournament import Tournament, tournament
from coplayer.analysis.zero_determinant import enforced_relation, extortion, fit_extortion
from coplayer.errors import CoplayerError
from coplayer.experiments.a2c_mixed import A2CMixed
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.exact_ipd import ExactIPD
from coplayer.experiments.join import join
from coplayer.experiments.ppi_mixed import PPIMixed
from coplayer.experiments.pretrained import pretrained
from coplayer.experiments.protocol import Experiment, Recipe
from coplayer.experiments.registry import RECIPES, load, preset, resume, train
from coplayer.experiments.registry import register as register_experiment
from coplayer.experiments.sweep import sweep
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.game import Game, Symbol, Vector
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.names import GAMES
from coplayer.games.names import register as register_game
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import coala
from coplayer.learning.a2c import A2CSettings, Updating
from coplayer.learning.estimators import ESTIMATORS, Estimator, Outcome
from coplayer.learning.optimisation import OptimiserSettings
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import CORES
from coplayer.networks.world_model import RoundModel, TokenModel
from coplayer.play.actor import Actor
from coplayer.play.player import Player, uniform
from coplayer.play.rollout import play_match
from coplayer.play.seating import Trembling
from coplayer.play.trajectory import Episode, Trajectory
from coplayer.players.automaton import (
    Automaton,
    axelrod_automata,
    axelrod_parts,
    named_automaton,
    random_automata,
    random_memory,
)
from coplayer.players.memory1 import Memory1, TabularPlayers, cooperation, named_strategy
from coplayer.players.naive import RULES, NaiveLearner
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.players.walker import Walker, named_walker
from coplayer.pools import shaping
from coplayer.runs import engines
from coplayer.runtime import configure
from coplayer.settings import adjust

__all__ = [
    "CORES",
    "ESTIMATORS",
    "GAMES",
    "RECIPES",
    "RULES",
    "A2CMixed",
    "A2CSettings",
    "Actor",
    "ActorCritic",
    "Automaton",
    "CleanUpLite",
    "CoalaIPD",
    "CoinGame",
    "Comparison",
    "CoplayerError",
    "Episode",
    "Estimator",
    "ExactIPD",
    "ExcessLoss",
    "Experiment",
    "Game",
    "MatrixGame",
    "Memory1",
    "Moran",
    "NaiveLearner",
    "OptimiserSettings",
    "Outcome",
    "PPIMixed",
    "PPIPlayer",
    "PlannerSettings",
    "Player",
    "Price",
    "PublicGoods",
    "Recipe",
    "RecurrentPlayer",
    "RoundModel",
    "Signature",
    "Symbol",
    "TabularPlayers",
    "TokenModel",
    "Tournament",
    "Trajectory",
    "Trembling",
    "Updating",
    "Vector",
    "Walker",
    "adjust",
    "against_fixed",
    "ashlock",
    "axelrod_automata",
    "axelrod_parts",
    "best_response",
    "coala",
    "compare",
    "configure",
    "cooperation",
    "curves",
    "discounted_returns",
    "enforced_relation",
    "engines",
    "excess_loss_by_round",
    "extortion",
    "fit_extortion",
    "fixation_of_a_mutant",
    "interquartile_mean",
    "join",
    "joint_distribution",
    "load",
    "mean_rewards",
    "moran",
    "named_automaton",
    "named_strategy",
    "named_walker",
    "play_match",
    "preset",
    "pretrained",
    "price_of_defection",
    "prisoners_dilemma",
    "probability_of_improvement",
    "projected_gradients",
    "random_automata",
    "random_memory",
    "register_experiment",
    "register_game",
    "regrets",
    "replicator",
    "resume",
    "shaping",
    "signature",
    "stationary_rewards",
    "sweep",
    "tournament",
    "train",
    "uniform",
]
