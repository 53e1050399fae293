"""How to explore: searches over what a model could write.

Every search runs the same way::

    result = BestOfN(n=16).run(model, prompt, reward)
"""

from guided.search.adadec import AdaDec
from guided.search.adadec_threshold import learn_threshold
from guided.search.aligned.asap import ASAp
from guided.search.aligned.awrs import AWRS
from guided.search.aligned.cars import ARS, CARS
from guided.search.aligned.mcmc import MCMC
from guided.search.aligned.rejection import Rejection
from guided.search.aligned.tries import Tries
from guided.search.args import ARGS
from guided.search.astar import AStar
from guided.search.beam import Beam
from guided.search.best_of_n import BestOfN
from guided.search.budget import Budget
from guided.search.cntp import CNTP
from guided.search.controlled import ControlledDecoding
from guided.search.deal import DeAL
from guided.search.denoising import DenoisingSMC
from guided.search.dvts import DVTS
from guided.search.first_finish import FirstFinish
from guided.search.greedy import Greedy
from guided.search.mh_power import MHPower
from guided.search.particle_filter import ParticleFilter
from guided.search.pooling import Pool, pool
from guided.search.power_smc import PowerSMC
from guided.search.results import Candidate, SearchResult
from guided.search.reward_smc import SMC
from guided.search.search import Search
from guided.search.segmenter import Delimiter, Punctuation, Segmenter, Tokens
from guided.search.transfer_q import TransferQ
from guided.search.voting import Majority, WeightedMajority, final_answer, pass_at_k

__all__ = [
    "ARGS",
    "ARS",
    "AWRS",
    "CARS",
    "CNTP",
    "DVTS",
    "MCMC",
    "SMC",
    "ASAp",
    "AStar",
    "AdaDec",
    "Beam",
    "BestOfN",
    "Budget",
    "Candidate",
    "ControlledDecoding",
    "DeAL",
    "Delimiter",
    "DenoisingSMC",
    "FirstFinish",
    "Greedy",
    "MHPower",
    "Majority",
    "ParticleFilter",
    "Pool",
    "PowerSMC",
    "Punctuation",
    "Rejection",
    "Search",
    "SearchResult",
    "Segmenter",
    "Tokens",
    "TransferQ",
    "Tries",
    "WeightedMajority",
    "final_answer",
    "learn_threshold",
    "pass_at_k",
    "pool",
]
