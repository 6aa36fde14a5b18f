"""grounded_share: of the sentences that the model said, the share that could be shown as they were.

The others stated a number, day or name that the passages lack, and the product put the passages'
own words in their place. Counted over the whole set (micro) by the product itself; unsupported_rate
checks what is left from outside. Edge cases: nothing said by a model, since everything was quoted
or declined: 1.0; a failure counts as one sentence that was replaced.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values, columns, ratio
from eval.stats import Units


def grounded_share(units: Units) -> Values:
    """units: (..., n, 2), sentences kept and said."""
    return np.where(units[..., 1].sum(axis=-1) > 0, ratio(units), 1.0)


METRIC = Metric("grounded_share", __name__, columns("kept", "said"), grounded_share)
