# SPDX-License-Identifier: Apache-2.0
"""The fencing protocol (docs/protocol.md) explored for a few seconds, and proof that the model can fail.

The long run is `make nightly`; every rule in turn: `tests/model/fencing.py --mutate all`."""
import pytest

import fencing


def test_no_violation_in_any_scenario():
    total, bad, trace, where = fencing.explore((), True, list(fencing.SCENARIOS), 20, 1, quiet=True)
    assert bad is None, f'{bad} [{where}]\n' + '\n'.join(trace)
    assert total > 10000


@pytest.mark.parametrize('rule', ['sticky', 'claim-both-keys', 'sync-before-put', 'start-writes-head'])
def test_a_missing_rule_is_found(rule):
    _, bad, trace, _ = fencing.explore({rule}, True, [fencing.SHOWS[rule]], 60, 1, quiet=True)
    assert bad and trace, f'without {rule} the model saw no violation'
