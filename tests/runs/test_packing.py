import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.runs import packing


@pytest.mark.parametrize(("num_joint", "bits"), [(4, 2), (9, 4), (16, 4), (25, 5), (225, 8)])
def test_unpack_inverts_pack_in_as_few_bits_as_needed(num_joint, bits):
    episodes = np.random.default_rng(0).integers(0, num_joint, (3, 7, 11), dtype=np.uint8)
    packed = packing.pack(episodes, num_joint)
    assert packing.bits_per_round(num_joint) == bits
    assert packed.size == -(-3 * 7 * 11 * bits // 8)
    np.testing.assert_array_equal(packing.unpack(packed, num_joint, episodes.shape), episodes)


def test_a_wrong_length_is_refused():
    with pytest.raises(CoplayerError, match="episodes have 3 bytes, not 4"):
        packing.unpack(np.zeros(3, np.uint8), 4, (16,))
