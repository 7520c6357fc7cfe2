"""What notebooks show is well-formed, whatever the names in it are."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from snnmap.core.html import heading, make_element, make_table, paragraph, to_html


@given(st.text(), st.text())
def test_any_text_is_well_formed_and_escaped(text: str, other: str) -> None:
    made = to_html(heading(text), make_table((text, "n#"), [(other, 1)]), paragraph(other), make_element("i", title=text))
    whole = ElementTree.fromstring(made)
    assert "<script" not in made
    assert [element.tag for element in whole] == ["div", "table", "pre", "i"]


def test_markup_in_a_name_is_text() -> None:
    made = to_html(heading("<script>alert(1)</script> & \x00"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; \ufffd" in made


def test_children_and_texts_keep_their_order() -> None:
    made = make_element("p", "a", make_element("b", "c"), "d", make_element("i"), "e", stroke_width=2)
    expected = '<p stroke-width="2">a<b>c</b>d<i></i>e</p>'
    assert ElementTree.tostring(made, encoding="unicode", short_empty_elements=False) == expected


def test_a_long_table_tells_how_much_it_leaves_out() -> None:
    made = make_table(("a", "b#"), [(k, k) for k in range(70)], most=50)
    assert len(made) == 1 + 50 + 1
    assert "".join(made[-1].itertext()) == "and 20 more"
