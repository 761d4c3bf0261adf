"""The damped inverse of a Fisher matrix that is given by its rows: gradients small enough to be kept, as projections are."""

import numpy as np


class Woodbury:
    """`(F + lambda)^-1` for `F = rows' rows / m`, with nothing of the size of F: one eigendecomposition of m by m.

    `rows` float64[m, d] are gradients or features of them (`gradients.Features`); lambda is `damping` times the mean of F's d
    eigenvalues. It is what M-FAC's recursion comes to (Frantar et al. 2021; SPECS 9.4).
    Raises ValueError where the rows are all zero, or there are none.
    Cost: m^2 d + m^3; a solution m d; memory the rows themselves and m^2.
    """

    def __init__(self, rows: np.ndarray, damping: float = 0.1) -> None:
        total = float(np.einsum("ij,ij->", rows, rows))
        if not total > 0:
            raise ValueError("the rows that the curvature is to be made of are all zero")
        self.rows, self.damping = rows, damping * total / rows.size
        self._values, self._vectors = np.linalg.eigh(rows @ rows.T)

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """float64[..., d]: the product with each vector."""
        inside = (vectors @ self.rows.T) @ self._vectors / (len(self.rows) * self.damping + np.maximum(self._values, 0.0))
        return (vectors - inside @ self._vectors.T @ self.rows) / self.damping  # type: ignore[no-any-return]
