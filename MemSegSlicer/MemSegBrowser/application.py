"""The application, composed: scene, views and tools of trame-slicer, MemSegSlicerLib's controller, and the page."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from trame_server import Server
from trame_slicer.core import SlicerApp

import memseg
from memseg.errors import FileError
from memseg.files import ending
from memseg.geometry import Grid
from memseg.volume import Volume
from MemSegSlicerLib.AutoWork import AutoState
from MemSegSlicerLib.Controller import Controller, SessionState
from MemSegSlicerLib.PromptMarkers import PromptMarkers
from MemSegSlicerLib.Recall import Recall
from MemSegSlicerLib.TextRows import completions
from MemSegSlicerLib.Worker import Worker

from . import tools, vtk_log, windowing
from .actions import Actions
from .documents import SAMPLE, Documents
from .guessing import Guessing
from .layout import DOWNLOAD, MODULE, build_layout
from .notices import Notices
from .page_state import page_of
from .prompting import Prompting
from .propagating import Propagating
from .recalling import Recalling
from .segments import Segments
from .server import Transfers
from .surfaces import Surfaces
from .tabs import Tabs
from .texting import Texting
from .tools import PromptTool
from .views import FourUpViews
from .workspace import Workspace

logger = logging.getLogger(__name__)

_SLOWEST_PAGE_S = 1.0  # a tab that takes longer to be told of a slice does not hold the next one up
_ICON = Path(__file__).parents[1] / "Resources" / "Icons" / "MemSegSlicer.png"


class Application:
    """One scene, one controller, one page. Make it inside a running event loop and keep a reference to it."""

    def __init__(self, server: Server, transfers: Transfers, model: str | None = None, device: str = "auto") -> None:
        loop = asyncio.get_running_loop()
        self._server = server
        self._transfers = transfers
        self._tasks: set[asyncio.Task] = set()  # the event loop itself holds tasks weakly
        self._page = page_of(server)
        self._notices = Notices(server, self._page)
        vtk_log.quieten()
        self._slicer = SlicerApp()
        vtk_log.forward()
        scene = self._slicer.scene
        self._views = FourUpViews(server, self._slicer, self._page)
        self._worker = Worker(loop.call_soon_threadsafe)
        pace = partial(self._start, self._after_drawing)
        recall = Recall()
        self._controller = Controller(scene, self._worker, model, device, pace=pace, recall=recall)
        self._workspace = Workspace(scene)
        self._surfaces = Surfaces(scene, self._workspace, self._show_new_surface)
        self._segments = Segments(self._page, self._workspace, self._controller, self._on_segments_changed)
        self._prompting = Prompting(
            self._page, self._controller, self._segments, PromptMarkers(scene), self._notices, self._views.jump_to
        )
        self._texting = Texting(self._page, self._controller, self._segments, recall, self._views, self._notices)
        self._recalling = Recalling(
            server, self._page, self._controller, recall, self._notices, transfers, self._send_download
        )
        self._guessing = Guessing(self._page, self._controller, self._workspace, self._segments, self._notices)
        self._propagating = Propagating(self._page, self._controller, self._segments, self._views, self._notices)
        self._documents = Documents(
            server,
            self._slicer,
            self._page,
            self._workspace,
            self._controller,
            self._notices,
            opened=self._on_opened,
            segments_added=self._segments.refresh,
        )
        self._tool = self._connect_tool()
        self._controller.addListener(self._on_session_changed)
        self._controller.auto.addListener(self._on_auto_changed)
        self._worker.submit(warm_up, lambda _: None, self._notices.report)
        self._worker.submit(partial(warm_up_words, recall), lambda _: self._show_recall_count(), self._notices.report)
        self._build_page()

    async def open(self, path: Path) -> None:
        """Open a file; what is wrong with it becomes a sentence on the page."""
        with self._server.state:
            await self._notices.guarded(self._documents.open)(path)

    def close(self) -> None:
        """Wait for the running job and let everything go."""
        self._surfaces.close()
        self._controller.cleanup()
        self._worker.close()

    # -- composition -------------------------------------------------------------------------------------------------

    def _connect_tool(self) -> PromptTool:
        editor = self._slicer.segmentation_editor
        editor.register_effect_type(PromptTool)
        tool = editor.get_effect(PromptTool)
        guarded = self._notices.guarded
        self._slots = (  # signals hold their receivers weakly
            guarded(self._prompting.draw),
            guarded(self._views.jump_to),
            guarded(self._drag_window),
            self._notices.complain,
        )
        for signal, slot in zip((tool.stroke_drawn, tool.jump_asked, tool.window_dragged, tool.refused), self._slots):
            signal.connect(slot)
        name = self._page.name
        self._page.bind_changes({(name.tool, name.positive, name.brush_mm): self._set_tool})
        return tool

    def _build_page(self) -> None:
        self._server.enable_module(MODULE)
        self._server.state.trame__title = "MemSegSlicer"
        self._server.state.trame__favicon = _picture(_ICON)
        tabs = Tabs(self._page)
        plain = {
            "undo": self._prompting.undo,
            "redo": self._prompting.redo,
            "reset": self._prompting.reset,
            "show_prompt": self._prompting.show,
            "remove_prompt": self._prompting.remove,
            "forget": self._prompting.forget,
            "clear_memory": self._prompting.clear_memory,
            "choose_axis": self._propagating.choose_axis,
            "propagate": self._propagating.propagate,
            "agree": self._propagating.agree,
            "show_suggested": self._propagating.show_suggested,
            "make_consistent": self._propagating.make_consistent,
            "show_slice": self._propagating.show_slice,
            "pin_slice": self._propagating.pin_slice,
            "drop_slice": self._propagating.drop_slice,
            "clear_slices": self._propagating.clear_slices,
            "type_words": self._texting.type,
            "complete_words": self._texting.complete,
            "choose_alternative": self._texting.choose,
            "tell_modality": self._texting.tell_modality,
            "stop": self._texting.stop,
            "ask_remember": self._recalling.ask_remember,
            "remember": self._recalling.remember,
            "show_recall": lambda: self._start(self._recalling.open),
            "rename_recalled": lambda identity, name: self._start(self._recalling.rename, identity, name),
            "delete_recalled": lambda identity: self._start(self._recalling.delete, identity),
            "export_recalled": lambda: self._start(self._recalling.export),
            "import_recalled": lambda batch: self._start(self._recalling.import_, batch),
            "guess": self._guessing.guess,
            "choose_auto": self._guessing.choose_model,
            "collect": self._guessing.collect,
            "add_segment": self._segments.add,
            "choose_segment": self._segments.choose,
            "toggle_segment": self._segments.toggle,
            "edit_segment": self._segments.begin_edit,
            "finish_segment": self._segments.finish_edit,
            "ask_delete_segment": self._segments.ask_delete,
            "delete_segment": self._segments.delete,
            "open_path": lambda path: self._leave_for(self._documents.ask_open, path),
            "open_sample": lambda: self._leave_for(self._documents.ask_open, SAMPLE),
            "open_waiting": lambda: self._start(self._documents.open_waiting),
            "uploaded": lambda batch: self._leave_for(self._open_upload, batch),
            "upload_failed": self._notices.complain,
            "save_path": lambda path: self._leave_for(self._documents.save, path),
            "download": lambda kind: self._start(self._download, kind),
            "choose_window": self._choose_window,
            "toggle_surface": self._toggle_surface,
            "fit": self._views.fit,
            "toggle_theme": self._toggle_theme,
            "claim": tabs.claim,
            "shortcut": self._press,
        }
        self._actions = Actions(**{name: self._notices.guarded(action) for name, action in plain.items()})
        for name in plain:
            self._server.controller.trigger(name)(getattr(self._actions, name))
        self._layout = build_layout(self._server, self._page, self._actions, self._views.layouts, tabs)

    def _start(self, work: Callable[..., Any], *arguments: object) -> None:
        """Let async work run beside the page, which would otherwise wait for it."""

        async def run() -> None:
            await self._notices.guarded(work)(*arguments)
            self._server.state.flush()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave_for(self, work: Callable[..., Any], argument: object) -> None:
        """As `_start`, for what comes after the work on a segment."""
        self._segments.leave()
        self._start(work, argument)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        """Another image is in the workspace."""
        volume, node = self._workspace.volume, self._workspace.volume_node
        editor = self._slicer.segmentation_editor
        editor.set_active_segmentation(self._workspace.segmentation_node, node)
        editor.set_active_effect(self._tool)
        self._surfaces.forget()
        self._views.show(node)
        data = self._page.data
        data.has_image = True
        data.image_name = node.GetName()
        data.image_summary = summary_words(volume.shape_kji, volume.grid.spacing_kji_mm)
        self._propagating.show_volume()
        self._choose_window(windowing.first_choice(volume))
        self._segments.refresh()
        self._suggest_names(node.GetName())

    def _on_segments_changed(self) -> None:
        self._surfaces.refresh()
        self._views.render()

    def _on_session_changed(self, state: SessionState) -> None:
        with self._server.state:
            self._prompting.show_state(state)
            self._texting.show_state(state)
            self._propagating.show_state(state)
            if not state.busy:
                self._segments.show()
                self._recalling.show_count()
                self._guessing.look()
        if not state.busy:
            self._surfaces.refresh()

    def _on_auto_changed(self, state: AutoState) -> None:
        with self._server.state:
            self._guessing.show_state(state)

    def _set_tool(self, tool: str, positive: bool, brush_mm: float) -> None:
        self._tool.tool = tool if tool in tools.TOOLS else tools.NAVIGATE
        self._tool.positive = bool(positive)
        self._tool.brush_mm = float(brush_mm)
        if tool != tools.NAVIGATE:
            self._views.show_crosshair(False)

    def _drag_window(self, right_px: float, up_px: float) -> None:
        window = windowing.drag(self._workspace.volume_node, self._workspace.volume, right_px, up_px)
        self._show_window("own", *window)

    def _choose_window(self, choice: str) -> None:
        self._show_window(choice, *windowing.apply(self._workspace.volume_node, self._workspace.volume, choice))

    def _show_window(self, choice: str, window: float, level: float) -> None:
        self._page.data.window_preset = choice
        self._page.data.window = f"W {window:.4g} L {level:.4g}"

    def _toggle_surface(self) -> None:
        self._page.data.surface_shown = not self._page.data.surface_shown
        self._surfaces.show(self._page.data.surface_shown)
        self._views.render()

    def _show_new_surface(self) -> None:
        for view in self._slicer.view_manager.get_threed_views():
            view.reset_view()

    def _toggle_theme(self) -> None:
        self._page.data.dark = not self._page.data.dark

    def _suggest_names(self, image_name: str) -> None:
        folder = Path.cwd()
        if not self._page.data.open_path:
            self._page.data.open_path = f"{folder}/"
        self._page.data.save_path = str(folder / f"{image_name}.seg.nrrd")

    async def _open_upload(self, batch: str) -> None:
        """Open what was uploaded; the copy goes when its voxels are in memory."""
        await self._documents.ask_open(self._transfers.batch(batch))
        if not self._page.data.discard_shown:
            self._transfers.drop_batch(batch)

    async def _download(self, kind: str) -> None:
        stem = Path(self._page.data.image_name or "MemSeg").name
        path, address = self._transfers.offer(f"{stem.removesuffix(ending(Path(stem)))}{kind}")
        await self._documents.write(path)
        self._send_download(address)
        self._notices.say(f"Downloading {path.name}.")

    def _send_download(self, address: str) -> None:
        self._server.js_call(DOWNLOAD, "exec", address)

    def _show_recall_count(self) -> None:
        with self._server.state:
            self._recalling.show_count()

    async def _after_drawing(self, show: Callable[[], None]) -> None:
        """When the page has been sent what was there to show, so that it keeps up with a propagation."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.network_completion, _SLOWEST_PAGE_S)
        show()

    def _press(self, key: str) -> None:
        """A keyboard shortcut, by the name that page.js gives it."""
        data = self._page.data
        if key in tools.TOOLS:
            data.tool = key
        elif key in ("positive", "negative"):
            data.positive = key == "positive"
        elif key in ("undo", "redo"):
            getattr(self._prompting, key)()
        elif key in ("propagate", "agree", "show_suggested"):
            getattr(self._propagating, key)()
        elif key == "stop":
            self._texting.stop()
        elif key == "remember":
            self._recalling.ask_remember()
        elif key == "remove":
            self._prompting.remove_last()
        elif key == "fit":
            self._views.fit()
        elif key == "open":
            data.open_shown = True
        elif key == "save":
            data.discard_shown, data.save_shown = False, data.has_image
        elif key == "help":
            data.help_shown = True
        else:
            raise FileError(f"The key '{key}' means nothing here.")


def warm_up() -> None:
    """Answer a click in a tiny image and follow a square through it, so that the user's first click and propagation
    need not wait for libraries to load."""
    values = np.arange(16**3, dtype=np.int16).reshape(16, 16, 16)
    volume = Volume(values, Grid.from_spacing(values.shape, (1.0, 1.0, 1.0)))
    session = memseg.new_session(volume)
    session.add(memseg.Click((8, 8, 8)))
    square = np.zeros(values.shape, np.uint8)
    square[8, 4:12, 4:12] = 1
    session.add(memseg.MaskPrompt.from_mask(square))
    for _ in session.propagate("k", 8, first=7, last=9):
        pass


def warm_up_words(recall: Recall) -> None:
    """Read the recall memory and the terms, so that the first letter typed need not wait for them."""
    recall.memory()
    completions("left k", recall.names)


def _picture(path: Path) -> str:
    """A PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def summary_words(shape_kji: tuple[int, int, int], spacing_kji_mm: tuple[float, float, float]) -> str:
    sizes = " × ".join(str(size) for size in reversed(shape_kji))
    spacings = " × ".join(f"{spacing:.3g}" for spacing in reversed(np.asarray(spacing_kji_mm)))
    return f"{sizes} · {spacings} mm"
