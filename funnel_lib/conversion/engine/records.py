"""Rows packed into whole numbers, put apart by a hash of their unit: what lets a billion rows be grouped.

A record is one number (a unit from a known range beside time and code), or some for the unit and one for time and
code; see `parts.Layout`. The functions are compiled by numba. The hash only says where a record is kept: whether two
records are of one unit is decided by all numbers of the unit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.engine.compiling import jit

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
MIX = 0x1E3779B97F4A7C15
"""Odd, so that multiplying by it loses nothing."""
NONE = -1
_SMALL = 32
"""Up to so many rows, inserting one by one is the fastest way to sort."""


@cache
def compiled() -> dict[str, Callable[..., Any]]:
    """Return the functions below, compiled by numba."""
    functions = (
        room, stirred, swapped, loaded, spread_numbers, spread_pairs, spread_texts, told_apart, settle,
        order_words, order_rows, looked_up, unpacked, begun, laid_on, taken_off,
    )  # fmt: skip
    return jit(*functions, names=globals())


def room(part: int, pool: Any) -> bool:
    """Give a part a new chunk; return whether there was one."""
    ends, heads, nexts, free, state, _ = pool
    if state[0] == 0:
        return False
    state[0] -= 1
    chunk = free[state[0]]
    nexts[chunk] = heads[part]
    heads[part] = chunk
    ends[part] = chunk << state[1]
    return True


def spread_numbers(units: Ints, at: Ints, load: Any, begin: int, layout: Any, pool: Any, memory: Ints) -> int:
    """Add records of one number each; return how far it came: to the end, or to where the memory was full.

    The part of a unit follows from its low bits and a hash of the others, so that these others are enough to know it
    again within its part, and are in order there.
    """
    bits, low, since, shift, times, mix, skip, last = layout
    ends, seen, full = pool[0], pool[5], (1 << pool[4][1]) - 1
    for row in range(begin, len(units)):
        if load[row] == skip:
            continue
        unit = units[row] - low
        high = unit >> bits
        part = (unit ^ ((high * mix) >> 32)) & ((1 << bits) - 1)
        if ends[part] & full == 0 and not room(part, pool):
            return row
        end = ends[part]
        memory[end] = (high << times | (at[row] - since)) << shift | load[row]
        ends[part] = end + 1
        seen[load[row] & last] += 1
    return len(units)


def spread_pairs(units: Ints, at: Ints, load: Any, begin: int, layout: Any, pool: Any, memory: Ints) -> int:
    """Add records of two numbers each, the first of them the unit; return how far it came."""
    bits, _, since, shift, _, mix, skip, last = layout
    ends, seen, full = pool[0], pool[5], (1 << pool[4][1]) - 1
    for row in range(begin, len(units)):
        if load[row] == skip:
            continue
        part = stirred(0, units[row], mix) >> 32 & ((1 << bits) - 1)
        if ends[part] & full == 0 and not room(part, pool):
            return row
        end = ends[part]
        memory[2 * end] = units[row]
        memory[2 * end + 1] = (at[row] - since) << shift | load[row]
        ends[part] = end + 1
        seen[load[row] & last] += 1
    return len(units)


def spread_texts(texts: Any, at: Ints, load: Any, begin: int, layout: Any, pool: Any, memory: Ints) -> int:
    """Add records whose units are texts of `least` to `most` bytes, as `width` numbers; return how far it came.

    A text ends with at least one byte of padding: zeros, and last how many bytes they are.
    """
    offsets, octets, words, width, least, most, unit = texts
    bits, _, since, shift, _, mix, skip, last = layout
    ends, seen, full = pool[0], pool[5], (1 << pool[4][1]) - 1
    for row in range(begin, len(at)):
        place = offsets[row]
        length = offsets[row + 1] - place
        if load[row] == skip or length < least or length > most:
            continue
        for word in range(width):
            unit[word] = loaded(octets, words, place + 8 * word, length - 8 * word)
        unit[width - 1] |= 8 * width - length
        hashed = 0
        for word in range(width):
            hashed = stirred(hashed, unit[word], mix)
        part = hashed >> 32 & ((1 << bits) - 1)
        if ends[part] & full == 0 and not room(part, pool):
            return row
        target = ends[part] * (width + 1)
        for word in range(width):
            memory[target + word] = unit[word]
        memory[target + width] = (at[row] - since) << shift | load[row]
        ends[part] += 1
        seen[load[row] & last] += 1
    return len(at)


def stirred(hashed: int, number: int, mix: int) -> int:
    """Return the hash of what was hashed before and one more number."""
    found = (hashed ^ number) * mix
    return found ^ (found >> 29)


def swapped(number: Any) -> Any:
    """Return the eight bytes of a number in the opposite sequence."""
    number = (number & 0x00FF00FF00FF00FF) << 8 | (number >> 8) & 0x00FF00FF00FF00FF
    number = (number & 0x0000FFFF0000FFFF) << 16 | (number >> 16) & 0x0000FFFF0000FFFF
    return number << 32 | (number >> 32) & 0xFFFFFFFF


def loaded(octets: Any, words: Ints, place: int, length: int) -> int:
    """Return up to eight bytes of a text as a number that is in the order of texts; what is missing is zero."""
    if length <= 0:
        return 0
    word, offset = place >> 3, (place & 7) << 3
    number = 0
    if word + 1 < len(words):
        number = words[word]
        if offset:
            number = (number >> offset) & ((1 << (64 - offset)) - 1) | words[word + 1] << (64 - offset)
        number = swapped(number)
    else:
        for octet in range(min(length, 8)):
            number |= octets[place + octet] << (56 - 8 * octet)
    return number if length >= 8 else number >> (64 - 8 * length) << (64 - 8 * length)


def told_apart(records: Ints, width: int, size: int, mix: int, table: Places, places: Places, units: Ints) -> int:
    """Give each record the number of its unit, in the sequence in which they come; return how many there are.

    Parameters
    ----------
    records : of `size` numbers each; the first `width` are the unit.
    table : -1 everywhere; its length is a power of two, more than there are records.
    places, units : filled with the unit of each record, and the numbers of each unit.
    """
    count, most = 0, len(table) - 1
    for row in range(len(places)):
        hashed = 0
        for word in range(width):
            hashed = stirred(hashed, records[row * size + word], mix)
        slot = hashed & most
        while table[slot] != NONE:
            word = 0
            while word < width and units[table[slot] * width + word] == records[row * size + word]:
                word += 1
            if word == width:
                break
            slot = (slot + 1) & most
        if table[slot] == NONE:
            table[slot] = count
            for word in range(width):
                units[count * width + word] = records[row * size + word]
            count += 1
        places[row] = table[slot]
    return count


def order_words(words: Ints, bits: int, bounds: Places, free: Places, found: Ints) -> None:
    """Order records of one number by their unit (counting), then by what else they hold; leave the unit out.

    Parameters
    ----------
    bits : how many of them stand below the unit.
    bounds : zeros, one more than there are units; filled.
    free : of the same length; scratch.
    """
    rest = (1 << bits) - 1
    for row in range(len(words)):
        bounds[(words[row] >> bits) + 1] += 1
    for unit in range(len(bounds) - 1):
        free[unit] = bounds[unit]
        bounds[unit + 1] += bounds[unit]
    for row in range(len(words)):
        unit = words[row] >> bits
        found[free[unit]] = words[row] & rest
        free[unit] += 1
    settle(bounds, found)


def order_rows(places: Places, rest: Ints, bounds: Places, free: Places, found: Ints) -> None:
    """Order what rows hold by the place of their unit, then by itself; see `order_words`."""
    for row in range(len(places)):
        bounds[places[row] + 1] += 1
    for unit in range(len(bounds) - 1):
        free[unit] = bounds[unit]
        bounds[unit + 1] += bounds[unit]
    for row in range(len(places)):
        found[free[places[row]]] = rest[row]
        free[places[row]] += 1
    settle(bounds, found)


def settle(bounds: Places, found: Ints) -> None:
    """Order the rows of each unit: mostly they are in order already."""
    for unit in range(len(bounds) - 1):
        low, high = bounds[unit], bounds[unit + 1]
        for row in range(low + 1, high):
            if found[row] < found[row - 1]:
                if high - low > _SMALL:
                    found[low:high] = np.sort(found[low:high])
                    break
                moved, place = found[row], row
                while place > low and found[place - 1] > moved:
                    found[place] = found[place - 1]
                    place -= 1
                found[place] = moved


def looked_up(places: Any, table: Any, found: Any) -> None:
    """Fill `found` with the table's value at each place."""
    for row in range(len(places)):
        found[row] = table[places[row]]


def unpacked(rest: Ints, shift: int, since: int, last: int, table: Any, at: Ints, masks: Any) -> None:
    """Part what records hold beside their unit into time and mask."""
    for row in range(len(rest)):
        at[row] = (rest[row] >> shift) + since
        masks[row] = table[rest[row] & last]


def begun(codes: Any, skip: int, load: Ints) -> None:
    """Begin what rows bring with the numbers of their masks; -1: not wanted."""
    for row in range(len(codes)):
        load[row] = codes[row] if codes[row] != skip else -1


def laid_on(load: Ints, places: Any, table: Places, shift: int) -> None:
    """Add to what rows bring the codes of one column, each a place in the table, plus one."""
    for row in range(len(load)):
        if load[row] >= 0:
            load[row] |= np.int64(table[places[row]] + 1) << shift


def taken_off(rest: Ints, shift: int, last: int, ranks: Places, codes: Places) -> None:
    """Fill `codes` with the place of each row's value of one column among all values."""
    for row in range(len(rest)):
        codes[row] = ranks[rest[row] >> shift & last]
