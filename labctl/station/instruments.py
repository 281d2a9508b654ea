"""What a station file may say of an instrument: the keys of the drivers that ship, and anything for others.

Drivers read their settings themselves, as they stand in the file. What is checked here is what can be checked without
them, so that a slip is found before anything is connected.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from labctl.documents import (
    Duration,
    Model,
    Numbers,
    Power,
    Quantity,
    Ratio,
    TemperatureDifference,
    Text,
    Voltage,
    describe,
    expected,
    nearest,
)
from labctl.station.envelope import Envelope

Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


class Settled(Model):
    """When a chamber counts as settled."""

    tolerance: TemperatureDifference = Field(default=0.3, description="Around the set-point.", examples=["0.3 K"])
    for_: Duration = Field(
        default=600.0, alias="for", description="Inside without a break for so long.", examples=["10 min"]
    )
    at_most: Duration = Field(default=7200.0, description="Then the attempt has failed.", examples=["2 h"])


SettledTemperature = Annotated[
    Settled,
    Field(
        description="When the temperature counts as settled.",
        examples=["{tolerance: 0.3 K, for: 10 min, at_most: 2 h}"],
    ),
]
InstrumentClock = Annotated[
    float,
    Quantity("duration"),
    Field(description="How far the instrument's clock runs ahead of UTC.", examples=["1 h"]),
]


class EnvironmentSecret(Model):
    """A credential from the environment."""

    env: Text = Field(description="Name of the environment variable.", examples=["LABCTL_TOPSPIN_TOKEN"])


class KeyringSecret(Model):
    """A credential from the key ring."""

    keyring: Text = Field(description="Name of the entry in the key ring.", examples=["labctl-topspin"])


def _is_reference(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= {"env", "keyring"}:
        raise expected(
            "a credential must not stand in the file", "write '{env: NAME}' or '{keyring: NAME}' and keep it there"
        )
    return value


Secret = Annotated[
    Annotated[EnvironmentSecret, Tag("env")] | Annotated[KeyringSecret, Tag("keyring")],
    Discriminator(lambda value: next(iter(value), None) if isinstance(value, dict) else type(value).__name__),
    BeforeValidator(_is_reference),
    Field(json_schema_extra={"errorMessage": "write '{env: NAME}' or '{keyring: NAME}' and keep the credential there"}),
]


class WireFault(Model):
    """Something that happens on the wire of a simulated instrument."""

    kind: Literal[
        "drop-before",
        "drop",
        "drop-after",
        "half",
        "garble",
        "duplicate",
        "late",
        "slow",
        "silent",
        "wrong-channel",
        "wrong-value",
        "busy",
        "refuse",
        "reboot",
    ] = Field(description="What happens.", examples=["late"])
    count: Annotated[int, Field(strict=True, ge=1)] = Field(default=1, description="To how many messages in a row.")
    share: Ratio | None = Field(
        default=None, description="Instead of a count: to which share of all exchanges, by chance.", examples=["0.1 %"]
    )
    seconds: Duration = Field(default=5.0, description="How long, for kinds that last.", examples=["5 s"])
    after: Annotated[float, Quantity("duration", at_least=0)] = Field(
        default=0.0, description="When, counted from the laboratory's beginning.", examples=["2 h"]
    )

    def plain(self) -> dict[str, Any]:
        """As the simulated laboratory takes it, SI."""
        about: dict[str, Any] = {"share": self.share} if self.share else {"count": self.count, "after_s": self.after}
        return {"kind": self.kind, "seconds": self.seconds, **about}


class Simulated(Model):
    """Options of a simulator: its own, and what its wire does."""

    model_config = ConfigDict(extra="allow")

    faults: tuple[WireFault, ...] = Field(default=(), description="Faults on its wire.", examples=["[{kind: late}]"])


class Entry(Model):
    """What every instrument has."""

    driver: str = Field(description="Which driver speaks to it.", examples=["maccor"])
    simulate: Simulated = Field(default_factory=Simulated, description="Options of its simulator.")
    limits: Envelope | None = Field(
        default=None,
        description="What it may be asked at most; steps beyond are refused before the start.",
        examples=["{current: 15 mA}"],
    )


class Login(Model):
    """Who logs in at a tester that wants it."""

    user: Text = Field(description="Name of the user on the tester.", examples=["labctl"])
    password: Secret = Field(description="Where the password is kept.", examples=["{env: LABCTL_MACCOR_PASSWORD}"])


class CellTemperature(Model):
    """What measures the temperature of a channel's cell."""

    aux: Annotated[int, Field(strict=True, ge=1, le=255)] = Field(
        description="Auxiliary input of the channel, counted from 1.", examples=[1]
    )
    end_type: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        default="Temp {}",
        description="How a procedure names an end by that input; {} stands for its number.",
        examples=["Temp {}"],
    )


