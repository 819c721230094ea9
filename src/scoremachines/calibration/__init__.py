"""k(t) and λ(t) of a trained network, and predictions without one (theory §3)."""

from __future__ import annotations

from scoremachines.calibration.curves import MEASURES as MEASURES
from scoremachines.calibration.curves import Curves as Curves
from scoremachines.calibration.joint import JointCalibration as JointCalibration
from scoremachines.calibration.joint import calibrate_jointly as calibrate_jointly
from scoremachines.calibration.joint import predict_jointly as predict_jointly
from scoremachines.calibration.predicted import RULES as RULES
from scoremachines.calibration.predicted import predict_windows as predict_windows
from scoremachines.calibration.search import SEARCHES as SEARCHES
from scoremachines.calibration.strength import StrengthCalibration as StrengthCalibration
from scoremachines.calibration.strength import calibrate_strength as calibrate_strength
from scoremachines.calibration.windows import Calibration as Calibration
from scoremachines.calibration.windows import calibrate as calibrate

__all__ = [
    "MEASURES",
    "RULES",
    "SEARCHES",
    "Calibration",
    "Curves",
    "JointCalibration",
    "StrengthCalibration",
    "calibrate",
    "calibrate_jointly",
    "calibrate_strength",
    "predict_jointly",
    "predict_windows",
]
