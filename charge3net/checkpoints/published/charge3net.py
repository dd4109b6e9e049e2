"""Weights of the published ChargE3Net code.

Parts of the published network cannot affect the density (docs/models.md). Its weight tensors are reduced to those that
can; the result is the same function of the atoms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from charge3net.errors import InputError
from charge3net.models.charge3net import N_SPECIES, ChargE3Net
from charge3net.models.published_spin import PseudoscalarSpinChargE3Net, published_irreps
from charge3net.nn.convolution import Convolution, tensor_product_paths
from charge3net.nn.e3nn import o3
from charge3net.nn.irreps import EVEN_SCALAR, ODD_SCALAR, Gate, IrrepsLinear, hidden_irreps

#: Parts of the names of e3nn's buffers, which are recomputed here and ignored in the file.
_IGNORED = ("output_mask", "_w3j", "_compiled", "tp.weight", "sh.", ".mul.", "cutoff_func")

_MARK = "atom_model.convolutions.0.fc.layer0.weight"


@dataclass(frozen=True)
class _PublishedLayer:
    """One convolution of the published network: irreps of senders x and receivers y, and the gate that follows."""

    x: o3.Irreps
    y: o3.Irreps
    gate: Gate

    @property
    def paths(self) -> dict[o3.Irrep, tuple[tuple[int, o3.Irrep], ...]]:
        lmax = max(ir.l for _, ir in self.gate.irreps_out)
        return tensor_product_paths(self.x, self.gate.irreps_in, lmax)

    def message_rows(self) -> dict[o3.Irrep, int]:
        """{irrep: copies among the summed messages}."""
        paths = self.paths
        return {t: sum(m for m, ir in self.x for _, o in paths[ir] if o == t) for _, t in self.gate.irreps_in}

    def shapes(self, num_basis: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Name of each weight tensor → shape."""
        out, rows = {ir: m for m, ir in self.gate.irreps_in}, self.message_rows()
        return {
            "sc.weight": (sum(m * out[ir] for m, ir in self.y if ir in out),),
            "lin1.weight": (sum(m * m for m, _ in self.x),),
            "lin2.weight": (sum(rows[ir] * m for ir, m in out.items()),),
            "lin3.weight": (rows[EVEN_SCALAR],),
            "fc.layer0.weight": (num_basis, hidden),
            "fc.layer1.weight": (hidden, sum(m * len(self.paths[ir]) for m, ir in self.x)),
        }


def _published_layers(lmax: int, mul: int, layers: int) -> dict[str, _PublishedLayer]:
    """Prefix → layer, atoms and probes."""
    one_hot, zero = o3.Irreps(f"{N_SPECIES}x0e"), o3.Irreps("1x0e")
    atoms = [one_hot, *published_irreps(one_hot, lmax, mul, layers)]
    probes = [zero, *published_irreps(zero, lmax, mul, layers)]
    found = {}
    for n in range(layers):
        found[f"atom_model.convolutions.{n}."] = _PublishedLayer(atoms[n], atoms[n], Gate(atoms[n + 1]))
        found[f"probe_model.convolutions.{n}."] = _PublishedLayer(atoms[n + 1], probes[n], Gate(probes[n + 1]))
    return found


def is_charge3net(state: dict[str, Tensor]) -> bool:
    """Whether these are weights of the published ChargE3Net code (prefixes already removed)."""
    return any(name.startswith("atom_model.convolutions.") for name in state)


def convert(state: dict[str, Tensor], cutoff: float = 4.0) -> ChargE3Net:
    """A model of this package with the published weights.

    Args:
        state: tensors by published name, prefixes removed; sizes follow from their shapes.
        cutoff: Å; not stored in the file, 4.0 in all published runs.

    Raises:
        InputError: naming every tensor that is missing, left over or of the wrong shape.
    """
    if _MARK not in state:
        raise InputError(f"published ChargE3Net weights do not fit: missing {_MARK}")
    layers = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("atom_model.convolutions."))
    num_basis, hidden = state[_MARK].shape
    lmax, spin = _rotation_order(state), _is_spin(state)
    mul = _representation_size(state, lmax, layers, num_basis, hidden, spin)
    kind = PseudoscalarSpinChargE3Net if spin else ChargE3Net
    model = kind(lmax, mul, layers, cutoff, num_basis, hidden).to(state[_MARK].dtype)
    with torch.no_grad():
        model.basis.mean.copy_(state["atom_model.basis.mean"])
        model.basis.inv_std.copy_(state["atom_model.basis.inv_std"])
        for prefix, published in _published_layers(lmax, mul, layers).items():
            side, _, number, _ = prefix.split(".")
            ours = model.get_submodule(f"{'atom' if side == 'atom_model' else 'probe'}_layers.{number}")
            gate = model.get_submodule(f"{'atom' if side == 'atom_model' else 'probe'}_gates.{number}")
            assert isinstance(ours, Convolution)
            assert isinstance(gate, Gate)
            _copy_layer(state, prefix, published, ours, gate)
        _copy_readout(state["probe_model.readout.weight"], model)
    return model


