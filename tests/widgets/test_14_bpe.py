import pytest
from boxes import boxes, letters

from numpygpt.tokenizers import BPETokenizer

LINE = "Now is the winter"


@pytest.fixture
def panel(widget):
    return widget("14_bpe")


def tokens(figure):
    text = letters(figure, 0)
    return [text[int(x) : int(x + width)] for x, width, _ in boxes(figure, 0)]


def test_without_merges_every_byte_is_a_token(panel):
    assert tokens(panel.move(line=LINE, merges=0)) == list(LINE)
    assert len(tokens(panel.move(line="né"))) == 3  # é has two bytes


def test_all_merges_cut_as_the_tokenizer_does(panel):
    whole: BPETokenizer = panel.names["tokenizer"]
    figure = panel.move(line=LINE, merges=1024)
    assert tokens(figure) == [whole.decode([i]) for i in whole.encode(LINE)]
    label = figure.axes[0].get_yticklabels()[0].get_text()
    assert label == f"1024:  {len(tokens(figure))} tokens"


def test_more_merges_never_make_more_tokens(panel):
    panel.move(line=LINE)
    counts = [len(tokens(panel.move(merges=k))) for k in (0, 8, 64, 256, 1024)]
    assert counts == sorted(counts, reverse=True) and counts[-1] < counts[0] / 2


def test_an_empty_line_is_drawn(panel):
    assert tokens(panel.move(line="")) == []
