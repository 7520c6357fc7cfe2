"""Numbers of things in words."""

__all__ = ["count_nouns", "count_samples"]


def count_nouns(n: int, noun: str) -> str:
    """Return a number and a noun that takes an s where there is not one of it.

    Example:
        >>> count_nouns(1, "sample"), count_nouns(0, "sample")
        ('1 sample', '0 samples')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def count_samples(n_samples: int, n_steps: int) -> str:
    """Return how many samples there are and of how many steps each is.

    Example:
        >>> count_samples(20, 1)
        '20 samples of 1 step'
    """
    return f"{count_nouns(n_samples, 'sample')} of {count_nouns(n_steps, 'step')}"
