"""Finished segmentations found, read, planned and cut into patches; what is wrong with them, said in a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from finished import ball_and_box, write_finished, write_image, write_subject
from labelled import write_cubes

from memseg.automatic.plan import AutoPlan
from memseg.errors import FileError
from memseg.files import write_segmentation
from memseg.geometry import Grid
from memseg.training import auto_prepared, auto_subjects
from memseg.training.auto_patches import Changes, PatchSupply
from memseg.training.auto_planning import Machine, Survey, Told, halved, mirrored, planned, topology
from memseg.training.auto_prepared import Prepared
from memseg.training.auto_subjects import Subject, classes_of, find, held_out, read
from memseg.training.chance import generator
from memseg.volume import Volume

CPU = torch.device("cpu")
SMALL = Machine(voxels=12 * 16 * 16, channels=4, patches=8)


def surveys_of(folder: Path) -> list[Survey]:
    return [Survey.of(subject, read(subject)) for subject in find(folder)]


def subject(number: int, person: str | None = None) -> Subject:
    name = str(number)
    return Subject(name, person or name, Path(name), Path(name), None, "unknown")


class TestFinding:
    def test_images_and_their_segmentations_are_found_by_their_names(self, tmp_path: Path):
        found = find(write_finished(tmp_path, 3))
        assert [each.identity for each in found] == ["case0", "case1", "case2"]
        assert found[1].image == tmp_path / "case1.nii.gz"

    def test_a_folder_for_each_scene_needs_no_names(self, tmp_path: Path):
        for number in range(2):
            (tmp_path / f"scene{number}").mkdir()
            write_subject(tmp_path / f"scene{number}", "case", number)
            folder = tmp_path / f"scene{number}"
            (folder / "case.seg.nrrd").rename(folder / "Segmentation.seg.nrrd")
        assert [each.image.parent.name for each in find(tmp_path)] == ["scene0", "scene1"]

    def test_segments_are_read_by_name_also_where_they_overlap(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        image, masks = ball_and_box(0)
        volume = Volume(image, Grid.from_spacing(image.shape, (2.0, 1.0, 1.0)))
        both = {**masks, "all": masks["ball"] | masks["box"]}
        write_segmentation(tmp_path / "case0.seg.nrrd", both, volume)
        drawn = read(find(tmp_path)[0])
        assert all(np.array_equal(drawn.masks[name], mask) for name, mask in both.items())
        classes = classes_of(drawn, ("all", "ball", "box"))
        assert np.array_equal(classes == 2, masks["ball"]) and np.array_equal(classes == 3, masks["box"])
        assert not (classes == 1).any()

    def test_a_segmentation_that_was_cut_to_its_content_finds_its_place(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        whole = sitk.ReadImage(str(tmp_path / "case0.seg.nrrd"))
        cut = whole[1:23, 2:22, 3:18]
        for key in whole.GetMetaDataKeys():
            cut.SetMetaData(key, whole.GetMetaData(key))
        before = read(find(tmp_path)[0])
        sitk.WriteImage(cut, str(tmp_path / "case0.seg.nrrd"))
        after = read(find(tmp_path)[0])
        assert all(np.array_equal(after.masks[name], mask) for name, mask in before.masks.items())

    def test_those_held_out_are_a_fifth_of_the_persons_and_always_the_same(self):
        subjects = tuple(subject(number) for number in range(10))
        chosen = held_out(subjects, 0)
        assert len(chosen) == 2 and chosen == held_out(subjects[::-1], 0)
        assert len({held_out(subjects, seed) for seed in range(10)}) > 1

    def test_one_of_two_is_held_out_and_all_images_of_a_person_together(self):
        assert len(held_out((subject(0), subject(1)), 0)) == 1
        twice = (subject(0, "a"), subject(1, "a"), subject(2, "b"))
        assert held_out(twice, 0) in ({"0", "1"}, {"2"})


class TestWhatIsWrong:
    def test_one_subject_is_too_few(self, tmp_path: Path):
        with pytest.raises(FileError, match="two subjects"):
            find(write_finished(tmp_path, 1))

    def test_two_images_of_one_person_are_one_subject(self, tmp_path: Path):
        with pytest.raises(FileError, match="two subjects"):
            find(write_cubes(tmp_path))

    def test_a_folder_of_images_alone_is_no_data_set(self, tmp_path: Path):
        for path in write_finished(tmp_path, 2).glob("*.seg.nrrd"):
            path.unlink()
        with pytest.raises(FileError, match="neither a manifest.json nor segmentations"):
            find(tmp_path)

    def test_a_segmentation_without_its_image_is_named(self, tmp_path: Path):
        write_finished(tmp_path, 3)
        (tmp_path / "case1.nii.gz").unlink()
        with pytest.raises(FileError, match="Which image is case1.seg.nrrd of"):
            find(tmp_path)

    def test_a_label_file_that_the_manifest_names_and_that_is_missing_is_said(self, tmp_path: Path):
        write_cubes(tmp_path)
        (tmp_path / "label1.nii.gz").unlink()
        with pytest.raises(FileError, match="does not exist"):
            find(tmp_path)

    def test_an_empty_segmentation_is_refused(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        image, masks = ball_and_box(0)
        volume = Volume(image, Grid.from_spacing(image.shape, (2.0, 1.0, 1.0)))
        write_segmentation(tmp_path / "case0.seg.nrrd", {name: 0 * mask for name, mask in masks.items()}, volume)
        with pytest.raises(FileError, match="'case0' holds none of its structures"):
            read(find(tmp_path)[0])

    def test_a_segmentation_of_another_image_is_refused(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        label = sitk.ReadImage(str(tmp_path / "case0.seg.nrrd"))
        label.SetOrigin((500.0, 0.0, 0.0))
        sitk.WriteImage(label, str(tmp_path / "case0.seg.nrrd"))
        with pytest.raises(FileError, match="'ball' of 'case0' lies outside its image"):
            read(find(tmp_path)[0])

    def test_two_segments_of_one_name_are_refused(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        label = sitk.ReadImage(str(tmp_path / "case0.seg.nrrd"))
        label.SetMetaData("Segment1_Name", "ball")
        sitk.WriteImage(label, str(tmp_path / "case0.seg.nrrd"))
        with pytest.raises(FileError, match="two segments 'ball'"):
            read(find(tmp_path)[0])


class TestPlanning:
    def test_the_usual_spacing_is_kept_where_the_machine_can(self, tmp_path: Path):
        plan, notes = planned(surveys_of(write_finished(tmp_path)), "unet", Machine(20 * 24 * 24, 4, 8))
        assert plan.spacing_sar_mm == (2.0, 1.0, 1.0)
        assert plan.patch_sar == (20, 24, 24)
        assert plan.names == ("ball", "box")
        assert notes == []

    def test_samples_get_coarser_until_a_usual_volume_is_a_few_patches(self, tmp_path: Path):
        plan, notes = planned(surveys_of(write_finished(tmp_path)), "unet", Machine(8 * 8 * 8, 4, 4))
        samples = np.multiply((20, 24, 24), (2.0, 1.0, 1.0)) / plan.spacing_sar_mm
        assert 0.8 * 4 * 512 <= samples.prod() <= 1.05 * 4 * 512
        assert any("--spacing says otherwise" in note for note in notes)

    def test_mixed_spacings_are_said_and_resampled_to_the_median(self, tmp_path: Path):
        for number, k_mm in enumerate((2.0, 2.0, 4.0)):
            write_subject(tmp_path, f"case{number}", number, (k_mm, 1.0, 1.0))
        plan, notes = planned(surveys_of(tmp_path), "unet", Machine(20 * 24 * 24, 4, 8))
        assert plan.spacing_sar_mm == (2.0, 1.0, 1.0)
        assert any("Spacings differ" in note and "4.00" in note for note in notes)

    def test_a_structure_that_only_some_have_segmented_is_said(self, tmp_path: Path):
        write_finished(tmp_path, 3)
        volume, masks = write_subject(tmp_path, "case3", 3)
        write_segmentation(tmp_path / "case3.seg.nrrd", {"ball": masks["ball"]}, volume)
        plan, notes = planned(surveys_of(tmp_path), "unet", SMALL)
        assert plan.names == ("ball", "box")
        assert any("'box' is segmented in 3 of 4 subjects" in note for note in notes)

    def test_a_structure_that_only_those_held_out_have_is_left_out(self, tmp_path: Path):
        write_finished(tmp_path, 3)
        volume, masks = write_subject(tmp_path, "case2", 3)
        write_segmentation(tmp_path / "case2.seg.nrrd", {**masks, "other": masks["ball"]}, volume)
        plan, notes = planned(surveys_of(tmp_path), "unet", SMALL, watched=frozenset({"case2"}))
        assert plan.names == ("ball", "box")
        assert any("'other' is left out" in note for note in notes)

    def test_what_the_user_decides_is_kept(self, tmp_path: Path):
        told = Told(spacing_mm=(3.0, 2.0, 2.0), patch=(8, 8, 8), channels=6)
        plan, _ = planned(surveys_of(write_finished(tmp_path)), "segmamba", SMALL, told)
        assert (plan.spacing_sar_mm, plan.patch_sar, plan.network.channels[0]) == ((3.0, 2.0, 2.0), (8, 8, 8), 6)
        assert plan.network.variant == "segmamba"

    def test_the_published_plan_of_a_cube_of_128_mm_comes_out(self):
        strides, kernels, patch = topology((128, 128, 128), (1.0, 1.0, 1.0))
        assert strides == ((1, 1, 1), *((2, 2, 2),) * 5)
        assert kernels == ((3, 3, 3),) * 6
        assert patch == (128, 128, 128)

    def test_thick_slices_are_halved_and_mixed_later(self):
        strides, kernels, patch = topology((14, 256, 224), (6.35, 1.52, 1.52))
        assert strides[:4] == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))
        assert kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))
        assert all(side % step == 0 for side, step in zip(patch, np.prod(strides, axis=0)))

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("liver", "spleen"), (0, 1, 2)),
            (("left kidney", "liver", "right kidney"), (0, 3, 2, 1)),
            (("kidney_left", "kidney_right"), (0, 2, 1)),
            (("left kidney", "liver"), None),
            (("Lt lung", "Rt lung"), (0, 2, 1)),
        ],
    )
    def test_left_and_right_change_places_in_the_mirror_where_both_are_there(self, names, expected):
        assert mirrored(names) == expected

    def test_a_patch_is_halved_along_its_longest_side(self, tmp_path: Path):
        plan, _ = planned(surveys_of(write_finished(tmp_path)), "unet", SMALL, Told(patch=(8, 16, 32)))
        assert halved(plan) == (8, 16, 16)


def prepared(shape: tuple[int, int, int] = (8, 8, 8)) -> Prepared:
    """Class 1 in the half with low i, where the image is 1; 2 in one voxel of the other half."""
    image, classes = np.zeros(shape, np.float16), np.zeros(shape, np.uint8)
    image[..., : shape[2] // 2], classes[..., : shape[2] // 2] = 1, 1
    image[0, 0, -1], classes[0, 0, -1] = 2, 2
    places = {value: np.argwhere(classes == value) for value in (1, 2)}
    return Prepared(image, classes, (True, True, False), places, 0.0)


STILL = Changes(foreground=0, mirrored=0, zoomed=0, noisy=0, brighter=0, bent=0)


class TestPatches:
    def test_the_same_generator_gives_the_same_patches(self):
        supply = PatchSupply((prepared(), prepared((6, 12, 12))), CPU, (0, 1, 2))
        one, same, other = (supply.patches(generator(CPU, seed), 3, (8, 8, 8)) for seed in (1, 1, 2))
        assert torch.equal(one.image, same.image) and torch.equal(one.target, same.target)
        assert not torch.equal(one.image, other.image)

    def test_target_and_image_stay_together_however_they_are_changed(self):
        changes = Changes(noisy=0, brighter=0, bent=0, zoomed=0)
        supply = PatchSupply((prepared(),), CPU, (0, 2, 1), changes)
        drawn = supply.patches(generator(CPU, 0), 40, (4, 4, 4))
        for image, target, known in zip(drawn.image[:, 0], drawn.target, drawn.known):
            swapped = known.tolist() == [True, False, True]
            expected = torch.where(image > 0, 3 - image, image) if swapped else image
            assert torch.equal(target.float(), expected)
        assert 8 < sum(known.tolist() == [True, False, True] for known in drawn.known) < 32

    def test_without_a_mirror_left_stays_left(self):
        supply = PatchSupply((prepared(),), CPU, None, Changes(noisy=0, brighter=0, bent=0, zoomed=0))
        drawn = supply.patches(generator(CPU, 0), 20, (8, 8, 8))
        assert (drawn.target[..., :4] == 1).all()

    def test_small_structures_are_in_the_patches_more_often_than_chance(self):
        still = [PatchSupply((prepared((16, 16, 16)),), CPU, None, changes) for changes in (STILL, Changes(1.0, 0, 0))]
        rare, often = (
            sum(bool((target == 2).any()) for target in supply.patches(generator(CPU, 0), 60, (4, 4, 4)).target)
            for supply in still
        )
        assert rare < 6 and often > 20

    def test_a_volume_smaller_than_the_patch_is_in_its_middle_and_nothing_is_taught_round_it(self):
        drawn = PatchSupply((prepared((4, 8, 8)),), CPU, None, STILL).patches(generator(CPU, 0), 1, (8, 8, 8))
        assert (drawn.target[0, :2] == -1).all() and (drawn.target[0, 6:] == -1).all()
        assert (drawn.target[0, 2:6] >= 0).all() and (drawn.image[0, 0, :2] == 0).all()

    def test_zoomed_patches_have_the_patch_size_and_only_known_classes(self):
        changes = Changes(zoomed=1.0, zoom=(0.7, 1.4))
        drawn = PatchSupply((prepared(),), CPU, None, changes).patches(generator(CPU, 0), 6, (8, 8, 8))
        assert drawn.image.shape == (6, 1, 8, 8, 8)
        assert set(drawn.target.unique().tolist()) <= {-1, 0, 1, 2}


class TestPrepared:
    def plan(self, folder: Path) -> AutoPlan:
        return planned(surveys_of(folder), "unet", Machine(20 * 24 * 24, 4, 8))[0]

    def test_what_is_written_is_read_and_not_written_again(self, tmp_path: Path):
        folder = tmp_path / "set"
        folder.mkdir()
        plan, subjects = self.plan(write_finished(folder, 2)), find(folder)
        key = auto_prepared.identity(subjects, plan)
        assert list(auto_prepared.prepare(tmp_path / "out", subjects, plan, key)) == [(1, 2), (2, 2)]
        assert list(auto_prepared.prepare(tmp_path / "out", subjects, plan, key)) == []
        first = auto_prepared.read(tmp_path / "out", 2)[0]
        _, masks = ball_and_box(0)
        assert np.array_equal(first.classes, 1 * masks["ball"] + 2 * masks["box"])
        assert first.known == (True, True, True)
        assert sorted(map(tuple, first.places[1])) == sorted(map(tuple, np.argwhere(masks["ball"])))

    def test_another_subject_makes_another_identity(self, tmp_path: Path):
        plan, subjects = self.plan(write_finished(tmp_path, 3)), find(tmp_path)
        assert auto_prepared.identity(subjects, plan) != auto_prepared.identity(subjects[:2], plan)

    def test_a_damaged_file_is_said(self, tmp_path: Path):
        folder = tmp_path / "set"
        folder.mkdir()
        plan, subjects = self.plan(write_finished(folder, 2)), find(folder)
        list(auto_prepared.prepare(tmp_path / "out", subjects, plan, "key"))
        (tmp_path / "out" / "1.classes.npy").write_bytes(b"no array")
        with pytest.raises(FileError, match="damaged"):
            auto_prepared.read(tmp_path / "out", 2)


def test_a_manifest_is_read_with_its_names(tmp_path: Path):
    write_cubes(tmp_path)
    records = json.loads((tmp_path / "manifest.json").read_text())
    records[1]["subject"] = "another"
    (tmp_path / "manifest.json").write_text(json.dumps(records))
    first = find(tmp_path)[0]
    assert (first.labels, first.modality) == ((("cube", 1),), "CT")
    assert np.argwhere(read(first).masks["cube"]).min() == 5
    assert auto_subjects.find(tmp_path / "manifest.json") == find(tmp_path)


def test_the_image_is_found_in_any_of_its_kinds(tmp_path: Path):
    write_finished(tmp_path, 2)
    image, _ = ball_and_box(0)
    (tmp_path / "case0.nii.gz").unlink()
    write_image(tmp_path / "case0.nrrd", Volume(image, Grid.from_spacing(image.shape, (2.0, 1.0, 1.0))))
    shutil.copy(tmp_path / "case0.seg.nrrd", tmp_path / "case0.SEG.NRRD")
    (tmp_path / "case0.seg.nrrd").unlink()
    assert find(tmp_path)[0].image == tmp_path / "case0.nrrd"
