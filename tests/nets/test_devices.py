import pytest

torch = pytest.importorskip("torch")

from reconflow.nets.batches import BatchRunner  # noqa: E402
from reconflow.nets.devices import _multiply_exactly, autocast, bound_gpu_memory, spares_memory, torch_device  # noqa: E402


@pytest.fixture
def unbounded():
    """The process may take all memory again afterwards."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_process_has_the_share_of_the_gpu_that_was_named_last(monkeypatch):
    told = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    for fraction in (0.9, 0.5, 0.9):
        bound_gpu_memory(fraction)
    assert told[-1] == 0.9


@pytest.fixture
def in_tf32():
    """What multiplies in TF32 until it is told otherwise; afterwards what it did before."""
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    _multiply_exactly.cache_clear()
    yield backends
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed
    _multiply_exactly.cache_clear()


def test_float32_is_float32_on_a_gpu(in_tf32, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device().type == "cpu"
    assert [backend.allow_tf32 for backend in in_tf32] == [True, True]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device().type == "cuda"
    assert [backend.allow_tf32 for backend in in_tf32] == [False, False]


def test_without_a_gpu_there_is_nothing_to_bound(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda _: pytest.fail("there is no GPU"))
    bound_gpu_memory(0.5)


@pytest.mark.parametrize(
    ("device", "has_bfloat16", "dtype"),
    [("cuda", True, torch.bfloat16), ("cuda", False, torch.float16), ("cpu", False, None)],
)
def test_precision_left_open_is_what_the_device_has_by_itself(monkeypatch, device, has_bfloat16, dtype):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: has_bfloat16)
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda kind, *, dtype, enabled: asked.append((kind, enabled and dtype)))
    autocast(torch.device(device), "auto")
    assert asked == [(device, dtype or False)]


def test_what_fits_on_no_gpu_is_done_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []

    @spares_memory
    def work(room_on):
        asked.append(torch_device().type)
        if asked[-1] not in room_on:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return len(asked)

    assert work(["cuda"]) == 1
    assert work(["cpu"]) == 4
    assert asked == ["cuda", "cuda", "cuda", "cpu"]
    assert torch_device().type == "cuda"
    with pytest.raises(torch.OutOfMemoryError):
        work([])
    assert torch_device().type == "cuda"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_shrink_until_they_fit_into_the_bound(unbounded):
    _, total = torch.cuda.mem_get_info()
    fraction = min(0.5, (1 << 30) / total)
    bound_gpu_memory(fraction)
    torch.cuda.reset_peak_memory_stats()
    block = int(0.3 * fraction * total)

    def taken(batch):
        kept = [torch.empty(block, dtype=torch.uint8, device="cuda") for _ in batch]
        return [each.numel() for each in kept]

    assert list(BatchRunner(8).map(taken, list(range(8)))) == [block] * 8
    assert torch.cuda.max_memory_allocated() <= fraction * total
