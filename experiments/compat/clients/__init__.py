"""One script a library: what its user would write for PretrainGym/Surrogate-v2, with the library's stock classes.

They may be copied: they use nothing of this project but the environment and `report`, which scores what was learned.
Their libraries are no dependencies of the project; each runs where `..environments` installed its own.
"""
