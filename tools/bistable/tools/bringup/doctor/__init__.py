"""Look at a live device: what is set up wrong, and what to change in which file."""

from bistable.tools.bringup.doctor.examine import Commands, Diagnosis, examine
from bistable.tools.bringup.doctor.finding import Finding

__all__ = ["Commands", "Diagnosis", "Finding", "examine"]
