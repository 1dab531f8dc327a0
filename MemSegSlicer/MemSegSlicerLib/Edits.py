"""How a session learns, before its next action, what became of its segment since the last one.

Three things can have happened to the voxels: the user undid or redid steps elsewhere (the Segment Editor's undo brings
back an older segment, together with the step that is noted on it); an editor did not take all of the last step; or the
user edited the mask. For the worker.
"""

from __future__ import annotations

import numpy as np

from memseg.geometry import Box
from memseg.prompts import MaskPrompt
from memseg.session import Session


def catchUp(session: Session, box: Box, values: np.ndarray, step: int | None, isClipped: bool) -> bool:
    """Bring the session to the mask that its segment holds; returns whether that was edited, which is a prompt then.

    values: uint8 0/1 at the box; outside it the mask is empty. step: how many steps had been done when the segment was
    written, where it says so. isClipped: what differs was kept back from the last step.
    """
    tight = Box.of_mask(values)
    box, values = tight.shifted(box.start_kji), values[tight.slices]
    steps = stepsDone(session)
    if step in (None, steps) and _holds(session, box, values):
        return False
    session.end_propagation()
    if step is not None and _goTo(session, step, box, values):
        return False
    if isClipped and session.can_undo:
        session.amend(box, values)
        return False
    session.add(MaskPrompt(session.volume.shape_kji, box, values))
    return True


def stepsDone(session: Session) -> int:
    """With the propagation that is running, which will be one."""
    return len(session.history.done) + session.is_propagating


def goBackTo(session: Session, step: int) -> None:
    """Undo what was done since so many steps had been done."""
    session.end_propagation()
    while len(session.history.done) > step:
        session.undo()


def _holds(session: Session, box: Box, values: np.ndarray) -> bool:
    crop = session.mask_kji[box.slices]
    return bool(
        np.array_equal(values, crop)
        and np.count_nonzero(session.mask_kji[session.extent.slices]) == np.count_nonzero(values)
    )


def _goTo(session: Session, step: int, box: Box, values: np.ndarray) -> bool:
    """Undo or redo until so many steps are done, if the mask was then what is given; returns whether."""
    history = session.history
    done = len(history.done)
    if not 0 <= step <= done + len(history.undone):
        return False
    changes = [each.change.inverse for each in reversed(history.done[step:])]
    changes += [each.change for each in reversed(history.undone[len(history.undone) - max(step - done, 0) :])]
    whole = session.extent.union(box)
    for change in changes:
        whole = whole.union(change.box)
    then = session.mask_kji[whole.slices].copy()
    for change in changes:
        if not change.is_empty:
            then[change.box.relative_to(whole).slices] = change.after
    wanted = np.zeros(whole.shape_kji, np.uint8)
    if not box.is_empty:
        wanted[box.relative_to(whole).slices] = values
    if not np.array_equal(then, wanted):
        return False
    while len(session.history.done) > step:
        session.undo()
    while len(session.history.done) < step:
        session.redo()
    return True
