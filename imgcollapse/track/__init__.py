"""Experiment trackers of a run (`--track`): TensorBoard, Weights & Biases, Trackio."""

from imgcollapse.track.kinds import FOLDER, TRACKERS
from imgcollapse.track.tracker import Tracker, known, tracking

__all__ = ["FOLDER", "TRACKERS", "Tracker", "known", "tracking"]
