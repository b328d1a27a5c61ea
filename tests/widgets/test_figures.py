"""The book's figures belong to who draws them."""

from matplotlib import pyplot

from coursekit.figures import show, subplots


def test_a_figure_is_in_no_list_from_which_jupyter_would_show_it_half_drawn(monkeypatch):
    # A message to a widget that comes in meanwhile, in a second thread, ends by showing that list.
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: None)
    listed = pyplot.get_fignums()  # by other tests of this process
    figure, axes = subplots()
    assert pyplot.get_fignums() == listed
    axes.plot([1, 2])
    show(figure, "A line.")
    assert pyplot.get_fignums() == listed
