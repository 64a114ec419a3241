"""Warnings about a file of keys: features that all lines share, and lines that are unlike the rest.

They are made of the features that a `LineProfile` has collected.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os.path import commonprefix
from typing import Any

from keygen_site.wording import count_of
from pools.key_files.decorations import find_decorated, is_decorated
from pools.key_files.file_warnings import MAX_EXAMPLES, FileWarning, Group, warn_of
from pools.key_files.line_kinds import (
    CUT,
    DATE,
    DECORATED,
    HEADER,
    HEADING,
    LABEL,
    TOTAL,
    URL,
    WORD,
    WORDS,
    LineKind,
    classify_line,
    is_single_word,
    is_words,
)
from pools.key_files.line_profiles import GroupKey, LineProfile
from pools.key_files.look_alikes import NumberedText
from pools.key_files.shapes import reduce_shapes, shape
from pools.key_files.shared_features import (
    BULLET,
    GUARD,
    LABEL_PREFIX,
    NAMES,
    PLURALS,
    QUOTES,
    are_numbered,
    are_rounded,
    find_columns,
    find_names_by_turns,
    find_word_suffix,
)

# A share of the lines that makes a shape, a length or an alphabet usual, and the share of all usual ones from which the
# others are odd.
_USUAL_SHARE, _USUAL_TOTAL = 0.1, 0.9
_MIN_LINES_FOR_ODD = 4
_ODD_SHARE = 0.02  # of lines with letters that no others have
MIN_POOL_SAMPLE = 5  # keys of a pool with which others are compared
SHOWN_PREFIX = 8
_MIN_LINES_FOR_HEADING, _MIN_LINES_FOR_HEADING_OF_SEVERAL = 8, 40
_KNOWN_SHARE = 0.7  # of the lines that are keys of plain forms, or of a kind, from which others are decorated keys
_MIN_LETTERS = 6  # of a key, for a search for it in other lines


class FileProfile(LineProfile):
    """The features of a file's keys, and the warnings about them."""

    # Judging ---------------------------------------------------------------------------------------------------------

    def warnings(self, pool_sample: Sequence[str] = ()) -> list[FileWarning]:
        """The warnings, serious ones first.

        Args:
            pool_sample: some keys that the pool already holds.
        """
        if not self.count:
            return []
        shared = list(self._shared_features())
        by_turns = self._by_turns()
        kinds = self._find_kinds({warning.code for warning in shared}, skip_words=by_turns is not None)
        if not by_turns and not any(each.is_serious for each in shared):
            kinds = self._with_decorated(kinds)
            if not kinds and self._has_heading():
                kinds = {HEADING: Group(1, self._head[:1])}
        if any(group.count == self.count for group in kinds.values()):
            shared = [each for each in shared if each.is_serious]
        # A file whose lines all have a fault is looked at again without it.
        odd = [] if any(each.is_serious for each in shared) or by_turns else list(self._odd_lines(kinds))
        warnings = [*shared, *([by_turns] if by_turns else []), *(self._about(*item) for item in kinds.items()), *odd]
        if pool_sample:
            warnings += self._unlike_pool(pool_sample)
        warnings.sort(key=lambda warning: not warning.is_serious)
        return [replace(warning, file=self.file) for warning in warnings]

    def _with_decorated(self, kinds: dict[LineKind, Group]) -> dict[LineKind, Group]:
        """Kinds of lines, with the one that almost all lines have other text next to the key."""
        found = find_decorated(self._head)
        if not found or 2 * sum(group.count for kind, group in kinds.items() if kind is not WORDS) >= self.count:
            return kinds
        count = len(found) if self.count == len(self._head) else self.count * len(found) // len(self._head)
        others = {kind: group for kind, group in kinds.items() if kind not in (WORDS, DECORATED)}
        return others | {DECORATED: Group(count, found[:MAX_EXAMPLES])}

    def _about(self, kind: LineKind, group: Group) -> FileWarning:
        return warn_of(kind.code, group, kind.singular, kind.plural, kind.advice, is_serious=True)

    def _about_all(self, code: str, predicate: str, advice: str = "", *, is_serious: bool = True) -> FileWarning:
        """A warning about a feature of all lines."""
        subject = "The only line" if self.count == 1 else f"All {self.count:,} lines"
        return FileWarning(
            code,
            f"{subject} {predicate}.{' ' * bool(advice)}{advice}",
            is_serious,
            self.count,
            tuple(each.number for each in self._head[:MAX_EXAMPLES]),
            tuple(each.text for each in self._head[:MAX_EXAMPLES]),
        )

    def _shared_features(self) -> Iterator[FileWarning]:
        """Warnings about features that all lines have in common."""
        texts = [each.text for each in self._head]
        begin, end = ("begins", "ends") if self.count == 1 else ("begin", "end")
        # The last element of a list has no comma.
        commas = {each: self._lasts[each] + (not self._last_text.endswith(each)) for each in ",;|"}
        separator = next((each for each, count in commas.items() if count == self.count and self._lasts[each]), "")
        if all(map(GUARD.match, texts)):
            yield self._about_all(
                "quoted", f'{begin} with a guard against spreadsheets (\' or ="…")', "Export the keys without it."
            )
        quote = next((each for each, ends in QUOTES.items() if self._are_quoted(each, ends, separator)), "")
        if quote:
            rest = f" and {end} with {NAMES[separator]}" if separator else ""
            is_in = "is" if self.count == 1 else "are"
            yield self._about_all("quoted", f"{is_in} in quotes{rest}", "Remove them, or import the file as CSV.")
        elif separator:
            yield self._about_all(
                "trailing_separator", f"{end} with {NAMES[separator]}", "Remove it, or import the file as CSV."
            )
        if self.is_text and not separator and not quote and (separated := find_columns(texts)):
            yield self._about_all(
                "columns",
                f"have the same number of {PLURALS[separated]}, as the rows of a table have",
                f"Import the file as CSV, with {PLURALS[separated]} as the delimiter.",
            )
        elif self.is_text and self.count > 1 and all(map(_WIDE_BLANK.search, texts)):
            yield self._about_all(
                "columns",
                "have several blanks in a row, as columns of fixed width have",
                "Save the table as CSV, and import that.",
            )
        if are_numbered(texts):
            yield self._about_all("numbered", f"{begin} with a running number", "Remove the numbers.")
        elif all(map(BULLET.match, texts)):
            yield self._about_all("bulleted", f"{begin} with a bullet", "Remove the bullets.")
        elif self.count > 1 and (label := LABEL_PREFIX.match(self._prefix or "")):
            yield self._about_all(LABEL.code, f"begin with “{label[0].strip()}”", "Remove it.")
        if self.count > 2 and (suffix := find_word_suffix(texts)):
            yield self._about_all(
                "suffix", f"end with “{suffix}”", "Check that it is part of the keys.", is_serious=False
            )
        if are_rounded(texts):
            yield self._about_all(
                "rounded",
                "are long numbers with zeros from the 16th digit on, as a spreadsheet rounds them",
                "Export the keys again, with their column formatted as text.",
            )

    def _are_quoted(self, quote: str, ends: str, separator: str) -> bool:
        ended = sum(self._lasts[each] for each in {*ends, separator} - {""})
        return self._firsts[quote] == self.count == ended and all(
            each.text.rstrip(",;|")[-1:] in ends for each in self._head
        )

    def _by_turns(self) -> FileWarning | None:
        """A warning about names and keys by turns, as web pages show them."""
        if not (of_names := find_names_by_turns(self._head)):
            return None
        count = len(of_names) if self.count == len(self._head) else self.count * len(of_names) // len(self._head)
        return FileWarning(
            "turns",
            f"Names and keys alternate: {count_of(count, 'line')} have names (the first is line "
            f"{of_names[0].number:,}). "
            "Import a file of the keys only, or a CSV with a column for them.",
            True,
            count,
            tuple(each.number for each in of_names[:MAX_EXAMPLES]),
            tuple(each.text for each in of_names[:MAX_EXAMPLES]),
        )

    def _find_kinds(self, shared: set[str], *, skip_words: bool) -> dict[LineKind, Group]:
        """The lines that are almost certainly no keys, by kind."""
        usual_groups, usual_shapes, plain = self._usual_groups(), self._usual_shapes(), self._plain_shapes()
        totals: Counter[LineKind] = Counter()  # also of those that are usual in this file
        found: dict[LineKind, Group] = {}

        def add(kind: LineKind | None, count: int, examples: Iterable[NumberedText]) -> None:
            if kind and kind.code not in shared:
                group = found.setdefault(kind, Group())
                group.count += count
                group.examples += examples

        for key, group in self._groups.items():
            by_kind: dict[LineKind | None, list[NumberedText]] = {}
            for each in group.examples:
                kind = classify_line(each.text)
                if kind:
                    totals[kind] += max(1, group.count // len(group.examples))
                if kind and kind.is_relative and (key.shape in usual_groups or shape(each.text) in usual_shapes):
                    kind = None
                if not kind and plain and is_decorated(each.text, plain):
                    kind = DECORATED
                if not kind and is_single_word(each.text) and not self._has_keys_like(key):
                    kind = WORD
                by_kind.setdefault(kind, []).append(each)
            if len(by_kind) > 1:
                for kind in [each for each in by_kind if each and each.is_whole_group]:
                    by_kind.setdefault(None, []).extend(by_kind.pop(kind))
            if group.count <= len(group.examples):
                for kind, examples in by_kind.items():
                    add(kind, len(examples), examples)
            else:
                # The other lines of the group count as most of its examples.
                kind = max(by_kind, key=lambda each: len(by_kind[each]))
                for other, examples in by_kind.items():
                    if other is not kind:
                        add(other, len(examples), examples)
                rest = group.count - sum(len(each) for other, each in by_kind.items() if other is not kind)
                add(kind, rest, by_kind[kind])
        for kind, group in self._other_kinds.items():
            totals[kind] += group.count
            add(kind, group.count, group.examples)
        for each in self._last_lines:
            kind = classify_line(each.text)
            if kind in _LAST_KINDS and kind not in found:
                add(kind, 1, [each])
        known = sum(self._shapes[each] for each in plain) + sum(group.count for group in found.values())
        if DECORATED in found and known < _KNOWN_SHARE * self.count:
            del found[DECORATED]
        is_uniform = 2 * sum(usual_groups.values()) >= self.count
        for kind, group in list(found.items()):
            # Some files have keys and addresses at which keys are redeemed.
            most = 1 if kind is URL and self.count < 10 else self.count // (10 if kind is URL else 2)
            is_usual = kind.is_relative and (totals[kind] > most or totals[kind] == self.count)
            if is_usual or (kind.is_only_odd and not is_uniform) or (kind is WORDS and skip_words):
                del found[kind]
            group.examples = sorted(group.examples)[:MAX_EXAMPLES]
        return found

    def _usual_groups(self) -> dict[str, int]:
        """The reduced shapes of many lines, with their numbers. Lines of words are not counted."""
        counts: Counter[str] = Counter()
        for key, group in self._groups.items():
            if not all(is_words(each.text) for each in group.examples):
                counts[key.shape] += group.count
        return {shape: count for shape, count in counts.items() if count > 1 and count >= _USUAL_SHARE * self.count}

    def _usual_shapes(self) -> set[str]:
        """The shapes of many lines, of any kind."""
        return {shape for shape, count in self._shapes.items() if count > 2 and count >= 0.3 * self.count}

    def _has_keys_like(self, word: GroupKey) -> bool:
        """Whether the file has keys without signs between letters, so that one may be a word by chance."""
        return any(
            key.shape == word.shape
            and key.has_upper >= word.has_upper
            and key.has_lower >= word.has_lower
            and (key.has_digit or group.count > max(1, _USUAL_SHARE * self.count) or self.count < _MIN_LINES_FOR_ODD)
            for key, group in self._groups.items()
        )

    def _has_heading(self) -> bool:
        """Whether the first line has another form than all others, which have few forms."""
        if self.count < _MIN_LINES_FOR_HEADING:
            return False
        first = self._head[0].text
        form = shape(first)
        usual = [each for each, count in self._shapes.items() if 1 < count >= _USUAL_SHARE * self.count]
        return (
            self._shapes[form] == 1
            and (len(usual) == 1 or self.count >= _MIN_LINES_FOR_HEADING_OF_SEVERAL)
            and sum(self._shapes[each] for each in usual) >= self.count - 1
            and form not in usual
            and all(
                (len(each) != len(form) or (" " in each) != (" " in form))
                and (abs(len(each) - len(form)) > 2 or [*reduce_shapes([each])] != [*reduce_shapes([form])])
                for each in usual
            )
        )

    def _plain_shapes(self) -> list[str]:
        """The shapes of many lines, with at least as many letters and digits as a key has."""
        least = max(min(2, self.count // 2), _USUAL_SHARE * self.count)
        return [shape for shape, count in self._shapes.items() if count >= least and shape.count("x") >= _MIN_LETTERS]

    def _odd_lines(self, kinds: dict[LineKind, Group]) -> Iterator[FileWarning]:
        """Warnings about lines that may be keys, but are unlike the rest."""
        known = {each.number for group in kinds.values() for each in group.examples}
        shapes: dict[str, Group] = {}
        for key, group in self._groups.items():
            shape = shapes.setdefault(key.shape, Group())
            shape.count += group.count
            shape.examples += group.examples
        odd = _find_odd(shapes.values(), self.count, known)
        if odd:
            known |= {each.number for each in odd.examples}
            advice = "Check that nothing is missing."
            yield warn_of(
                "odd_shape", odd, "has another form than the rest.", "have another form than the rest.", advice
            )
        odd = _find_odd(self._similar_lengths(), self.count, known)
        if odd:
            known |= {each.number for each in odd.examples}
            singular, plural = "is shorter or longer than the rest.", "are shorter or longer than the rest."
            yield warn_of("odd_length", odd, singular, plural, "Check that nothing is missing.")
        for has_feature, words in _ALPHABETS:
            with_feature = Group()
            for key, group in self._groups.items():
                if has_feature(key):
                    with_feature.count += group.count
                    with_feature.examples += [each for each in group.examples if each.number not in known]
            is_rare = with_feature.count <= max(1, _ODD_SHARE * self.count)
            if is_rare and with_feature.examples and self.count >= 2 * MAX_EXAMPLES:
                with_feature.examples = sorted(with_feature.examples)[:MAX_EXAMPLES]
                known |= {each.number for each in with_feature.examples}
                yield warn_of(
                    "odd_alphabet", with_feature, f"has {words}, unlike the rest.", f"have {words}, unlike the rest."
                )

    def _similar_lengths(self) -> list[Group]:
        """The lines by length. If there are several usual lengths, those near them are one group with them."""
        usual = [length for length, group in self._lengths.items() if group.count >= _USUAL_SHARE * self.count]
        if len(usual) < 2:
            return list(self._lengths.values())
        spread = max(usual) - min(usual)
        near, others = Group(), []
        for length, group in self._lengths.items():
            if min(usual) - spread <= length <= max(usual) + spread:
                near.count += group.count
            else:
                others.append(group)
        return [near, *others]

    def _unlike_pool(self, pool_sample: Sequence[str]) -> Iterator[FileWarning]:
        """A warning if the keys look unlike those of the pool."""
        if len(pool_sample) < MIN_POOL_SAMPLE:
            return
        differences = []
        prefix = find_common_prefix(pool_sample)
        if prefix and not any(each.text.startswith(prefix) for each in self._head):
            differences.append(f"begin with “{prefix[:SHOWN_PREFIX]}”")
        lengths = {len(text) for text in pool_sample}
        usual = sum(group.count for length, group in self._lengths.items() if length in lengths)
        if len(lengths) <= 3 and usual < 0.1 * self.count:
            differences.append(f"have {' or '.join(map(str, sorted(lengths)))} characters")
        if differences:
            yield FileWarning(
                "unlike_pool",
                f"The keys that the pool holds {' and '.join(differences)}, and the keys of this file do not. "
                "Check that the file is meant for this pool.",
                count=self.count,
                lines=tuple(each.number for each in self._head[:MAX_EXAMPLES]),
                samples=tuple(each.text for each in self._head[:MAX_EXAMPLES]),
            )


def find_common_prefix(pool_sample: Sequence[str]) -> str:
    """The letters that all keys of a pool begin with, or empty. Too few keys have no common prefix."""
    if len(pool_sample) < MIN_POOL_SAMPLE:
        return ""
    prefix = _PREFIX.match(commonprefix([min(pool_sample), max(pool_sample)]))
    return prefix[0] if prefix else ""


_LAST_KINDS = (TOTAL, HEADER, DATE, CUT)
_PREFIX = re.compile(r"\w{2,}[-_:./ ]|\w{3,}")
_WIDE_BLANK = re.compile(r"\S\s{2,}\S")
_ALPHABETS: tuple[tuple[Any, str], ...] = (
    (lambda key: key.has_lower, "lower-case letters"),
    (lambda key: key.has_upper, "capitals"),
    (lambda key: not key.is_ascii, "letters or signs of another alphabet"),
)


def _find_odd(groups: Iterable[Group], count: int, known: set[int]) -> Group | None:
    """The lines of groups that are few, if most lines are of usual groups. None without any.

    Args:
        groups: of lines that are alike.
        count: the number of all lines.
        known: numbers of lines that another warning is about.
    """
    usual, odd = 0, Group()
    for group in groups:
        if group.count > 1 and group.count >= _USUAL_SHARE * count:
            usual += group.count
        elif examples := [each for each in group.examples if each.number not in known]:
            odd.count += group.count - (len(group.examples) - len(examples))
            odd.examples += examples
    is_clear = count >= _MIN_LINES_FOR_ODD and usual >= min(_USUAL_TOTAL * count, count - 1)
    if not odd.examples or not is_clear:
        return None
    odd.examples = sorted(odd.examples)[:MAX_EXAMPLES]
    return odd
