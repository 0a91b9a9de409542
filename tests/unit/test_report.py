"""Pictures of a training: what is on them, what may not be, and that they break on nothing a log can hold."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from neuraltalk_provision.report import figures, page, points, svg
from neuraltalk_provision.report.page import Captioned, Comparison, Report
from neuraltalk_provision.report.terminal import curves
from neuraltalk_provision.runs.progress.history import History, Stage
from neuraltalk_provision.runs.verdict.envelope import Envelope, Range
from neuraltalk_provision.runs.verdict.gates import Gate, Verdict

pytestmark = pytest.mark.slow

NAN, INF = math.nan, math.inf
ENVELOPE = Envelope(
    name="COCO's own",
    ranges={
        "loss": (Range(iteration=7500, least=2.3, most=3.1), Range(iteration=70000, least=2.1, most=2.9)),
        "CIDEr": (Range(iteration=7500, least=0.25, most=0.6), Range(iteration=70000, least=0.5, most=0.75)),
    },
)
NASTY = """<script>alert("1")</script> & 'ä' $x^2_$ ]]> \x1b[31m\x00\udcff"""
TURNED = "\u202egpj.x\u202c\u2066y\u2069"
VOID = {"meta", "img", "br", "hr", "link"}


def training(end: int = 70000, of_loss: float = 2.5) -> History:
    losses = tuple((i, of_loss + 6.7 * math.exp(-i / 3000) + 0.1 * math.sin(i)) for i in range(0, end + 1, 50))
    validated = range(2500, end + 1, 2500)
    return History(
        losses=losses,
        validations=tuple((i, of_loss + 2 * math.exp(-i / 9000)) for i in validated),
        scores=tuple((i, (("Bleu_4", 0.1 + i / end / 5), ("CIDEr", 0.1 + 0.55 * i / end))) for i in validated),
        stages=(Stage("base-1", 0, end // 2), Stage("base-1-finetune", end // 2, end)),
    )


TRAINING = training()


class Document(HTMLParser):
    """A page as a browser takes it: every tag closed, attributes, and text by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self, *tags: str) -> list[str]:
        return [text for tag, text in self.texts if not tags or tag in tags]


def whole() -> Report:
    return Report(
        title="base-1 on node1",
        facts=(("state", "ended"), ("card", NASTY)),
        made="made by a test",
        history=TRAINING,
        envelope=ENVELOPE,
        verdict=Verdict(
            (Gate("loss", "green", "2.51"), Gate("CIDEr", "red", "0.1 <"), Gate("card", "left out", "none"))
        ),
        captions=(
            Captioned("dog.jpg", "a dog on a bench", b"\xff\xd8\xff", "image/jpeg"),
            Captioned(NASTY, NASTY, None, "image/jpeg"),
            Captioned("x", "y", b"<svg onload=1>", 'text/html" onerror="x'),
        ),
        comparison=(
            Comparison("none", "n1", "failed", (), None, None, None),
            Comparison("nan", "n1", "diverged", (), NAN, NAN, NAN),
            Comparison("worse", "n1", "ended", (("rnn_size", "256"),), 2.5, 2.4, 0.61),
            Comparison("best", "n2", "ended", (("rnn_size", "512"), ("seed", "1")), 2.5, 2.6, 0.65),
            Comparison("later", "n2", "running", (), 2.9, 2.7, None),
            Comparison("sooner", "n2", "running", (), 2.9, 2.6, None),
        ),
        histories={"best": training(20000), NASTY: training(30000, 2.7)},
        log_tail=f"iter 1: 2.5\r\n{NASTY}\n",
    )


@pytest.fixture(scope="module")
def text() -> str:
    return page.render(whole())


@pytest.fixture(scope="module")
def document(text: str) -> Document:
    return Document(text)


def parsed(figure: str) -> ElementTree.Element:
    """A figure, as strictly as XML has it; it holds no other name than SVG's own."""
    assert figure.startswith("<svg ")
    assert re.findall(r"https?:[^\"]*", figure) == [svg.SPACE]
    return ElementTree.fromstring(figure)


