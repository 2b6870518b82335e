"""The sandbox: imaginary préfecture sites on loopback, to learn, demonstrate and test with."""

from guichets.sandbox.options import Options
from guichets.sandbox.server import Sandbox

__all__ = ["Options", "Sandbox"]
