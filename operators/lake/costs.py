"""What keeping a table costs, and what rebuilding it costs and takes. Prices are USD, a period is a month.

Source: Shah et al., R2D2 (SIGMOD 2024), OPT-RET: retain = storage + maintenance, rebuild = accesses x (read parent's
columns + write child). Where each default comes from stands beside it; docs/lake.md has the links and the date. Yours differ.
"""

from dataclasses import dataclass

import numpy as np

GB = 1e9


@dataclass(frozen=True)
class Prices:
    """USD per GB (1e9 bytes) and month, and the speeds that latency is reckoned with.

    Attributes:
        storage: one GB kept for one month. Source: S3 Standard, us-east-1, first 50 TB.
        maintenance: one GB passed through by one maintenance run (compaction, privacy scans). A convention: a run reads
            every byte once, at the read price.
        read: one GB read from a parent. Source: Athena, 5 USD per TB scanned.
        write: one GB written as the rebuilt table. Source: S3 PUT, 0.005 USD per 1,000, in parts of 8 MB: 125 requests a GB.
        read_speed: bytes per second while rebuilding. Source: AWS, 85 to 90 MB/s for each connection; one is reckoned with.
        write_speed: the same, writing. Source: aws-c-s3, which reckons with 0.4 Gbit/s for each connection.
        start: seconds before the first byte. A convention: five requests one after the other, at AWS's 100 to 200 ms each.
    """

    storage: float = 0.023
    maintenance: float = 0.005
    read: float = 0.005
    write: float = 0.000625
    read_speed: float = 85e6
    write_speed: float = 50e6
    start: float = 1.0


def retain_cost(size: np.ndarray, maintenance_runs: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[n]: R_v = C_s S_v + C_m f_v S_v, USD per month. `size` in bytes."""
    return np.asarray(size / GB * (prices.storage + prices.maintenance * maintenance_runs), float)


def rebuild_cost(read: np.ndarray, size: np.ndarray, stored: np.ndarray, accesses: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[e]: K_e = A_v (C_r S_u + C_w S_v) + C_s stored, USD per month.

    `read`: bytes of the child's columns inside the parent; `size`: bytes of the child; `stored`: bytes that the way back
    itself takes (row numbers, residual rows).
    """
    return np.asarray((accesses * (prices.read * read + prices.write * size) + prices.storage * stored) / GB, float)


def latency(read: np.ndarray, size: np.ndarray, prices: Prices) -> np.ndarray:
    """float64[e]: seconds that a rebuild takes, L_e = start + S_u / read speed + S_v / write speed."""
    return np.asarray(prices.start + read / prices.read_speed + size / prices.write_speed, float)
