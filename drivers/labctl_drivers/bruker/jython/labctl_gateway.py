# -*- coding: utf-8 -*-
"""labctl's gateway for consoles that acquire under TopSpin 2.x and 3.x: one file, run by TopSpin's own Jython 2.7.

Copy it to ``<TopSpin>/exp/stan/nmr/py/user/`` and type into TopSpin's command line::

    xpy labctl_gateway --data-folder D:/labctl --token-file D:/labctl-token.txt

The wire is that of ``labctl-topspin-gateway`` (``docs/drivers/bruker.md``), byte for byte. It needs nothing but what
TopSpin brings along. To end it, put an empty file ``labctl_gateway.stop`` into the data folder.

Threads: TopCmds works on the data set of the thread that calls it, so all of it is called in the script's own thread,
one call after the other. Connections have threads of their own: a ``ping`` is answered while TopSpin keeps us waiting.
Nothing here opens a dialog, and nothing is started that would: an EXPNO that holds data is never acquired again.

From public scripts: the names and arguments of TopCmds, its traps (a rejected PUTPAR is dropped silently, whoever
clicks another window changes CURDATA, ``Exception`` may mean Java's). Not verified on an instrument.
"""

from __future__ import print_function

import __builtin__
import argparse
import base64
import errno
import hashlib
import json
import os
import re
import sys
import threading
from collections import OrderedDict
from datetime import datetime

import TopCmds
from jarray import zeros
from java.io import IOException
from java.lang import String, System, Throwable
from java.net import InetAddress, ServerSocket
from java.util import UUID
from java.util.concurrent import LinkedBlockingQueue, TimeUnit

# A script of TopSpin's may find java.lang's name in place of Python's.
PyException = __builtin__.Exception

PROGRAM = "labctl-topspin-gateway"
WIRE = 1
#: Seconds: until TopSpin counts as stuck; for a new connection's hello.
PATIENCE, HELLO = 20.0, 10.0
#: Longest request, largest piece of a file, most content in one listing, in bytes.
LINE, CHUNK, INLINE = 65536, 196608, 393216
#: Seconds: to begin an audit trail; for files that contradict each other; after a halt.
START_GRACE, SETTLE, HALT_GRACE = 60.0, 10.0, 60.0
#: An acquisition is halted after this times what the client expects, and so many seconds; labctl does so earlier.
FACTOR, GRACE = 1.5, 120.0

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}( \d{1,2})?$")
COMMAND = re.compile(r"[a-z][A-Za-z0-9_]{0,31}( [A-Za-z0-9_.+-]{1,32}){0,4}$")
#: Written, it would make of one spectrum a series without the files that a series needs.
FORBIDDEN = ("PARMODE",)

ABSENT, PREPARED, RUNNING, DONE, ERROR = u"absent", u"prepared", u"running", u"done", u"error"
#: What may be told to a data set that is not complete: data so far of a running one, tuning before anything runs.
EARLY = {"tr": RUNNING, "atma": PREPARED}
POINT_BYTES = {u"0": 4, u"2": 8}


class Declined(PyException):
    """An operation that is declined, with the wire's code and words for a lab person."""

    def __init__(self, code, message):
        PyException.__init__(self, code)
        # Java's and the file system's words need not be ASCII.
        self.code, self.message = code, message.decode("utf-8", "replace") if isinstance(message, str) else message


# -- what a data set says of itself -----------------------------------------------------------------------------------


def content(path):
    """Give a file as text, empty where there is none; titles come in the code page of this PC."""
    if not os.path.isfile(path):
        return u""
    with open(path, "rb") as stream:
        return stream.read().decode("utf-8", "replace")


def entry(text, name):
    """Give one scalar parameter of a JCAMP file, or None."""
    found = re.search(r"(?m)^##\$%s=[ \t]*(.*?)[ \t\r]*$" % name, text)
    return found.group(1).strip(u"<>") if found else None


