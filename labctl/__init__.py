"""labctl takes lithium-metal cells through cycler, NMR and impedance, and says where the capacity went."""
