"""The report of a run of the conformance suite, for programs and for people."""

from bistable.tools.bringup.report.document import SCHEMA, Report, report_document
from bistable.tools.bringup.report.page import report_page
from bistable.tools.bringup.report.write import HTML_NAME, JSON_NAME, write_report

__all__ = ["HTML_NAME", "JSON_NAME", "SCHEMA", "Report", "report_document", "report_page", "write_report"]
