"""What can go wrong, said to the user: every message is one sentence that tells what to do."""


class MemSegError(Exception):
    """Base of all errors a user can cause or meet. Raising one leaves session, scene and files as they were."""


class GeometryError(MemSegError):
    """A grid that cannot be used: sheared, flat, or not the one expected."""


class VolumeError(MemSegError):
    """An image that cannot be segmented: empty, constant, holding NaN, not scalar, not three-dimensional."""


class PromptError(MemSegError):
    """A prompt that does not fit the volume or the segmenter."""


class ModelError(MemSegError):
    """A model that does not exist or cannot be built here."""


class FileError(MemSegError):
    """A file that cannot be read or written."""


class SessionError(MemSegError):
    """Something asked of a session that it cannot do now, such as undoing when nothing was done."""


class ModalityUnknownError(PromptError):
    """Words for a model that has to know which kind of image it looks at, where nobody has said and nothing tells."""


class StoppedError(MemSegError):
    """The user stopped what was being worked out."""
