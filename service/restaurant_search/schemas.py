"""The shapes of requests and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from restaurant_search.engine import Filters

MAX_QUERY = 500
Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY)]
FilterText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class Strict(BaseModel):
    """Refuses fields that it does not know, so that a misspelt filter is not ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class FilterFields(Strict):
    """What may narrow a search."""

    cuisine: FilterText | None = None
    neighbourhood: FilterText | None = None
    max_price: Annotated[int, Field(ge=1, le=4)] | None = None
    min_rating: Annotated[float, Field(ge=0, le=5)] | None = None
    features: Annotated[list[FilterText], Field(max_length=10)] = []
    limit: Annotated[int, Field(ge=1, le=50)] = 10

    def filters(self) -> Filters:
        """Return the filters as the engine takes them."""
        return Filters(
            self.cuisine,
            self.neighbourhood,
            self.max_price,
            self.min_rating,
            tuple(self.features),
        )


class SearchBody(FilterFields):
    """The body of `POST /search`. JSON has types: `true` is no number, and "3" is none either."""

    model_config = ConfigDict(strict=True)

    query: Query


class SearchParameters(FilterFields):
    """The query string of `GET /search`."""

    q: Query


class Result(BaseModel):
    """One restaurant, with the model's score."""

    id: str
    name: str
    cuisine: str
    neighbourhood: str
    price: int
    rating: float
    features: list[str]
    description: str
    score: float


class SearchAnswer(BaseModel):
    """The answer to a search, best first."""

    results: list[Result]
    count: int
    model_id: str
    model_version: str


class Version(BaseModel):
    """Which release and model answer. The model is null while it is being loaded."""

    version: str
    commit: str
    deploy_label: str
    model_id: str | None
    model_version: str | None
    catalogue: str | None


class Health(BaseModel):
    """A state of the service."""

    status: str


class Readiness(Health):
    """The state, and what is ready."""

    version: str


class Problem(BaseModel):
    """An error."""

    detail: str
