"""Equations as MathML, which browsers draw themselves: no script is loaded, so the site needs no network."""

from __future__ import annotations

from docutils.utils.math.latex2mathml import tex2mathml


def _inline(self, node) -> None:
    self.body.append(tex2mathml(node.astext(), as_block=False))
    _skip()


def _block(self, node) -> None:
    self.body.append(f'<div class="equation">{tex2mathml(node.astext(), as_block=True)}</div>')
    _skip()


def _skip() -> None:
    from docutils.nodes import SkipNode

    raise SkipNode


def add_math(app) -> None:
    """Register the renderer and choose it."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.config.html_math_renderer = "mathml"