def classes(figure: str) -> list[str]:
    return [element.attrib["class"] for element in parsed(figure).iter() if "class" in element.attrib]


def words(figure: str) -> list[str]:
    return ["".join(element.itertext()) for element in parsed(figure).iter(f"{{{svg.SPACE}}}text")]


# Points


def test_thinned_points_keep_every_peak_and_their_order() -> None:
    line = [(i, float(i % 7)) for i in range(10000)]
    line[1234], line[8765] = (1234, 99.0), (8765, -99.0)
    few = points.thin(line, 400)
    assert len(few) <= 400
    assert (1234, 99.0) in few and (8765, -99.0) in few
    assert few == sorted(few) and set(few) <= set(line)
    assert points.thin(line[:400], 400) == line[:400]


def test_means_are_of_stretches_that_hold_every_point() -> None:
    assert points.means([(0, 1.0), (10, 3.0), (20, 5.0), (30, 7.0)], 2) == [(5.0, 2.0), (25.0, 6.0)]
    assert points.means([(0, 1.0), (10, 3.0)], 2) == [(0.0, 1.0), (10.0, 3.0)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2], ""),
        ([1, NAN, INF], "loss is not a number from iteration 1,000 on"),
        ([1, NAN, 2, -INF, 3], "loss is not a number at 2 of 5 points, first at iteration 1,000"),
        ([1, 1e300], "loss is too large to draw from iteration 1,000 on"),
    ],
)
def test_remark_says_what_cannot_be_drawn(values: list[float], said: str) -> None:
    assert points.remark("loss", [(1000 * place, value) for place, value in enumerate(values)]) == said


def test_band_begins_where_the_envelope_does_and_has_its_corners() -> None:
    band = points.band(ENVELOPE, "loss", 100000, 7)
    assert band[0] == (7500, 2.3, 3.1) and band[-1] == (100000, 2.1, 2.9)
    assert (70000, 2.1, 2.9) in band
    assert (
        points.band(ENVELOPE, "loss", 7000)
        == points.band(ENVELOPE, "METEOR", 9000)
        == points.band(None, "loss", 9)
        == []
    )


# Terminal


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24), (80, 16), (40, 14), (30, 8)])
@pytest.mark.parametrize("colour", [True, False])
def test_curves_fit_and_have_escapes_with_colour_only(width: int, height: int, colour: bool) -> None:
    drawn = curves(TRAINING, ENVELOPE, width, height, colour)
    assert ("\x1b[" in drawn) == colour
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn).split("\n")
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "┤" in drawn


def test_curves_show_losses_above_the_score_that_says_most() -> None:
    lines = curves(TRAINING, None, 80, 30, False).split("\n")
    losses = next(place for place, line in enumerate(lines) if "loss" in line and "validation loss" in line)
    score = next(place for place, line in enumerate(lines) if "CIDEr" in line)
    above, below = "\n".join(lines[losses:score]), "\n".join(lines[score:])
    assert re.search("[\u2801-\u28fe]", above) and above.count("●") > 10
    assert below.count("●") > 10
    assert "Bleu_4" not in below
    bleu = History(scores=((1, (("Bleu_4", 0.1), ("METEOR", 0.1))),))
    assert "Bleu_4" in curves(bleu, None, 80, 30, False)


def test_curve_in_a_terminal_falls() -> None:
    falling = History(losses=tuple((i, 10.0 - i) for i in range(10)))
    rows = [row for row in curves(falling, None, 40, 14, False).split("\n") if row.endswith("│")]
    found = [re.search("[\u2801-\u28ff]", row) for row in rows]
    first = [match.start() for match in found if match]
    assert len(first) > 5 and first == sorted(first) and first[-1] - first[0] > 20


def test_envelope_is_drawn_and_named_where_it_says_something_only() -> None:
    drawn = curves(TRAINING, ENVELOPE, 80, 30, False)
    assert drawn.count("·") > 20 and "COCO's own" in drawn
    assert "·" not in curves(TRAINING, None, 80, 30, False)
    early = curves(training(5000), ENVELOPE, 80, 30, False)
    assert "·" not in early and "COCO" not in early


