"""Triton kernels for ChargE3Net: the search for neighbours, and the sums of messages. Imports triton.

A *tile* is BP consecutive points. The edges of a tile are stored in slots: slot s holds the s-th neighbour of each of
its points, so a tile has as many slots as its point with the most edges. An edge is a float32 quadruple (distance
in steps of the radial table, unit vector from atom to point) and the index of its atom; the numbers of one slot and
field are adjacent for the points.
"""

from __future__ import annotations

import triton
import triton.language as tl

#: Relative width of the shell around cutoff² in which rounding of a position may decide.
_DOUBT = tl.constexpr(1e-11)


@triton.jit
def _first_bin(x, y, z, frame, bins, AXIS: tl.constexpr):
    """The lowest of the bins to look into along an axis; beyond the cell they belong to its images."""
    inverse = frame + 9 + AXIS
    fraction = x * tl.load(inverse) + y * tl.load(inverse + 3) + z * tl.load(inverse + 6)
    low, width, reach = tl.load(frame + 18 + AXIS), tl.load(frame + 21 + AXIS), tl.load(frame + 24 + AXIS)
    first = tl.floor((fraction - reach - low) / width)
    last = tl.load(bins + AXIS) - tl.load(bins + 6 + AXIS)
    inside = tl.minimum(tl.maximum(first, 0.0), last.to(tl.float64))
    return tl.where(tl.load(bins + 3 + AXIS) != 0, first, inside)


@triton.jit
def _image_and_place(bin, bins, AXIS: tl.constexpr):
    """Image of the cell in which a bin lies, and its number there."""
    count = tl.load(bins + AXIS)
    image = tl.where(tl.load(bins + 3 + AXIS) != 0, tl.floor(bin / count), 0.0)
    return image, (bin - image * count).to(tl.int32)


@triton.jit
def _write_edge(target, dx, dy, dz, distance, near, frame, BP: tl.constexpr):
    """Length in steps and direction; a point on an atom has no direction."""
    length = tl.sqrt(distance)
    far = length > tl.load(frame + 29)
    scale = tl.where(far, 1.0 / tl.where(far, length, 1.0), 0.0)
    tl.store(target, (length * tl.load(frame + 28)).to(tl.float32), mask=near)
    tl.store(target + BP, (dx * scale).to(tl.float32), mask=near)
    tl.store(target + 2 * BP, (dy * scale).to(tl.float32), mask=near)
    tl.store(target + 3 * BP, (dz * scale).to(tl.float32), mask=near)


@triton.jit(do_not_specialize=["n_points", "first_tile"])
def find_edges(
    points,  # [points, 3] float64, Å
    n_points,
    first_tile,  # that this launch is for
    positions,  # [atoms, 3] float64, Å, bin after bin
    wraps,  # [atoms, 3] int32, image in which an atom lies
    members,  # [atoms] int32, number of an atom
    bounds,  # [bins + 1] int32
    frame,  # float64: cell 9, inverse 9, low 3, width 3, reach 3 (fractional), cutoff, steps / cutoff, on_atom
    bins,  # int32: bins 3, periodic 3, bins to look into 3
    counts,  # [tiles, BP] int32, out
    doubts,  # [tiles, BP] int8, out: whether an atom lies at the cutoff but for rounding
    firsts,  # [tiles of this launch] int32, first slot of a tile
    edges,  # [slots, 4, BP] float32, out
    senders,  # [slots, BP] int32, out
    WRITE: tl.constexpr,
    BP: tl.constexpr,
):
    """Counts the edges of each point, or writes them: ``counts`` or ``edges`` and ``senders``.

    To be compiled without contraction of products and sums: pairs are decided as numpy decides them.
    """
    tile = first_tile + tl.program_id(0)
    lane = tl.arange(0, BP)
    point = tile * BP + lane
    real = point < n_points
    x = tl.load(points + 3 * point, mask=real, other=0.0)
    y = tl.load(points + 3 * point + 1, mask=real, other=0.0)
    z = tl.load(points + 3 * point + 2, mask=real, other=0.0)
    axx, axy, axz = tl.load(frame), tl.load(frame + 1), tl.load(frame + 2)
    ayx, ayy, ayz = tl.load(frame + 3), tl.load(frame + 4), tl.load(frame + 5)
    azx, azy, azz = tl.load(frame + 6), tl.load(frame + 7), tl.load(frame + 8)
    first_a = _first_bin(x, y, z, frame, bins, 0)
    first_b = _first_bin(x, y, z, frame, bins, 1)
    first_c = _first_bin(x, y, z, frame, bins, 2)
    square = tl.load(frame + 27) * tl.load(frame + 27)
    count = tl.zeros([BP], dtype=tl.int32)
    doubtful = tl.zeros([BP], dtype=tl.int32)
    if WRITE:
        first = tl.load(firsts + tl.program_id(0)).to(tl.int64)
    for step_a in range(tl.load(bins + 6)):
        image_a, a = _image_and_place(first_a + step_a, bins, 0)
        for step_b in range(tl.load(bins + 7)):
            image_b, b = _image_and_place(first_b + step_b, bins, 1)
            row = bounds + (a * tl.load(bins + 1) + b) * tl.load(bins + 2)
            for step_c in range(tl.load(bins + 8)):
                image_c, c = _image_and_place(first_c + step_c, bins, 2)
                begin = tl.load(row + c, mask=real, other=0)
                crowd = tl.load(row + c + 1, mask=real, other=0) - begin
                for k in range(tl.max(crowd, 0)):
                    here, entry = k < crowd, 3 * (begin + k)
                    na = image_a - tl.load(wraps + entry, mask=here, other=0)
                    nb = image_b - tl.load(wraps + entry + 1, mask=here, other=0)
                    nc = image_c - tl.load(wraps + entry + 2, mask=here, other=0)
                    px = tl.load(positions + entry, mask=here, other=0.0)
                    py = tl.load(positions + entry + 1, mask=here, other=0.0)
                    pz = tl.load(positions + entry + 2, mask=here, other=0.0)
                    dx = x - (px + (na * axx + nb * ayx + nc * azx))
                    dy = y - (py + (na * axy + nb * ayy + nc * azy))
                    dz = z - (pz + (na * axz + nb * ayz + nc * azz))
                    distance = dx * dx + dy * dy + dz * dz
                    near = here & (distance < square)
                    if WRITE:
                        sender = tl.load(members + begin + k, mask=near, other=0)
                        slot = first + count
                        tl.store(senders + slot * BP + lane, sender, mask=near)
                        _write_edge(edges + slot * (4 * BP) + lane, dx, dy, dz, distance, near, frame, BP)
                    else:
                        doubtful += (here & (tl.abs(distance - square) <= square * _DOUBT)).to(tl.int32)
                    count += near.to(tl.int32)
    if not WRITE:
        tl.store(counts + point, count)
        tl.store(doubts + point, (doubtful > 0).to(tl.int8))


