"""Writes reviews.csv: made-up product reviews with one to five stars, the same ones every time.

No shop and no customer wrote them: a seeded script puts clauses together. A review's clauses lean towards its stars,
with some of the neighbouring mood mixed in, so that stars can be told better than by guessing and not perfectly.
"""

import csv
import random
import sys
from pathlib import Path

PRODUCTS = (
    "kettle", "desk lamp", "backpack", "headset", "frying pan", "rain coat", "bike light", "wall clock", "tent",
    "keyboard", "blender", "yoga mat", "suitcase", "speaker", "thermos", "office chair", "toaster", "watering can",
)  # fmt: skip

TITLES = {
    1: ("Do not buy", "Broken on arrival", "Complete waste", "Sent it straight back", "Worst {p} so far"),
    2: ("Disappointed", "Not what I hoped", "Would not buy again", "Weak {p}", "Below average"),
    3: ("It is okay", "Does the job", "Mixed feelings", "Average {p}", "Neither good nor bad"),
    4: ("Pretty good", "Happy with it", "Solid {p}", "Good value", "Nearly perfect"),
    5: ("Love it", "Perfect {p}", "Could not be better", "Best purchase this year", "Buy it"),
}

CLAUSES = {
    1: (
        "it stopped working after {n} days", "the {p} arrived with a crack through the middle",
        "the smell was unbearable", "nobody answered my {n} messages", "a piece came off in my hand",
        "I want my money back", "it is dangerous to use", "it never worked at all",
    ),
    2: (
        "the finish scratches far too easily", "it wobbles on every surface", "the instructions make no sense",
        "it is much smaller than the pictures suggest", "after {n} weeks it already looks old",
        "the handle gets uncomfortable quickly", "delivery took {n} days longer than promised",
        "it is louder than I can bear for long",
    ),
    3: (
        "it works, but nothing more", "the colour is a little different from the pictures",
        "for the price I cannot complain much", "setting it up took {n} tries", "some parts feel cheap, others sturdy",
        "I use it about {n} times a month", "it is fine for the guest room", "an ordinary {p} in every way",
    ),
    4: (
        "it does nearly everything I wanted", "the material feels sturdy", "delivery was on time",
        "only the packaging could be better", "it has held up well for {n} months", "the size is just right",
        "my family likes it too", "cleaning it takes {n} minutes",
    ),
    5: (
        "I would buy this {p} again at once", "it exceeded everything I expected",
        "after {n} months it still looks brand new", "I have already ordered {n} more as presents",
        "the quality is outstanding", "it makes every day a bit easier", "simply beautiful work",
        "I recommend it to everybody",
    ),
}  # fmt: skip

OPENINGS = ("Honestly, ", "To be fair, ", "After some use: ", "Short version: ", "", "", "", "")


def review(draw: random.Random, stars: int) -> dict[str, str | int]:
    """Draws one review."""
    product = draw.choice(PRODUCTS)

    def mood() -> int:
        return min(5, max(1, stars + draw.choice((-1, 0, 0, 0, 0, 1))))

    clauses: list[str] = []
    for _ in range(draw.choice((2, 3, 3))):
        clause = draw.choice(CLAUSES[mood()]).format(p=product, n=draw.randint(2, 40))
        if clause not in clauses:
            clauses.append(clause)
    body = draw.choice(OPENINGS) + f"about this {product}: " + ", and ".join(clauses) + "."
    title = draw.choice(TITLES[mood()]).format(p=product)
    return {
        "user_id": f"u{draw.randrange(140):03d}",
        "title": title,
        "body": body[0].upper() + body[1:],
        "stars": stars,
    }


def main(path: Path, rows: int = 480, seed: int = 20) -> None:
    """Writes `rows` reviews: more of four and five stars than of the others, as shops have them."""
    draw = random.Random(seed)
    stars = draw.choices((1, 2, 3, 4, 5), weights=(18, 14, 16, 24, 28), k=rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("user_id", "title", "body", "stars"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(review(draw, star) for star in stars)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reviews.csv"))
