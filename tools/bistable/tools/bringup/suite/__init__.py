"""The conformance suite: that a board updates safely, shown on the board, whatever it is led by."""

from bistable.tools.bringup.suite.cases import CASES
from bistable.tools.bringup.suite.journal import Journal
from bistable.tools.bringup.suite.result import CaseResult, SuiteResult, Verdict
from bistable.tools.bringup.suite.runner import run_suite
from bistable.tools.bringup.suite.subject import Place, PlaceKind, Subject, Wishes

__all__ = [
    "CASES",
    "CaseResult",
    "Journal",
    "Place",
    "PlaceKind",
    "Subject",
    "SuiteResult",
    "Verdict",
    "Wishes",
    "run_suite",
]
