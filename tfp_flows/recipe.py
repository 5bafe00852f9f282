"""How an object of this package was made, as plain data, and the same object made again from it.

A recipe names classes and holds their arguments; it never holds code. The classes that it may name are those below
`Recorded`, the elementwise maps, and the bijectors and distributions of TFP.
"""

import contextlib
import contextvars
import copy
import dataclasses
import inspect
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import elementwise
from tfp_flows.arrays import assign_arrays, whole_arrays
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, reason_of

__all__ = [
    "Recorded",
    "at_most",
    "described",
    "differences",
    "following",
    "make_again",
    "recipe_of",
    "spend",
    "unwritten",
]

_CLASSES: dict[str, type] = {}
_MAPS = {name: getattr(elementwise, name) for name in elementwise.__all__ if name != "Elementwise"}
_HOMES = {"tfb": tfp.bijectors, "tfd": tfp.distributions}
_OF_TFP = {"tfb": tfp.bijectors.Bijector, "tfd": tfp.distributions.Distribution}
MOST_NUMBERS = 2**31  # of a network: 8 GB
_PLAIN = (bool, int, float, str, type(None))
# What building from a recipe raises where somebody has put a wrong type, name or number into it.
_ODD = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)


class Recorded:
    """Mixin: remembers the arguments that an object was made with, so that it can be copied, pickled and saved.

    What it says of equality is identity. TFP's cache is shared by all bijectors and keyed by equality: two layers of
    equal arguments and other weights would return each other's results.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _CLASSES[_name_of(cls)] = cls
        if issubclass(cls, tf.Module):  # what an object was made with is no part of it
            cls._TF_MODULE_IGNORED_PROPERTIES = cls._TF_MODULE_IGNORED_PROPERTIES | {"_made_with"}

    if not TYPE_CHECKING:  # a type checker reads the signature of __init__

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            """Makes the object, and notes the arguments."""
            made = super().__new__(cls)
            Recorded.remember(made, args, kwargs)
            return made

    def remember(self, args: tuple, kwargs: dict[str, Any]) -> None:
        """Notes the arguments: for a class whose `__new__` does not come by here."""
        self.__dict__["_made_with"] = args, kwargs  # not by setattr: TensorFlow would track what is in there

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def made_with(self) -> dict[str, Any]:
        """The arguments, by name."""
        args, kwargs = self._made_with
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs).arguments
        bound.pop("self")
        return {**{k: v for k, v in bound.items() if k != "kwargs"}, **bound.get("kwargs", {})}

    def copy(self, **changes: Any) -> Any:
        """The same again, with variables of its own that have the same values; or with other arguments.

        With other arguments, those variables keep their values that have the same name and shape in both.
        """
        if not changes and not tf.executing_eagerly():  # TFP copies distributions while it traces: no values there
            return self.__copy__()
        if not changes:
            recipe, arrays, carried, apart = _taken_apart(self)
            return _revived(recipe, arrays, *copy.deepcopy((carried, None, apart)))
        other = type(self)(**{**self.made_with, **changes})
        mine = {name.removeprefix(f"{self.name}/"): value for name, value in whole_arrays(self).items()}
        theirs = whole_arrays(other)
        for name, start in theirs.items():
            value = mine.get(name.removeprefix(f"{other.name}/"), start)
            theirs[name] = value if value.shape == start.shape else start
        assign_arrays(other, theirs, "a copy")
        return other

    def __copy__(self) -> Any:
        """Another object with the very same variables, as Python means it; `copy` and `copy.deepcopy` make new ones."""
        alias = object.__new__(type(self))
        alias.__dict__.update(self.__dict__)
        return alias

    def __reduce__(self) -> tuple:
        recipe, arrays, carried, apart = _taken_apart(self)
        return _revived, (recipe, arrays, carried, _classes_in(recipe), apart)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return self.__reduce__()

    def _parts_apart(self) -> list["Recorded"]:
        """Parts that others may have as well: whoever copies both, or writes both, keeps them one."""
        return []


class Carried:
    """A context network of the user's in what is taken apart: no recipe can hold it, but a copy or a pickle may."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __reduce__(self) -> tuple:
        with self._refused("pickled"):
            return _unpickled, (pickle.dumps(self.network),)

    def __deepcopy__(self, memo: dict) -> "Carried":
        with self._refused("copied"):
            return Carried(copy.deepcopy(self.network, memo))

    @contextlib.contextmanager
    def _refused(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a network of the user's raises
            sentence = f"the context_network {in_short(self.network)} cannot be {what}: {reason_of(error)}."
            raise InputError(sentence) from error


def _unpickled(data: bytes) -> Carried:
    return Carried(pickle.loads(data))


def _taken_apart(made: Any) -> tuple[dict, dict[str, np.ndarray], list[Carried], list[Recorded]]:
    carried, apart = [], made._parts_apart()
    return recipe_of(made, carried, apart), whole_arrays(made), carried, apart


def _revived(
    recipe: dict,
    arrays: dict[str, np.ndarray],
    carried: Sequence[Carried] = (),
    classes: dict[str, type] | None = None,
    apart: Sequence[Recorded] = (),
) -> Any:
    _CLASSES.update(classes or {})  # another process may have imported none of them, or a script's by another name
    made = _made(recipe, _Made((c.network for c in carried), apart))
    assign_arrays(made, arrays, "a copy")
    return made


def _classes_in(recipe: Any) -> dict[str, type]:
    """The classes that a recipe names, but for those of TFP: in a pickle they say where they are imported from."""
    if isinstance(recipe, list):
        return {name: cls for item in recipe for name, cls in _classes_in(item).items()}
    if not isinstance(recipe, dict):
        return {}
    named = [name for name in (recipe.get("make"), recipe.get("class")) if isinstance(name, str) and name in _CLASSES]
    return {name: _CLASSES[name] for name in named} | _classes_in(list(recipe.values()))


def _name_of(cls: type) -> str:
    ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
    return cls.__name__ if ours else f"{cls.__module__}.{cls.__qualname__}"


def written_plainly(cls: type) -> type:
    """Decorates a frozen dataclass of plain data that a recipe may name, as it may the elementwise maps."""
    _MAPS[cls.__name__] = cls
    return cls


def recipe_of(made: Any, carried: list[Carried] | None = None, apart: Sequence[Recorded] = ()) -> dict:
    """The recipe of a `Recorded` object, in types that JSON has.

    An object that occurs twice is written once: a network that two layers share is shared again. With a list `carried`,
    context networks that cannot be written down are put there, and the recipe has their places; and those of the parts
    that are `apart`.

    Raises:
      InputError: if an argument is nothing that can be written down, such as a function.
    """
    return _encoded(made, type(made).__name__, _Written(carried, apart=apart))


def described(made: Any) -> dict:
    """The recipe of a `Recorded` object, in which a part that cannot be written down has its kind alone."""
    return _encoded(made, type(made).__name__, _Written(None, describes=True))


def unwritten(recipe: Any) -> dict[str, str]:
    """The kinds of the parts of a recipe that could not be written down, by what these parts are called."""
    if isinstance(recipe, list):
        inside = recipe
    elif not isinstance(recipe, dict):
        return {}
    elif "unwritten" in recipe:
        return {str(recipe.get("part")): str(recipe["unwritten"])}
    else:
        inside = recipe.values()
    return {part: kind for item in inside for part, kind in unwritten(item).items()}


def differences(one: Any, other: Any, judged: Iterable[str] = ()) -> list[str]:
    """The arguments in which two recipes of a flow differ, but for where variables start and what columns are called.

    The parts in `judged` that cannot be written down are the same if both are such parts: somebody else compares them.
    """
    plain = [_compared(recipe, tuple(judged)) for recipe in (one, other)]
    if plain[0] == plain[1]:
        return []
    given = [recipe.get("with") if isinstance(recipe, dict) else None for recipe in plain]
    if not all(isinstance(arguments, dict) for arguments in given):
        return ["layers"]
    return [k for k in {**given[0], **given[1]} if given[0].get(k) != given[1].get(k)] or ["layers"]


_STARTS = ("seed", "rng", "config", "columns", "context_columns")


def _compared(recipe: Any, judged: tuple[str, ...]) -> Any:
    """A recipe without what is no difference; an object that was first met in what is left out is put in its place."""
    met: list[Any] = []
    _meet(recipe, met)
    numbers, places = {id(data): i for i, data in enumerate(met)}, {}

    def left(data: Any) -> Any:
        if isinstance(data, list):
            return [left(item) for item in data]
        if not isinstance(data, dict):
            return data
        if "unwritten" in data and str(data.get("part")).rpartition(" ")[2] in judged:
            return {"unwritten": None}
        if "again" in data and isinstance(data["again"], int) and 0 <= data["again"] < len(met):
            if data["again"] in places:
                return {"again": places[data["again"]]}
            return left(met[data["again"]])
        if "make" in data or "variable" in data:
            places[numbers[id(data)]] = len(places)
        return {key: left(item) for key, item in data.items() if key not in _STARTS}

    return left(recipe)


def _meet(recipe: Any, met: list[Any]) -> None:
    """Puts the objects of a recipe into a list, in the order in which they get their places."""
    if isinstance(recipe, dict) and ("make" in recipe or "variable" in recipe):
        met.append(recipe)
    if isinstance(recipe, (dict, list)):
        for item in recipe.values() if isinstance(recipe, dict) else recipe:
            _meet(item, met)


class _Written(dict[int, int]):
    """Which object, by its identity, has which place among those that are written; and what is carried beside them."""

    def __init__(self, carried: list[Carried] | None, describes: bool = False, apart: Sequence[Recorded] = ()) -> None:
        super().__init__()
        self.carried, self.describes = carried, describes
        self.apart = {id(part): place for place, part in enumerate(apart)}

    def carry(self, network: Any) -> dict:
        """The place of a network that cannot be written down."""
        places = [carried.network is network for carried in self.carried]
        if not any(places):
            self.carried.append(Carried(network))
        return {"carried": places.index(True) if any(places) else len(places)}


class _Made(list):
    """The objects of a recipe that are made; and those that were carried beside it, or are apart."""

    def __init__(self, carried: Iterable[Any] = (), apart: Iterable[Any] = ()) -> None:
        super().__init__()
        self.carried, self.apart = list(carried), list(apart)


def _encoded(value: Any, where: str, known: _Written) -> Any:
    if isinstance(value, np.random.Generator):  # it made the values that variables start from: they are saved
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tf.DType, np.dtype)):
        return value.name
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value).name
    if isinstance(value, _PLAIN):
        return value
    if type(value) in _MAPS.values():
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"map": type(value).__name__, "with": _encoded(fields, where, known)["dict"]}
    if isinstance(value, (list, tuple, range)):
        return [_encoded(item, where, known) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encoded(item, f"{where}, {key}", known) for key, item in value.items()}}
    if isinstance(value, type) and _constructor_name(value):
        return {"class": _constructor_name(value)}
    if isinstance(value, tf.Variable):
        if id(value) in known:
            return {"again": known[id(value)]}
        known[id(value)] = len(known)
        facts = {"shape": value.shape.as_list(), "dtype": value.dtype.name, "trainable": value.trainable}
        return {"variable": facts | {"name": value.name.removesuffix(":0")}}
    if isinstance(value, np.ndarray) or (tf.is_tensor(value) and hasattr(value, "numpy")):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return {"array": array.tolist(), "dtype": array.dtype.name}
    return _encoded_object(value, where, known)


