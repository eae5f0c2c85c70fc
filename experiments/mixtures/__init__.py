"""Tables of proxy runs that anyone made, a regression of their losses on their mixtures, and its best mixture."""
