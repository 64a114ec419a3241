"""The limits of a license in words: how much of each is used, and where it comes from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from licensing.admin.quantities import SIZES
from licensing.models import License
from licensing.models.policies import OVERAGE_FACTORS

_NOUNS: dict[str, tuple[str, str]] = {
    "machines": ("machine", "machines"),
    "cores": ("CPU core", "CPU cores"),
    "memory": ("of memory", "of memory"),
    "disk": ("of disk space", "of disk space"),
}
_OF_PROCESSES = {
    "PER_MACHINE": "on each machine",
    "PER_LICENSE": "on all machines together",
    "PER_USER": "of each user",
}


@dataclass(frozen=True)
class LimitLine:
    """A limit in words.

    Attributes:
        text: e.g. "2 of 3 machines".
        is_own: whether the limit is the license's own, in place of the policy's.
        has_limit: whether there is a limit at all.
        overage: by how much it may be exceeded; empty if not at all.
    """

    text: str
    is_own: bool = False
    has_limit: bool = True
    overage: str = ""


def describe_limits(license: License) -> Iterator[LimitLine]:
    """The limits of a license about machines: that of their number, and the others that there are.

    A dead machine that has given up its place is not counted.
    """
    policy = license.policy
    totals = license.machine_totals
    for name, (one, many) in _NOUNS.items():
        limit, used = license.effective_limit(f"max_{name}"), getattr(totals, "count" if name == "machines" else name)
        if limit is None and name != "machines":
            continue
        write: Callable[[int], str] = SIZES.describe if name in ("memory", "disk") else lambda number: f"{number:,}"
        noun = one if (used if limit is None else limit) == 1 else many
        shown = write(used) if used else "0"
        if limit is None:
            yield LimitLine(f"{shown} {noun}", has_limit=False)
        elif policy.machine_leasing_strategy == "PER_USER":
            text = f"{shown} {many if used != 1 else one}, at most {write(limit)} for each user"
            yield LimitLine(text, _is_own(license, name), overage=_describe_overage(license, limit, write))
        else:
            text = f"{shown} of {write(limit)} {noun}"
            yield LimitLine(text, _is_own(license, name), overage=_describe_overage(license, limit, write))
    if (limit := license.effective_limit("max_processes")) is not None:
        text = f"At most {limit:,} process{'' if limit == 1 else 'es'} {_OF_PROCESSES[policy.process_leasing_strategy]}"
        yield LimitLine(text, _is_own(license, "processes"), overage=_describe_overage(license, limit, str))


def _is_own(license: License, name: str) -> bool:
    return bool(getattr(license, f"max_{name}"))


def _describe_overage(license: License, limit: int, write: Callable[[int], str]) -> str:
    factor = OVERAGE_FACTORS[license.policy.overage_strategy]
    if factor is None:
        return "more are allowed"
    return f"up to {write(int(limit * factor))} are allowed" if factor > 1 else ""