def whole(text):
    """Give a whole number, or None."""
    return int(text) if text and text.isdigit() else None


def audit_state(text):
    """Give ``running`` or ``done`` by the last entry of an audit trail, or nothing where there is none."""
    progress, created = text.lower().rfind("acquisition in progress"), text.lower().rfind("created by")
    return u"" if progress < 0 and created < 0 else RUNNING if progress > created else DONE


def judge(folder, date_before=None):
    """Judge an EXPNO folder by its files: state, message, scans. That a fid exists proves nothing."""
    if not os.path.isfile(os.path.join(folder, "acqu")):
        return ABSENT, u"", None
    fid = os.path.join(folder, "fid")
    size = os.path.getsize(fid) if os.path.isfile(fid) else None
    state = audit_state(content(os.path.join(folder, "audita.txt")))
    if state == u"":
        return (PREPARED, u"", None) if size is None else (ERROR, u"a fid without an audit trail", None)
    if state == RUNNING:
        return RUNNING, u"", None
    acqus = content(os.path.join(folder, "acqus"))
    date, scans, points = [whole(entry(acqus, name)) for name in ("DATE", "NS", "TD")]
    if not date or scans is None or date == date_before:
        return ERROR, u"the audit trail says that it is done, but acqus was not written by this acquisition", None
    width = POINT_BYTES.get(entry(acqus, "DTYPA") or u"0")
    wanted = points * width if points is not None and width else None
    if size != wanted:
        return ERROR, u"fid has %s bytes where TD asks for %s" % (size or 0, wanted), None
    return DONE, u"", scans


def seconds():
    """Give a monotonic count of seconds."""
    return System.nanoTime() / 1e9


class Acquisition(object):
    """The acquisition that is going on."""

    def __init__(self, name, expno, date_before, began, allowed):
        self.key, self.name, self.expno = (name, expno), name, expno
        self.date_before, self.began, self.allowed = date_before, began, allowed
        self.seen = seconds()
        self.doubted = self.halted = None


class Occupation(object):
    """Whether the spectrometer is taken, held against the files each time: TopSpin cannot be asked."""

    def __init__(self, folder):
        self.folder, self.running, self.ignored = folder, None, set()

    def load(self):
        """See what goes on when the gateway starts: only the audit trail written last can be a running one's."""
        trails = []
        for name in os.listdir(self.folder):
            for expno in expnos(os.path.join(self.folder, name)):
                path = os.path.join(self.folder, name, str(expno), "audita.txt")
                if os.path.isfile(path):
                    trails.append((os.path.getmtime(path), path, name, expno))
        if trails:
            _, path, name, expno = max(trails)
            if audit_state(content(path)) == RUNNING:
                self.running = Acquisition(name, expno, None, None, None)

    def begin(self, name, expno, allowed):
        """Note, before TopSpin is told, that this is about to be acquired."""
        date = whole(entry(content(os.path.join(self.folder, name, str(expno), "acqus")), "DATE"))
        self.running = Acquisition(name, expno, date, seconds(), allowed)

    def verdict(self, name, expno):
        """Judge one data set, with what is known beyond its files."""
        folder, running = os.path.join(self.folder, name, str(expno)), self.running
        if running is None or running.key != (name, expno):
            return self._other(name, expno, folder)
        found, now = judge(folder, running.date_before), seconds()
        state = found[0]
        if running.halted is not None and state != DONE and now - running.halted > HALT_GRACE:
            self.ignored.add(running.key)
            self.running = None
        elif state == PREPARED and running.halted is not None:
            self.running = None
        elif state == ABSENT and running.halted is None:
            # TopSpin goes on all the same: the spectrometer is taken until it was told to halt.
            return ERROR, u"its folder was deleted while it was acquired", None
        elif state == PREPARED:
            if now - running.seen <= START_GRACE:
                return RUNNING, u"", None
            self.ignored.add(running.key)
            self.running = None
        elif state == ERROR:
            running.doubted = now if running.doubted is None else running.doubted
            # Older versions may write the audit trail only at the end: then a fid alone means that it runs.
            patience = running.allowed if u"without" in found[1] and running.allowed else SETTLE
            if now - running.doubted <= patience:
                return RUNNING, u"", None
            self.running = None
        elif state != RUNNING:
            self.running = None
        return found if self.running is not None else self._other(name, expno, folder)

    def _other(self, name, expno, folder):
        found = judge(folder)
        if (name, expno) in self.ignored and found[0] in (PREPARED, RUNNING):
            return ERROR, u"TopSpin took no notice of what it was told: look at its screen", None
        if found[0] == RUNNING:
            return ERROR, u"the audit trail was never closed: TopSpin ended during the acquisition", None
        return found

    def elapsed(self, name, expno):
        """Seconds since this gateway started it, where it did."""
        running = self.running
        if running is None or running.began is None or running.key != (name, expno):
            return None
        return seconds() - running.began

    def refresh(self):
        """Give what goes on now."""
        if self.running is not None:
            self.verdict(self.running.name, self.running.expno)
        return self.running


