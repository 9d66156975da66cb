"""The catalogue: its schema, and reading it from JSONL or CSV with errors that name the line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MAX_REPORTED = 10
FIELDS = (
    "id", "name", "cuisine", "neighbourhood", "price", "rating", "features", "description",
)  # fmt: skip


class CatalogueError(ValueError):
    """The catalogue cannot be used; the message lists lines and reasons."""


@dataclass(frozen=True)
class Restaurant:
    """One catalogue entry. `price` is 1 (cheap) to 4 (dear), `rating` 0 to 5."""

    id: str
    name: str
    cuisine: str
    neighbourhood: str
    price: int
    rating: float
    features: tuple[str, ...]
    description: str

    def text(self) -> str:
        """Return what the models index."""
        traits = ", ".join(feature.replace("_", " ") for feature in self.features)
        return f"{self.name}. {self.cuisine} {self.description}. {traits}. {self.neighbourhood}"

    def as_dict(self) -> dict[str, object]:
        """Return the entry as plain JSON values."""
        return {**asdict(self), "features": list(self.features)}


def load(path: Path) -> list[Restaurant]:
    """Read a `.jsonl` or `.csv` catalogue (CSV: features separated by `;`).

    Raises CatalogueError with up to ten lines that are wrong, and when nothing is left to search.
    """
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CatalogueError(f"{path}: the name must end in .jsonl or .csv")
    entries: list[Restaurant] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for line, record in reader(stream):
                try:
                    entry = parse(record)
                    if entry.id in seen:
                        raise CatalogueError(f"id {entry.id!r} is already on line {seen[entry.id]}")
                except CatalogueError as error:
                    problems.append(f"line {line}: {error}")
                    continue
                seen[entry.id] = line
                entries.append(entry)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}") from error
    if problems:
        more = len(problems) - MAX_REPORTED
        shown = problems[:MAX_REPORTED] + ([f"and {more} more"] if more > 0 else [])
        raise CatalogueError(f"{path}:\n  " + "\n  ".join(shown))
    if not entries:
        raise CatalogueError(f"{path}: no restaurants in it")
    return entries


def dump(entries: Iterable[Restaurant], path: Path) -> None:
    """Write entries as JSONL, one stable line each."""
    with path.open("w", encoding="utf-8") as stream:
        for entry in entries:
            stream.write(json.dumps(entry.as_dict(), ensure_ascii=False) + "\n")


def parse(record: object) -> Restaurant:
    """Check one record and return it as a Restaurant; raise CatalogueError with the reason."""
    if isinstance(record, CatalogueError):
        raise record
    if not isinstance(record, dict):
        raise CatalogueError("not a JSON object")
    missing = [field for field in FIELDS if field not in record]
    unknown = sorted(str(key) for key in record if key not in FIELDS)
    if missing or unknown:
        raise CatalogueError(
            "; ".join(
                f"{what} fields: {', '.join(names)}"
                for what, names in (("missing", missing), ("unknown", unknown))
                if names
            )
        )
    return Restaurant(
        id=_text(record, "id", 64),
        name=_text(record, "name", 200),
        cuisine=_text(record, "cuisine", 60),
        neighbourhood=_text(record, "neighbourhood", 60),
        price=int(_number(record, "price", 1, 4, whole=True)),
        rating=_number(record, "rating", 0, 5),
        features=_features(record["features"]),
        description=_text(record, "description", 2000),
    )


def _read_jsonl(stream: Iterable[str]) -> Iterator[tuple[int, object]]:
    for line, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        try:
            yield line, json.loads(text)
        except json.JSONDecodeError as error:
            yield line, CatalogueError(f"not JSON: {error.msg} at column {error.colno}")


def _read_csv(stream: Iterable[str]) -> Iterator[tuple[int, object]]:
    rows = csv.DictReader(stream, restkey="(more columns than the header)", strict=True)
    for row in rows:
        features = row.get("features")
        split = None if features is None else [f.strip() for f in features.split(";") if f.strip()]
        yield rows.line_num, {**row, "features": split}


def _text(record: dict[object, object], field: str, limit: int) -> str:
    value = record[field]
    if field == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise CatalogueError(f"{field}: must be text that is not empty")
    if len(value) > limit:
        raise CatalogueError(f"{field}: {len(value)} characters, at most {limit}")
    return value.strip()


def _number(record: dict[object, object], field: str, low: float, high: float, *, whole: bool = False) -> float:
    value = record[field]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise CatalogueError(f"{field}: must be a number")
    try:
        number = float(value)
    except ValueError:
        raise CatalogueError(f"{field}: {value!r} is not a number") from None
    if not math.isfinite(number) or not low <= number <= high:
        raise CatalogueError(f"{field}: {value} is not between {low:g} and {high:g}")
    if whole and not number.is_integer():
        raise CatalogueError(f"{field}: {value} is not a whole number")
    return number


def _features(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(f, str) and f.strip() for f in value):
        raise CatalogueError("features: must be a list of texts (in CSV: separated by ;)")
    return tuple(f.strip() for f in value)