class Maccor(Entry):
    """MACCOR Series 4000 over MacNet."""

    driver: Literal["maccor"] = Field(description="MACCOR Series 4000 over MacNet.")
    address: Text = Field(description="Host of the tester's PC.", examples=["192.0.2.10"])
    json_port: Port = Field(default=57570, description="MacNet's JSON port.", examples=[57570])
    binary_port: Port = Field(default=57560, description="MacNet's binary port.", examples=[57560])
    channels: Annotated[tuple[int, ...], Numbers()] = Field(
        description="Channels that labctl may use.", examples=["1-16"]
    )
    export_folder: Text = Field(description="Where the tester writes its text export.", examples=["maccor-export"])
    tester_clock: Annotated[float, Quantity("duration")] = Field(
        default=0.0, description="How far the tester's clock runs ahead of UTC.", examples=["0 s"]
    )
    login: Login | None = Field(
        default=None,
        description="Who logs in, where the tester wants it.",
        examples=["{user: labctl, password: {env: LABCTL_MACCOR_PASSWORD}}"],
    )
    temperature: CellTemperature | None = Field(
        default=None, description="What measures the cells' temperature.", examples=["{aux: 1}"]
    )
    capacity_end: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        default="Capacity",
        description="How a procedure names an end by the capacity of a step.",
        examples=["Capacity"],
    )
    direct_mode_watchdog: Duration | None = Field(
        default=None,
        description="MacNetDirectModeWD of the tester's System.ini, as somebody has read it there.",
        examples=["10 s"],
    )


class ReferenceSpectrum(Model):
    """How the LiCl standard is measured: what the probe bears is not for labctl to guess."""

    pulse: Duration = Field(default=7e-6, description="Length of its pulse.", examples=["7 us"])
    power: Power = Field(default=80.0, description="Power of its pulse.", examples=["80 W"])
    scans: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=16, description="Scans added up.", examples=[16]
    )
    recycle_delay: Duration = Field(default=2.0, description="Delay before each scan.", examples=["2 s"])


class Bruker(Entry):
    """Bruker TopSpin through labctl's gateway."""

    driver: Literal["bruker"] = Field(description="Bruker TopSpin through labctl's gateway.")
    address: Text = Field(description="Host and port of the gateway.", examples=["192.0.2.11:5410"])
    token: Secret = Field(description="Where the gateway's token is kept.", examples=["{env: LABCTL_TOPSPIN_TOKEN}"])
    data_folder: Text | None = Field(
        default=None, description="Where TopSpin keeps datasets.", examples=["topspin-data"]
    )
    parameter_set: Text | None = Field(default=None, description="What a new dataset starts from.", examples=["PROTON"])
    tuning_s: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        default=None, description="Seconds that automatic tuning and matching is given."
    )
    tuning_reflected: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Share that a tuned probe may reflect at its frequency; 0.2.", examples=[0.2]
    )
    reference: ReferenceSpectrum = Field(
        default_factory=ReferenceSpectrum,
        description="How the LiCl standard is measured.",
        examples=["{pulse: 7 us, power: 80 W}"],
    )


