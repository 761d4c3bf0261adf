"""What keeping a table costs, and what rebuilding it costs and takes.

Source: Shah et al., R2D2 (SIGMOD 2024), OPT-RET: retain = storage + maintenance, rebuild = accesses x (read parent's
columns + write child). The default prices are public list prices, us-east-1: S3 Standard storage 0.023 USD per GB-month;
Athena 5 USD per TB scanned, for reading and for a maintenance run; writing as much as reading. Yours will differ.
"""

from dataclasses import dataclass

import numpy as np

GB = 1e9


@dataclass(frozen=True)
class Prices:
    """Per GB and period (a month), and the speeds that latency is reckoned with.

    Attributes:
        storage: one GB kept for one period.
        maintenance: one GB passed through by one maintenance run (compaction, privacy scans).
        read, write: one GB read from a parent, one GB written as the rebuilt table.
        read_speed, write_speed: bytes per second while rebuilding. start: seconds before the first byte.
    """

    storage: float = 0.023
    maintenance: float = 0.005
    read: float = 0.005
    write: float = 0.005
    read_speed: float = 100e6
    write_speed: float = 50e6
    start: float = 1.0


def retain_cost(size: np.ndarray, maintenance_runs: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[n]: R_v = C_s S_v + C_m f_v S_v, per period. `size` in bytes."""
    return np.asarray(size / GB * (prices.storage + prices.maintenance * maintenance_runs), float)


def rebuild_cost(read: np.ndarray, size: np.ndarray, stored: np.ndarray, accesses: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[e]: K_e = A_v (C_r S_u + C_w S_v) + C_s stored, per period.

    `read`: bytes of the child's columns inside the parent; `size`: bytes of the child; `stored`: bytes that the way back
    itself takes (row numbers, residual rows).
    """
    return np.asarray((accesses * (prices.read * read + prices.write * size) + prices.storage * stored) / GB, float)


def latency(read: np.ndarray, size: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[e]: seconds that a rebuild takes, L_e = start + S_u / read speed + S_v / write speed."""
    return np.asarray(prices.start + read / prices.read_speed + size / prices.write_speed, float)
