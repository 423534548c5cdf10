"""A notebook, executed or not, as HTML without script: formulas drawn, widgets as they were left."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter

from medsynth_lib.course.markdown_html import Links, markdown_html

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
#: Around each cell: its id, which links and the table of contents use.
_TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{% block markdowncell scoped %}
<section class="text" id="{{ cell.id }}">
{{ cell.source | markdown2html(cell.id) }}
</section>
{% endblock markdowncell %}
{% block codecell %}
<section class="code" id="{{ cell.id }}">
{{ self.input_group() if not resources.global_content_filter.exclude_input }}
{{ self.output_group() if cell.outputs }}
</section>
{% endblock codecell %}
{% block footer %}{% endblock footer %}
"""


def notebook_html(notebook: Any, links: Links, *, embed_from: str | Path | None = None) -> str:
    """All cells of ``notebook`` (nbformat), one ``<section>`` each; no page around them.

    Left out: the cell papermill put in (it names folders of the machine), progress bars and standard error.

    Args:
        embed_from: as for ``markdown_html``.

    Raises:
        MedSynthError: see ``markdown_html``.
    """
    exporter = _Exporter(links, embed_from)
    return exporter.from_notebook_node(static_copy(notebook))[0].strip()


def static_copy(notebook: Any) -> Any:
    """A copy of ``notebook`` for readers without a kernel: each widget's output is its picture, if it has one."""
    notebook = copy.deepcopy(notebook)
    widgets = notebook.metadata.pop("widgets", {}).get(_WIDGET_STATE, {}).get("state", {})
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for output in cell.outputs for one in _static_output(output, widgets)]
    return notebook


def _static_output(output: Any, widgets: Mapping[str, Any]) -> Iterator[Any]:
    if output["output_type"] == "stream" and output["name"] == "stderr":
        return
    view = output.get("data", {}).get(_WIDGET_VIEW)
    if view is None:
        yield output
    elif picture := widget_html(view["model_id"], widgets):
        output["data"] = {"text/html": picture}
        yield output


def widget_html(model: str, widgets: Mapping[str, Any]) -> str:
    """The picture of widget ``model`` in its last state, and what its controls were set to; empty without a picture.

    Args:
        widgets: a notebook's widget state: model id -> ``{"model_name": …, "state": …}``.
    """
    names = [name.removeprefix("IPY_MODEL_") for name in widgets.get(model, {}).get("state", {}).get("children", [])]
    states = [widgets[name]["state"] for name in names if name in widgets]
    pictures = [state["value"] for state in states if "<img" in str(state.get("value"))]
    if not pictures:
        return ""
    set_to = "; ".join(f"{state['description']}: {_setting(state)}" for state in states if state.get("description"))
    caption = f"Interactive in the notebook. Here {escape(set_to)}." if set_to else "Interactive in the notebook."
    return f'<figure class="widget">{"".join(pictures)}<figcaption>{caption}</figcaption></figure>'


def _setting(state: Mapping[str, Any]) -> object:
    """What a control is set to: the label of a choice, else the value."""
    labels = state.get("_options_labels")
    return labels[state["index"]] if labels and state.get("index") is not None else state.get("value")


class _Exporter(HTMLExporter):
    def __init__(self, links: Links, embed_from: str | Path | None):
        super().__init__(raw_template=_TEMPLATE, exclude_input_prompt=True, exclude_output_prompt=True)

        def html(source: str, cell: str = "") -> str:
            return markdown_html(source, links=links, embed_from=embed_from, where=f"cell {cell}" if cell else "")

        self.register_filter("markdown2html", html)
