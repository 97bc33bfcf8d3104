"""A matrix of pictures: what varies along its sides, how its cells are drawn, and the files it is saved as."""
