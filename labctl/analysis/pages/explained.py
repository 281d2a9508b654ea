"""How each number of the report was got: in words, as a formula, and whose method it is. Data only."""

from __future__ import annotations

from typing import Final, NamedTuple


class Explanation(NamedTuple):
    """One note under a page.

    Attributes
    ----------
    title : str
        Name of the quantity.
    text : str
        How it was got, in a lab person's words.
    formula, source : str
        Empty where there is none.
    """

    title: str
    text: str
    formula: str = ""
    source: str = ""


_PAPER: Final = "Wichmann et al., Nat. Commun. 2025, Methods"
_OWN: Final = "labctl's own; see its documentation of the method"
_CIRCUIT: Final = "complex non-linear least squares of the points above the cut-off"

#: By key. ``I`` are integrals of the metal, ``J`` the same times the factor of the state of charge; c, d and v are the
#: charged, the discharged and the dead state.
EXPLAINED: Final[dict[str, Explanation]] = {
    # -- shares
    "reversible": Explanation(
        "Reversible lithium",
        "Charge that the constant-current discharge of this cycle gave back, by the cycler's own counter.",
        "Q_rev = Q_dis",
        _PAPER,
    ),
    "excess": Explanation(
        "Excess lithium",
        "Metal that was still connected after the discharge: what the stripping hold made vanish from the spectrum. "
        "A negative number is noise and is left as it is.",
        "Q_exc = k (J_d − J_v)",
        _PAPER,
    ),
    "dead": Explanation(
        "Dead lithium",
        "Metal that NMR still sees after the stripping hold: no step takes it up any more. A negative number is noise "
        "and is left as it is.",
        "Q_dead = k J_v",
        _PAPER,
    ),
    "interphase": Explanation(
        "Interphase",
        "What is missing to the first charge. It closes the balance, so it also holds alloyed lithium and lithium "
        "that stayed in the positive electrode; it does not depend on the dead state's integral.",
        "Q_int = Q_ch,1 − Q_rev − Q_exc − Q_dead",
        _PAPER,
    ),
    "share_mAh": Explanation(
        "Share in mAh",
        "The share as a charge. Its standard deviation is that of the percentage, for a first charge without error.",
        "Q in mAh; SD = SD(%) · Q_ch,1 / 100",
        _PAPER,
    ),
    "share_percent": Explanation(
        "Share in percent",
        "Percent of the same cell's own first charge; the four shares add up to 100. The standard deviation is the "
        "root of the summed squares of the budget's terms, propagated to first order.",
        "100 · Q / Q_ch,1",
        _PAPER,
    ),
    "simulated_value": Explanation(
        "Truth of the simulation",
        "What the virtual cell really holds, put beside the result after the analysis had ended; and how far the "
        "result lies from it in its own standard deviations.",
        "(result − truth) / SD",
    ),
    "budget": Explanation(
        "Budget of uncertainty",
        "What each cause adds to the standard deviation of a share, in points of percent. Squares add up to the "
        "square of the total. The part of the SOC factor is common to all cells of a set-up.",
        "total² = Σ term²",
        _OWN,
    ),
    "conversion": Explanation(
        "Conversion factor k",
        "How much lithium one unit of the metal's integral stands for. The discharge calibrates it: the charge that "
        "it took and the signal that vanished with it. It should be the same for all cells and cycles.",
        "k = Q_dis / (J_c − J_d), J = f I",
        _PAPER,
    ),
    "excess_coulometric": Explanation(
        "Excess by coulometry",
        "Charge that the stripping hold passed, as a second way to the excess lithium. It changes no share; where it "
        "disagrees with NMR, the cell has a flag.",
        "100 · Q_hold / Q_ch,1",
        _PAPER,
    ),
    "detection_limit": Explanation(
        "Detection limit of dead lithium",
        "Dead lithium below this is not told from none: the noise of the pristine cell's spectrum, scaled to the "
        "scans of the dead state, times the number of standard deviations in the settings.",
        "n · k f σ(I_pristine) · 100 / Q_ch,1",
        _OWN,
    ),
    "soc_factor": Explanation(
        "SOC factor f",
        "By how much a full positive electrode changes the metal's signal: integrals with an empty electrode are "
        "multiplied by f. It belongs to a set-up; its uncertainty is the same for all cells and no average lowers it.",
        "J = f(s) I, f(1) = 1",
        _PAPER,
    ),
    "state_of_charge": Explanation(
        "State of charge of the positive electrode",
        "As used for f in the charged, the discharged and the dead state. 'paper': full after the charge, empty after "
        "discharge and hold; 'coulomb': counted from the charge that passed.",
        "",
        _PAPER,
    ),
    "pi_half": Explanation(
        "π/2 pulse",
        "From the signal of this cell's metal against the length of the pulse: a damped sine, fitted.",
        "S = A sin(π t / 2 t90) exp(−t / T)",
        _OWN,
    ),
    "b1": Explanation(
        "Strength of the radio field", "As a nutation frequency, from the π/2 pulse.", "B1 = 1 / (4 t90)", _PAPER
    ),
    # -- spectra
    "integral": Explanation(
        "Integral of the metal",
        "Sum of the phased spectrum over the metal's window above its fitted baseline, per scan, unit of receiver "
        "gain and sine of the flip angle. The standard deviation is that of the noise and of the baseline, exact "
        "because every step is linear in the decay.",
        "I = Σ S(ppm) Δppm over the window",
        _PAPER,
    ),
    "scans": Explanation("Scans", "Decays that were added up, NS of the dataset."),
    "temperature": Explanation(
        "Sample temperature",
        "As recorded with the spectrum. A nucleus' signal falls with it (Curie), so it must be the same in all states.",
        "I ∝ 1 / T",
    ),
    "corrections": Explanation(
        "Corrections",
        "What the integral was multiplied by, by reason. 'blank' is what was taken from it. Without an entry nothing "
        "had to be corrected.",
    ),
    "electrolyte": Explanation(
        "Line of the electrolyte",
        "Integral of its line near 0 ppm, in the units of the metal's. Every state has it, so it tells whether the "
        "cell sat in the probe as before, and whether the spectra are of one cell.",
        "",
        _OWN,
    ),
    "shift": Explanation(
        "Shift of the electrolyte", "Centre of its line against the LiCl reference.", "δ = (ν − ν₀) / ν₀ · 10⁶"
    ),
    "phase": Explanation(
        "Phase",
        "The angle by which the spectrum was turned, counted at the pulse, and who said so. Weak spectra use that of "
        "the strong ones of the same cell.",
    ),
    # -- deposits
    "deposits": Explanation(
        "Dense, mossy and dendritic deposits",
        "Parts of the metal's signal in three Voigt lines, whose centres are held within windows of shift that move "
        "with the state of charge, and whose widths are capped. A model of the paper, not a property of lithium: the "
        "standard deviation holds for the model as told.",
        "fraction = area of the line / sum of the lines",
        _PAPER,
    ),
    "residual": Explanation(
        "Signal in no line", "Integral of the data less the three lines, over their sum.", "", _PAPER
    ),
    "line": Explanation(
        "Centre and width of a line",
        "Of the fitted Voigt line, full width at half height (Olivero and Longbothum). They mean nothing for a line "
        "without area.",
    ),
    "snr": Explanation(
        "Signal to noise",
        "Height of the peak over the standard deviation of one point. Below 100 fractions are not to be quoted.",
    ),
    "chi_square": Explanation(
        "χ² of the lines", "Mean squared residual over that of the noise: 1 where the model describes the data."
    ),
    # -- charge
    "charge": Explanation(
        "Charge and discharge capacity",
        "The cycler's own counter at the end of the last step of the operation; where it has none, the integral of "
        "the current. Repeated attempts are added.",
        "Q = ∫ I dt",
    ),
    "hold": Explanation(
        "Charge of the stripping hold", "What the hold at the lower cut-off voltage took out, counted likewise."
    ),
    "ce": Explanation("Coulombic efficiency", "Discharge over charge of the same cycle.", "CE = Q_dis / Q_ch"),
    "soh": Explanation(
        "State of health",
        "Discharge over that of the reference cycle, which is a setting.",
        "SOH = Q_dis,n / Q_dis,ref",
        _PAPER,
    ),
    "first_charge": Explanation(
        "First charge", "Capacity of the cell's own first charge, to which all shares refer.", "", _PAPER
    ),
    "inventory": Explanation(
        "Inventory of the negative electrode",
        "Charge that stands on the negative electrode's side after this charge: all charges so far less all that came "
        "back.",
        "N_n = Σ(i≤n) Q_ch,i − Σ(i<n) (Q_dis,i + Q_hold,i)",
        _OWN,
    ),
    "not_re_extracted": Explanation(
        "Not re-extracted",
        "Lithium that this charge left in the positive electrode, though the first charge had taken it out. The shares "
        "book it as interphase. Its standard deviation is that of the cycler's calibration.",
        "Q_ch,1 − N_n",
        _OWN,
    ),
    "energy": Explanation(
        "Energy", "Integral of current times voltage, by the trapezoid rule; a magnitude.", "E = ∫ U I dt"
    ),
    "energy_efficiency": Explanation(
        "Energy and voltage efficiency",
        "Energy that came back over energy that went in; and the ratio of the mean voltages.",
        "EE = E_dis / E_ch = CE · VE",
    ),
    "nucleation": Explanation(
        "Nucleation overvoltage",
        "The sharp tip at the start of the deposition less the flat plateau after it. Tip: extremum in the first 5 % "
        "of the charge; plateau: median over 20 to 40 %, unless told otherwise. The signal is named: a cell voltage "
        "has the positive electrode's overvoltage in it.",
        "η = |U_tip − U_plateau|",
        "Bela et al., J. Mater. Chem. A 2025, 13, 7476; the windows are labctl's choice",
    ),
    "life": Explanation(
        "Cycle life",
        "First cycle whose state of health is below the threshold, and where the line between the cycles around it "
        "meets the threshold.",
        "N80: SOH < 80 %",
        _PAPER,
    ),
    # -- impedance
    "kk": Explanation(
        "Kramers-Kronig test",
        "A chain of RC elements with fixed time constants is fitted by linear least squares; a spectrum that drifts or "
        "is not linear leaves residuals. Passed: all residuals within the limit. It is one of three tests: a slow "
        "drift below the noise passes.",
        "(Z − Z_chain) / |Z|",
        "Boukamp, J. Electrochem. Soc. 1995, 142, 1885; Schönleber et al., Electrochim. Acta 2014, 131, 20",
    ),
    "kk_cut": Explanation(
        "Lowest valid frequency",
        "Down to here the spectrum passes the test on its own. Points below it drifted while they were measured.",
    ),
    "fitted_above": Explanation(
        "Cut-off of the fit",
        "Points above this were fitted: by default the paper's fixed 1 Hz, on request what the Kramers-Kronig test "
        "keeps.",
        "",
        _PAPER,
    ),
    "circuit": Explanation(
        "Parameters of the equivalent circuit",
        f"From {_CIRCUIT}. R in series and depressed arcs of R and a constant-phase element, the fastest first. The "
        "standard deviations are from curvature and residuals; they hold if the circuit is right.",
        "Z_CPE = 1 / (Q (iω)^α)",
        _PAPER,
    ),
    "arc": Explanation(
        "Time constant and capacitance of an arc",
        "The imaginary part is largest at the peak frequency; the capacitance is that of an ideal capacitor with the "
        "same peak.",
        "τ = (R Q)^(1/α), f_peak = 1 / (2π τ), C = τ / R",
        "Hsu and Mansfeld, Corrosion 2001, 57, 747",
    ),
    "fit_chi": Explanation(
        "χ² of the fit",
        "Squared weighted residuals over the degrees of freedom. With weights by modulus its root is the relative "
        "noise.",
    ),
    "magnitude": Explanation(
        "Impedance at 1 kHz and 1 Hz",
        "Magnitude between the measured points, logarithmic; the size of the cell's impedance without any model.",
        "|Z|",
    ),
    "electrodes": Explanation(
        "Sum of the electrodes",
        "Whether the impedances of both electrodes against the reference add up to that of the cell.",
        "|Z_cell − Z_pos − Z_neg| / |Z_cell|",
    ),
    # -- series under current
    "series_charge": Explanation(
        "Charge at the spectrum", "That had passed since the step began, at the middle of the acquisition."
    ),
    "series_voltage": Explanation("Voltage at the spectrum", "Mean direct voltage at the middle of the sweep."),
    "series_soc": Explanation("State of charge at the spectrum", "From the charge that passed, where that is known."),
    "series_resistance": Explanation(
        "Resistances under current",
        f"Of the series and of each arc of the equivalent circuit, by {_CIRCUIT}.",
        "",
        _PAPER,
    ),
    "time": Explanation("Time", "Middle of the acquisition, by this computer's clock, since the step began."),
    "recycle": Explanation(
        "Recycle delay", "Time between scans. Integrals of different delays are not comparable without a correction."
    ),
    # -- groups
    "group_mean": Explanation(
        "Mean of a group",
        "Over its cells, ± the sample standard deviation between them. With two cells that deviation is itself "
        "uncertain by 60 %. It is not to be compared with the propagated error of one cell.",
        "SD² = Σ (x − mean)² / (n − 1)",
        _PAPER,
    ),
    "sd_common": Explanation(
        "Common part",
        "What the SOC factor leaves uncertain in all cells alike, as a standard deviation. Replicates do not lower it.",
    ),
    "n": Explanation("n", "Number of cells."),
    "cycles": Explanation("Cycles", "How many cycles have a record of a charge, a discharge or a measurement."),
    "flags": Explanation("Flags", "How many things a reader must know; each stands on the cell's page."),
    "started": Explanation("Start", "Of the operation, by the clock of the computer that ran it, in UTC."),
    "settings": Explanation("Settings", "What the evaluation was told; units stand in the names."),
    "pooled_value": Explanation(
        "k in the light of all",
        "The measurement drawn towards its cell and all cells by as much as its own uncertainty weighs against their "
        "spread.",
        "best linear prediction, averaged over the spread",
        "Röver, J. Stat. Softw. 2020, 93(6), 1",
    ),
    "area": Explanation("Area", "Of the electrode, as the cells file tells it."),
    "difference": Explanation(
        "Difference of two groups",
        "Mean of the second less mean of the first, in points of percent of the first charge, with its 95 % interval "
        "(or as stated). What all cells share, as f, is not in it.",
        "m₂ − m₁ ± t(df) √(s₁²/n₁ + s₂²/n₂)",
        "Welch, Biometrika 1947, 34, 28; Satterthwaite, Biometrics Bull. 1946, 2, 110",
    ),
    "p": Explanation(
        "p",
        "How often a difference as large would come out if there were none; and the same adjusted for the number of "
        "comparisons in this analysis. Above 0.05 nothing was shown, neither a difference nor equality.",
        "",
        "Welch's t test; Holm, Scand. J. Statist. 1979, 6, 65",
    ),
    "rate": Explanation(
        "Loss rate",
        "Slope of a straight line through the losses over the cycles: the mean over the cells where at least two were "
        "measured at several cycles, else one line through all cells.",
        "ordinary least squares",
        "Wichmann et al., Nat. Commun. 2025, Fig. 3c",
    ),
    "bend": Explanation(
        "Bend",
        "Probability of a curvature as large if the points lay on a line. Small: one rate does not describe them.",
    ),
    "pooled": Explanation(
        "Pooled k",
        "All cells together: every measurement counts by its own uncertainty and by the spread between cells and "
        "between the measurements of a cell.",
        "y = μ + u_cell + w + e; REML, interval after Hartung and Knapp",
        "Viechtbauer, J. Educ. Behav. Stat. 2005, 30, 261; Hartung and Knapp, Stat. Med. 2001, 20, 1771",
    ),
    "chart": Explanation(
        "Control chart of k",
        "Single values in the order of measurement; limits from the differences of neighbours, at 2 (warning) and 3 "
        "(action) standard deviations. A value outside: something about the measurement changed, not the lithium.",
        "σ = mean |difference| / 1.128",
        "Shewhart's chart, ISO 7870-2; rules after Western Electric",
    ),
}
