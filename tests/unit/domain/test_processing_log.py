"""What a processing log says last of a key, however long the log is."""

from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.image.processing_log import KEY_WIDTH, last

KEY = "Mu_Scaling"
LINES = st.lists(
    st.one_of(
        st.text("Mu_Scaling !\t0", max_size=50),
        st.builds("{:<30}{}".format, st.sampled_from([KEY, f" {KEY}", f"{KEY}2", f"!{KEY}", KEY * 3]), st.text("12 ")),
    ),
    max_size=8,
)


@given(LINES)
def test_the_last_line_with_a_key_counts_and_comments_do_not(lines):
    values = [
        line[KEY_WIDTH:].strip() for line in lines if not line.startswith("!") and line[:KEY_WIDTH].strip() == KEY
    ]
    assert last("\n".join(lines) + "\0" + KEY, KEY) == (values[-1] if values else None)