def test_what_is_no_number_is_left_out_and_said() -> None:
    sick = History(losses=((0, 9.0), (100, 5.0), (200, NAN), (300, INF)), validations=((100, NAN),))
    drawn = curves(sick, ENVELOPE, 80, 20, False)
    assert "loss is not a number from iteration 200 on" in drawn
    assert "validation loss is not a number from iteration 100 on" in drawn
    assert re.search("[\u2801-\u28fe]", drawn)


@pytest.mark.parametrize("history", [History(), History(stages=(Stage("a", 0, 0),)), History(losses=((3, NAN),))])
def test_nothing_to_draw_is_a_sentence(history: History) -> None:
    drawn = curves(history, ENVELOPE, 80, 20, True)
    assert drawn.startswith("Nothing to draw yet")
    assert ("loss is not a number from iteration 3 on" in drawn) == bool(history.losses)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e29, 1e-30, 1e308, -1e308])
def test_any_number_alone_can_be_drawn_or_is_said(value: float) -> None:
    history = History(losses=((7, value), (8, value)), scores=((7, (("CIDEr", value),)),))
    assert curves(history, None, 80, 30, True)
    assert (figures.losses(history, None) == "") == (abs(value) > 1e30)
    assert (figures.scores(history, None) == "") == (abs(value) > 1e30)


def test_no_room_is_said() -> None:
    for width, height in ((10, 40), (80, 5), (1, 1)):
        assert "".join(curves(TRAINING, None, width, height, False).split()).startswith("Thereisnotenoughspace")


# Figures


def test_figures_have_curves_names_and_stages() -> None:
    losses, scores = figures.losses(TRAINING, ENVELOPE), figures.scores(TRAINING, ENVELOPE)
    assert {"validation loss", "base-1", "base-1-finetune", "70,000", "iteration"} <= set(words(losses))
    assert {"CIDEr", "Bleu_4", "base-1", "base-1-finetune"} <= set(words(scores))
    assert classes(losses).count("is-curve") == 3  # the loss, its mean, the validation loss
    assert classes(scores).count("is-curve") == 2
    assert len(losses) < 100_000


def test_band_is_there_with_an_envelope_only() -> None:
    for draw in (figures.losses, figures.scores):
        assert classes(draw(TRAINING, ENVELOPE)).count("is-band") == 1
        assert "expected range: COCO's own" in words(draw(TRAINING, ENVELOPE))
        assert "is-band" not in classes(draw(TRAINING, None))
        assert "is-band" not in classes(draw(training(5000), ENVELOPE))


def test_figure_says_what_it_leaves_out_also_to_who_cannot_see_it() -> None:
    sick = History(losses=((0, 9.0), (100, 5.0), (200, NAN)), scores=((1, (("CIDEr", 0.1),)), (2, (("CIDEr", INF),))))
    losses, scores = figures.losses(sick, None), figures.scores(sick, None)
    assert "loss is not a number from iteration 200 on" in words(losses)
    assert "loss is not a number from iteration 200 on" in parsed(losses).attrib["aria-label"]
    assert "CIDEr is not a number from iteration 2 on" in words(scores)
    assert "nan" not in losses.lower()


def test_figure_has_a_title_takes_the_ink_of_its_page_and_no_outer_style() -> None:
    root = parsed(figures.losses(TRAINING, ENVELOPE))
    assert root.attrib["role"] == "img"
    assert root[0].tag.endswith("title") and (root[0].text or "").startswith("loss over iterations")
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names & {"metadata", "style", "script", "image", "foreignObject"} == set()
    assert "currentColor" in figures.losses(TRAINING, None) and svg.INK not in figures.losses(TRAINING, None)