def expnos(folder):
    """Give the EXPNOs of a data set by number."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(int(name) for name in names if name.isdigit() and os.path.isdir(os.path.join(folder, name)))


# -- TopSpin ----------------------------------------------------------------------------------------------------------


class Console(object):
    """TopSpin by TopCmds; everything here is called in the script's own thread."""

    def __init__(self, folder):
        self.folder = folder

    def create(self, name, expno, parameter_set):
        """Make a data set from a parameter set."""
        TopCmds.NEWDATASET([name, str(expno), "1", self.folder], None, parameter_set)

    def write(self, name, expno, parameters):
        """Set parameters, then read each back; the data set is held against the one meant before every call."""
        self._select(name, expno)
        for parameter, value in parameters.items():
            self._hold(name, expno)
            TopCmds.PUTPAR(parameter, value)
        return self.read(name, expno, parameters)

    def read(self, name, expno, names):
        """Read parameters, ``"status NS"`` for one that was used."""
        self._select(name, expno)
        answers = OrderedDict()
        for parameter in names:
            self._hold(name, expno)
            used = parameter.startswith("status ")
            value = TopCmds.GETPARSTAT(parameter[7:]) if used else TopCmds.GETPAR(parameter)
            answers[parameter] = u"" if value is None else u"%s" % value
        return answers

    def launch(self, name, expno, commands, wait):
        """Give commands on a data set, in order; one that fails ends them."""
        for command in commands:
            self._select(name, expno)
            answer = TopCmds.XCMD(command, TopCmds.WAIT_TILL_DONE if wait else TopCmds.NO_WAIT_TILL_DONE)
            if wait and answer is not None and answer.getResult() == -1:
                raise Declined("TOPSPIN", "TopSpin could not carry out '%s'" % command)

    def execute(self, command):
        """Give a command that belongs to no data set, such as ``halt``."""
        TopCmds.XCMD(command, TopCmds.NO_WAIT_TILL_DONE)

    def _select(self, name, expno):
        for _ in range(3):
            TopCmds.RE([name, str(expno), "1", self.folder], "n")
            if self._is_selected(name, expno):
                return
        raise Declined("TOPSPIN", "TopSpin does not go to %s/%s" % (name, expno))

    def _hold(self, name, expno):
        if not self._is_selected(name, expno):
            self._select(name, expno)

    def _is_selected(self, name, expno):
        found = TopCmds.CURDATA()
        if found is None or [u"%s" % part for part in found[:2]] != [name, u"%s" % expno]:
            return False
        return os.path.normcase(os.path.abspath(found[3])) == os.path.normcase(self.folder)


