"""Which steps the rows of one instant (or of one window) can serve, each row one step: bipartite matching.

Plain Python that numba compiles; part of the kernel. Steps are counted from 1, a set of steps is a bit mask (bit
k-1: step k). A row may serve a step if its mask says so and `fixed` (scratch) names no other time for the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MISSING = -(2**63)


def serves(at: Sequence[int], masks: Sequence[int], row: int, step: int, fixed: Sequence[int]) -> bool:
    """Return whether the row may serve the step."""
    if not masks[row] >> (step - 1) & 1:
        return False
    return fixed[step] == MISSING or fixed[step] == at[row]


def fits(log: Any, must: int, size: int, distinct: int, work: Any) -> bool:
    """Return whether the steps of `must` can all be given rows of the log, distinct ones if asked for.

    Parameters
    ----------
    log : times, masks, first row, row after the last.
    must : the steps, as a mask.
    size : number of steps of the funnel.
    distinct : 1: no row twice.
    work : scratch: holds, parent, queue, fixed.
    """
    at, masks, low, high = log
    holds, _, _, fixed = work
    for step in range(1, size + 1):
        holds[step] = -1
    for step in range(1, size + 1):
        if not must >> (step - 1) & 1:
            continue
        if distinct:
            if not give(log, step, size, work):
                return False
        else:
            row = low
            while row < high and not serves(at, masks, row, step, fixed):
                row += 1
            if row == high:
                return False
    return True


def give(log: Any, step: int, size: int, work: Any) -> bool:
    """Give `step` a row, moving steps that hold one to other rows where needed (an augmenting path)."""
    at, masks, low, high = log
    holds, parent, queue, fixed = work
    for other in range(1, size + 1):
        parent[other] = 0
    queue[0], parent[step] = step, step
    head, tail = 0, 1
    while head < tail:
        wanted = queue[head]
        head += 1
        for row in range(low, high):
            if not serves(at, masks, row, wanted, fixed):
                continue
            holder = 0
            for other in range(1, size + 1):
                if holds[other] == row:
                    holder = other
            if holder == 0:
                free = row
                while wanted != step:
                    following = parent[wanted]
                    free, holds[wanted] = holds[wanted], free
                    wanted = following
                holds[step] = free
                return True
            if parent[holder] == 0:
                parent[holder] = wanted
                queue[tail] = holder
                tail += 1
    return False


def covers(log: Any, may: int, size: int, work: Any) -> bool:
    """Return whether all rows of the log can serve steps of `may`, no step twice.

    Together with `fits` for some steps of `may` this says that one assignment does both (Mendelsohn and Dulmage,
    1958).
    """
    at, masks, low, high = log
    holds, parent, queue, fixed = work
    if high - low > size:
        return False
    for step in range(1, size + 1):
        holds[step] = -1
    for first in range(low, high):
        for step in range(1, size + 1):
            parent[step] = -1
        queue[0] = first
        head, tail, free = 0, 1, 0
        while head < tail and free == 0:
            row = queue[head]
            head += 1
            for step in range(1, size + 1):
                if free or parent[step] != -1 or not may >> (step - 1) & 1:
                    continue
                if serves(at, masks, row, step, fixed):
                    parent[step] = row
                    if holds[step] == -1:
                        free = step
                    else:
                        queue[tail] = holds[step]
                        tail += 1
        if free == 0:
            return False
        while True:
            row, moved = parent[free], 0
            for step in range(1, size + 1):
                if holds[step] == row and step != free:
                    moved = step
            holds[free] = row
            if row == first:
                break
            free = moved
    return True