def _rotation_order(state: dict[str, Tensor]) -> int:
    width = state.get("atom_model.convolutions.0.fc.layer1.weight", torch.zeros(0, 0)).shape[1]
    if width == 0 or width % N_SPECIES:
        raise InputError(
            f"published ChargE3Net weights: atom_model.convolutions.0.fc.layer1.weight is missing or not a multiple of "
            f"{N_SPECIES} wide; this is not a complete ChargE3Net state dict"
        )
    return width // N_SPECIES - 1


def _is_spin(state: dict[str, Tensor]) -> bool:
    mask = state.get("probe_model.readout.output_mask")
    return mask is not None and mask.numel() == 2


def _representation_size(
    state: dict[str, Tensor], lmax: int, layers: int, num_basis: int, hidden: int, spin: bool
) -> int:
    """The ``mul`` that gives every tensor its shape; the roundest number if several do."""
    scalars = state.get("probe_model.convolutions.0.lin3.weight", torch.zeros(0)).numel()
    candidates = range(1, 2 + scalars * (lmax + 1))
    problems = ["no size fits"]
    fitting = []
    for mul in candidates:
        first = hidden_irreps(lmax, mul)
        if sum(m for m, ir in first if ir.p == (-1) ** ir.l) != scalars:
            continue
        problems = _shape_problems(state, _expected_shapes(lmax, mul, layers, num_basis, hidden, spin))
        if not problems:
            fitting.append(mul)
    if not fitting:
        raise InputError("published ChargE3Net weights do not fit: " + "; ".join(problems))
    return max(fitting, key=lambda m: next(-i for i, step in enumerate((100, 50, 10, 8, 2, 1)) if m % step == 0))


