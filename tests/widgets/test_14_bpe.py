import pytest
from boxes import boxes, tokens

from numpygpt.tokenizers import BPETokenizer

LINE = "Now is the winter"


@pytest.fixture
def panel(widget):
    return widget("14_bpe")


def test_without_merges_every_byte_is_a_token(panel):
    assert tokens(panel.move(line=LINE, merges=0), 0) == list(LINE)
    assert tokens(panel.move(line="né"), 0) == ["n", "c3", "a9"]


def test_a_character_that_is_whole_is_shown_as_itself_beside_bytes_that_are_not(panel):
    panel.names["tokenizer"] = BPETokenizer.train("né né né é", 258)
    figure = panel.move(line="né ê", merges=1024)
    assert tokens(figure, 0) == ["né", " ", "c3", "aa"]
    assert [width for _, width, _ in boxes(figure, 0)] == [2, 1, 2, 2]


def test_all_merges_cut_as_the_tokenizer_does(panel):
    whole: BPETokenizer = panel.names["tokenizer"]
    figure = panel.move(line=LINE, merges=1024)
    assert tokens(figure, 0) == [whole.decode([i]) for i in whole.encode(LINE)]
    label = figure.axes[0].get_yticklabels()[0].get_text()
    assert label == f"1024:  {len(tokens(figure, 0))} tokens"


def test_more_merges_never_make_more_tokens(panel):
    panel.move(line=LINE)
    counts = [len(tokens(panel.move(merges=k), 0)) for k in (0, 8, 64, 256, 1024)]
    assert counts == sorted(counts, reverse=True) and counts[-1] < counts[0] / 2


def test_an_empty_line_is_drawn(panel):
    assert tokens(panel.move(line=""), 0) == []
