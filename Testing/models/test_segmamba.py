"""The five networks: names, sizes and answers of the published ones, and what each stage sees."""

from __future__ import annotations

import json

import pytest
import torch
from published import DATA, TOLERANCE, differs, drawn, filled
from torch import Tensor

from memseg.networks.segmamba import VARIANTS, AutoConfig, AutoNetwork, without_repeats

GOLDEN = json.loads((DATA / "golden-mamba.json").read_text())["taming_mambas"]
AUTHORS = {
    "segmamba": "SegMamba",
    "bisegmamba": "PanSegMamba",
    "multisegmamba": "MultiSegMamba",
    "segmambaskip": "SegMambaSkip",
}


def small(variant: str, inputs: int = 1, classes: int = 3) -> AutoConfig:
    return AutoConfig(
        variant,
        inputs,
        classes,
        channels=(8, 16, 24),
        kernels=((3, 3, 3),) * 3,
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        blocks=(2, 2, 2),
        decoder_blocks=(2, 2),
    )


def image() -> Tensor:
    return torch.from_numpy(drawn("taming.net", (1, 1, 8, 16, 16)))


def published(variant: str) -> dict[str, tuple[int, ...]]:
    rows = (line.split("\t") for line in (DATA / "keys-taming-mambas.tsv").read_text().splitlines())
    return {
        name: tuple(map(int, sizes.split()))
        for networks, name, sizes in rows
        if networks == "all" or variant in networks.split()
    }


@pytest.mark.parametrize("variant", AUTHORS)
def test_names_and_shapes_are_those_of_the_published_networks(variant: str) -> None:
    with torch.device("meta"):
        network = AutoNetwork(AutoConfig(variant, inputs=4, classes=4))
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == published(variant)


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("segmamba", 61.38), ("bisegmamba", 65.02), ("segmambaskip", 65.02), ("multisegmamba", 78.23)],
)
def test_the_networks_are_as_large_as_the_published_ones(variant: str, millions: float) -> None:
    with torch.device("meta"):
        network = AutoNetwork(AutoConfig(variant, inputs=4, classes=4))
    assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("variant", AUTHORS)
def test_a_network_answers_as_the_authors(variant: str) -> None:
    network = filled(AutoNetwork(small(variant))).train()
    fine, coarse = network(image())
    assert differs(fine, GOLDEN[f"{AUTHORS[variant]}.net3"]["out0"]) < TOLERANCE
    assert differs(coarse, GOLDEN[f"{AUTHORS[variant]}.net3"]["out1"]) < TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_outside_training_only_the_finest_answer_is_given(variant: str) -> None:
    network = filled(AutoNetwork(small(variant)))
    (answer,) = network(image())
    torch.testing.assert_close(answer, network.train()(image())[0])


def test_with_the_skips_alone_the_encoder_is_that_of_the_plain_network() -> None:
    plain, skip = AutoNetwork(small("unet")), filled(AutoNetwork(small("segmambaskip")))
    own = {name: value for name, value in skip.state_dict().items() if "mamba_layers" not in name}
    plain.load_state_dict(own)
    for mine, theirs, layer in zip(plain.encoder(image()), skip.encoder(image()), skip.encoder.mamba_layers):
        torch.testing.assert_close(layer(mine), theirs)


def test_an_image_whose_sides_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not divisible by \(4, 4, 4\)"):
        AutoNetwork(small("unet"))(torch.zeros(1, 1, 8, 16, 18))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"variant": "mambo"}, "'mambo' is none"),
        ({"strides": ((1, 1, 1),)}, "for each stage"),
        ({"decoder_blocks": (2,)}, "one stage fewer"),
        ({"classes": 1}, "at least 2"),
    ],
)
def test_a_plan_that_makes_no_network_is_refused(changed: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AutoConfig(**changed)


class TestPublishedFiles:
    def repeated(self, network: AutoNetwork) -> dict[str, Tensor]:
        """As the authors' files: the decoder names the encoder's tensors again, convolutions name their parts again."""
        state = {}
        for name, value in network.state_dict().items():
            state[name] = value
            for part, number in (("conv", 0), ("norm", 1)):
                head, found, tail = name.rpartition(f".{part}.")
                if found and "mamba_layers" not in name:
                    state[f"{head}.all_modules.{number}.{tail}"] = value
        state |= {f"decoder.{name}": value for name, value in state.items() if name.startswith("encoder.")}
        return state

    def test_a_file_with_repetitions_loads_strictly(self) -> None:
        network = filled(AutoNetwork(small("bisegmamba")))
        other = AutoNetwork(small("bisegmamba"))
        other.load_state_dict(without_repeats(self.repeated(network)), strict=True)
        torch.testing.assert_close(other.eval()(image())[0], network(image())[0])

    def test_repetitions_that_say_something_else_are_refused(self) -> None:
        state = self.repeated(AutoNetwork(small("segmamba")))
        state["decoder.encoder.stem.convs.0.conv.bias"] = torch.ones(8)
        with pytest.raises(ValueError, match=r"two different tensors for encoder.stem.convs.0.conv.bias"):
            without_repeats(state)

    def test_published_files_name_as_many_tensors_as_the_authors_say(self) -> None:
        with torch.device("meta"):
            network = AutoNetwork(AutoConfig("segmamba", inputs=4, classes=4))
        assert len(self.repeated(network)) == 862
