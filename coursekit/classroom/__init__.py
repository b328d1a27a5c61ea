"""A class: what students are given, what they hand in, and how their marks get to a gradebook."""
