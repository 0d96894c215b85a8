"""A scheduler that speaks only TLS, with certificates made here: workers, runs and the service's runner come in."""

import datetime
import json
import os
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconflow.errors import ClusterError, ConfigError
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.settings import load_settings
from reconflow.pipeline.certificates import tls
from reconflow.pipeline.cluster import open_client

PEM = serialization.Encoding.PEM


def certify(folder):
    """Write a CA, and a certificate of it with its key."""
    folder.mkdir()
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("node", folder.name))
    now = datetime.datetime.now(datetime.UTC)

    def signed(subject, public_key, *, ca):
        builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.sign(authority, hashes.SHA256()).public_bytes(PEM)

    (folder / "ca.pem").write_bytes(signed(issuer, authority.public_key(), ca=True))
    (folder / "cert.pem").write_bytes(signed(name, key.public_key(), ca=False))
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return {part: str(folder / f"{part}.pem") for part in ("ca", "cert", "key")}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.fixture(scope="module")
def address(ours, tmp_path_factory):
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--protocol", "tls", "--no-dashboard", "--no-show"]
    files = ["--tls-ca-file", ours["ca"], "--tls-cert", ours["cert"], "--tls-key", ours["key"]]
    command = [sys.executable, "-m", "dask", "scheduler", *options, *files, "--scheduler-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
        process.kill()


def work(address, files, *, by_option):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECONFLOW_SCHEDULER")}
    command = [sys.executable, "-m", "reconflow.cli", "work", address, "--workers", "1", "--mapper"]
    if by_option:
        command += [text for part, path in files.items() for text in (f"--tls-{part}", path)]
    else:
        environment |= {f"RECONFLOW_SCHEDULER_TLS_{part.upper()}": path for part, path in files.items()}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_workers_and_the_runner_meet_at_a_scheduler_that_speaks_only_tls(address, ours, tmp_path):
    certificates = {f"scheduler_tls_{part}": path for part, path in ours.items()}
    settings = load_settings({}, data_dir=tmp_path, scheduler=address, **certificates)
    with (
        Ledger.open(settings.ledger_url) as ledger,
        work(address, ours, by_option=False) as workers,
        RunnerProcess(settings),
    ):
        deadline = time.monotonic() + 60
        while not any(runner.device for runner in ledger.runners(seen_since=0)):
            assert time.monotonic() < deadline, "no worker answers"
            time.sleep(0.2)
        assert [runner.device for runner in ledger.runners(seen_since=0)] == ["cpu"]
        workers.terminate()


@pytest.mark.slow
def test_workers_with_another_certificate_are_told_so_in_a_sentence(address, theirs):
    with work(address, theirs, by_option=True) as process:
        _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert f"the scheduler at {address} and we refuse each other's certificates" in " ".join(said.split())
    assert "Traceback" not in said


def test_a_client_is_told_in_a_sentence_what_does_not_fit(address, ours, theirs, tmp_path):
    mixed = [theirs, ours | {"ca": theirs["ca"]}, theirs | {"ca": ours["ca"]}]
    for files in mixed:
        with pytest.raises(ClusterError, match="refuse each other's certificates"):
            open_client(address, security=tls(**files))
    with pytest.raises(ClusterError, match="needs a CA, a certificate and a key"):
        open_client(address)
    with pytest.raises(ClusterError, match="speaks no TLS"):
        open_client(address.replace("tls://", "tcp://"), security=tls(**ours))
    with pytest.raises(ClusterError, match=r"gone\.pem is missing"):
        tls(**ours | {"ca": str(tmp_path / "gone.pem")})
    with pytest.raises(ClusterError, match="are no PEM that fits"):
        tls(**ours | {"key": theirs["key"]})


def test_settings_want_all_three_files_or_none():
    with pytest.raises(ConfigError, match=r"^RECONFLOW_SCHEDULER_TLS_CA: needs CA, CERT and KEY"):
        load_settings({"RECONFLOW_SCHEDULER_TLS_CA": "ca.pem"})
