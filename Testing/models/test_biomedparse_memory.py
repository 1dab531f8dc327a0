"""BiomedParse's memory of slices: each part by itself, and stock answers bit for bit wherever it has nothing to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from bright_biomedparse import bright_segmenter, network_of
from small_biomedparse import WIDTH, WORDS, images, small_biomedparse

from memseg.geometry import Grid
from memseg.memory.slices import SliceEntry, SliceFeatures
from memseg.networks.biomedparse.boltzmann_decoder import Decoded, Sampling
from memseg.networks.biomedparse.memory import (
    BankAttention,
    FormatAdapter,
    MemoryConfig,
    Remembered,
    grid_of,
    known,
    remembered,
)
from memseg.networks.biomedparse.model import SliceMaps, with_neighbours
from memseg.prompts import Click, Text
from memseg.segmenters.base import Numbered
from memseg.segmenters.biomedparse_bank import (
    NOTHING,
    BankUse,
    Seat,
    entry_of,
    evened,
    key_slice,
    outward,
    prominence_of,
    with_masks,
)
from memseg.segmenters.biomedparse_engine import Look
from memseg.volume import Volume

SMALL = MemoryConfig(width=WIDTH, bank_width=16, grid=2, heads=4, depth=4)
CELLS = 4


def bank_of(count: int) -> Remembered:
    generator = torch.Generator().manual_seed(1)
    keys, values = (torch.randn(1, count, WIDTH, CELLS, CELLS, generator=generator) for _ in range(2))
    return Remembered(keys, values, torch.arange(count)[None] * 5.0 - 5)


def attention(gate: float = 0.0) -> BankAttention:
    torch.manual_seed(0)
    made = BankAttention(SMALL).eval().requires_grad_(False)
    for layer in made.layers:
        layer.gate.fill_(gate)
    return made


def answered(informing=None) -> Decoded:
    network = small_biomedparse()
    with torch.inference_mode():
        maps = network.encode(with_neighbours(images(1)))
        return network.answer(maps, network.words(WORDS), Sampling((1,)), informing)


# -- the stateful encoder ----------------------------------------------------------------------------------------------


def test_a_slice_is_kept_as_the_mean_of_its_levels_and_its_value_knows_where_the_mask_is():
    levels = tuple(torch.full((1, 2, 2**step, 2**step), float(step)) for step in range(3))
    logits = torch.full((1, 8, 8), -100.0)
    logits[:, :4, :4] = 100.0
    answer = Decoded(logits, torch.zeros(1), torch.zeros(1, 1, 2), torch.tensor([[10.0, -10.0]]))
    keys, values = remembered(SliceMaps(torch.zeros(1, 2, 8, 8), levels), answer)
    assert keys.shape == (1, 2, 4, 4) and bool((keys == 1.0).all())
    ones = [1, 1, 1, 1]
    assert values[0, 0].tolist() == [[11, 11, 1, 1], [11, 11, 1, 1], ones, ones]
    assert values[0, 1].tolist() == [[-9, -9, 1, 1], [-9, -9, 1, 1], ones, ones]


def test_a_mask_smaller_than_a_place_is_remembered_whole():
    logits = torch.full((1, 8, 8), -100.0)
    logits[:, 3, 3] = 100.0
    levels = tuple(torch.zeros(1, 1, 2**step, 2**step) for step in range(3))
    answer = Decoded(logits, torch.zeros(1), torch.zeros(1, 1, 1), torch.tensor([[10.0]]))
    _, values = remembered(SliceMaps(torch.zeros(1, 1, 8, 8), levels), answer)
    assert values[0, 0, 1, 1] == 10 and float(values.sum()) == 10


@pytest.mark.parametrize(("edge", "grid"), [(512, 16), (256, 8), (128, 8), (64, 8), (32, 4)])
def test_a_slice_is_remembered_on_the_coarsest_grid_that_has_eight_places_along_an_edge(edge, grid):
    assert grid_of(edge) == grid


def test_a_mask_that_is_known_counts_instead_of_the_answers():
    answer = Decoded(torch.ones(2, 8, 8), torch.zeros(2), torch.zeros(2, 1, 1), torch.zeros(2, 1))
    logits = torch.full((2, 8, 8), -3.0)
    logits[1, 2, 2] = 3.0
    told = known(answer, logits)
    assert torch.equal(told.logits, logits) and told.existence[0] < -5 and told.existence[1] > 5


def test_where_a_slice_is_remembered_matters_not_only_what():
    adapter = FormatAdapter(SMALL)
    tokens = adapter(torch.zeros(1, WIDTH, 2, 2))[0]
    assert all(not torch.allclose(tokens[0], other, atol=1e-3) for other in tokens[1:])


# -- the adapter -------------------------------------------------------------------------------------------------------


def test_slices_of_any_grid_become_tokens_of_the_banks_width():
    adapter = FormatAdapter(SMALL)
    assert adapter(torch.zeros(3, WIDTH, 4, 4)).shape == adapter(torch.zeros(3, WIDTH, 9, 7)).shape == (3, 4, 16)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (torch.zeros(3, 32, 4, 4), r"remembered as 64 features a place; what came has the shape \(3, 32, 4, 4\)"),
        (torch.zeros(WIDTH, 4, 4), "remembered as 64 features a place"),
        (torch.zeros(3, WIDTH, 4, 4, dtype=torch.int64), "remembered as 64 features a place"),
        (torch.zeros(3, WIDTH, 1, 4), "has at least 2 x 2 places; this one has 1 x 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(features, sentence):
    with pytest.raises(ValueError, match=sentence):
        FormatAdapter(SMALL)(features)


def test_a_memory_that_cannot_be_built_is_refused():
    with pytest.raises(ValueError):
        MemoryConfig(bank_width=10, heads=4)


# -- the look at the bank ----------------------------------------------------------------------------------------------


def test_an_untrained_memory_gives_the_stock_answer_bit_for_bit():
    stock, with_memory = answered(), answered(attention().reading(bank_of(3)))
    assert all(torch.equal(getattr(stock, part), getattr(with_memory, part)) for part in vars(stock))


def test_an_empty_bank_is_not_even_asked():
    assert attention(gate=1.0).reading(bank_of(0)) is None


def test_a_trained_memory_changes_the_answer_by_what_is_remembered_and_where():
    stock = answered().logits
    three = answered(attention(0.5).reading(bank_of(3))).logits
    two = answered(attention(0.5).reading(bank_of(2))).logits
    elsewhere = answered(attention(0.5).reading(replace(bank_of(3), away_mm=torch.tensor([[90.0, 0, 0]])))).logits
    others = (stock, two, elsewhere)
    assert all(not torch.allclose(three, other, atol=1e-3) for other in others)


def test_the_features_alone_change_the_answer_too():
    made = attention()
    made.features.gate.fill_(0.5)
    assert not torch.allclose(answered(made.reading(bank_of(3))).logits, answered().logits, atol=1e-3)


def test_where_a_mask_was_is_told_by_what_it_added_to_the_values():
    keys = torch.zeros(1, 1, WIDTH, CELLS, CELLS)
    values = keys.clone()
    values[0, 0, :, 0, 0] = 5.0
    masked = attention()._masked(Remembered(keys, values, torch.zeros(1, 1)))
    assert masked[0, 0, :, 0].tolist() == pytest.approx(
        [1.0, 0.0, 0.0, 0.0], abs=1e-3
    )  # 2 x 2 places, in reading order


def test_features_change_place_by_place():
    made = attention()
    made.features.gate.fill_(0.5)
    features = torch.zeros(1, WIDTH, 8, 6)
    changed = made.reading(bank_of(1)).features(features)
    assert changed.shape == features.shape and float(changed.std(dim=(2, 3)).max()) > 1e-4


def test_the_order_of_what_is_remembered_does_not_matter():
    bank, order = bank_of(4), [2, 0, 3, 1]
    turned = Remembered(bank.keys[:, order], bank.values[:, order], bank.away_mm[:, order])
    one, other = (answered(attention(0.5).reading(each)).logits for each in (bank, turned))
    assert torch.allclose(one, other, atol=1e-4)


# -- key slice, order, evening -----------------------------------------------------------------------------------------


def test_the_key_slice_is_the_users_or_the_surest():
    existence = {3: 0.2, 4: 0.9, 5: 0.9, 6: 0.4}
    assert key_slice(existence) == 4 and key_slice(existence, prompted=6) == 6
    assert key_slice(existence, prompted=9) == 4


def test_slices_are_answered_from_the_key_slice_outward_on_both_sides_by_turns():
    assert list(outward(3, [0, 1, 2, 3, 4, 5])) == [3, 4, 2, 5, 1, 0]
    assert list(outward(0, [0, 10, 20])) == [0, 10, 20]


def test_a_slice_that_is_missed_between_two_sure_ones_is_not_lost():
    # odds of 3, -1 and 3 in logits: (3 - 2 + 3) / 4 = 1, which is 0.731
    chance = {0: 0.952574, 1: 0.268941, 2: 0.952574}
    after = evened(chance, BankUse())
    assert after[1] == pytest.approx(0.7311, abs=1e-3)
    assert after[0] == pytest.approx(1 / (1 + np.exp(-(2 * 3 - 1) / 3)), abs=1e-3)
    assert evened(chance, BankUse(existence=False)) == chance


def test_slices_that_were_not_looked_at_say_nothing():
    assert evened({0: 0.9, 10: 0.1}, BankUse()) == pytest.approx({0: 0.9, 10: 0.1})


def test_certainty_stays_finite():
    assert evened({0: 1.0, 1: 0.0, 2: 1.0}, BankUse())[1] == pytest.approx(0.5)


# -- prominence and entries --------------------------------------------------------------------------------------------


def test_what_is_large_and_clear_is_prominent():
    clear = np.zeros((20, 20))
    clear[:4, :5] = 0.9  # a twentieth
    assert prominence_of(clear) == pytest.approx(0.9)
    small = np.zeros((20, 20))
    small[0, :5] = 0.9
    assert prominence_of(small) == pytest.approx(0.45)
    assert 0 < prominence_of(np.zeros((4, 4))) < 0.01


def look_of(number: int, value: float, key: tuple[float, ...] = (1, 0), existence: float = 0.9) -> Look:
    features = np.asarray(key, np.float16).reshape(-1, 1, 1)
    return Look(number, np.full((2, 2), value, np.float32), existence, features, features)


def test_an_entry_knows_its_slice_and_the_key_slice_stays():
    seat = Seat("k", 7, 35.0, (40.0, 40.0, 80.0))
    entry = entry_of(look_of(3, 5.0), seat, "biomedparse", BankUse(), reference=True)
    assert (entry.key, entry.place_mm, entry.confidence, entry.stays) == (("k", 7), 35.0, 0.9, True)
    assert entry.prominence == pytest.approx(1 / (1 + np.exp(-5)))
    assert entry_of(look_of(3, 5.0), seat, "biomedparse", BankUse(prominence=False)).prominence == 1.0


# -- remembered masks --------------------------------------------------------------------------------------------------


def remembered_at(place_mm: float, key: tuple[float, ...], value: float) -> tuple[SliceEntry, np.ndarray]:
    features = np.asarray(key, np.float32).reshape(-1, 1, 1)
    entry = SliceEntry("k", int(place_mm), place_mm, "biomedparse", SliceFeatures(features, features, (0, 0, 1)))
    return entry, np.full((2, 2), value, np.float32)


def mixed(recalled, **use) -> float:
    look = look_of(0, 1.0)
    return float(with_masks(look.logits, look.keys, 0.0, recalled, BankUse(**{"masks_mm": 10.0, **use}))[0, 0])


def test_a_remembered_mask_counts_by_nearness_and_likeness():
    share = 0.3 * np.exp(-0.5)
    assert mixed([remembered_at(5, (1, 0), -3)]) == pytest.approx((1 - share) * 1 - share * 3, abs=1e-3)
    half_alike = share / np.sqrt(2)
    assert mixed([remembered_at(5, (1, 1), -3)]) == pytest.approx(1 - half_alike * 4, abs=1e-3)


def test_of_two_masks_the_nearer_counts_more():
    near, far = np.exp(-0.1), np.exp(-2.0)
    mean = (near * -3 + far * 5) / (near + far)
    both = [remembered_at(1, (1, 0), -3), remembered_at(20, (1, 0), 5)]
    assert mixed(both) == pytest.approx((1 - 0.3 * near) + 0.3 * near * mean, abs=1e-3)


@pytest.mark.parametrize(
    ("recalled", "use"),
    [
        ([], {}),
        ([remembered_at(5, (1, 0), -3)], {"masks": 0.0}),
        ([remembered_at(5, (0, 1), -3)], {}),
        ([remembered_at(5, (-1, 0), -3)], {}),
    ],
    ids=["none", "off", "unlike", "opposite"],
)
def test_without_a_mask_that_counts_the_logits_are_the_very_same(recalled, use):
    look = look_of(0, 1.0)
    assert with_masks(look.logits, look.keys, 0.0, recalled, BankUse(**use)) is look.logits


@pytest.mark.parametrize("wrong", [{"masks": 1.5}, {"masks": -0.1}, {"masks_mm": 0.0}])
def test_shares_and_distances_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError):
        BankUse(**wrong)


def test_each_switch_is_one_of_the_bank():
    assert not NOTHING.is_on and BankUse().is_on
    assert BankUse(decay=False).bank().tau_mm > 1e6 and BankUse().bank().tau_mm == 30
    assert BankUse(policy="self-sorting", capacity=3).bank(5).capacity == 3


# -- a volume ----------------------------------------------------------------------------------------------------------


def tube(count: int = 12) -> Volume:
    truth = np.zeros((count, 24, 24), np.int16)
    truth[3:9, 6:18, 6:18] = 1
    return Volume(truth * 250 - 50, Grid.from_spacing(truth.shape, (3, 1, 1)))


WORDS_SAID = "left kidney in CT"


def test_with_memory_every_slice_is_answered_again_from_the_key_slice_outward():
    looks = list(bright_segmenter().looks(tube(), WORDS_SAID, remembering=True))
    assert [look.number for look in looks[:12]] == list(range(12))
    assert sorted(look.number for look in looks[12:]) == list(range(12))
    key = looks[12].number
    assert 3 <= key < 9 and [abs(look.number - key) for look in looks[12:]] == sorted(
        abs(number - key) for number in range(12)
    )


def test_the_slice_of_the_users_click_is_the_key_slice():
    segmenter, volume = bright_segmenter(), tube()
    segmenter.predict(
        volume,
        (Numbered(1, Click((6, 12, 12))), Numbered(2, Text(WORDS_SAID))),
        np.zeros(volume.shape_kji, np.uint8),
        (),
    )
    walk = segmenter._walk(volume, WORDS_SAID, (Numbered(1, Click((6, 12, 12))),), True)
    assert [look.number for look in walk.looks()][12:15] == [6, 7, 5]


def test_with_every_part_off_the_second_answer_is_the_first_bit_for_bit():
    use = BankUse(masks=0.0, existence=False, attention=False)
    looks = list(bright_segmenter(use=use).looks(tube(), WORDS_SAID, remembering=True))
    first = {look.number: look for look in looks[:12]}
    for look in looks[12:]:
        assert np.array_equal(look.logits, first[look.number].logits)
        assert look.existence == first[look.number].existence


def test_with_memory_off_there_is_one_answer_a_slice():
    assert len(list(bright_segmenter().looks(tube(), WORDS_SAID))) == 12
    assert len(list(bright_segmenter(use=NOTHING).looks(tube(), WORDS_SAID, remembering=True))) == 12


def test_an_object_that_is_nowhere_is_not_looked_for_again():
    segmenter = bright_segmenter()
    network_of(segmenter).knows = ("kidney",)
    assert len(list(segmenter.looks(tube(), "spleen in CT", remembering=True))) == 12


def test_a_slice_the_network_missed_is_found_by_its_neighbours():
    final = {}
    for remembering in (False, True):
        segmenter = bright_segmenter()
        network_of(segmenter).missed = {5: -1.0}
        final[remembering] = {look.number: look for look in segmenter.looks(tube(), WORDS_SAID, remembering)}
    assert final[False][5].existence < 0.5 < final[True][5].existence
    assert final[True][0].existence < 0.5 and final[True][11].existence < 0.5


def test_a_trained_memory_is_told_of_what_the_bank_recalls(monkeypatch):
    segmenter = bright_segmenter(use=BankUse(capacity=2))
    engine = segmenter._engine
    engine.bank_attention = attention(0.5)
    told = []
    plain = engine.look

    def look(volume, stack, window, number, sentence, bank=None, given=None):
        if bank is not None:
            told.append((number, sorted(bank.away_mm[0].tolist())))
        return plain(volume, stack, window, number, sentence)

    monkeypatch.setattr(engine, "look", look)
    list(segmenter.looks(tube(), WORDS_SAID, remembering=True))
    assert len(told) == 11 and all(len(away) <= 2 for _, away in told)
    assert told[0][1] == pytest.approx([3.0]) or told[0][1] == pytest.approx([-3.0])


# -- slices the user has corrected -------------------------------------------------------------------------------------


def walk_of(given, use=None):
    walk = bright_segmenter(use=use)._walk(tube(), WORDS_SAID, (), True)
    return replace(walk, given=given)


def test_a_corrected_slice_stays_as_it_is_and_is_answered_first():
    mask = np.full((16, 16), -9.0, np.float32)
    mask[2:5, 2:5] = 9.0
    looks = list(walk_of({1: mask}).looks())
    assert looks[12].number == 1 and sorted(look.number for look in looks[12:]) == list(range(12))
    assert np.array_equal(looks[12].logits, mask) and looks[12].existence > 0.99


def test_the_others_are_told_of_a_corrected_slice():
    nothing = np.full((16, 16), -9.0, np.float32)
    everything = np.full((16, 16), 9.0, np.float32)
    use = BankUse(masks_mm=30.0, existence=False)
    plain = {look.number: look for look in walk_of({}, use).looks()}
    taught = {look.number: look for look in walk_of({5: everything}, use).looks()}
    assert taught[4].logits[0, 0] > plain[4].logits[0, 0] + 1
    emptied = {look.number: look for look in walk_of({5: nothing}, use).looks()}
    assert emptied[5].existence < 0.01 and not (emptied[5].logits > 0).any()
