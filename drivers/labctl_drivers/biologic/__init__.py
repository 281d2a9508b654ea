"""BioLogic potentiostats: EClib and OLE-COM."""
