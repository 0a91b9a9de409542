"""The order in which hosts pass a file on: rack by rack, and whom each of them may ask."""

from __future__ import annotations

from neuraltalk_provision.results.pushed import Place
from neuraltalk_provision.site.distribution import chain


def place(name: str, rack: str = "", *, reaches: bool = True) -> Place:
    return Place(
        state="absent",
        have=0,
        reaches=reaches,
        controller="192.0.2.1",
        address=name,
        rack=rack,
        connection=f"socket-{name}",
    )


def test_first_host_asks_the_controller_and_each_other_one_the_host_before_it() -> None:
    made = chain.make({name: place(name) for name in ("a", "b", "c", "d", "e", "f")})
    assert list(made) == ["a", "b", "c", "d", "e", "f"]
    assert [link.number for link in made.values()] == [1, 2, 3, 4, 5, 6]
    assert made["a"].before == ()
    assert made["c"].before == ("b", "a")
    assert made["f"].before == ("e", "d", "c", "a")
    assert [link.is_last for link in made.values()] == [False] * 5 + [True]
    assert made["b"].as_variables(made, 10, 11) == {
        "number": 2,
        "candidates": [
            {"number": 1, "address": "a", "listen": 10},
            {"number": 0, "address": "192.0.2.1", "listen": 11},
        ],
        "last": False,
    }


def test_racks_are_crossed_once() -> None:
    places = {f"{rack}{number}": place(f"{rack}{number}", rack) for number in range(4) for rack in ("x", "y", "z")}
    made = chain.make(places)
    assert list(made) == ["x0", "x1", "x2", "x3", "y0", "y1", "y2", "y3", "z0", "z1", "z2", "z3"]
    assert chain.crossings(list(made.values())) == 2


def test_host_that_reaches_the_controller_is_the_first_and_so_is_its_rack() -> None:
    places = {
        "x0": place("x0", "x", reaches=False),
        "y0": place("y0", "y", reaches=False),
        "y1": place("y1", "y"),
        "x1": place("x1", "x", reaches=False),
    }
    made = chain.make(places)
    assert list(made) == ["y1", "y0", "x0", "x1"]
    assert [one["number"] for one in made["y0"].as_variables(made, 10, 11)["candidates"]] == [1]


def test_without_a_way_to_the_controller_the_order_stays_and_ssh_forwards() -> None:
    made = chain.make({name: place(name, reaches=False) for name in ("a", "b")})
    assert list(made) == ["a", "b"]
    assert made["a"].as_variables(made, 10, 11)["candidates"] == []
    forwarded = chain.Link("a", 1, made["a"].place, (), False, forwarded=4711)
    assert forwarded.as_variables(made, 10, 11)["candidates"] == [{"number": 0, "address": "127.0.0.1", "listen": 4711}]


def test_no_host_is_no_chain() -> None:
    assert chain.make({}) == {}