class Job(object):
    """One call into TopSpin and what became of it."""

    def __init__(self, function, arguments):
        self._function, self._arguments = function, arguments
        self.over, self.result, self.error = threading.Event(), None, None

    def run(self):
        """Call, and tell whoever waits."""
        try:
            self.result = self._function(*self._arguments)
        except Declined as declined:
            self.error = declined
        except PyException as error:
            self.error = Declined("TOPSPIN", u"%s: %s" % (error.__class__.__name__, error))
        except Throwable as error:
            self.error = Declined("TOPSPIN", "%s: %s" % (error.getClass().getSimpleName(), error.getMessage()))
        finally:
            self.over.set()


# -- operations -------------------------------------------------------------------------------------------------------


def matching(pattern, value, what):
    """Give a text that fits, or decline."""
    if not isinstance(value, __builtin__.basestring) or not pattern.match(value) or value.endswith("\n"):
        raise Declined("REQUEST", "%s is no %s" % (json.dumps(value), what))
    return value


def number(request, key, default=None):
    """Give a whole number that is not negative, or decline."""
    value = request.get(key, default)
    if not isinstance(value, (int, __builtin__.long)) or isinstance(value, bool) or value < 0:
        raise Declined("REQUEST", "'%s' must be a whole number, not negative" % key)
    return value


def text_of(request, key, default=None):
    """Give a text, or decline."""
    value = request.get(key, default)
    if not isinstance(value, __builtin__.basestring):
        raise Declined("REQUEST", "'%s' must be a text" % key)
    return value


