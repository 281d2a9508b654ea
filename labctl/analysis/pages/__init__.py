"""The pages of a report: one of the campaigns, one of each cell. ``labctl.analysis.report`` writes them."""
