"""Pickles of official checkpoints, read as data: nothing in them is imported or called.

A pickle is a program for a small stack machine (see Python's `pickletools`). `read_pickle` runs it on safe values: a
global is only its name, a call can use only a few builders, an object is a record of its state. What is not in the
tables of `values.py` is opaque, or refused by name where its only use is to run something; all sizes are checked first.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

from ...checks import is_whole
from .values import (
    BUILDERS,
    KNOWN,
    OLD_NAMES,
    RECORDS,
    RUNS,
    STORAGES,
    Name,
    NumpyType,
    Opaque,
    Record,
    Refused,
    Storage,
    as_dict,
    as_set,
    checked_key,
)

MOST_OPCODES, MOST_BITS = 2_000_000, 2048  # a generator's state has whole numbers of 128 bits
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
FROM_ITEMS = {"TUPLE": tuple, "LIST": list, "FROZENSET": as_set, "DICT": as_dict}
SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _name(module: object, name: object) -> Name | Opaque:
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused("it names something by what is not text")
    dotted = f"{module}.{name}"
    dotted = OLD_NAMES.get(dotted, dotted.replace("__builtin__.", "builtins."))
    if dotted in KNOWN:
        return Name(dotted)
    if RUNS.fullmatch(dotted):
        raise Refused(f"it names {dotted!r:.100}, which is neither a tensor nor plain data; nothing of it was run")
    return Opaque(dotted[:100])


def _call(function: object, arguments: object) -> object:
    if isinstance(function, Opaque):
        return Opaque(function.kind, [arguments])
    if not isinstance(function, Name) or function.dotted not in BUILDERS or not isinstance(arguments, tuple):
        what = function.dotted if isinstance(function, Name) else type(function).__name__
        raise Refused(f"it calls {what!r:.100}, which makes neither a tensor nor plain data; nothing of it was run")
    if any(isinstance(argument, Opaque) for argument in arguments[:1]):
        return Opaque(function.dotted, [arguments])
    return BUILDERS[function.dotted](*arguments)


def _create(kind: object, arguments: object) -> Record | Opaque:
    if isinstance(kind, Opaque):
        return Opaque(kind.kind, [arguments])
    if not isinstance(kind, Name) or kind.dotted not in RECORDS or arguments != ():
        what = kind.dotted if isinstance(kind, Name) else type(kind).__name__
        raise Refused(f"it makes a {what!r:.100}, which is not plain data; nothing of it was run")
    return Record(kind.dotted)


def _give_state(target: object, state: object) -> None:
    if isinstance(target, Opaque):
        target.parts.append(state)
    elif isinstance(target, Record) and isinstance(state, dict):
        target.state = state
    elif isinstance(target, NumpyType) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|"):
        target.order = state[1]
    elif not isinstance(target, dict):  # for an ordered dict it is `_metadata`, which does not affect weights
        raise Refused(f"it gives a state to a {type(target).__name__}, which has none")


def _storage(identity: object) -> Storage | Opaque:
    """The storage of a persistent id: ("storage", type, key, device, elements[, None])."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise Refused("it refers to something outside that is not a tensor's storage")
    _, kind, key, _, elements = identity[:5]
    if isinstance(kind, Opaque):
        return Opaque(kind.kind)
    if not isinstance(kind, Name) or kind.dotted not in STORAGES or not isinstance(key, str) or not is_whole(elements):
        raise Refused("a storage in it has no known type, name or length")
    if identity[5:] not in ((), (None,)):
        raise Refused("a storage in it is a part of another one, which very old files have; save it again")
    return Storage(key, STORAGES[kind.dotted], elements)


def read_pickle(file: BinaryIO) -> Any:
    """The value of the next pickle in a file, with `StoredTensor` for tensors and `Record` for objects.

    Raises Refused for anything but the data of a checkpoint.
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []  # the stacks below the marks
    memo: dict[int, Any] = {}
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count >= MOST_OPCODES:
                raise Refused(f"its pickle has more than {MOST_OPCODES:,} instructions")
            name = opcode.name
            if name in LITERALS:
                if isinstance(argument, int) and argument.bit_length() > MOST_BITS:
                    raise Refused(f"it holds a whole number of {argument.bit_length()} bits")
                stack.append(argument)
                continue
            if name in CONSTANTS:
                stack.append(CONSTANTS[name])
                continue
            if name in EMPTY:
                stack.append(EMPTY[name]())
                continue
            if name in SHORT_TUPLES:
                start = len(stack) - SHORT_TUPLES[name]
                if start < 0:
                    raise IndexError
                stack[start:] = [tuple(stack[start:])]
                continue
            match name:
                case "PROTO" | "FRAME":
                    pass
                case "MARK":
                    outer.append(stack)
                    stack = []
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    stack = outer.pop()
                case "DUP":
                    stack.append(stack[-1])
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "TUPLE" | "LIST" | "FROZENSET" | "DICT":
                    items, stack = stack, outer.pop()
                    stack.append(FROM_ITEMS[name](items))
                case "APPEND" | "APPENDS" | "ADDITEMS" | "SETITEM" | "SETITEMS":
                    if name == "APPEND":
                        items = [stack.pop()]
                    elif name == "SETITEM":
                        items = [stack.pop(-2), stack.pop()]
                    else:
                        items, stack = stack, outer.pop()
                    _fill(stack[-1], items)
                case "GLOBAL":
                    stack.append(_name(*argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    stack.append(_name(stack.pop(-2), stack.pop()))
                case "REDUCE":
                    stack.append(_call(stack.pop(-2), stack.pop()))
                case "NEWOBJ":
                    stack.append(_create(stack.pop(-2), stack.pop()))
                case "NEWOBJ_EX":
                    stack.pop()
                    stack.append(_create(stack.pop(-2), stack.pop()))
                case "BUILD":
                    state = stack.pop()
                    _give_state(stack[-1], state)
                case "BINPERSID":
                    stack.append(_storage(stack.pop()))
                case "STOP":
                    return stack.pop()
                case _:
                    raise Refused(f"its pickle has the instruction {name}, which no checkpoint needs")
    except Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as fault:  # the effect of a wrong order of instructions
        raise Refused(f"its pickle is damaged or cut short ({type(fault).__name__})") from None
    raise Refused("its pickle is cut short")


def _fill(target: object, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, set):
        target.update(map(checked_key, items))
    elif isinstance(target, dict):
        target.update(as_dict(items))
    elif isinstance(target, Opaque):
        target.parts.extend(items)
    else:
        raise Refused(f"it fills a {type(target).__name__}, which holds nothing")