class Zahner(Entry):
    """Zahner Zennium over Thales Remote."""

    driver: Literal["zahner"] = Field(description="Zahner Zennium over Thales Remote.")
    address: Text = Field(description="Host and port of the Term.", examples=["192.0.2.12:260"])
    port: Port = Field(default=260, description="Port, where the address has none.")
    output_path: Text | None = Field(
        default=None, description="Folder on a local drive of the Term's PC.", examples=["c:\\thales\\labctl"]
    )
    serial: Text | None = Field(default=None, description="Serial number that must answer.")
    naming: Literal["individual", "counter"] = Field(
        default="individual", description="Files are named by labctl's token, or Thales adds a counter to it."
    )
    strategy: Literal["single", "multi"] = Field(
        default="single", description="One frequency after the other, or several slow ones at once."
    )
    quiet_s: Annotated[float, Field(ge=0, le=86400)] | None = Field(
        default=None,
        description="Seconds without an answer and without a point after which a silent Thales measures nothing; 900.",
        examples=[900],
    )
    heartbeat_s: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        default=None,
        description="Age in seconds of Thales' last sign of life at which a measurement is taken to hang; 60.",
        examples=[60],
    )


class Biologic(Entry):
    """BioLogic potentiostat through the vendor's library or through EC-Lab."""

    driver: Literal["biologic"] = Field(
        description="BioLogic potentiostat through the vendor's library or through EC-Lab."
    )
    role: Literal["cycler", "potentiostat"] = Field(default="cycler", description="What it is for labctl.")
    backend: Literal["eclib", "olecom"] = Field(
        default="eclib", description="Way in: the vendor's library EClib, or EC-Lab's OLE-COM server."
    )
    address: Text | None = Field(
        default=None,
        description="IP address, or USB0; without it 'olecom' takes the place in EC-Lab's list.",
        examples=["192.0.2.20"],
    )
    channels: Annotated[tuple[int, ...], Numbers()] = Field(
        default=(1,), description="Channels that labctl may use, one for a potentiostat.", examples=["1-8"]
    )
    electrodes: Literal[2, 3] = Field(default=2, description="3 where a reference electrode is connected.")
    bandwidth: Annotated[int, Field(strict=True, ge=1, le=7)] = Field(default=5, description="1 (slow) to 7 (fast).")
    model: Text | None = Field(
        default=None, description="Model that must answer; for 'olecom' what its files are to say.", examples=["VMP-3e"]
    )
    folder: Text = Field(
        default="biologic", description="Where labctl keeps what it started, below the laboratory folder."
    )
    answer_within: Duration = Field(default=10.0, description="How long a call may take.", examples=["10 s"])
    library: Text | None = Field(
        default=None,
        description="For 'eclib': path of EClib64.dll, its other files beside it.",
        examples=["C:\\EC-Lab Development Package\\EClib64.dll"],
    )
    firmware: Literal["keep", "replace"] = Field(
        default="keep", description="For 'eclib': whether EC-Lab's firmware on a channel may be replaced."
    )
    com: Text | None = Field(
        default=None, description="For 'olecom': ProgID of EC-Lab's server.", examples=["EClabCOM.EClabExe"]
    )
    device: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="For 'olecom': place of the instrument in EC-Lab's list, from 0."
    )
    serial: Annotated[int, Field(strict=True, gt=0)] | Text | None = Field(
        default=None, description="For 'olecom': serial number that must answer."
    )
    decimal: Literal["point", "comma"] = Field(default="point", description="For 'olecom': decimal mark of the PC.")
    template: Text | None = Field(
        default=None, description="For 'olecom': settings file saved in EC-Lab, below the laboratory folder."
    )
    voltage_range_min: Voltage = Field(default=0.0, description="For 'olecom': control range.", examples=["0 V"])
    voltage_range_max: Voltage = Field(default=5.0, description="For 'olecom': control range.", examples=["5 V"])
    safety_margin: Voltage = Field(
        default=0.05,
        description="For 'olecom': by how much EC-Lab's own limits lie beyond the program's.",
        examples=["50 mV"],
    )
    file_times: Literal["run", "technique"] = Field(
        default="run", description="For 'olecom': where times in the data files begin."
    )
    selected_for: Annotated[float, Quantity("duration", at_least=0)] = Field(
        default=1.0, description="For 'olecom': wait after a channel was selected.", examples=["1 s"]
    )


