from labctl.analysis.impedance.files import read, read_series
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, ImpedanceSpectrum, Sweep
