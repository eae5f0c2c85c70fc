"""Trials: whether a policy gains on a corpus, tried on proxies before a target is paid for."""
