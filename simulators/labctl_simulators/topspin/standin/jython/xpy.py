# -*- coding: utf-8 -*-
"""Runs a script as TopSpin's ``xpy`` does: the names of TopCmds are there before the script's first line."""

import sys

import TopCmds

sys.argv = sys.argv[1:]
names = dict((name, value) for name, value in vars(TopCmds).items() if not name.startswith("_"))
execfile(sys.argv[0], dict(names, __name__="__main__", __file__=sys.argv[0]))