def _encoded_object(value: Any, where: str, known: _Written) -> dict:
    name = _constructor_name(type(value))
    if name is None and where.endswith(", context_network") and known.carried is not None:
        return known.carry(value)
    if name is None or (getattr(value, "parameters", {}) is None and not isinstance(value, Recorded)):
        if known.describes:
            path = [part for part in where.split(", ")[1:] if part != "config"]
            return {"unwritten": getattr(value, "__name__", type(value).__name__), "part": " of ".join(path[::-1])}
        raise InputError(
            f"{where} is a {type(value).__name__}, which cannot be written down: the weights alone can be saved, and "
            "read by tff.load(folder, into=flow)."
        )
    if id(value) in known.apart:
        return {"apart": known.apart[id(value)]}
    if id(value) in known:
        return {"again": known[id(value)]}
    known[id(value)] = len(known)
    arguments = value.made_with if isinstance(value, Recorded) else _given(value)
    return {"make": name, "with": {k: _encoded(v, f"{where}, {k}", known) for k, v in arguments.items()}}


def _given(of_tfp: Any) -> dict[str, Any]:
    """The arguments of a bijector or distribution of TFP that are not its defaults."""
    known = inspect.signature(type(of_tfp).__init__).parameters
    return {
        name: value
        for name, value in of_tfp.parameters.items()
        if name in known and name != "parameters" and value is not known[name].default
    }