def test_every_reference_in_a_figure_is_answered_in_it() -> None:
    for figure in (figures.losses(TRAINING, ENVELOPE), figures.overlay({"a": training(9000)}, "loss")):
        ids = re.findall(r' id="([^"]+)"', figure)
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', figure))
        assert ids and {one or other for one, other in used} == set(ids)
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("what", ["loss", "validation loss", "CIDEr"])
def test_overlay_has_a_curve_and_a_name_for_each_run(what: str) -> None:
    runs = {"_lr-1": training(20000), "lr-2 $a_b$": training(30000, 2.7), "empty": History()}
    drawn = figures.overlay(runs, what)
    assert classes(drawn).count("is-curve") == 2
    assert {"_lr-1", "lr-2 $a_b$", what} <= set(words(drawn))
    assert "empty" not in words(drawn)
    assert figures.overlay(runs, "METEOR") == figures.overlay({}, what) == ""


def test_overlay_says_which_run_is_no_number_and_draws_many() -> None:
    runs = {f"run-{n}": training(5000) for n in range(40)}
    drawn = figures.overlay(
        {**runs, "sick": History(losses=((0, 9.0), (5, NAN))), "dead": History(losses=((4, INF),))}, "loss"
    )
    assert classes(drawn).count("is-curve") == 41
    assert {
        "run-0",
        "run-39",
        "sick is not a number from iteration 5 on",
        "dead is not a number from iteration 4 on",
    } <= set(words(drawn))


def test_legend_stays_inside_the_figure() -> None:
    long = "COCO, finetuned from iteration 50,000"
    band = f"expected range: {long}"
    names = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "CIDEr", "METEOR", "ROUGE_L")
    for count in range(1, len(names) + 1):
        history = History(scores=tuple((i, tuple((name, 0.5) for name in names[:count])) for i in (7500, 9000)))
        envelope = Envelope(name=long, ranges=dict.fromkeys(names, ENVELOPE.ranges["CIDEr"]))
        root = parsed(figures.scores(history, envelope))
        width = float(root.attrib["width"])
        labels = [(element, "".join(element.itertext())) for element in root.iter(f"{{{svg.SPACE}}}text")]
        lefts = [(float(element.attrib["x"]), text) for element, text in labels if text in (*names, band)]
        assert len(lefts) == count + 1
        assert all(left > 20 and left + 5 * len(text) < width for left, text in lefts)


def test_any_name_can_stand_in_a_figure() -> None:
    history = History(losses=((0, 3.0), (9, 2.0)), stages=(Stage(NASTY, 0, 9), Stage("漢字" * 50, 4, 9)))
    drawn = figures.losses(history, Envelope(name=NASTY, ranges={"loss": (Range(iteration=0, least=1, most=2),)}))
    assert any(word.startswith("<script>") for word in words(drawn))
    assert "\x1b" not in drawn
    drawn.encode("utf-8")


