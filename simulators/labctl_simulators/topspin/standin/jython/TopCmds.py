# -*- coding: utf-8 -*-
"""A stand-in for TopSpin's ``TopCmds``, imported by Jython 2.7; the virtual spectrometer behind the door is its inside.

From public scripts: names, arguments and defaults; that the current data set belongs to the script's own thread; that
values come as unicode texts; that a rejected PUTPAR is dropped without a word; that a dialog keeps its caller waiting
until somebody closes it. ``from TopCmds import *`` brings java.lang's names along, as TopSpin's does.

Guessed: that a call from another thread than the script's fails; that RE of what does not exist opens a dialog. Left
out: windows, processing, integration, peak lists, everything that belongs to two-dimensional data.
"""

import __builtin__
import json
import os
import threading

from java.io import BufferedReader, InputStreamReader
from java.lang import *  # noqa: F403
from java.lang import IllegalStateException, String
from java.net import Socket

WAIT_TILL_DONE = 1
NO_WAIT_TILL_DONE = 0

_HOST, _, _PORT = os.environ["LABCTL_VIRTUAL_TOPSPIN"].rpartition(":")
_SCRIPT = threading.currentThread()
_current = [None]


class _Result(object):
    def __init__(self, result):
        self._result = result

    def getResult(self):
        return self._result


def _door(call, **fields):
    message = dict(fields, call=call)
    message.setdefault("folder", _current[0])
    socket = Socket(_HOST, int(_PORT))
    try:
        stream = socket.getOutputStream()
        stream.write(String(json.dumps(message) + "\n").getBytes("UTF-8"))
        stream.flush()
        answer = json.loads(BufferedReader(InputStreamReader(socket.getInputStream(), "UTF-8")).readLine())
    finally:
        socket.close()
    if "clicked" in answer:
        _current[0] = answer["clicked"]
    if "error" in answer:
        raise IllegalStateException(answer["error"])
    return answer["result"]


def _own_thread():
    if threading.currentThread() is not _SCRIPT:
        raise IllegalStateException("called outside the script's own thread: no data set belongs to it")


def _path(dataset):
    name, expno, _, place = dataset[:4]
    return os.path.join(place, name, expno)


def NEWDATASET(dataset, aexpdir=None, aexp="PROTON"):
    _own_thread()
    if not _door("create", folder=_path(dataset)):
        CONFIRM("edc", "The data set exists. Overwrite?")


def RE(dataset=None, show="y"):
    _own_thread()
    if not _door("known", folder=_path(dataset)):
        ERRMSG("The data set does not exist", modal=1)
        return
    _current[0] = _path(dataset)


def CURDATA(cmdthread=None):
    _own_thread()
    path = _door("curdata")
    if path is None:
        return None
    rest, expno = os.path.split(path)
    place, name = os.path.split(rest)
    return [name, expno, u"1", place]


def PUTPAR(name, value, dataspecs=None):
    _own_thread()
    _door("set", name=name, value=value)


def GETPAR(name, axis=0):
    _own_thread()
    return _door("get", name=name)


def GETPARSTAT(name, axis=0):
    _own_thread()
    return _door("get", name="status " + name)


def XCMD(cmd, wait=WAIT_TILL_DONE, arg=None):
    _door("command", command=cmd)
    return _Result(0)


def XCPR(cmd, wait=WAIT_TILL_DONE):
    return XCMD(cmd, wait)


def ZG(wait=WAIT_TILL_DONE):
    return XCMD("zg", wait)


def MSG(message="", title=None, details=None):
    _door("dialog", text="MSG: %s" % message)


def ERRMSG(message="", title=None, details=None, modal=0):
    _door("dialog", text="ERRMSG: %s" % message)


def CONFIRM(title=None, message=""):
    _door("dialog", text="CONFIRM: %s" % message)
    return 0


def SELECT(title=None, message="", buttons=None, mnemonics=None):
    _door("dialog", text="SELECT: %s" % message)
    return -1


def INPUT_DIALOG(title=None, header=None, items=None, values=None, comments=None, types=None):
    _door("dialog", text="INPUT_DIALOG: %s" % header)


def EXIT(error=""):
    raise __builtin__.SystemExit(error)
