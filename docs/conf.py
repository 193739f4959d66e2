"""The site: `make docs` builds it from these Markdown files, the docstrings and the command line's own help."""

import sys
from pathlib import Path

from xfworker import __version__
from xfworker.api.composition.module_folders import MODULE_FOLDERS

# Modules of scripts are documented under the bare names that scripts import.
sys.path[:0] = map(str, MODULE_FOLDERS)
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "xfworker"
author = "The xfworker authors"
copyright = author  # noqa: A001 - the name that Sphinx reads
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "command_line"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
highlight_language = "python"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
python_maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"xfworker {__version__}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