def test_figures_need_no_display_and_no_pyplot() -> None:
    code = (
        "import sys\nfrom neuraltalk_provision.report import figures, page, terminal\n"
        "assert not {'matplotlib', 'plotext', 'jinja2'} & set(sys.modules)\n"
        "from neuraltalk_provision.runs.progress.history import History\n"
        "sys.stdout.write(figures.losses(History(losses=((0, 3.0), (9, 2.0))), None))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == figures.losses(History(losses=((0, 3.0), (9, 2.0))), None)


# Page


def test_page_is_the_same_every_time(text: str) -> None:
    assert page.render(whole()) == text


def test_page_names_no_address_but_svgs_own(text: str, document: Document) -> None:
    assert set(re.findall(r"https?:[^\s\"']*", text)) == {svg.SPACE}
    loaded = [
        value for _tag, attributes in document.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert loaded and all(value and value.startswith(("data:image/jpeg;base64,", "#")) for value in loaded)
    assert document.all("script") == document.all("link") == []
    assert "@import" not in text
    policy = [meta["content"] for meta in document.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_ids_are_unique_over_the_page(document: Document) -> None:
    ids = [attributes["id"] for _tag, attributes in document.tags if "id" in attributes]
    assert len(document.all("svg")) == 5
    assert len(ids) > 10 and len(ids) == len(set(ids))


def test_what_comes_from_outside_is_text(text: str, document: Document) -> None:
    assert "<script" not in text
    assert not any(name.startswith("on") for _tag, attributes in document.tags for name in attributes)
    said = document.said("p", "td", "pre")
    assert (
        sum("<script>alert(\"1\")</script> & 'ä' $x^2_$ ]]>" in part for part in said) == 4
    )  # fact, caption, file, log
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)
    text.encode("utf-8")


def test_verdict_has_colour_word_and_evidence(document: Document) -> None:
    gates = [attributes["class"] for attributes in document.all("span")]
    assert gates == ["gate red", "gate green", "gate red", "gate left-out"]
    assert document.said("span") == ["red", "green", "red", "left out"]
    assert {"2.51", "0.1 <"} <= set(document.said("td"))
    green = Document(page.render(Report("t", (), "", verdict=Verdict((Gate("a", "green", "x"),)))))
    assert green.said("span") == ["green", "green"]


def test_comparison_has_the_best_first_and_every_option_a_column(document: Document) -> None:
    rows = [text for text in document.said("th") if text in {row.id for row in whole().comparison}]
    assert rows == ["best", "worse", "sooner", "later", "nan", "none"]
    heads = [text for tag, text in document.texts if tag == "th"]
    assert heads[heads.index("rnn_size") :][:3] == ["rnn_size", "seed", "Score"]
    cells = document.said("td")
    assert {"0.650", "512", "none yet", "not a number"} <= set(cells)
    assert all("scope" in attributes for attributes in document.all("th"))


def test_captions_stand_beside_their_images_or_the_words_for_none(document: Document) -> None:
    (image,) = document.all("img")
    assert image["src"] == "data:image/jpeg;base64,/9j/"
    assert image["alt"] == "The image dog.jpg"
    assert "a dog on a bench" in document.said("p")
    assert document.said("p").count("not fetched") == 2  # one has none, of one it is none


def test_envelope_is_named_and_without_one_is_not(document: Document) -> None:
    captions = " ".join(document.said("figcaption"))
    assert "expected range of loss: COCO's own" in captions and "expected range of CIDEr" in captions
    bare = page.render(Report("t", (), "", history=TRAINING))
    assert "expected range" not in bare and "is-band" not in bare


def test_page_of_nothing_is_a_page() -> None:
    empty = Document(page.render(Report("an <empty> one", (), "never")))
    assert "an <empty> one" in empty.said("h1") and empty.said("h2") == []
    begun = Document(page.render(Report("t", (), "", history=History(), envelope=ENVELOPE, histories={"a": History()})))
    assert [text for text in begun.said("p") if text.startswith("Nothing to draw yet")]
    assert begun.all("svg") == []


def test_page_says_what_is_no_number() -> None:
    sick = History(losses=((0, 9.0), (50, NAN)), validations=((40, 3.0),))
    assert "loss is not a number from iteration 50 on" in page.render(Report("t", (), "", history=sick))
    dead = Document(page.render(Report("t", (), "", history=History(losses=((50, NAN),)))))
    assert "loss is not a number from iteration 50 on." in dead.said("p")


def test_page_is_for_everybody(text: str, document: Document) -> None:
    assert document.all("html") == [{"lang": "en"}]
    assert "prefers-color-scheme: dark" in text
    assert all(attributes["aria-label"] and attributes["role"] == "img" for attributes in document.all("svg"))
    assert document.said("footer", "p")[-1] == "made by a test"


def test_nothing_on_a_page_turns_around_the_letters_beside_it() -> None:
    captioned = Captioned(TURNED, TURNED, None, "image/png")
    text = page.render(
        Report(title=TURNED, facts=((TURNED, TURNED),), made="now", captions=(captioned,), log_tail=TURNED)
    )
    assert not set(text) & set("\u202e\u202c\u2066\u2069")
    assert "\ufffdgpj.x\ufffd" in text


def test_curves_of_nastily_named_scores_and_stages_command_no_terminal() -> None:
    stages = (Stage(NASTY, 0, 10),)
    history = History(losses=((0, 3.0), (10, 2.0)), scores=((5, ((NASTY, math.nan),)),), stages=stages)
    for colour in (False, True):
        drawn = re.sub(r"\x1b\[[0-9;]*m", "", curves(history, None, 80, 30, colour))
        assert [char for char in drawn if not char.isprintable() and char != "\n"] == []
        assert "not a number" in drawn
