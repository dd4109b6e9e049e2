"""The checks of charge3net on this model."""

from own_model.model import OwnModel

from charge3net.testing import DensityModelTests


class TestOwnModel(DensityModelTests):
    def make_model(self):
        return OwnModel(gaussians=4)
