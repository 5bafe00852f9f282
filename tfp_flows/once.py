"""A command whose options are given once: of two values, the first would be lost without a word."""

from collections import Counter
from typing import Any

from typer.core import TyperCommand

from tfp_flows.errors import InputError

__all__ = ["OnceCommand"]


class OnceCommand(TyperCommand):
    """A command that refuses an option that is given twice, but for those that may be."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As any command's; `InputError` names what was given twice."""
        *_, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, count in Counter(given).items():
            if count > 1 and parameter.param_type_name == "option" and not _may_come_again(parameter):
                raise InputError(f"{parameter.opts[0]} was given {count} times; give it once{_joined(parameter)}.")
        return super().parse_args(ctx, args)


def _may_come_again(option: Any) -> bool:
    return option.multiple or option.is_flag or option.count


def _joined(option: Any) -> str:
    """How several columns are given, where an option takes them."""
    return ", with commas between names" if option.name in ("columns", "context_columns") else ""
