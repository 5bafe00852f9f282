"""A training loop of Keras' as work that takes turns: it runs when it is told to, an epoch at a time."""

import queue
import threading
import time
from collections.abc import Callable

__all__ = ["Epochs"]


class _Stopped(Exception):
    """Ends a training that is no longer wanted."""


class Epochs:
    """Times epochs of a training that runs in a thread of its own and waits between two turns.

    So it compiles once, and whatever it does in an epoch besides its steps is in the time.

    Args:
      parameters: how many it trains.
      steps: of an epoch.
      train: runs the training; it must call the function that it is given after every epoch.
    """

    def __init__(self, parameters: int, steps: int, train: Callable[[Callable[[], None]], None]) -> None:
        self.parameters, self._steps = parameters, steps
        self._turns: queue.Queue = queue.Queue()
        self._answers: queue.Queue = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(train,), daemon=True)
        self._thread.start()

    def measure(self, repeats: int) -> list[float]:
        """Seconds of a step, in each of `repeats` epochs."""
        self._turns.put(repeats)
        answer = self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Ends the training."""
        self._turns.put(0)
        self._thread.join()

    def _run(self, train: Callable) -> None:
        try:
            self._wait()
            train(self._epoch_ended)
        except _Stopped:
            pass
        except Exception as error:
            self._answers.put(error)

    def _wait(self) -> None:
        self._wanted, self._seconds = self._turns.get(), []
        if not self._wanted:
            raise _Stopped
        self._since = time.perf_counter()

    def _epoch_ended(self) -> None:
        now = time.perf_counter()
        self._seconds.append((now - self._since) / self._steps)
        self._since = now
        if len(self._seconds) == self._wanted:
            self._answers.put(self._seconds)
            self._wait()
