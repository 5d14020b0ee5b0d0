"""How Sphinx makes the site: `make docs`, or `sphinx-build -W --keep-going -n -b html docs docs/_build`.

Nothing is fetched while the site is made, and a page that is opened asks for nothing elsewhere: no fonts, no formulas
drawn by a script from a network, no inventories of other projects.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from scaling_callback import __version__  # noqa: E402 - found once the path is set
from scaling_callback.reporting.figures.palette import PALETTE  # noqa: E402

project = "scaling_callback"
version = release = __version__
copyright = "the authors; Apache License 2.0"  # noqa: A001 - Sphinx reads this name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "directives"]
exclude_patterns = ["_build"]
root_doc = "index"
smartquotes = False  # --json must stay what can be typed

# links to headings of other pages are checked; a title stands for a link that has no words of its own
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"  # docstrings say `name` in Markdown's way
# names of other projects and of private aliases have no page here to link to
nitpick_ignore_regex = [("py:.*", r".*")]

html_theme = "furo"
html_title = "scaling_callback"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# the figures' colours, which follow the page from light to dark
html_theme_options = {
    "light_css_variables": {f"fig-{role}": light for role, (light, _) in PALETTE.items()},
    "dark_css_variables": {f"fig-{role}": dark for role, (_, dark) in PALETTE.items()},
}
