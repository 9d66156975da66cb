"""A synthetic catalogue: invented restaurants, the same ones for the same seed; and knobs that let it drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from restaurant_search.catalogue import Restaurant

SEED = 2024
COUNT = 2000

# cuisine -> (dishes, kinds of place)
CUISINES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "American": (
        ("smash burger", "pulled pork", "mac and cheese", "buffalo wings", "buttermilk pancakes"),
        ("diner", "smokehouse", "burger joint"),
    ),
    "Chinese": (
        ("soup dumplings", "mapo tofu", "peking duck", "dan dan noodles", "char siu buns"),
        ("dumpling house", "tea house", "hot pot hall"),
    ),
    "Ethiopian": (
        ("injera", "doro wat", "shiro", "beef tibs", "kitfo"),
        ("injera house", "coffee ceremony cafe"),
    ),
    "French": (
        ("steak frites", "bouillabaisse", "coq au vin", "onion soup", "creme brulee"),
        ("bistro", "brasserie", "patisserie"),
    ),
    "Greek": (
        ("souvlaki", "moussaka", "spanakopita", "grilled octopus", "baklava"),
        ("taverna", "ouzeri"),
    ),
    "Indian": (
        ("butter chicken", "masala dosa", "lamb biryani", "palak paneer", "samosas"),
        ("curry house", "dosa cafe", "tandoor grill"),
    ),
    "Italian": (
        ("neapolitan pizza", "tagliatelle al ragu", "mushroom risotto", "burrata", "tiramisu"),
        ("trattoria", "osteria", "pizzeria"),
    ),
    "Japanese": (
        ("salmon nigiri", "tonkotsu ramen", "vegetable tempura", "okonomiyaki", "yakitori"),
        ("izakaya", "sushi bar", "ramen counter"),
    ),
    "Korean": (
        ("bibimbap", "bulgogi", "kimchi stew", "tteokbokki", "korean fried chicken"),
        ("barbecue house", "street food bar"),
    ),
    "Lebanese": (
        ("hummus", "falafel", "chicken shawarma", "tabbouleh", "baba ghanoush"),
        ("mezze bar", "charcoal grill"),
    ),
    "Mexican": (
        ("tacos al pastor", "mole poblano", "ceviche", "quesadillas", "churros"),
        ("taqueria", "cantina"),
    ),
    "Spanish": (
        ("patatas bravas", "seafood paella", "iberian ham", "tortilla", "garlic prawns"),
        ("tapas bar", "bodega"),
    ),
    "Thai": (
        ("pad thai", "green curry", "tom yum soup", "papaya salad", "mango sticky rice"),
        ("noodle shop", "thai kitchen"),
    ),
    "Vietnamese": (
        ("pho", "banh mi", "bun cha", "summer rolls", "iced coffee"),
        ("pho shop", "banh mi counter"),
    ),
}
# feature -> ways to say it
FEATURES: dict[str, tuple[str, ...]] = {
    "delivery": ("takes orders online", "brings dinner to your door"),
    "dogs_welcome": ("dogs welcome", "water bowls for four-legged guests"),
    "family": ("high chairs and a play corner", "a menu for the little ones"),
    "gluten_free": ("coeliac safe kitchen", "most dishes without gluten"),
    "halal": ("halal certified meat",),
    "late_night": ("kitchen open past midnight", "serves night owls until two"),
    "live_music": ("live jazz on fridays", "an acoustic band at weekends"),
    "lunch_deal": ("set lunch under ten", "a bargain at noon"),
    "romantic": ("candle lit tables for two", "quiet corners for a first date"),
    "terrace": ("a leafy terrace", "tables in the garden"),
    "vegan": ("a plant based menu", "no animal products at all"),
    "view": ("a rooftop overlooking the harbour", "windows on the river"),
}
NEIGHBOURHOODS = (
    "Docklands", "Hillcrest", "Market Square", "Old Town", "Riverside", "Station Quarter",
    "University", "West End",
)  # fmt: skip
_FIRST = (
    "Blue", "Copper", "Golden", "Hidden", "Little", "Northern", "Old", "Paper", "Quiet", "Red",
    "Silver", "Sunny", "Velvet", "Wild",
)  # fmt: skip
_SECOND = (
    "Anchor", "Bridge", "Fork", "Garden", "Harbour", "Lantern", "Magpie", "Mill", "Olive",
    "Orchid", "Spoon", "Station", "Table", "Walnut",
)  # fmt: skip


# What came into fashion after the model was made: none of these words is in the catalogue above.
UNSEEN_DISHES = (
    "birria ramen", "ube cheesecake", "jackfruit sliders", "poke burrito", "matcha crookie", "smashed gyoza",
    "chimney kurtos", "cloud eggs", "laksa poutine", "mochi donuts",
)  # fmt: skip
UNSEEN_PLACES = ("ghost kitchen", "supper club", "robot canteen", "zero waste pantry")


@dataclass(frozen=True)
class Drift:
    """How far the world has moved from the one that the model was made for; each a share from 0 to 1.

    `cuisine_mix` of the entries are of the first three cuisines alone; `unseen` of them are described in words
    that no entry had before.
    """

    cuisine_mix: float = 0.0
    unseen: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not (0 <= self.cuisine_mix <= 1 and 0 <= self.unseen <= 1):
            raise ValueError(f"{self}: each has to be between 0 and 1")


NONE = Drift()


def generate(count: int = COUNT, seed: int = SEED, drift: Drift = NONE) -> list[Restaurant]:
    """Return `count` invented restaurants; the same seed gives the same ones."""
    dice = np.random.default_rng(seed)
    # Of its own, so that a knob does not change what the rest of the catalogue looks like.
    knobs = np.random.default_rng([seed, 1])
    return [_restaurant(dice, number, drift, knobs) for number in range(1, count + 1)]


def _restaurant(dice: np.random.Generator, number: int, drift: Drift, knobs: np.random.Generator) -> Restaurant:
    cuisine = _pick(dice, sorted(CUISINES))
    moved, unseen = knobs.random(2) < (drift.cuisine_mix, drift.unseen)
    if moved:
        cuisine = sorted(CUISINES)[int(knobs.integers(3))]
    dishes, places = (UNSEEN_DISHES, UNSEEN_PLACES) if unseen else CUISINES[cuisine]
    served = _sample(dice, dishes, 3)
    features = sorted(_sample(dice, sorted(FEATURES), int(dice.integers(1, 4))))
    sentences = [f"{_pick(dice, places)} serving {served[0]}, {served[1]} and {served[2]}"]
    sentences += [_pick(dice, FEATURES[feature]) for feature in features]
    return Restaurant(
        id=f"r{number:05d}",
        name=f"{_pick(dice, _FIRST)} {_pick(dice, _SECOND)}",
        cuisine=cuisine,
        neighbourhood=_pick(dice, NEIGHBOURHOODS),
        price=int(dice.choice(4, p=(0.25, 0.4, 0.25, 0.1))) + 1,
        rating=round(float(np.clip(dice.normal(4.0, 0.6), 1.0, 5.0)), 1),
        features=tuple(features),
        description=". ".join(sentences),
    )


_ASKED = (
    "{dish}", "{dish} in {where}", "{cuisine} restaurant", "{cuisine} {place}", "{dish} and {other}",
    "{cuisine} with {trait}", "somewhere with {trait}", "{place} {where}", "best {dish} near {where}",
    "{cuisine} {dish} {trait}",
)  # fmt: skip


def queries(count: int, seed: int = SEED, drift: Drift = NONE) -> list[str]:
    """Return `count` searches that people might send over such a catalogue; the same ones for the same seed."""
    dice = np.random.default_rng([seed, 2])
    return [_query(dice, drift) for _ in range(count)]


def _query(dice: np.random.Generator, drift: Drift) -> str:
    moved, unseen = dice.random(2) < (drift.cuisine_mix, drift.unseen)
    names = sorted(CUISINES)
    cuisine = names[int(dice.integers(3 if moved else len(names)))]
    dishes, places = (UNSEEN_DISHES, UNSEEN_PLACES) if unseen else CUISINES[cuisine]
    dish, other = _sample(dice, dishes, 2)
    trait = _pick(dice, FEATURES[_pick(dice, sorted(FEATURES))])
    return _pick(dice, _ASKED).format(
        dish=dish,
        other=other,
        cuisine=cuisine,
        place=_pick(dice, places),
        trait=trait,
        where=_pick(dice, NEIGHBOURHOODS),
    )


def _pick(dice: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(dice.integers(len(values)))]


def _sample(dice: np.random.Generator, values: Sequence[str], count: int) -> list[str]:
    return [values[int(i)] for i in dice.permutation(len(values))[:count]]
