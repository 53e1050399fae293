"""Questions with answers, solved by searches: what `guided solve` and its example are made of."""

from guided.solving.comparison import Tally, compare
from guided.solving.equations import Equations
from guided.solving.methods import make_method, method_names
from guided.solving.problems import Problem, read_problems
from guided.solving.prompting import Prompting
from guided.solving.solver import Solution, Solver

__all__ = [
    "Equations",
    "Problem",
    "Prompting",
    "Solution",
    "Solver",
    "Tally",
    "compare",
    "make_method",
    "method_names",
    "read_problems",
]
