"""The controls of the chapters' widgets: those of ipywidgets, or a line that they are missing."""

try:
    from ipywidgets import (
        FloatLogSlider,
        FloatSlider,
        IntSlider,
        SelectionSlider,
        Text,
        Textarea,
        interactive,
    )
except ImportError as error:
    WHY = str(error)

    class Missing:
        """Takes the place of every control; the panel is then a line of text, and all goes on."""

        children = ()

        def __init__(self, *args, **kwargs):
            pass

        def __repr__(self):
            return (
                f"there are no controls here, for want of ipywidgets ({WHY}): "
                "run %pip install ipywidgets, then restart the kernel"
            )

    FloatLogSlider = FloatSlider = IntSlider = SelectionSlider = Text = Textarea = Missing
    interactive = Missing
