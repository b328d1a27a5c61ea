"""What an instructor does with a class: hand out, collect, see what went wrong, return marks."""
