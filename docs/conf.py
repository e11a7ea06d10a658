"""The documentation as a site: `make site`. The pages are those of the repository, as they stand.

The source is the whole repository, so that links from page to page, to model cards and to files are the same here and
there. Every warning is an error: a link that leads nowhere, a heading that is gone, a page that no list has.
"""

import cxr_node

project = "cxr_node"
author = "the cxr_node authors"
release = version = cxr_node.__version__
copyright = author

extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md", "models/*/*/docs/README.md"]
root_doc = "docs/index"
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
smartquotes = False  # a quote in a page is one to be typed

html_theme = "alabaster"
html_theme_options = {
    "description": "Chest radiographs, analysed beside the PACS",
    "fixed_sidebar": True,
    "page_width": "75rem",
    "body_max_width": "60rem",
    "sidebar_width": "16rem",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_extra_path = ["_site"]
html_static_path = ["_static"]  # the theme reads custom.css there
html_copy_source = False
html_show_sourcelink = False
