"""Weight files: what is written is read, and what is not ours, not whole, or could run code is refused in a
sentence."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_nano import image, prompt, small_config, small_network

from memseg.errors import FileError, ModelError
from memseg.networks.nano import NanoConfig
from memseg.segmenters import nano_weights


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "nano.safetensors"
    nano_weights.save(path, small_network(), note="a test")
    return path


def header_of(path) -> dict:
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])


def test_a_network_comes_back_with_its_configuration_and_its_weights_in_half_precision(weights):
    network, loaded = small_network(), nano_weights.load(weights)
    assert loaded.config == small_config()
    expected = {name: value.half().float() for name, value in network.state_dict().items()}
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_loaded_network_answers_alike(weights):
    networks = small_network(), nano_weights.load(weights)
    first, second = (each.answer(each.encode(*image()), prompt(torch.zeros(1, 3))).logits for each in networks)
    assert torch.allclose(first, second, atol=0.05)


def test_the_header_says_what_the_file_is(weights):
    metadata = header_of(weights)["__metadata__"]
    assert metadata["model"] == "memseg-nano" and metadata["note"] == "a test"
    assert len(metadata["sha256"]) == 64


@pytest.mark.parametrize("config", [NanoConfig(), small_config("sparse"), small_config(blocks=(0, 1, 2))])
def test_a_configuration_survives_the_round_trip_through_words(config):
    assert nano_weights.config_from_words(nano_weights.config_to_words(config)) == config


@pytest.mark.parametrize("kept", [0, 5, 100, -1, -5000])
def test_a_file_that_was_cut_short_is_refused(weights, kept):
    raw = weights.read_bytes()
    weights.write_bytes(raw[:kept])
    with pytest.raises(ModelError, match="cut short or damaged"):
        nano_weights.load(weights)


def test_a_file_in_which_one_byte_changed_is_refused(weights):
    raw = bytearray(weights.read_bytes())
    raw[-2] ^= 1
    weights.write_bytes(bytes(raw))
    with pytest.raises(ModelError, match="changed since"):
        nano_weights.load(weights)


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "nano.safetensors"
    save_file({"conv.weight": torch.zeros(3)}, str(path), {"model": "unet"})
    with pytest.raises(ModelError, match="of another model"):
        nano_weights.load(path)


def test_a_configuration_that_does_not_fit_the_tensors_is_refused(weights):
    tensors = load_file(weights)
    metadata = header_of(weights)["__metadata__"]
    metadata["config"] = nano_weights.config_to_words(small_config(blocks=(3, 1, 1)))
    save_file(tensors, str(weights), metadata)
    with pytest.raises(ModelError, match="do not fit"):
        nano_weights.load(weights)


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


@pytest.mark.parametrize(
    "write", [lambda path: path.write_bytes(pickle.dumps(Trap())), lambda path: torch.save(Trap(), path)]
)
def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "nano.safetensors"
    write(path)
    with pytest.raises(ModelError, match="could run code"):
        nano_weights.load(path)
    assert not (tmp_path / "trapped").exists()


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ModelError, match="nano.safetensors are missing"):
        nano_weights.load(tmp_path / "nano.safetensors")


def test_weights_that_cannot_be_written_say_so(tmp_path):
    with pytest.raises(FileError, match="choose another place"):
        nano_weights.save(tmp_path / "nowhere" / "nano.safetensors", small_network())
