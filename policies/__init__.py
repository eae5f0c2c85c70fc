"""Who chooses the weights: rules, learned set policies and the algorithms that learn them."""
