"""The documentation as a site: `make docs`. Sphinx reads the repository from its root, so that the
links between pages, and from pages to code, are those that a reader of the repository follows."""

from pathlib import Path

project = "nnflow"
copyright = "the nnflow developers"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "config/README.md", "docs/**.md"]
exclude_patterns = [
    *(".venv*", ".git", ".snakemake", ".nnflow", "results", "build", "nnflow", "plugins", "tests"),
    *("docs/_site", "docs/_static", "config/studies", "workflow", "benchmarks"),
]

myst_heading_anchors = 4

html_theme = "furo"
html_title = "nnflow"
html_static_path = [str(Path(__file__).parent / "_static")]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
# code without a language is not code, but what is typed in a terminal
highlight_language = "text"