class Julabo(Entry):
    """Julabo thermostat over a serial line."""

    driver: Literal["julabo"] = Field(description="Julabo thermostat over a serial line.")
    address: Text = Field(description="Serial port, or 'socket://host:port'.", examples=["COM3"])
    serial: Text = Field(default="4800 7E1", description="Rate and frame of the line.", examples=["4800 7E1"])
    probe: Literal["internal", "external"] = Field(default="internal", description="Which sensor counts.")
    handshake: Literal["rtscts", "none"] = Field(default="rtscts", description="Hardware handshake.")
    settled: SettledTemperature = Field(default_factory=Settled)


class Binder(Entry):
    """Binder chamber over Modbus."""

    driver: Literal["binder"] = Field(description="Binder chamber over Modbus.")
    address: Text = Field(
        description="Host and port for Modbus TCP; serial port or 'socket://host:port' for RTU.",
        examples=["192.0.2.15:502"],
    )
    map: Text = Field(default="mb2", description="Register map: mb2, mb1, or a .json file.", examples=["mb2"])
    unit: Annotated[int, Field(strict=True, ge=0, le=255)] = Field(default=1, description="Modbus address.")
    word_order: Literal["probe", "low first", "high first"] = Field(
        default="probe", description="Which word of a float comes first.", examples=["low first"]
    )
    serial: Text = Field(
        default="9600 8N1", description="Rate and frame, where the address is a serial port.", examples=["9600 8N1"]
    )
    instrument_clock: InstrumentClock = 0.0
    settled: SettledTemperature = Field(default_factory=Settled)


class Espec(Entry):
    """ESPEC chamber with a P-300 or SCP-220 controller."""

    driver: Literal["espec"] = Field(description="ESPEC chamber with a P-300 or SCP-220 controller.")
    address: Text = Field(
        description="Host, with a port if it is not 10001; or a serial port.", examples=["192.0.2.16"]
    )
    controller: Literal["P-300", "SCP-220"] = Field(default="P-300", description="Which controller it has.")
    serial: Text | None = Field(
        default=None,
        description="Rate and frame of a serial port; by default the controller's.",
        examples=["19200 8N1"],
    )
    unit: Annotated[int, Field(strict=True, ge=0, le=255)] | None = Field(
        default=None, description="Its number on RS-485; nothing for TCP and RS-232.", examples=[1]
    )
    answer_within_s: Annotated[float, Field(ge=0.1, le=3.0)] = Field(
        default=0.9, description="Seconds for an answer, 0.1 to 3.", examples=[0.9]
    )
    instrument_clock: InstrumentClock = 0.0
    settled: SettledTemperature = Field(default_factory=Settled)


class ScpiMultiplexer(Entry):
    """Relay multiplexer over SCPI: Keysight 34970A and its successors, Keithley 2700."""

    driver: Literal["scpi-multiplexer"] = Field(description="Relay multiplexer over SCPI.")
    address: Text = Field(description="VISA resource.", examples=["TCPIP::192.0.2.13::5025::SOCKET"])
    model: Text | None = Field(default=None, description="Model that must answer.", examples=["34970A"])
    module: Text | None = Field(default=None, description="Relay module in the slots used.", examples=["34903A"])
    also: tuple[Annotated[int, Field(gt=0, lt=100)], ...] = Field(
        default=(),
        description="Channels that close and open with a named relay, counted from it: a cell's other leads.",
        examples=["[10, 20, 30]"],
    )
    power_fail_recall: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="What to do about a unit that would close relays by itself when power returns.",
        examples=["refuse"],
    )
    serial: Text = Field(
        default="9600 8N1", description="Rate and frame, where the address is a serial port.", examples=["9600 8N1"]
    )
    instrument_clock: InstrumentClock = 0.0