class Operations(object):
    """The operations behind the wire, one at a time."""

    def __init__(self, folder, patience, grace):
        self.folder, self._patience, self._grace = folder, patience, grace
        self.occupation, self._console = Occupation(folder), Console(folder)
        self.jobs, self._stuck, self._turn = LinkedBlockingQueue(), None, threading.Lock()

    def run(self, op, request):
        """Carry out one operation, or raise Declined."""
        table = {
            "create": self._create, "setpar": self._setpar, "getpar": self._getpar, "start": self._start,
            "status": self._status, "halt": self._halt, "stop": self._halt, "process": self._process,
            "list": self._list, "read": self._read,
        }  # fmt: skip
        if op not in table:
            raise Declined("REQUEST", "there is no operation '%s'" % op)
        # A client that lost its connection asks what became of its command: not before that has ended.
        with self._turn:
            try:
                return table[op](request)
            except (IOError, OSError, IOException) as error:
                # On Windows whoever writes a file keeps others out of it: that passes.
                in_use = getattr(error, "errno", None) == errno.EACCES
                raise Declined("TIMEOUT" if in_use else "TOPSPIN", u"the data folder: %s" % error)

    def watch(self):
        """Halt an acquisition that takes far too long, also where nobody asks any more."""
        with self._turn:
            running = self.occupation.refresh()
            if running is not None and running.allowed and running.halted is None:
                if seconds() - running.began > running.allowed:
                    running.halted = seconds()
                    self._tell("halt")

    def _create(self, request):
        name, expno = self._key(request)
        title, parameter_set = text_of(request, "title", u""), text_of(request, "parset", u"PROTON")
        folder = os.path.join(self.folder, name, str(expno))
        if os.path.exists(folder):
            raise Declined("EXISTS", "%s/%s exists" % (name, expno))
        self._call(self._console.create, name, expno, parameter_set)
        if not os.path.isfile(os.path.join(folder, "acqu")):
            raise Declined("TOPSPIN", "TopSpin made no dataset %s/%s from '%s'" % (name, expno, parameter_set))
        if title:
            with open(os.path.join(folder, "pdata", "1", "title"), "wb") as stream:
                stream.write((title + u"\n").encode("utf-8"))
        return [("name", name), ("expno", expno)]

    def _setpar(self, request):
        name, expno = self._key(request)
        parameters = request.get("pars")
        if not isinstance(parameters, dict):
            raise Declined("REQUEST", "'pars' must be an object of texts")
        if not all(isinstance(value, __builtin__.basestring) for value in parameters.values()):
            raise Declined("REQUEST", "'pars' must be an object of texts")
        for parameter in parameters:
            if matching(PARAMETER, parameter, "parameter") in FORBIDDEN:
                raise Declined("PAR_REJECTED", "%s is not set here: one EXPNO for each spectrum" % parameter)
        if self.occupation.verdict(name, expno)[0] in (RUNNING, DONE):
            raise Declined("EXISTS", "%s/%s holds an acquisition" % (name, expno))
        self._known(name, expno)
        answers = self._call(self._console.write, name, expno, parameters)
        unknown = sorted(parameter for parameter, value in answers.items() if value == u"")
        if unknown:
            raise Declined("PAR_REJECTED", "TopSpin does not take %s" % ", ".join(unknown))
        return [("read_back", answers)]

    def _getpar(self, request):
        name, expno = self._key(request)
        names = request.get("names")
        if not isinstance(names, list):
            raise Declined("REQUEST", "'names' must be a list")
        prefix = "status " if request.get("status") is True else ""
        wanted = [prefix + matching(PARAMETER, parameter, "parameter") for parameter in names]
        self._known(name, expno)
        answers = self._call(self._console.read, name, expno, wanted)
        return [("pars", OrderedDict((key[len(prefix) :], value) for key, value in answers.items()))]

    def _process(self, request):
        name, expno = self._key(request)
        commands = request.get("cmds")
        if not isinstance(commands, list):
            raise Declined("REQUEST", "'cmds' must be a list")
        checked = [matching(COMMAND, command, "command") for command in commands]
        state = EARLY.get(checked[0].split()[0], DONE) if len(checked) == 1 else DONE
        if self.occupation.verdict(name, expno)[0] != state:
            raise Declined("NODATA", "%s/%s is not %s" % (name, expno, state))
        if state == PREPARED and self.occupation.refresh() is not None:
            raise Declined("BUSY", "something is being acquired")
        # Tuning takes minutes: nobody waits for it here.
        self._call(self._console.launch, name, expno, checked, state != PREPARED)
        return []

    def _start(self, request):
        name, expno = self._key(request)
        command = matching(COMMAND, request.get("cmd", u"zg"), "command")
        expected = number(request, "expected_s", 0)
        taken = self.occupation.refresh()
        if taken is not None:
            raise Declined("BUSY", "%s/%s is being acquired" % taken.key)
        state = self.occupation.verdict(name, expno)[0]
        if state == ABSENT:
            raise Declined("NODATA", "there is no dataset %s/%s" % (name, expno))
        if state != PREPARED:
            raise Declined("EXISTS", "%s/%s holds an acquisition already (%s)" % (name, expno, state))
        self.occupation.begin(name, expno, FACTOR * expected + self._grace if expected else None)
        # Where TopSpin reports a fault or stays silent, the start may have come through: the data set tells.
        self._call(self._console.launch, name, expno, [command], False)
        return [("name", name), ("expno", expno)]

    def _status(self, request):
        reply = []
        if "name" in request:
            name = matching(NAME, request.get("name"), "dataset name")
            wanted = [self._key(request)[1]] if "expno" in request else expnos(os.path.join(self.folder, name))
            reply.append(("expnos", OrderedDict((str(expno), self._one_status(name, expno)) for expno in wanted)))
        running = self.occupation.refresh()
        busy = None if running is None else OrderedDict([("name", running.name), ("expno", running.expno)])
        return reply + [("state", "idle" if running is None else "running"), ("busy", busy)]

    def _one_status(self, name, expno):
        state, message, scans = self.occupation.verdict(name, expno)
        if state == RUNNING:
            try:
                scans = whole(self._call(self._console.read, name, expno, ["status NS"])["status NS"])
            except Declined:
                scans = None  # the state is judged from the data set, and told even where TopSpin does not answer
        elapsed = self.occupation.elapsed(name, expno)
        return OrderedDict([("state", state), ("message", message), ("scans", scans), ("elapsed_s", elapsed)])

    def _halt(self, request):
        name = matching(NAME, request.get("name"), "dataset name")
        numbers = expnos(os.path.join(self.folder, name))
        states, running = [self.occupation.verdict(name, expno)[0] for expno in numbers], self.occupation.refresh()
        if RUNNING not in states and (running is None or running.name != name):
            return [("halted", False)]
        self._tell("stop" if request.get("op") == "stop" else "halt")
        if self.occupation.running is not None:
            self.occupation.running.halted = seconds()
        return [("halted", True)]

    def _tell(self, command):
        """Give a command to the spectrometer, past whatever keeps the script's own thread waiting."""
        if self._stuck is None or self._stuck.over.is_set():
            self._call(self._console.execute, command)
            return
        job = Job(self._console.execute, (command,))
        daemon(job.run)
        job.over.wait(self._patience)
        if not job.over.is_set():
            raise Declined("TIMEOUT", "TopSpin does not take '%s'; look for a dialog on its screen" % command)
        if job.error is not None:
            raise job.error

    def _list(self, request):
        name = matching(NAME, request.get("name"), "dataset name")
        if "expno" not in request:
            return [("expnos", expnos(os.path.join(self.folder, name)))]
        folder, budget = self._dataset(request), min(number(request, "inline", 0), INLINE)
        found = []
        for place, _, files in os.walk(folder):
            found += [os.path.relpath(os.path.join(place, one), folder).replace(os.sep, "/") for one in files]
        listing, summary = [], hashlib.sha256()
        for relative in sorted(found, key=lambda one: one.split("/")):
            with open(os.path.join(folder, *relative.split("/")), "rb") as stream:
                data = stream.read()
            digest = hashlib.sha256(data).hexdigest()
            summary.update((u"%s  %s\n" % (digest, relative)).encode("utf-8"))
            one = OrderedDict([("file", relative), ("size", len(data)), ("sha256", digest)])
            if len(data) <= budget:
                budget -= len(data)
                one["data"] = base64.b64encode(data)
            listing.append(one)
        state = self.occupation.verdict(name, number(request, "expno"))[0]
        return [("files", listing), ("manifest", summary.hexdigest()), ("state", state)]

    def _read(self, request):
        folder, relative = self._dataset(request), text_of(request, "file")
        if relative.startswith("/") or ".." in relative.split("/") or "\\" in relative or ":" in relative:
            raise Declined("REQUEST", "'%s' is no file of a dataset" % relative)
        path = os.path.join(folder, *relative.split("/"))
        if not os.path.isfile(path):
            raise Declined("NODATA", "there is no file '%s'" % relative)
        offset, length = number(request, "offset", 0), min(number(request, "length", CHUNK), CHUNK)
        with open(path, "rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
        return [("data", base64.b64encode(data)), ("offset", offset), ("size", os.path.getsize(path))]

    def _key(self, request):
        name, expno = matching(NAME, request.get("name"), "dataset name"), number(request, "expno")
        if not 1 <= expno <= 99999:
            raise Declined("REQUEST", "EXPNO %d is outside 1..99999" % expno)
        return name, expno

    def _known(self, name, expno):
        # Told to go to what is not there, TopSpin would say so in a dialog.
        if not os.path.isfile(os.path.join(self.folder, name, str(expno), "acqu")):
            raise Declined("NODATA", "there is no dataset %s/%s" % (name, expno))

    def _dataset(self, request):
        name, expno = self._key(request)
        folder = os.path.join(self.folder, name, str(expno))
        if not os.path.isdir(folder):
            raise Declined("NODATA", "there is no dataset %s/%s" % (name, expno))
        return folder

    def _call(self, function, *arguments):
        if self._stuck is not None and not self._stuck.over.is_set():
            raise Declined("TIMEOUT", "TopSpin has not answered an earlier call; look for a dialog on its screen")
        job = Job(function, arguments)
        self.jobs.put(job)
        job.over.wait(self._patience)
        if not job.over.is_set():
            self._stuck = job
            raise Declined("TIMEOUT", "TopSpin has not answered within %g s; look for a dialog there" % self._patience)
        if job.error is not None:
            raise job.error
        return job.result


# -- connections ------------------------------------------------------------------------------------------------------


class Connection(object):
    """One client: hello first, then one answer for each request."""

    def __init__(self, gateway, socket):
        self._gateway, self._socket = gateway, socket
        self._input, self._output, self._rest = socket.getInputStream(), socket.getOutputStream(), ""

    def serve(self):
        """Answer until the client goes."""
        try:
            # A client whose PC was switched off ends like one that says goodbye, some hours later.
            self._socket.setKeepAlive(True)
            self._socket.setSoTimeout(int(HELLO * 1000))
            if self._welcome():
                self._socket.setSoTimeout(0)
                while self._answer():
                    pass
        except Throwable:
            pass  # the client is gone: the connection ends, nothing else
        finally:
            self._socket.close()

    def _line(self):
        """Give the next line; None at the end and where it has none."""
        buffer = zeros(4096, "b")
        while "\n" not in self._rest:
            count = self._input.read(buffer)
            if count < 0 or len(self._rest) > LINE:
                return None
            self._rest += buffer[:count].tostring()
        line, _, self._rest = self._rest.partition("\n")
        return line

    def _welcome(self):
        line = self._line()
        request = parse(line)
        if line is None:
            return False
        identity = None if request is None else request.get("id")
        if request is None or request.get("op") != "hello" or not self._gateway.knows(request.get("token")):
            code, message = ("REQUEST", "no hello") if request is None else ("AUTH", "wrong token, or no hello")
            self._send([("id", identity), ("ok", False), ("code", code), ("msg", message), ("gateway", PROGRAM)])
            return False
        self._send([("id", identity), ("ok", True)] + self._gateway.hello())
        return True

    def _answer(self):
        line = self._line()
        if line is None:
            return False
        request = parse(line)
        identity = None if request is None else request.get("id")
        try:
            if request is None:
                raise Declined("REQUEST", "not a line of JSON with an object")
            reply = self._gateway.reply(u"%s" % request.get("op"), request)
        except Declined as declined:
            self._send([("id", identity), ("ok", False), ("code", declined.code), ("msg", declined.message)])
        else:
            self._send([("id", identity), ("ok", True)] + reply)
        # After a line that cannot be read nobody knows where the next one begins.
        return request is not None

    def _send(self, reply):
        line = json.dumps(OrderedDict(reply), separators=(",", ":")) + "\n"
        self._output.write(String(line).getBytes("US-ASCII"))
        self._output.flush()


def parse(line):
    """Give a request, or None where it is none."""
    try:
        request = json.loads(line.decode("utf-8"), object_pairs_hook=OrderedDict)
    except (AttributeError, ValueError, RuntimeError, Throwable):
        return None
    return request if isinstance(request, dict) else None


def daemon(target):
    """Run beside, for as long as the script does."""
    thread = threading.Thread(target=target)
    thread.setDaemon(True)
    thread.start()


class Gateway(object):
    """The server in front of TopSpin."""

    def __init__(self, folder, token, host, port, patience, grace):
        self._folder, self._token, self._look = folder, token, min(5.0, grace)
        self._told = u""
        self.session = UUID.randomUUID().toString()[:8]
        self._operations = Operations(folder, patience, grace)
        self._operations.occupation.load()
        self._server = ServerSocket(port, 8, InetAddress.getByName(host))
        self.port = self._server.getLocalPort()

    def serve(self):
        """Serve until the file that ends it appears; TopSpin is called in here."""
        daemon(self._accept)
        daemon(self._watch)
        stop = os.path.join(self._folder, "labctl_gateway.stop")
        while not os.path.exists(stop):
            job = self._operations.jobs.poll(1, TimeUnit.SECONDS)
            if job is not None:
                job.run()
        os.remove(stop)
        self._server.close()

    def knows(self, token):
        """Whether a token is ours, in a time that does not tell how much of it is right."""
        if not isinstance(token, __builtin__.basestring):
            return False
        ours, theirs = [hashlib.sha256(one.encode("utf-8")).hexdigest() for one in (self._token, token)]
        return sum(a != b for a, b in zip(ours, theirs)) == 0

    def hello(self):
        """Give what a client is told at first."""
        return [
            ("gateway", PROGRAM), ("wire", WIRE), ("backend", "jython"), ("topspin", self._version()),
            ("session", self.session), ("data_folder", self._folder),
        ]  # fmt: skip

    def reply(self, op, request):
        """Answer one request, or raise Declined."""
        if op == "ping":
            return []
        if op == "time":
            return [("time", datetime.utcnow().isoformat() + "+00:00")]
        return self._operations.run(op, request)

    def _version(self):
        """TopSpin's version as it stands in the newest data set that it made here; TopCmds does not tell it."""
        if self._told:
            return self._told
        found = []
        for name in os.listdir(self._folder):
            for expno in expnos(os.path.join(self._folder, name)):
                path = os.path.join(self._folder, name, str(expno), "acqu")
                if os.path.isfile(path):
                    found.append((os.path.getmtime(path), path))
        version = re.search(r"TOPSPIN\s+Version\s+(\S+)", content(max(found)[1])) if found else None
        self._told = version.group(1) if version else u""
        return self._told

    def _accept(self):
        while not self._server.isClosed():
            try:
                socket = self._server.accept()
            except IOException:
                return  # the server was closed
            daemon(Connection(self, socket).serve)

    def _watch(self):
        while not self._server.isClosed():
            TimeUnit.MILLISECONDS.sleep(int(1000 * self._look))
            try:
                self._operations.watch()
            except (Declined, IOError, OSError) as fault:
                print(u"%s: the watchdog could not halt: %s" % (PROGRAM, fault), file=sys.stderr)


def main(arguments):
    """Serve until told to end; 0, or 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="labctl_gateway", description="Lets labctl measure through this TopSpin.")
    parser.add_argument("--data-folder", required=True, help="where data sets are made")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this PC only)")
    parser.add_argument("--port", type=int, default=5410, help="port to listen on")
    parser.add_argument("--token-file", help="file that holds the token; without it LABCTL_TOPSPIN_TOKEN does")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds until TopSpin counts as stuck")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds beyond 1.5 times the expected; then a halt")
    chosen = parser.parse_args(arguments)
    # Windows' editor puts a mark of byte order before a text.
    token = content(chosen.token_file) if chosen.token_file else os.environ.get("LABCTL_TOPSPIN_TOKEN", u"")
    if chosen.token_file:
        token = token.lstrip(u"\ufeff")
    if not token.strip():
        print("%s: no token; give --token-file or set LABCTL_TOPSPIN_TOKEN" % PROGRAM, file=sys.stderr)
        return 2
    if InetAddress.getByName(chosen.host).isAnyLocalAddress():
        print("%s: --host must name one address of this PC, not all of them" % PROGRAM, file=sys.stderr)
        return 2
    folder = os.path.abspath(u"%s" % chosen.data_folder)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    times = (chosen.patience, chosen.grace)
    gateway = Gateway(folder, u"%s" % token.strip(), chosen.host, chosen.port, *times)
    where = (PROGRAM, chosen.host, gateway.port, gateway.session)
    print("%s: listening on %s:%d, session %s" % where, file=sys.stderr)
    gateway.serve()
    return 0


if __name__ == "__main__":
    # sys.exit would make TopSpin show its message.
    main(sys.argv[1:])
