"""How a layer says which keyword arguments it takes at every call."""

__all__ = ["Conditional"]


class Conditional:
    """Mixin for bijectors on a conditioner: takes `conditional_input` where the conditioner has a `context_size`.

    `Flow` reads `keywords` to route its own `context` and `training` to the layers that take them.
    """

    @property
    def keywords(self) -> tuple[str, ...]:
        """Names of the keyword arguments that `forward`, `inverse` and the log-dets take."""
        conditioner = self._shift_and_log_scale_fn or self._bijector_fn
        return ("conditional_input",) if getattr(conditioner, "context_size", 0) else ()
