"""The document that describes the wire is the one that is checked in, and names every route there is."""

import json
import re
from pathlib import Path

from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.openapi import document, document_text
from xfworker.api.platform_bootstrap import memory_platform

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_checked_in_document_is_current():
    assert CHECKED_IN.read_text("utf-8") == document_text(), (
        "run: python -m xfworker.adapters.web.openapi > docs/openapi.json"
    )


def test_the_document_names_every_route_and_no_other():
    app = create_app(memory_platform())
    served = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method not in {"OPTIONS", "HEAD"}
    }
    described = {(path, method.upper()) for path, methods in document()["paths"].items() for method in methods}
    assert described == served


def test_every_reference_of_the_document_leads_somewhere():
    text = document_text()
    schemas = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)
