"""The document that describes the wire is the one that is checked in, and names every route there is."""

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest
from litestar.testing import TestClient

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.fss.service import MOUNT, FileStorageService, fss_handler
from xfworker.adapters.web.image_routes import image_api
from xfworker.adapters.web.openapi import document, document_text
from xfworker.adapters.web.sns_routes import sns_router
from xfworker.api.composition.measurements import folder_catalogue
from xfworker.api.composition.platform import memory_platform
from xfworker.api.composition.viewed_images import viewed_images
from xfworker.domain.files import VERBS, Scope, parse_resource
from xfworker.services.platform.principal import ADMIN

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_checked_in_document_is_current():
    assert CHECKED_IN.read_text("utf-8") == document_text(), (
        "run: python -m xfworker.adapters.web.openapi > docs/openapi.json"
    )


def test_whatever_is_asked_may_have_to_wait():
    public = {"/health", "/metrics", "/xf/v1/openapi.json"}
    for path, verbs in document()["paths"].items():
        for verb, operation in verbs.items():
            if path not in public and verb != "options":
                assert {"429", "503"} <= operation["responses"].keys(), (verb, path)


def test_the_document_names_every_route_and_no_other(tmp_path):
    (tmp_path / "scans").mkdir()
    platform = memory_platform()
    with viewed_images(FolderFileStore(tmp_path / "files"), tmp_path / "images") as images:
        routes = [sns_router(folder_catalogue(tmp_path / "scans"), platform), image_api(images, platform)]
        app = create_app(platform, routes=routes)
    served = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method not in {"OPTIONS", "HEAD"}
    }
    described = {
        (path, method.upper())
        for path, methods in document()["paths"].items()
        for method in methods
        if not path.startswith(MOUNT)
    }
    assert described == served


def store_paths():
    filled = {"source": "job_result", "serial": "1", "filename": "a.bin", "virtualpath": "a.bin"}
    filled |= {"upload": "0" * 32, "offset": "0"}
    return [(path.format(**filled), set(methods)) for path, methods in document()["paths"].items() if MOUNT in path]


@pytest.fixture
def store_client(tmp_path):
    platform = memory_platform()
    store = FolderFileStore(tmp_path)
    service = fss_handler(FileStorageService(store, PartialUploads(store), platform))
    scopes = [Scope(verb, parse_resource(place)) for verb in VERBS for place in ("job_result/1", "userdata")]
    token = platform.server_for(ADMIN).file_token(scopes).token
    with TestClient(create_app(platform, routes=[service])) as client:
        client.headers.update({"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"})
        yield client


@pytest.mark.parametrize(("path", "methods"), store_paths())
def test_the_file_store_has_the_described_requests_and_no_others(store_client, path, methods):
    answers = {
        method: store_client.request(method, path)
        for method in ("get", "head", "put", "post", "patch", "delete", "options")
    }
    refused = {method for method, answer in answers.items() if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED}
    assert answers.keys() - refused == methods
    if "/uploads" not in path:
        assert {answers[method].headers["Allow"] for method in refused} == {", ".join(sorted(methods)).upper()}


def test_every_reference_of_the_document_leads_somewhere():
    text = document_text()
    schemas = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)