def _expected_shapes(
    lmax: int, mul: int, layers: int, num_basis: int, hidden: int, spin: bool
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix, layer in _published_layers(lmax, mul, layers).items():
        shapes |= {prefix + name: shape for name, shape in layer.shapes(num_basis, hidden).items()}
    for side in ("atom_model", "probe_model"):
        shapes |= {f"{side}.basis.mean": (num_basis,), f"{side}.basis.inv_std": (num_basis,)}
    last = published_irreps(o3.Irreps("1x0e"), lmax, mul, layers)[-1]
    heads = (EVEN_SCALAR, ODD_SCALAR) if spin else (EVEN_SCALAR,)
    shapes["probe_model.readout.weight"] = (sum(last.count(ir) for ir in heads),)
    return shapes


def _shape_problems(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> list[str]:
    """Tensors that are missing, unexpected or of another shape, by name."""
    missing = sorted(set(shapes) - set(state))
    extra = sorted(k for k in set(state) - set(shapes) if not any(part in k for part in _IGNORED) and state[k].numel())
    wrong = [
        f"{k} is {tuple(state[k].shape)} instead of {shape}"
        for k, shape in shapes.items()
        if k in state and tuple(state[k].shape) != shape
    ]
    problems = [f"missing {', '.join(missing)}"] if missing else []
    problems += [f"left over {', '.join(extra)}"] if extra else []
    return problems + wrong


def _copy_layer(
    state: dict[str, Tensor], prefix: str, published: _PublishedLayer, ours: Convolution, gate: Gate
) -> None:
    """Reduce the published tensors of one convolution to the paths and columns of this package."""
    columns = {ir: _columns(published.gate, gate, ir) for _, ir in ours.irreps_out}
    theirs_out, rows = {ir: m for m, ir in published.gate.irreps_in}, published.message_rows()
    ours.radial.first.copy_(state[prefix + "fc.layer0.weight"])
    ours.radial.last.copy_(state[prefix + "fc.layer1.weight"][:, _radial_columns(published, ours)])

    def fill(linear: IrrepsLinear, name: str, blocks: list[tuple[o3.Irrep, int, int]], cut: bool) -> None:
        flat, start = state[prefix + name], 0
        for ir, n_in, n_out in blocks:
            block = flat[start : start + n_in * n_out].reshape(n_in, n_out)
            start += n_in * n_out
            if linear.reaches(ir):
                linear.weights[str(ir)].copy_(block[:, columns[ir]] if cut else block)

    fill(ours.self_mix, "sc.weight", [(ir, m, theirs_out[ir]) for m, ir in published.y if ir in theirs_out], True)
    fill(ours.sender_mix, "lin1.weight", [(ir, m, m) for m, ir in published.x], False)
    fill(ours.message_mix, "lin2.weight", [(ir, rows[ir], m) for ir, m in theirs_out.items()], True)
    fill(ours.angle_mix, "lin3.weight", [(EVEN_SCALAR, rows[EVEN_SCALAR], 1)], False)


def _columns(published: Gate, ours: Gate, irrep: o3.Irrep) -> Tensor:
    """Indices of the published copies of an irrep of the gate's input that exist here."""
    if irrep != EVEN_SCALAR:
        return torch.arange(ours.irreps_out.count(irrep))
    columns = [torch.arange(ours.n_scalars)]
    start, ours_gated = published.n_scalars, {ir for _, ir in ours.gated}
    for mul, ir in published.gated:
        if ir in ours_gated:
            columns.append(torch.arange(start, start + mul))
        start += mul
    return torch.cat(columns)


def _radial_columns(published: _PublishedLayer, ours: Convolution) -> Tensor:
    """Indices of the columns of the published radial network whose paths exist here."""
    columns, start = [torch.zeros(0, dtype=torch.int64)], 0
    for mul, ir in published.x:
        for path in published.paths[ir]:
            if path in ours.paths.get(ir, ()):
                columns.append(torch.arange(start, start + mul))
            start += mul
    return torch.cat(columns)


def _copy_readout(flat: Tensor, model: ChargE3Net) -> None:
    start = 0
    for mul, ir in model.probe_irreps[-1]:
        if model.readout.reaches(ir):
            model.readout.weights[str(ir)].copy_(flat[start : start + mul, None])
            start += mul


@torch.no_grad()
def even_part(spin: PseudoscalarSpinChargE3Net) -> ChargE3Net:
    """The published spin network without what changes its sign under inversion: a start for training.

    Its density of spin up is an even scalar and is kept: half of the total density here. Its pseudoscalar (down) cannot
    be a density and is left out; the magnetisation is zero. Elsewhere the layers are the same.
    """
    model = ChargE3Net(**spin.hyperparameters(), channels=2).to(spin.dtype)
    model.basis.load_state_dict(spin.basis.state_dict())
    for side in ("atom", "probe"):
        layers = (getattr(net, f"{side}_{part}") for part in ("layers", "gates") for net in (spin, model))
        for theirs, ours, their_gate, gate in zip(*layers, strict=True):
            _reduce_layer(theirs, ours, their_gate, gate)
    up = spin.readout.weights[str(EVEN_SCALAR)]
    model.readout.weights[str(EVEN_SCALAR)].copy_(torch.cat([2.0 * up, torch.zeros_like(up)], dim=1))
    return model


def _reduce_layer(theirs: Convolution, ours: Convolution, their_gate: Gate, gate: Gate) -> None:
    """Copy the weights of the irreps and paths that the smaller convolution has."""
    ours.radial.first.copy_(theirs.radial.first)
    kept = [
        torch.full((mul,), path in ours.paths.get(ir, ()))
        for mul, ir in theirs.irreps_sender
        for path in theirs.paths[ir]
    ]
    ours.radial.last.copy_(theirs.radial.last[:, torch.cat(kept)])
    for name, weight in ours.sender_mix.weights.items():
        weight.copy_(theirs.sender_mix.weights[name])
    ours.angle_mix.weights[str(EVEN_SCALAR)].copy_(theirs.angle_mix.weights[str(EVEN_SCALAR)])
    for small, large in ((ours.self_mix, theirs.self_mix), (ours.message_mix, theirs.message_mix)):
        for name, weight in small.weights.items():
            weight.copy_(large.weights[name][:, _columns(their_gate, gate, o3.Irrep(name))])
