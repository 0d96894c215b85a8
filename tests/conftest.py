import argparse
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("reconflow", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("reconflow")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder")
    return Path(value)


@pytest.fixture
def interruptible():
    """A shell has what it runs in the background ignore interrupts, and its children would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photos with ground truth."""
    return _folder("RECONFLOW_TEST_DATA")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of model weights."""
    return _folder("RECONFLOW_WEIGHTS")


@contextlib.contextmanager
def _database(kind, folder):
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}"
        return
    from sqlalchemy import create_engine, text

    server = os.environ.get("RECONFLOW_TEST_POSTGRES")
    if not server:
        pytest.skip("RECONFLOW_TEST_POSTGRES names no PostgreSQL server")
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture(scope="session")
def database():
    """Makes fresh databases, as contexts that give a URL: ``"sqlite"``, a file in a folder, or ``"postgresql"``.

    The latter is one of the server that RECONFLOW_TEST_POSTGRES names; where it names none, the test is skipped.
    """
    return _database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, database, tmp_path):
    """A fresh database of each kind."""
    with database(request.param, tmp_path) as url:
        yield url


class Noise:
    """Photos that are but noise, and ZIPs of them."""

    @staticmethod
    def picture(seed=0, size=(64, 48)):
        import numpy as np
        from PIL import Image

        pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        return content.getvalue()

    @classmethod
    def entries(cls, count, folder=""):
        return [(f"{folder}{seed}.png", cls.picture(seed)) for seed in range(count)]

    @staticmethod
    def pack(path, entries, method=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return path


@pytest.fixture(scope="session")
def noise():
    """The class that makes photos of noise, and ZIPs."""
    return Noise


MAST3R_SIZES = {"encoder": (64, 2), "decoder": (64, 2), "head": 48}
"""Width and depth of the encoder and of the decoders, hidden width of the heads."""


def _norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name, into, out):
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _mlp(name, width):
    return _linear(f"{name}.fc1", width, 2 * width) | _linear(f"{name}.fc2", 2 * width, width)


def _attention(name, width):
    return _linear(f"{name}.qkv", width, 3 * width) | _linear(f"{name}.proj", width, width)


def _small_manifest():
    """Names and shapes of a checkpoint of the smallest useful size."""
    (wide, depth), (narrow, layers) = MAST3R_SIZES["encoder"], MAST3R_SIZES["decoder"]
    shapes = {
        "mask_token": (1, 1, narrow),
        "patch_embed.proj.weight": (wide, 3, 16, 16),
        "patch_embed.proj.bias": (wide,),
    }
    for i in range(depth):
        block = f"enc_blocks.{i}"
        shapes |= _norm(f"{block}.norm1", wide) | _norm(f"{block}.norm2", wide)
        shapes |= _attention(f"{block}.attn", wide) | _mlp(f"{block}.mlp", wide)
    for block in (f"{blocks}.{i}" for blocks in ("dec_blocks", "dec_blocks2") for i in range(layers)):
        for name in ("norm1", "norm2", "norm3", "norm_y"):
            shapes |= _norm(f"{block}.{name}", narrow)
        for part in ("projq", "projk", "projv", "proj"):
            shapes |= _linear(f"{block}.cross_attn.{part}", narrow, narrow)
        shapes |= _attention(f"{block}.attn", narrow) | _mlp(f"{block}.mlp", narrow)
    for head in ("downstream_head1", "downstream_head2"):
        features = f"{head}.head_local_features"
        shapes |= _linear(f"{features}.fc1", wide + narrow, MAST3R_SIZES["head"]) | _linear(
            f"{features}.fc2", MAST3R_SIZES["head"], 25 * 256
        )
    return shapes | _norm("enc_norm", wide) | _norm("dec_norm", narrow) | _linear("decoder_embed", wide, narrow)


@pytest.fixture(scope="session")
def small_state() -> dict:
    """Seeded tensors of a small MASt3R by name."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, shape in _small_manifest().items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            state[name] = noise / noise[0].numel() ** 0.5
        else:
            state[name] = 0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return state


@pytest.fixture(scope="session")
def small_weights(small_state, tmp_path_factory) -> Path:
    """A checkpoint file as its authors would write it."""
    import torch

    path = tmp_path_factory.mktemp("mast3r") / "mast3r.pth"
    torch.save({"args": argparse.Namespace(lr=1e-4), "model": small_state}, path)
    return path


def _small_dinov2():
    """Names and shapes of a DINOv2 of two heads and three blocks, trained on 5 × 5 tokens."""
    wide = 128
    shapes = {
        "cls_token": (1, 1, wide),
        "pos_embed": (1, 26, wide),
        "mask_token": (1, wide),
        "patch_embed.proj.weight": (wide, 3, 14, 14),
        "patch_embed.proj.bias": (wide,),
    }
    for block in (f"blocks.{i}" for i in range(3)):
        shapes |= _norm(f"{block}.norm1", wide) | _norm(f"{block}.norm2", wide)
        shapes |= _attention(f"{block}.attn", wide) | {f"{block}.ls1.gamma": (wide,), f"{block}.ls2.gamma": (wide,)}
        shapes |= _linear(f"{block}.mlp.fc1", wide, 4 * wide) | _linear(f"{block}.mlp.fc2", 4 * wide, wide)
    return shapes | _norm("norm", wide)


@pytest.fixture(scope="session")
def dinov2_state() -> dict:
    """Tensors of a small DINOv2 by name, seeded by these names: the authors' code was run with them too."""
    torch = pytest.importorskip("torch")
    state = {}
    for name, shape in _small_dinov2().items():
        noise = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
        is_matrix = len(shape) > 1 and name not in ("cls_token", "pos_embed")
        noise *= noise[0].size ** -0.5 if is_matrix else 0.3
        state[name] = torch.from_numpy((noise + ("norm" in name and name.endswith("weight"))).astype(np.float32))
    return state


@pytest.fixture(scope="session")
def dinov2_weights(dinov2_state, tmp_path_factory) -> Path:
    """A file of them as its authors would write it."""
    import torch

    path = tmp_path_factory.mktemp("dinov2") / "dinov2_vits14_pretrain.pth"
    torch.save(dinov2_state, path)
    return path


@pytest.fixture
def bytes_read(monkeypatch):
    """Counts the bytes of chunks and metadata that this process reads from packs: those since it was last asked."""
    from zarr.storage import ZipStore

    sizes = []
    plain = ZipStore.get

    async def counted(self, *arguments, **options):
        content = await plain(self, *arguments, **options)
        sizes.append(0 if content is None else len(content))
        return content

    monkeypatch.setattr(ZipStore, "get", counted)

    def since_last():
        total = sum(sizes)
        sizes.clear()
        return total

    return since_last


class FileServer(ThreadingHTTPServer):
    """Gives files over HTTP, some of them badly."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FileRequest)
        self.files: dict[str, tuple[bytes, str]] = {}
        self.asked: list[str] = []

    def give(self, path: str, content: bytes, *, fault: str = "") -> None:
        """Serve ``content``: whole, or truncated, as other bytes, missing, or with the line cut before the answer."""
        self.files[path] = content, fault

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class FileRequest(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self):
        self.server.asked.append(self.path)
        content, fault = self.server.files.get(self.path, (b"", "missing"))
        if fault == "silent":
            self.close_connection = True
            return
        if fault == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        body = {"truncated": content[: len(content) // 2], "other": content[::-1]}.get(fault, content)
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with FileServer() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


class Serving:
    """``reconflow serve`` in a process of its own, with its output read along.

    ``url`` is where it listens, once it has said so.
    """

    def __init__(self, data_dir, *options, **environment):
        command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECONFLOW_")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | environment
        )
        self.said = ""
        self._url = None
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said += line
            if self._url is None and (found := re.search(r"Web service: (http://\S+)", line)):
                self._url = found.group(1)
                self._listening.set()
        self._listening.set()

    @property
    def url(self):
        assert self._listening.wait(60), f"it says nothing: {self.said}"
        assert self._url, f"it does not listen: {self.said}"
        return self._url

    def wait_until_up(self, path="/health", timeout_s=90):
        import httpx

        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url + path).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not up: {self.said}")

    def end(self, number=signal.SIGTERM, timeout_s=30):
        """Send a signal and wait for the end; return how long it took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=timeout_s)
        took = time.monotonic() - started
        self._reader.join(timeout=timeout_s)
        self.process.stdout.close()
        return took


@pytest.fixture(scope="session")
def serving():
    """The class that starts a service, for fixtures that live longer than a test."""
    return Serving


@pytest.fixture
def serve(tmp_path):
    """Starts services on one data directory: ``serve("--workers", "2", RECONFLOW_LEASE_S="3")``."""
    running = []

    def start(*options, **environment):
        running.append(Serving(tmp_path / "data", *options, **environment))
        return running[-1]

    yield start
    for each in running:
        each.end(signal.SIGKILL)
