"""The digits that ``search.py`` searches with, in a file of their own, since a search ends where the file of its data changes."""

from sklearn.model_selection import train_test_split

from snnmap.demo.digits import read_digits


def read() -> dict[str, object]:
    digits = read_digits(seed=0)
    train, validation, train_labels, validation_labels = train_test_split(
        digits.train, digits.train_labels, test_size=360, random_state=0, stratify=digits.train_labels
    )
    return {"train": train, "train_labels": train_labels, "validation": validation, "validation_labels": validation_labels}