@triton.jit
def _legendre(y, square, ORDER: tl.constexpr, M: tl.constexpr):
    """Π_lm(y) / (2m − 1)!! by the recursion over l; homogeneous in (y, √square)."""
    before = y * 0.0
    current = before + 1.0
    for l in tl.static_range(M + 1, ORDER + 1):
        above = ((2 * l - 1) * y * current - (l + M - 1) * square * before) * (1.0 / (l - M))
        before = current
        current = above
    return current


@triton.jit
def _products(x, y, z, sent, ORDER: tl.constexpr, BC: tl.constexpr):
    """Σ_m Y_m · h_m of one order: [BP, BC]; ``sent`` points to component 0 of the senders' channels."""
    square = x * x + y * y + z * z
    cosine = square * 0.0 + 1.0
    sine = square * 0.0
    result = _legendre(y, square, ORDER, 0)[:, None] * tl.load(sent + ORDER * BC)
    for m in tl.static_range(1, ORDER + 1):
        turned = cosine * z - sine * x
        sine = cosine * x + sine * z
        cosine = turned
        radial = _legendre(y, square, ORDER, m)
        result += (radial * cosine)[:, None] * tl.load(sent + (ORDER + m) * BC)
        result += (radial * sine)[:, None] * tl.load(sent + (ORDER - m) * BC)
    return result


@triton.jit(do_not_specialize=["n_points", "first_tile", "n_atoms", "rows", "stride"])
def sum_messages(
    edges,  # [slots, 4, BP] float32
    senders,  # [slots, BP] int32
    counts,  # [tiles, BP] int32
    firsts,  # [tiles of this launch] int32
    table,  # [blocks, rows, BC] float32, B-spline coefficients of the radial functions
    sent,  # [blocks, atoms, 2·ORDER + 1, BC] float32
    columns,  # [blocks, BC] int32, column of a channel in ``sums``; −1: none
    sums,  # [points, stride] float32, out
    n_points,
    first_tile,
    n_atoms,
    rows,
    stride,
    ORDER: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """Σ over edges of w(r) · Σ_m h_m · Y_m(r/|r|), for a tile of points and a block of channels of one order.

    Nothing is added to memory: one program owns the numbers that it writes.
    """
    tile, block = first_tile + tl.program_id(0), tl.program_id(1).to(tl.int64)
    lane, channel = tl.arange(0, BP), tl.arange(0, BC)
    point = tile * BP + lane
    count = tl.load(counts + point)
    first = tl.load(firsts + tl.program_id(0)).to(tl.int64)
    of_table = table + block * rows * BC + channel[None, :]
    of_atoms = sent + block * n_atoms * ((2 * ORDER + 1) * BC) + channel[None, :]
    total = tl.zeros([BP, BC], dtype=tl.float32)
    for slot in range(tl.max(count, 0)):
        near = slot < count
        edge = edges + (first + slot) * (4 * BP) + lane
        place = tl.load(edge, mask=near, other=0.0)
        atom = tl.load(senders + (first + slot) * BP + lane, mask=near, other=0)
        row = tl.minimum(place.to(tl.int32), rows - 4)
        t = place - row.to(tl.float32)
        s = 1.0 - t
        sixth = tl.where(near, 1.0 / 6.0, 0.0)
        node = of_table + (row * BC)[:, None]
        weight = (s * s * s * sixth)[:, None] * tl.load(node)
        weight += ((t * t * (t * 3.0 - 6.0) + 4.0) * sixth)[:, None] * tl.load(node + BC)
        weight += ((s * s * (s * 3.0 - 6.0) + 4.0) * sixth)[:, None] * tl.load(node + 2 * BC)
        weight += (t * t * t * sixth)[:, None] * tl.load(node + 3 * BC)
        sender = of_atoms + (atom.to(tl.int64) * ((2 * ORDER + 1) * BC))[:, None]
        if ORDER == 0:
            total += weight * tl.load(sender)
        else:
            x = tl.load(edge + BP, mask=near, other=0.0)
            y = tl.load(edge + 2 * BP, mask=near, other=0.0)
            z = tl.load(edge + 3 * BP, mask=near, other=0.0)
            total += weight * _products(x, y, z, sender, ORDER, BC)
    column = tl.load(columns + block * BC + channel)
    target = sums + point.to(tl.int64)[:, None] * stride + column[None, :]
    tl.store(target, total, mask=(point < n_points)[:, None] & (column >= 0)[None, :])
