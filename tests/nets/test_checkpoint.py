import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file

from reconflow.errors import WeightsError
from reconflow.nets.checkpoint import fill_module, load_tensors


@pytest.fixture
def tensors():
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


@pytest.fixture
def path(tmp_path, tensors):
    torch.save(tensors, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_tensors_come_back(path, tensors):
    found = load_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_safetensors_twin_holds_the_same(tmp_path, tensors):
    save_file(tensors, tmp_path / "model.safetensors")
    found = load_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_tensors_inside_a_checkpoint_with_its_options_are_found(tmp_path, tensors):
    torch.save({"model": tensors, "args": argparse.Namespace(lr=0.1), "epoch": 3}, tmp_path / "model.pth")
    assert load_tensors(tmp_path / "model.pth", inside="model").keys() == tensors.keys()


def test_a_file_of_an_old_torch_is_read_too(tmp_path, tensors):
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(load_tensors(tmp_path / "old.pth")["weight"], tensors["weight"])


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"no checkpoint", b"hello\n", b"<!DOCTYPE html>", b"", b"R\x00q\x01.", bytes(64)])
def test_what_is_no_checkpoint_is_an_error_that_names_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_tensors(tmp_path / name)


def test_a_truncated_file_is_an_error(path):
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_tensors(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [lambda bomb, file: torch.save({"w": bomb}, file), pickle.dump])
def test_a_file_cannot_run_code(tmp_path, write):
    with (tmp_path / "bomb.pth").open("wb") as file:
        write(Bomb(), file)
    with pytest.raises(WeightsError, match="is no checkpoint"):
        load_tensors(tmp_path / "bomb.pth")


def test_a_module_is_filled_and_set_to_evaluation(path, tensors):
    module = torch.nn.Linear(3, 2)
    fill_module(module, tensors, path=path)
    assert torch.equal(module.weight, tensors["weight"])
    assert not module.training
    assert not module.weight.requires_grad


def test_a_missing_tensor_is_named(path, tensors):
    del tensors["bias"]
    with pytest.raises(WeightsError, match="has no bias"):
        fill_module(torch.nn.Linear(3, 2), tensors, path=path)
    fill_module(torch.nn.Linear(3, 2), tensors, path=path, derived=("bias",))


def test_a_tensor_without_use_is_named_unless_it_is_knowingly_skipped(path, tensors):
    tensors["head.weight"] = torch.ones(1)
    with pytest.raises(WeightsError, match=r"has unknown head\.weight"):
        fill_module(torch.nn.Linear(3, 2), tensors, path=path)
    fill_module(torch.nn.Linear(3, 2), tensors, path=path, skipped=("head.",))


def test_a_tensor_of_another_shape_is_named(path, tensors):
    tensors["weight"] = torch.ones(3, 2)
    with pytest.raises(WeightsError, match="has another shape of weight"):
        fill_module(torch.nn.Linear(3, 2), tensors, path=path)
