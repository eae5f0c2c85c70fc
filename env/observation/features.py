"""The features of observation.py, computed: each by its name, so that a test can compare the table with the code."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cells.category_sums import category_sums
from .influence_moments import Evidence
from .observation import AGENT_FEATURES, TRAINING_FEATURES, Feature, bounds

Array = NDArray[np.float64]
FAVOURED = 1.0  # a cell is favoured by an agent whose standardised score there is above this


@dataclass(frozen=True)
class Draws:
    """How N runs draw: shares_NC of the present mixture, used, pool and natural (N, C), tokens_left (N,)."""

    shares_NC: Array
    used_NC: Array
    pool_NC: Array
    natural_NC: Array
    tokens_left_N: Array


def agent_features(
    z_NKC: Array, mixed_NC: Array, lift_NKT: Array, task_weights_NT: Array, moves_NK: Array, weights_NK: Array,
    evidence: Evidence, drift_NK: Array, seen_gap_NK: Array, paper_reward_NK: Array, draws: Draws,
) -> NDArray[np.float32]:  # fmt: skip
    """The rows of `AGENT_FEATURES` -> (N, K, F) float32, clipped to their bounds. moves_NK: 1 for a moved agent."""
    mean = np.einsum("nkc,nc->nk", z_NKC, draws.shares_NC)
    square = np.einsum("nkc,nc->nk", z_NKC**2, draws.shares_NC)
    agreement = evidence.agreement()
    error = evidence.error()[:, None]
    used, projected = _favoured_epochs(z_NKC, draws)
    by_task_NTK, in_play = evidence.task_agreement(), task_weights_NT[..., None] > 0
    useful = np.einsum("nkt,nt->nk", np.maximum(lift_NKT, 0), task_weights_NT)
    columns = {
        "is_null": np.broadcast_to(np.arange(z_NKC.shape[1]) == 0, mean.shape),
        "moves": moves_NK,
        "weight": weights_NK,
        "draw_mean": mean,
        "draw_spread": np.sqrt(np.maximum(square - mean**2, 0)),
        "lift_mean": np.einsum("nkt,nt->nk", lift_NKT, task_weights_NT),
        "lift_useful": useful,
        "lift_log": np.log(np.maximum(useful, 0.05)),
        "lift_min": np.where(task_weights_NT[:, None] > 0, lift_NKT, np.inf).min(2),
        "agreement": agreement,
        "agreement_t": agreement / (error * np.sqrt(np.maximum(1 - agreement**2, 1e-6))) / 10,
        "agreement_allowed": agreement / evidence.ceiling()[:, None],
        "agreement_task_mean": (by_task_NTK * in_play).sum(1) / np.maximum(in_play.sum(1), 1),
        "agreement_task_min": np.where(in_play, by_task_NTK, np.inf).min(1),
        "ridge": evidence.ridge(),
        "drift": drift_NK,
        "seen_gap": seen_gap_NK,
        "paper_reward": paper_reward_NK,
        "mix_correlation": _correlation(z_NKC, mixed_NC, draws.natural_NC),
        "epochs_used": np.log1p(used),
        "epochs_projected": np.log1p(projected),
    }
    return _clipped(columns, AGENT_FEATURES)


def training_features(
    progress_N: Array, lr_fraction_N: Array, losses: list[Array], train_loss_N: Array, tokens: list[Array],
    evidence: Evidence, draws: Draws,
) -> NDArray[np.float32]:  # fmt: skip
    """The rows of `TRAINING_FEATURES` -> (N, S) float32. losses: validation loss (N,) at the start of the first
    interval, at its end, at the start of the last one and at its end; tokens: spent at the latter two."""
    first, last = losses[0] - losses[1], losses[2] - losses[3]
    log_tokens = np.log(np.maximum(tokens[1], 1) / np.maximum(tokens[0], 1))
    unused = np.maximum((draws.pool_NC - draws.used_NC).clip(0).sum(1), 1.0)
    natural, safe = np.maximum(draws.natural_NC, 1e-300), np.maximum(draws.shares_NC, 1e-300)
    natural_entropy = -(draws.natural_NC * np.log(natural)).sum(1)
    entropy = -(draws.shares_NC * np.log(safe)).sum(1)
    columns = {
        "progress": progress_N,
        "lr_fraction": lr_fraction_N,
        "loss_fall": np.where(abs(first) > 1e-6, last / np.where(abs(first) > 1e-6, first, 1), 0.0),
        "loss_slope": np.where(log_tokens > 0, last / np.maximum(log_tokens, 1e-9), 0.0),
        "train_gap": losses[3] - train_loss_N,
        "scarcity": np.log10(np.maximum(draws.tokens_left_N, 1) / unused),
        "effective_cells": np.exp(entropy - natural_entropy),
        "divergence": (draws.shares_NC * np.log(safe / natural)).sum(1),
        "probe_error": evidence.error(),
    }
    return _clipped(columns, TRAINING_FEATURES)


def paper_rewards(
    z_NKP: Array, influence_NP: Array, labels_NPA: NDArray[np.uint16], column_NK: NDArray[np.intp]
) -> Array:
    """R_A = mean over the agent's categories j of w_j * R_j (arXiv 2410.08102 eq. 7) -> (N, K).

    R_j: mean influence of the probe windows in category j; w_j: the agent's priority, here standardised. An agent that
    prioritises cells (no column, -1) has every probe window for a category of its own; null has 0."""
    num_runs, num_agents, num_windows = z_NKP.shape
    label_NKP = np.take_along_axis(labels_NPA.transpose(0, 2, 1), np.maximum(column_NK, 0)[:, :, None], 1)
    label_NKP = np.where(column_NK[:, :, None] < 0, np.arange(num_windows), label_NKP.astype(np.intp))
    width = int(label_NKP.max()) + 1
    place_NM = (label_NKP + np.arange(num_agents)[:, None] * width).reshape(num_runs, -1)
    product_NM = (z_NKP * influence_NP[:, None]).reshape(num_runs, -1)
    sums = [category_sums(place_NM, values, width * num_agents) for values in (np.ones_like(product_NM), product_NM)]
    count_NKJ, total_NKJ = (of_all.reshape(num_runs, num_agents, width) for of_all in sums)
    mean_NKJ = total_NKJ / np.maximum(count_NKJ, 1)
    return np.asarray(mean_NKJ.sum(2) / (count_NKJ > 0).sum(2), np.float64)


def seen_gaps(z_NKP: Array, loss_NP: Array, seen_NP: NDArray[np.bool_], share_NP: Array) -> Array:
    """Mean loss of the seen minus that of the unseen windows that each agent favours -> (N, K) nats; 0 where it favours
    none of a kind. Below 0 = what was seen has been learned by heart (or only those are easy)."""
    favoured = (z_NKP > FAVOURED) * share_NP[:, None]
    seen, unseen = favoured * seen_NP[:, None], favoured * ~seen_NP[:, None]
    loss = np.nan_to_num(loss_NP)
    means = [np.einsum("nkp,np->nk", part, loss) / np.maximum(part.sum(2), 1e-12) for part in (seen, unseen)]
    return np.where((seen.sum(2) > 0) & (unseen.sum(2) > 0), means[0] - means[1], 0.0)


def _favoured_epochs(z_NKC: Array, draws: Draws) -> tuple[Array, Array]:
    """Epochs used, and used and projected, of the cells each agent favours (all cells if it favours none), (N, K)."""
    favoured = (z_NKC > FAVOURED).astype(np.float64)
    favoured[favoured.sum(2) == 0] = 1.0
    pool = np.maximum(np.einsum("nkc,nc->nk", favoured, draws.pool_NC), 1.0)
    used = np.einsum("nkc,nc->nk", favoured, draws.used_NC)
    return used / pool, (used + draws.tokens_left_N[:, None]) / pool


def _correlation(z_NKC: Array, mixed_NC: Array, natural_NC: Array) -> Array:
    mixed = mixed_NC - (mixed_NC * natural_NC).sum(1, keepdims=True)
    spread = np.sqrt((mixed**2 * natural_NC).sum(1, keepdims=True))
    covariance = np.einsum("nkc,nc->nk", z_NKC, mixed * natural_NC)
    return np.where(spread > 1e-9, covariance / np.maximum(spread, 1e-9), 0.0)


def _clipped(columns: dict[str, Array], features: tuple[Feature, ...]) -> NDArray[np.float32]:
    assert tuple(columns) == tuple(feature.name for feature in features)
    low, high = bounds(features)
    stacked = np.nan_to_num(np.stack(list(columns.values()), -1), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.clip(stacked, low, high).astype(np.float32)
