# SPDX-License-Identifier: Apache-2.0
"""Render the templates of values that go to CodePipeline: a text stays the text that it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.nativetypes import NativeCodeGenerator

from airflow_codepipeline_partner._compat import values_from_another_task

if TYPE_CHECKING:
    from jinja2 import Environment, Template


class _ValueGenerator(NativeCodeGenerator):
    """Jinja's generator, which writes no constant of an expression as a text while it compiles."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


#: Arguments of the author's function. Like a user's subclass's own fields, they are rendered as the DAG says.
_FUNCTION_ARGUMENTS = frozenset({"op_args", "op_kwargs", "templates_dict"})


def _own_fields(kind: type) -> frozenset[str]:
    """Return the template fields that this package's classes declare, and that are texts."""
    package = __name__.partition(".")[0]
    ours = [vars(cls) for cls in kind.__mro__ if cls.__module__.partition(".")[0] == package]
    return frozenset(name for cls in ours for name in cls.get("template_fields", ())) - _FUNCTION_ARGUMENTS


class TextTemplates:
    """
    An operator or notifier whose templates render to texts, whatever ``render_template_as_native_obj`` says.

    Airflow's native rendering reads what a template gives as Python code: the version ``1.10`` becomes the
    number 1.1, the commit ``1234e56`` another number, and a token of JSON a mapping. Without it, a missing
    value becomes the text ``None``. Neither happens here; see :func:`render_text`.
    """

    def _render(self, template: Template, context: Any, dag: Any = None) -> Any:
        if getattr(template.environment, "renders_texts", False):
            return render_text(template, context)
        return super()._render(template, context, dag)  # type: ignore[misc]  # of Airflow's Templater

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Any, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # Airflow calls this for a mapped task, too, and not render_template_fields.
        render = super()._do_render_template_fields  # type: ignore[misc]  # of Airflow's Templater
        texts = jinja_env
        if parent is self:
            # What another task returned may hold a customer's texts. Airflow would render their braces.
            seen_oids.update(map(id, values_from_another_task(self, context)))
            texts = text_environment(jinja_env)
            own = _own_fields(type(self))
        for name in template_fields:
            is_text = parent is not self or name in own
            render(parent, [name], context, texts if is_text else jinja_env, seen_oids)


def text_environment(jinja_env: Environment) -> Environment:
    """Return an environment like a DAG's, the templates of which :func:`render_text` renders."""
    texts = jinja_env.overlay()
    # It yields the values of expressions themselves, and those of the sandbox if that is on.
    texts.code_generator_class = _ValueGenerator
    texts.extend(renders_texts=True)
    return texts


def render_text(template: Template, context: Any) -> Any:
    """
    Return the text that a template renders to.

    There are two exceptions, for a template that is one expression and nothing else. If its value is None,
    the result is None, so that a missing value is missing. If it is a mapping, a list or bytes, the result is
    that value: it may be a job, or a result's details. Where a text is needed, these are refused.

    :param template: A template of a :func:`text_environment`.
    :param context: The task's context.
    """
    try:
        values: Iterator[Any] = template.root_render_func(template.new_context(dict(context)))
        first = next(values, "")
        rest = list(values)
        is_value = isinstance(first, Mapping | Sequence) and not isinstance(first, str)
        if not rest and (first is None or is_value):
            return first
        return "".join(map(str, [first, *rest]))
    except Exception:
        # It makes the traceback name the template's line, and raises.
        return template.environment.handle_exception()