class Assisted(Entry):
    """Any instrument, run by a person who drops its files into a folder."""

    driver: Literal["assisted"] = Field(
        description="Any instrument, run by a person who drops its files into a folder."
    )
    role: Literal["spectrometer", "cycler", "potentiostat", "chamber"] = Field(
        description="What the instrument is.", examples=["spectrometer"]
    )
    drop_folder: Text = Field(
        description="Where requests are laid down and files are dropped; below the laboratory folder if relative.",
        examples=["assisted/nmr"],
    )
    vendor: Literal["bruker", "maccor", "zahner", "csv"] | None = Field(
        default=None, description="Whose files it writes; by default those of the first vendor known for the role."
    )
    channels: Annotated[tuple[int, ...], Numbers()] = Field(
        default=(1,), description="Channels of a cycler that labctl may ask for.", examples=["1-8"]
    )
    instrument_clock: Annotated[float, Quantity("duration")] = Field(
        default=0.0,
        description="How far the instrument's clock runs ahead of UTC, where files tell local time.",
        examples=["1 h"],
    )
    clock_within: Duration = Field(default=300.0, description="How far that clock may be off.", examples=["5 min"])
    quiet: Duration = Field(
        default=10.0,
        description="How long dropped files must not have changed before they are looked at.",
        examples=["10 s"],
    )
    model: Text | None = Field(default=None, description="Model, for the results.", examples=["Avance III HD 300"])
    serial: Text | None = Field(default=None, description="Serial number, for the results.")
    settled: Settled | None = Field(default=None, description="When a chamber counts as settled.")
    reference: ReferenceSpectrum = Field(
        default_factory=ReferenceSpectrum,
        description="How the LiCl standard is measured.",
        examples=["{pulse: 7 us, power: 80 W}"],
    )


#: Whose files can be read, by the role that a person fills.
ASSISTED_VENDORS = {
    "spectrometer": ("bruker",),
    "cycler": ("maccor",),
    "potentiostat": ("zahner", "csv"),
    "chamber": (),
}


_KNOWN = {
    "maccor": Maccor,
    "bruker": Bruker,
    "zahner": Zahner,
    "biologic": Biologic,
    "julabo": Julabo,
    "binder": Binder,
    "espec": Espec,
    "scpi-multiplexer": ScpiMultiplexer,
    "assisted": Assisted,
}

#: Names of the drivers whose settings are known here.
KNOWN_DRIVERS = tuple(_KNOWN)


class OtherInstrument(Entry):
    """An instrument of a driver that does not ship with labctl; its settings are the driver's business."""

    model_config = ConfigDict(extra="allow")

    driver: str = Field(
        description="Which driver speaks to it.",
        examples=["gamry"],
        json_schema_extra={"not": {"enum": [*KNOWN_DRIVERS]}},
    )
    settled: Settled | None = Field(default=None, description="When a chamber counts as settled.")


def _driver(value: Any) -> str:
    driver = value.get("driver") if isinstance(value, dict) else getattr(value, "driver", None)
    return driver if driver in KNOWN_DRIVERS else "other"


def _is_mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        raise expected(f"{describe(value, None)}, not an instrument", "write '{driver: ..., address: ...}'")
    if "driver" not in value:
        meant = nearest("driver", value)
        found = f"unknown key '{meant}'" if meant else "'driver' is missing"
        raise expected(found, "did you mean 'driver'?" if meant else "add for example 'driver: maccor'")
    return value


InstrumentEntry = Annotated[
    Annotated[Maccor, Tag("maccor")]
    | Annotated[Bruker, Tag("bruker")]
    | Annotated[Zahner, Tag("zahner")]
    | Annotated[Biologic, Tag("biologic")]
    | Annotated[Julabo, Tag("julabo")]
    | Annotated[Binder, Tag("binder")]
    | Annotated[Espec, Tag("espec")]
    | Annotated[ScpiMultiplexer, Tag("scpi-multiplexer")]
    | Annotated[Assisted, Tag("assisted")]
    | Annotated[OtherInstrument, Tag("other")],
    Discriminator(_driver),
    BeforeValidator(_is_mapping),
]
