"""The models there are, by card. Nothing here builds one: that is build.py."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from . import registry
from .errors import ModelError
from .memory.slices import Bank
from .places import resources
from .segmenters.base import ModelCard, WeightsFile

_PREFERRED = ("nano", "geodesic")  # the default is the first that can be built here; the last always can
_PREFERRED_SLICES = ("slices", "slice-geodesic")
_PERMISSIVE = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause")
_MODELS = resources() / "Models"

# Sizes and SHA-256 are what the pages of the files say, where they do.
_SAM_MED3D = "https://huggingface.co/blueyo0/SAM-Med3D/resolve/main/"
_SAM2 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"
_MEDSAM2 = "https://huggingface.co/wanglab/MedSAM2/resolve/main/"
# SAM 2 keeps seven slices; fifteen more are pointed at. MedSAM-2's bank is the size its code has it.
_SAM2_BANKS = (Bank("recent", 7, 15), Bank("self-sorting", 16, 0))


def _sam2(size: str, size_mb: int, file: str, summary: str, hardware: str, sha256: str = "") -> ModelCard:
    """size_mb: of its parameters, four bytes each. sha256: as the authors' page at Hugging Face has it, from where the
    file is then loaded."""
    url = f"https://huggingface.co/facebook/sam2.1-hiera-{size}/resolve/main/" if sha256 else _SAM2
    return ModelCard(
        name=f"sam2-{size}",
        title=f"SAM 2.1 {size.replace('-', ' ')}",
        summary=summary,
        prompts=frozenset({"click", "box", "mask"}),
        licence="Apache-2.0",
        source="Ravi et al., arXiv 2408.00714; weights by its authors, modules of transformers, code our own",
        weights=file,
        needs=("torch", "safetensors", "transformers"),
        published_at="https://github.com/facebookresearch/sam2",
        size_mb=size_mb,
        files=(WeightsFile(file, size_mb, sha256, url + file),),
        banks=_SAM2_BANKS,
        hardware=hardware,
    )


_CARDS = (
    ModelCard(
        name="geodesic",
        title="Geodesic",
        summary="Grows from your clicks along even intensity and stops at edges. Needs no network, no GPU.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="our own, on geodesic arrival times (GeoS, Criminisi et al., ECCV 2008)",
    ),
    ModelCard(
        name="nano",
        title="Nano",
        summary="A small network that remembers every prompt you gave it. Quick on a CPU, quicker on a GPU.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="our own, trained by us; memory after MAIS (arXiv 2505.07511)",
        weights="nano.safetensors",
        needs=("torch", "safetensors"),
    ),
    ModelCard(
        name="sam-med3d",
        title="SAM-Med3D",
        summary="A large network for organs and lesions of 2 cm and more, by clicks. Thin structures are not for it.",
        prompts=frozenset({"click", "mask"}),  # and boxes, where the file added is one that knows them
        licence="Apache-2.0",
        source="Wang et al., arXiv 2310.15161; weights by its authors, code our own",
        weights="sam_med3d_turbo.pth",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/blueyo0/SAM-Med3D",
        size_mb=402,
        files=(
            WeightsFile(
                "sam_med3d_turbo.pth",
                402,
                "899a46d04d3b70f723282ceb489149373558bf0aaba389a346f5ab57da5cdd3c",
                _SAM_MED3D + "sam_med3d_turbo.pth",
                "by clicks; the one its authors recommend",
            ),
            WeightsFile(
                "sam_med3d_turbo_cvpr_coreset.pth",
                402,
                "11520a8f5adf1ef331c5858400138cc7f6eed65584bdd44e0f325fda5d1e0640",
                _SAM_MED3D + "sam_med3d_turbo_cvpr_coreset.pth",
                "by boxes and clicks; tuned for the CVPR 2025 challenge on its coreset",
            ),
            WeightsFile(
                "sam_med3d_turbo_bbox_init.pth",
                402,
                url=_SAM_MED3D + "sam_med3d_turbo_bbox_init.pth",
                about="by boxes and clicks; by its name, what that tuning began with",
            ),
        ),
        hardware="On one CPU core 3 s for the first click in a region of 19 cm and 1.5 s for later ones; 1 GB.",
    ),
    ModelCard(
        name="mais",
        title="MAIS",
        summary="SAM-Med3D that leans on each of the last 60 clicks, so that corrections hold. You train its weights.",
        prompts=frozenset({"click", "mask"}),
        licence="Apache-2.0",
        source="Orbes-Arteaga et al., arXiv 2505.07511, on SAM-Med3D; no code or weights are published, all our own",
        weights="mais.safetensors",
        needs=("torch", "safetensors"),
        trained_by="memseg train mais --weights SAM_MED3D_FILE --shards DIR --out DIR",
        hardware="As SAM-Med3D, 0.05 s more for a click and 0.1 GB more with a full memory.",
    ),
    ModelCard(
        name="fastsam3d",
        title="FastSAM3D",
        summary="A student of SAM-Med3D with half its layers, for the same objects. Quicker where there is no GPU.",
        prompts=frozenset({"click", "mask"}),
        licence="Apache-2.0",
        source="Shen et al., arXiv 2403.09827; weights by its authors, code our own",
        weights="FastSAM3D.pth",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/techlove/FastSAM3D",
        size_mb=638,
        files=(
            WeightsFile(
                "FastSAM3D.pth", 638, url="https://huggingface.co/techlove/FastSAM3D/resolve/main/FastSAM3D.pth"
            ),
        ),
        hardware="On one CPU core 2 s for the first click in a region of 19 cm and 1.2 s for later ones; 0.7 GB.",
    ),
    ModelCard(
        name="memorizing-sam",
        title="Memorizing SAM",
        summary="FastSAM3D that also leans on images you have had remembered: memseg recall add ... --keep-image.",
        prompts=frozenset({"click", "mask"}),
        licence="Apache-2.0",
        source="Shao et al., arXiv 2412.13908, whose own bank is not published; weights of FastSAM3D, code our own",
        weights="FastSAM3D.pth",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/techlove/FastSAM3D",
        size_mb=638,
        hardware="As FastSAM3D; 6 MB of disk and 2 MB of memory for every image remembered.",
        weights_of="fastsam3d",
    ),
    ModelCard(
        name="biomedparse",
        title="BiomedParse",
        summary="Finds what you name in every slice: organs and lesions in CT, MR and others. Clicks correct its mask.",
        prompts=frozenset({"text", "click", "box", "scribble", "lasso", "mask"}),
        licence="CC BY-NC-SA 4.0, not for commercial use",
        source="Zhao et al., Nature Methods 2024, version 2; weights by its authors, code our own",
        weights="biomedparse_v2.ckpt",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/microsoft/BiomedParse",
        hardware="Seconds for each slice on a CPU, far less when asked again; about 3 GB; meant for a GPU.",
    ),
    ModelCard(
        name="medsam2",
        title="MedSAM2",
        summary="SAM 2.1 tuned on 455,000 medical volumes: a box or clicks on one slice, followed through the others.",
        prompts=frozenset({"click", "box", "mask"}),
        licence="CC BY-SA 4.0, for research and education only",
        source="Ma et al., arXiv 2504.03600; weights by its authors, modules of transformers, code our own",
        weights="MedSAM2_latest.pt",
        needs=("torch", "safetensors", "transformers"),
        published_at="https://huggingface.co/wanglab/MedSAM2",
        size_mb=156,
        files=(
            WeightsFile("MedSAM2_latest.pt", 156, url=_MEDSAM2 + "MedSAM2_latest.pt", about="the recommended one"),
            WeightsFile("MedSAM2_2411.pt", 156, url=_MEDSAM2 + "MedSAM2_2411.pt", about="the base model"),
            WeightsFile("MedSAM2_CTLesion.pt", 156, url=_MEDSAM2 + "MedSAM2_CTLesion.pt", about="lesions in CT"),
            WeightsFile(
                "MedSAM2_MRI_LiverLesion.pt",
                156,
                url=_MEDSAM2 + "MedSAM2_MRI_LiverLesion.pt",
                about="lesions of the liver in MR",
            ),
            WeightsFile(
                "MedSAM2_US_Heart.pt", 156, url=_MEDSAM2 + "MedSAM2_US_Heart.pt", about="the heart in ultrasound"
            ),
        ),
        banks=_SAM2_BANKS,
        hardware="3 to 5 s of a CPU core for each slice that is followed, about 1 GB; meant for a GPU.",
    ),
    _sam2(
        "tiny",
        156,
        "sam2.1_hiera_tiny.pt",
        "The smallest of its kind, trained on videos: clicks or a box on one slice, followed through the others.",
        "14 s of a CPU core for each slice that is followed, about 1.5 GB; meant for a GPU.",
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    ),
    _sam2(
        "small",
        184,
        "sam2.1_hiera_small.pt",
        "Trained on videos: clicks or a box on one slice, followed through the others. A little larger than tiny.",
        "Meant for a GPU.",
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    ),
    _sam2(
        "base-plus",
        323,
        "sam2.1_hiera_base_plus.pt",
        "Trained on videos: clicks or a box on one slice, followed through the others. Twice as large as tiny.",
        "Meant for a GPU.",
    ),
    _sam2(
        "large",
        898,
        "sam2.1_hiera_large.pt",
        "Trained on videos: clicks or a box on one slice, followed through the others. The largest and the slowest.",
        "Meant for a GPU of 4 GB and more.",
    ),
)

_SLICE_CARDS = (  # these answer no prompts; they follow an object from slice to slice
    ModelCard(
        name="slices",
        title="Slices",
        summary="A small network that follows an object from slice to slice and remembers the slices it has met.",
        prompts=frozenset(),
        licence="Apache-2.0",
        source="our own, trained by us; memory after SAM 2 (arXiv 2408.00714) and SLM-SAM 2 (arXiv 2505.01854)",
        weights="slices.safetensors",
        needs=("torch", "safetensors"),
    ),
    ModelCard(
        name="slice-geodesic",
        title="Slice geodesic",
        summary="Follows an object from slice to slice by its intensities and outline. Needs no network, no GPU.",
        prompts=frozenset(),
        licence="Apache-2.0",
        source="our own, on geodesic arrival times (GeoS, Criminisi et al., ECCV 2008)",
    ),
)


def cards() -> tuple[ModelCard, ...]:
    """Every model this version knows."""
    return _CARDS


def installed() -> tuple[ModelCard, ...]:
    """The models that can be built here: their weights and all packages they need are there."""
    return tuple(card for card in _CARDS if can_be_built(card))


def default() -> str:
    """The name of the model to start with: nano where torch is, otherwise geodesic."""
    return next(name for name in _PREFERRED if can_be_built(card(name)))


def default_for_text() -> str:
    """The name of the model that words go to first; "" where none that takes words can be built here."""
    return next((card.name for card in installed() if "text" in card.prompts), "")


def slice_cards() -> tuple[ModelCard, ...]:
    """Every model this version knows that follows an object from slice to slice; last those that answer prompts too."""
    return (*_SLICE_CARDS, *(card for card in _CARDS if card.banks))


def default_slices() -> str:
    """The name of the one to follow slices with: the network where torch and its weights are."""
    return next(name for name in _PREFERRED_SLICES if can_be_built(slice_card(name)))


def note_on_slices() -> str:
    """Why `default_slices` is not the best there is, a sentence; "" where it is."""
    best = slice_card(_PREFERRED_SLICES[0])
    if can_be_built(best):
        return ""
    lacks = ", ".join(missing_packages(best)) or best.weights
    return f"The slice network needs {lacks}, which is not here; {slice_card(default_slices()).title} does its work."


def can_be_built(card: ModelCard) -> bool:
    return not missing_packages(card) and not lacks_weights(card)


def missing_packages(card: ModelCard) -> tuple[str, ...]:
    return tuple(package for package in card.needs if find_spec(package) is None)


def lacks_weights(card: ModelCard) -> bool:
    if card.is_brought and registry.path_of(owner(card).name) is None:
        return True
    return bool(card.weights) and not weights_path(card).is_file()


def owner(card: ModelCard) -> ModelCard:
    """The card whose weights a model runs with: its own, unless it says otherwise."""
    return any_card(card.weights_of) if card.weights_of else card


def needs_a_yes(card: ModelCard) -> bool:
    """Whether the licence of a model's weights is one that a user has to accept, as it does not allow everything that
    free software does."""
    return card.licence not in _PERMISSIVE


def weights_path(card: ModelCard) -> Path:
    """Where the weights of a card that has some lie, or would lie; of those that a user has to bring, what was
    added."""
    if card.is_brought:
        return registry.path_of(owner(card).name) or registry.location().with_name(card.weights)
    return _MODELS / card.weights


def how_to_add(card: ModelCard) -> str:
    """What to do for weights that a user has to bring, the rest of a sentence."""
    whose = owner(card)
    if card.trained_by:
        add = f"memseg models add {card.name} FILE"
        return f"nobody publishes any, so train them with {card.trained_by}, then run: {add}"
    size = f"{card.size_mb} MB, " if card.size_mb else ""
    return (
        f"download {card.weights} ({size}{card.licence}) from {card.published_at}, "
        f"then run: memseg models add {whose.name} FILE"
    )


def how_to_get(card: ModelCard) -> str:
    """The same where it can be downloaded here, and what to do where there is no network."""
    if not any(file.url for file in owner(card).files):
        return how_to_add(card)
    return f"memseg models get {owner(card).name} downloads them; where there is no network, {how_to_add(card)}"


def card(name: str) -> ModelCard:
    """The card of that name; ModelError naming the nearest ones where there is none."""
    return _of_name(name, _CARDS)


def any_card(name: str) -> ModelCard:
    """The same among `cards` and `slice_cards`."""
    return _of_name(name, tuple(dict.fromkeys((*_CARDS, *slice_cards()))))


def slice_card(name: str) -> ModelCard:
    """The same among `slice_cards`."""
    return _of_name(name, slice_cards())


def _of_name(name: str, known: tuple[ModelCard, ...]) -> ModelCard:
    for candidate in known:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in known]
    near = get_close_matches(name, names, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(names)}."
    raise ModelError(f"There is no model called '{name}'; {advice}")
