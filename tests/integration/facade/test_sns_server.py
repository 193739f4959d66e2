"""The catalogue of measurements: a folder of ISQ files, read directly and over HTTP."""

import copy
import json
import os
import threading

import pytest

import xfworkerutil
from tests.contract.suites.facade_project import ScriptProject, http_place, memory_place
from tests.integration.facade.faulty_wire import FaultyWire
from xfworker.api.composition.measurements import folder_catalogue
from xfworker.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    RecordNotFound,
    ServerError,
    TransferInterrupted,
    UsageError,
)
from xfworker.services.platform.options import PlatformOptions
from xfworker.testing.contracts.sns_server import isq_file


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    (folder / "deep").mkdir()
    (folder / "a.ISQ;1").write_bytes(isq_file(patient=1, measurement=10))
    (folder / "deep" / "b.dat").write_bytes(isq_file(patient=1, measurement=11, size=(5, 5, 400), site=4))
    (folder / "c.isq").write_bytes(isq_file(patient=2, measurement=12))
    (folder / "broken.isq").write_bytes(isq_file(measurement=13)[:500])
    (folder / "short.isq").write_bytes(isq_file(measurement=14)[:-3])
    (folder / "notes.txt").write_text("no scan")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory, scans):
    with http_place(tmp_path_factory.mktemp("sns"), database="memory:", sns=scans) as made:
        yield made


@pytest.fixture
def worker(place, tmp_path):
    return ScriptProject.make(place, tmp_path).worker()


@pytest.fixture
def params(worker):
    with worker.server_connection() as connection:
        return xfworkerutil.get_xf_default_sns_server_connection_params(connection)


class TestFolder:
    def test_isq_files_are_found_by_content(self, scans):
        found = folder_catalogue(scans).measurements()
        assert [(item.patient_index, item.measurement_index) for item in found] == [(1, 10), (1, 11), (2, 12)]
        assert [item.filename for item in found] == ["a.ISQ;1", "b.dat", "c.isq"]
        assert (found[1].size, found[1].site, found[1].scanner_id) == ((5, 5, 400), 4, 3401)
        assert found[1].spacing_mm == pytest.approx((0.01, 0.01, 0.01))
        assert found[0].name == "SAMPLE"
        assert "SAMPLE" not in repr(found[0])

    def test_the_catalogue_follows_the_folder(self, tmp_path):
        catalogue = folder_catalogue(tmp_path)
        assert list(catalogue.measurements()) == []
        (tmp_path / "a.isq").write_bytes(isq_file(measurement=1))
        assert len(catalogue.measurements()) == 1
        (tmp_path / "a.isq").rename(tmp_path / "b.isq")
        assert [item.filename for item in catalogue.measurements()] == ["b.isq"]

    def test_the_newer_of_two_files_of_one_measurement_is_fetched(self, tmp_path):
        for name, site, when in (("new", 2, 2_000_000_000), ("old", 1, 1_000_000_000)):
            (tmp_path / name).write_bytes(isq_file(measurement=1, site=site))
            os.utime(tmp_path / name, (when, when))
        path = folder_catalogue(tmp_path).download(1, tmp_path / "fetched")
        assert path.read_bytes() == isq_file(measurement=1, site=2)

    def test_links_out_of_the_folder_are_left_alone(self, tmp_path):
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        inside.mkdir()
        outside.mkdir()
        (outside / "secret.isq").write_bytes(isq_file())
        (inside / "link.isq").symlink_to(outside / "secret.isq")
        assert list(folder_catalogue(inside).measurements()) == []

    def test_a_folder_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(ConfigurationError, match="nowhere"):
            folder_catalogue(tmp_path / "nowhere")

    def test_a_folder_can_be_connected_to_directly(self, scans, tmp_path):
        with xfworkerutil.get_sns_server_connection({"folder": str(scans)}) as connection:
            assert len(connection.measurements(patient_index=1)) == 2
            path = connection.download(12, tmp_path / "c.isq")
        assert path.read_bytes() == isq_file(patient=2, measurement=12)


