"""``xfworker image``: looks at image files, converts them, makes others of them."""

from cyclopts import App, Parameter

from xfworker.api.cli.help_text import group_help
from xfworker.api.cli.image_change import crop, downsample, mask, threshold
from xfworker.api.cli.image_convert import convert
from xfworker.api.cli.image_info import info
from xfworker.api.cli.image_measure import histogram, statistics
from xfworker.api.cli.image_slice import cut

app = App(
    name="image",
    help=group_help("Look at images, measure, convert and change them.", "xfworker image info scan.AIM"),
    help_format="plaintext",
    # A position that is not stated is left out, not "empty".
    default_parameter=Parameter(negative_iterable=()),
)

for _command in (info, convert, threshold, crop, mask, statistics, histogram, downsample):
    app.command(_command)
app.command(cut, name="slice")