def _constructor_name(cls: type) -> str | None:
    if issubclass(cls, Recorded):
        return _name_of(cls)
    name = cls.__name__.strip("_")  # of some, TFP makes a private class
    for home, kind in _OF_TFP.items():
        is_theirs = issubclass(cls, kind) and cls.__module__.startswith("tensorflow_probability.")
        if is_theirs and hasattr(_HOMES[home], name):
            return f"{home}.{name}"
    return None


def _constructor(name: Any) -> type:
    home, _, of_tfp = name.partition(".") if isinstance(name, str) else ("", "", "")
    if home in _HOMES:
        found = getattr(_HOMES[home], of_tfp, None)
        if isinstance(found, type) and issubclass(found, _OF_TFP[home]):
            return found
    elif isinstance(name, str) and name in _CLASSES:
        return _CLASSES[name]
    raise InputError(f"a recipe may name the layers and networks that there are; got {in_short(name)}.")


@contextlib.contextmanager
def following(origin: str) -> Iterator[None]:
    """Inside, a recipe is followed; whatever that raises becomes an `InputError` that names where it is from."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    except _ODD as error:
        raise InputError(f"{origin} has a recipe that nothing can be built from: {reason_of(error)}.") from error


def make_again(recipe: dict, apart: Iterable[Any] = ()) -> Any:
    """The object of a recipe, with the parts that are `apart`; its variables start as they do, or are zeros."""
    return _made(recipe, _Made(apart=apart))


def _made(data: Any, known: _Made) -> Any:
    if isinstance(data, _PLAIN):
        return data
    if isinstance(data, list):
        return [_made(item, known) for item in data]
    if "dict" in data:
        return {key: _made(item, known) for key, item in data["dict"].items()}
    if "map" in data:
        if data["map"] not in _MAPS:
            raise InputError(f"a recipe may name the elementwise maps that there are; got {in_short(data['map'])}.")
        return _MAPS[data["map"]](**{name: _made(value, known) for name, value in data["with"].items()})
    if "class" in data:
        return _constructor(data["class"])
    if "array" in data:
        return np.asarray(data["array"], np.dtype(data["dtype"]))
    if "variable" in data:
        facts = data["variable"]
        spend(int(np.prod(facts["shape"])))
        zeros = np.zeros(facts["shape"], facts["dtype"])
        known.append(tf.Variable(zeros, trainable=facts["trainable"], name=facts["name"]))
        return known[-1]
    if "again" in data:
        return known[data["again"]]
    if "unwritten" in data:
        raise InputError(f"the {data['part']} could not be written down.")
    if "carried" in data:
        return known.carried[data["carried"]]
    if "apart" in data:
        return known.apart[data["apart"]]
    make = _constructor(data["make"])
    place = len(known)
    known.append(None)
    known[place] = make(**{k: _made(v, known) for k, v in data["with"].items()})
    return known[place]


# A recipe that was edited may ask for more memory than there is: what it may make is bounded by what was saved.

_left: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("left", default=None)


@contextlib.contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Inside, constructors may make arrays of so many numbers in all: `spend` refuses what goes beyond."""
    token = _left.set([numbers])
    try:
        yield
    finally:
        _left.reset(token)


def spend(numbers: int) -> None:
    """To be called before so many numbers are made; `InputError` if that is more than `at_most` or a layer allows."""
    left = _left.get()
    if left is not None:
        left[0] -= numbers
        if left[0] < 0:
            raise InputError("the recipe asks for more numbers than were saved with it.")
    if numbers > MOST_NUMBERS:
        raise InputError(f"such sizes make {numbers:.2g} numbers of one layer, and {MOST_NUMBERS:.2g} are the most.")
