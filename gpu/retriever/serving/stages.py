"""Loading in two stages, with room between them for a snapshot of the process.

The first needs no GPU: libraries, weights, the adapter's merge, all in the CPU's memory. The second
moves the model to its device and starts the engine, which sizes its cache by what is free there.
"""

from retriever.errors import Unusable
from retriever.models.checkpoint import Checkpoint
from retriever.models.loading import chosen_device, chosen_dtype, load
from retriever.profile import Profile
from retriever.reading.engine import Engine
from retriever.serving.building import build_engine
from retriever.settings import Settings


class Stages:
    """What failed in the first stage is tried again in the second, once: a snapshot would keep the
    failure, and every later container have it, weights or not."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: tuple[Checkpoint, Profile] | Unusable = Unusable("The model was not read.")

    def read(self) -> None:
        try:
            self._read = load(read_beside_no_gpu(self._settings))
        except Unusable as unusable:
            self._read = unusable

    def checked(self) -> tuple[Checkpoint, Profile]:
        """Raises Unusable: the first stage's."""
        if isinstance(self._read, Unusable):
            raise self._read
        return self._read

    def engine(self) -> Engine:
        """Raises Unusable: of either stage."""
        if isinstance(self._read, Unusable):
            self.read()
        checkpoint, profile = self.checked()
        device = chosen_device(self._settings)
        if checkpoint.model.dtype != chosen_dtype(self._settings, device):
            del checkpoint  # before another is read beside it
            checkpoint, profile = self._read_again()
        checkpoint.model.to(device)  # type: ignore[arg-type]  # in place; typed wrongly over there
        return build_engine(checkpoint, profile, self._settings)

    def _read_again(self) -> tuple[Checkpoint, Profile]:
        """DEVICE=auto, and no GPU came: a CPU reads in other numbers. Raises Unusable."""
        self._read = Unusable("The model was not read.")
        self._read = load(self._settings)
        return self._read


def read_beside_no_gpu(settings: Settings) -> Settings:
    """The type is the later device's: a CPU left to itself would read in float32."""
    if settings.device == "cpu":
        return settings
    dtype = "bfloat16" if settings.dtype == "auto" else settings.dtype
    return settings.model_copy(update={"device": "cpu", "dtype": dtype})