class TestHttp:
    def test_the_default_server_lists_and_gives_measurements(self, params, tmp_path):
        with xfworkerutil.get_sns_server_connection(params) as connection:
            found = connection.measurements()
            assert [item["measurement_index"] for item in found] == [10, 11, 12]
            assert found[1]["size"] == [5, 5, 400]
            assert connection.measurements(measurement_index=12)[0]["patient_index"] == 2
            assert connection.measurements(patient_index=77) == []
            path = connection.download(11, tmp_path / "b.isq")
        assert path.read_bytes() == isq_file(patient=1, measurement=11, size=(5, 5, 400), site=4)
        assert [item.name for item in tmp_path.glob(".xfpart*")] == []

    def test_a_measurement_that_is_not_there_leaves_nothing(self, params, tmp_path):
        folder = tmp_path / "empty"
        folder.mkdir()
        with xfworkerutil.get_sns_server_connection(params) as connection:
            with pytest.raises(RecordNotFound, match="99"):
                connection.download(99, folder / "x.isq")
            with pytest.raises(UsageError):
                connection.download("12", folder / "x.isq")
        assert list(folder.iterdir()) == []

    def test_the_parameters_show_no_secret(self, params, worker):
        secret = worker.session.arguments.server_auth
        assert secret not in repr(params)
        assert secret not in json.dumps(params)
        assert params["url"].endswith("/sns/v1")
        assert dict(copy.deepcopy(params)) == dict(params)

    def test_a_copy_of_the_parameters_uses_the_environments_token(self, params, worker, monkeypatch):
        with xfworkerutil.get_sns_server_connection(dict(params)) as connection, pytest.raises(AuthenticationFailed):
            connection.measurements()
        for name, value in worker.session.arguments.to_environment().items():
            monkeypatch.setenv(name, value)
        with xfworkerutil.get_sns_server_connection(dict(params)) as connection:
            assert len(connection.measurements()) == 3

    def test_the_scripts_token_goes_to_its_own_server_only(self, worker, monkeypatch):
        for name, value in worker.session.arguments.to_environment().items():
            monkeypatch.setenv(name, value)
        wire = FaultyWire(int(worker.session.arguments.server_port))
        params = {"host": "127.0.0.1", "port": wire.port}
        connecting = xfworkerutil.get_sns_server_connection(params)
        with wire, connecting as connection, pytest.raises(AuthenticationFailed):
            connection.measurements()
        assert worker.session.arguments.server_auth.encode() not in wire.sent

    def test_host_and_port_with_a_token_are_enough(self, worker):
        arguments = worker.session.arguments
        named = {"host": arguments.server_host, "port": arguments.server_port, "token": arguments.server_auth}
        with xfworkerutil.get_sns_server_connection(named) as connection:
            assert len(connection.measurements()) == 3

    @pytest.mark.parametrize("wrong", [None, 3, {}, {"host": "x"}, {"port": 3}, {"host": "x", "port": "y"}])
    def test_parameters_that_name_no_server_are_refused(self, wrong):
        with pytest.raises(UsageError, match=r"SNS|sns"):
            xfworkerutil.get_sns_server_connection(wrong).__enter__()

    def test_the_functions_for_the_xf_server_do_not_take_it(self, params):
        with (
            xfworkerutil.get_sns_server_connection(params) as connection,
            pytest.raises(UsageError, match="SNS server"),
        ):
            xfworkerutil.get_xf_job(connection, 1)

    def test_a_script_whose_attempt_is_over_sees_nothing_more(self, worker, params):
        worker.finish({"volume": 1})
        with xfworkerutil.get_sns_server_connection(params) as connection, pytest.raises(Exception, match="over"):
            connection.measurements()

    def test_a_cut_link_is_taken_up_where_it_broke(self, worker, tmp_path):
        arguments = worker.session.arguments
        with FaultyWire(int(arguments.server_port), cut_after=9000) as wire:
            named = {"host": "127.0.0.1", "port": wire.port, "token": arguments.server_auth}
            with xfworkerutil.get_sns_server_connection(named) as connection:
                path = connection.download(11, tmp_path / "b.isq")
        assert path.read_bytes() == isq_file(patient=1, measurement=11, size=(5, 5, 400), site=4)
        assert wire.connections > 2

    def test_a_link_that_never_carries_anything_is_given_up(self, worker, tmp_path):
        arguments = worker.session.arguments
        folder = tmp_path / "none"
        folder.mkdir()
        with FaultyWire(int(arguments.server_port), cut_after=0) as wire:
            named = {"host": "127.0.0.1", "port": wire.port, "token": arguments.server_auth}
            connecting = xfworkerutil.get_sns_server_connection(named)
            with connecting as connection, pytest.raises((TransferInterrupted, ServerError)):
                connection.download(11, folder / "b.isq")
        assert list(folder.iterdir()) == []

    def test_many_list_at_once(self, params):
        found = []

        def look():
            with xfworkerutil.get_sns_server_connection(params) as connection:
                found.append(len(connection.measurements()))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [3] * 8


def test_without_a_catalogue_there_is_no_default_server(tmp_path):
    worker = ScriptProject.make(memory_place(), tmp_path).worker()
    with worker.server_connection() as connection:
        assert xfworkerutil.get_xf_default_sns_server_connection_params(connection) is None


def test_a_folder_can_be_the_default_server(tmp_path, scans):
    options = PlatformOptions(global_config={"default_sns_server": {"folder": str(scans)}})
    worker = ScriptProject.make(memory_place(options=options), tmp_path).worker()
    with worker.server_connection() as connection:
        params = xfworkerutil.get_xf_default_sns_server_connection_params(connection)
    with xfworkerutil.get_sns_server_connection(params) as connection:
        assert len(connection.measurements()) == 3
