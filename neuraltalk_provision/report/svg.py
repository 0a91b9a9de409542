"""Converts matplotlib's SVG for an HTML page: no network, unique ids, and the text colour of the page. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

SPACE = "http://www.w3.org/2000/svg"
"""The XML namespace of SVG; nothing is fetched from this address."""
INK = "#010203"
"""This colour is replaced by the colour of the text around the figure, for light and dark pages."""

_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def embedded(text: str, salt: str, label: str) -> str:
    """The figure as one <svg> element with `label` as its accessible name; its ids begin with `salt`.

    Ids that are not referred to are removed; those that begin with `is-` become classes.
    """
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = {name for element in root.iter() for name in _references(element.attrib)}
    for element in root.iter():
        element.tag = _local(element.tag)
        changed = {_local(name): _value(_local(name), value, salt) for name, value in element.attrib.items()}
        if (id := element.attrib.get("id")) and id not in used:
            del changed["id"]
            if id.startswith("is-"):
                changed["class"] = id
        element.attrib.clear()
        element.attrib.update(changed)
    width, height = root.attrib.get("viewBox", "0 0 1 1").split()[2:]
    title = ElementTree.Element("title")
    title.text = label
    root.insert(0, title)
    root.attrib.update(
        {
            "xmlns": SPACE,
            "role": "img",
            "aria-label": label,
            "width": width,
            "height": height,
            "style": "stroke-linejoin: round; stroke-linecap: butt; max-width: 100%; height: auto",
        }
    )
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """A name without its namespace; SVG accepts `href` without one."""
    return name.rpartition("}")[2]


def _references(attributes: Mapping[str, str]) -> list[str]:
    """The ids that an element refers to."""
    found = [match for value in attributes.values() for match in _REFERENCE.findall(value)]
    return found + [value[1:] for name, value in attributes.items() if _local(name) == "href" and value[:1] == "#"]


def _value(name: str, value: str, salt: str) -> str:
    if name == "id":
        return f"{salt}-{value}"
    if name == "href":
        return f"#{salt}-{value[1:]}"
    if name in ("style", "fill", "stroke"):
        value = value.replace(INK, "currentColor")
    return _REFERENCE.sub(rf"url(#{salt}-\1)", value)
