"""Makes a story short: the fewest misfortunes that still lead to a violation."""

from tests.simulation.story import play


def shrink(story, *, most=200):
    """
    Leave out misfortunes, by halves, then quarters, and so on, as long as something is violated all the same.

    Args:
        story: One that violates something.
        most: How many stories are played at most.
    """
    kept = story
    places = [place for place, _ in story.happened]
    size = max(len(places) // 2, 1)
    while most > 0 and places:
        shorter = None
        for start in range(0, len(places), size):
            most -= 1
            left = frozenset(places[:start] + places[start + size :])
            tried = play(story.seed, only=left, kind=story.world)
            if tried.violations:
                shorter = tried
                break
            if most <= 0:
                break
        if shorter is not None:
            kept, places = shorter, [place for place, _ in shorter.happened]
            size = max(min(size, len(places) // 2), 1)
        elif size == 1:
            break
        else:
            size = max(size // 2, 1)
    return kept
