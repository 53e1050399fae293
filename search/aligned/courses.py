"""What a measured branch says of the laws along its text."""

from __future__ import annotations

import numpy as np

from guided.controls.measured_mask import measured_state
from guided.decoding import Branch
from guided.search.aligned.metropolis import Course


def course_of(branch: Branch) -> Course:
    """The laws along a whole text that was drawn under a `MeasuredMask`."""
    path = measured_state(branch.pipeline.controls, branch.states).path()
    seen = [node.measure for node in path if node.measure is not None]
    log_m = np.array([measure.log_mass for measure in seen])
    entropies = np.array([measure.entropy for measure in seen])
    return Course(tuple(branch.tokens), np.array(branch.log_q) + log_m, log_m, entropies)
